"""A learned vector for rows that lack an input, instead of what its branch computes.

Registered for saving and written with `keras.ops`, like the layers in `layers.py`.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="multimodal_gen")
class FillAbsent(keras.layers.Layer):
    """Replaces rows without the input by one learned vector, which starts at zero.

    The branch's result for such a row affects neither the output nor the gradients, because `where`
    has a gradient of exactly 0 there.
    """

    def build(self, input_shape: list[tuple[int | None, ...]]) -> None:
        """Create the vector, with the size of the embedding or the logits."""
        self.absent = self.add_weight(
            shape=(input_shape[0][-1],), initializer="zeros", name="absent"
        )

    def call(self, inputs: list[Any]) -> Any:
        """`[(batch, size), (batch, 1)]`, the latter a mask of 0 and 1 -> `(batch, size)`."""
        tensor, present = inputs
        there = ops.cast(present, "float32") > 0.5
        return ops.where(there, tensor, ops.cast(self.absent, tensor.dtype))

    def compute_output_shape(
        self, input_shape: list[tuple[int | None, ...]]
    ) -> tuple[int | None, ...]:
        """The shape of the tensor."""
        return tuple(input_shape[0])
