"""Layers of the token branch that Keras does not have. Their results do not depend on padding.

Registered for saving and written with `keras.ops`, like the layers in `layers.py`.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="multimodal_gen")
class MaskedMean(keras.layers.Layer):
    """Mean of the positions that are not padding; zeros if all are.

    Keras's `GlobalAveragePooling1D` gives NaN for a row that is all padding, such as an empty
    caption.
    """

    def __init__(
        self, *, name: str | None = None, trainable: bool = True, dtype: Any = None
    ) -> None:
        super().__init__(name=name, trainable=trainable, dtype=dtype)
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """`(batch, length, size)`, mask `(batch, length)` -> `(batch, size)`."""
        if mask is None:
            return ops.mean(inputs, axis=1)
        present = ops.expand_dims(ops.cast(mask, inputs.dtype), -1)
        return ops.sum(inputs * present, axis=1) / ops.maximum(ops.sum(present, axis=1), 1.0)

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """None, because the result has no positions to mask."""
        return

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """`(batch, length, size)` -> `(batch, size)`."""
        return (input_shape[0], input_shape[-1])


@keras.saving.register_keras_serializable(package="multimodal_gen")
class AddPositions(keras.layers.Layer):
    """Adds a learned vector per position, counted from the first one that is not padding.

    Args:
        length: The greatest number of positions.
    """

    def __init__(
        self, length: int, *, name: str | None = None, trainable: bool = True, dtype: Any = None
    ) -> None:
        super().__init__(name=name, trainable=trainable, dtype=dtype)
        self.length = length
        # Without this Keras would drop the mask here, with a warning.
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the `(length, size)` table."""
        # Small beside the token vectors, so that word order is learned only where it helps.
        initializer = keras.initializers.RandomNormal(stddev=0.02)
        self.positions = self.add_weight(
            (self.length, input_shape[-1]), initializer, name="positions"
        )

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """`(batch, up to length, size)`, mask `(batch, up to length)` -> the shape of the inputs.

        Raises:
            ValueError: If there are more than `length` positions.
        """
        positions = inputs.shape[1]
        # It is not an integer while a model is exported for captions of any length.
        if isinstance(positions, int) and positions > self.length:
            raise ValueError(
                f"There must be at most {self.length} positions. Received: {positions} positions"
            )
        present = (
            ops.ones(ops.shape(inputs)[:2], "int32") if mask is None else ops.cast(mask, "int32")
        )
        # Padding on the left is not counted, and would have position -1.
        return inputs + ops.take(
            self.positions, ops.maximum(ops.cumsum(present, axis=1) - 1, 0), axis=0
        )

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The same shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "length": self.length}
