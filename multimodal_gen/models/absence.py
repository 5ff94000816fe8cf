"""What stands in the place of an input that a row does not have: a learned vector, and not what its
branch makes of it.

Registered for saving and written with `keras.ops`, as those in `layers.py`.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="multimodal_gen")
class FillAbsent(keras.layers.Layer):
    """Exchanges the rows whose input is not there for one learned vector, which is zeros at the
    start.

    What the branch gave for such a row comes into neither the output nor the gradients: the choice
    has a gradient of exactly 0 there.
    """

    def build(self, input_shape: list[tuple[int | None, ...]]) -> None:
        """Makes the vector, of the size of the embedding or of the logits."""
        self.absent = self.add_weight(
            shape=(input_shape[0][-1],), initializer="zeros", name="absent"
        )

    def call(self, inputs: list[Any]) -> Any:
        """`[(batch, size), (batch, 1)]`, the second a mask of 0 and 1 of any dtype -> `(batch,
        size)`.
        """
        tensor, present = inputs
        there = ops.cast(present, "float32") > 0.5
        return ops.where(there, tensor, ops.cast(self.absent, tensor.dtype))

    def compute_output_shape(
        self, input_shape: list[tuple[int | None, ...]]
    ) -> tuple[int | None, ...]:
        """That of the tensor."""
        return tuple(input_shape[0])
