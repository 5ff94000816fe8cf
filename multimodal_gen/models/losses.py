"""The one loss that Keras does not have. Every other is Keras's own."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="multimodal_gen")
def row_mean_squared_error(y_true: Any, y_pred: Any) -> Any:
    """Mean squared error of each row: two `(batch, ...)` with as many numbers a row -> `(batch,)`."""
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.cast(y_true, y_pred.dtype)
    rows = ops.shape(y_pred)[0]
    return ops.mean(ops.square(ops.reshape(y_pred, (rows, -1)) - ops.reshape(y_true, (rows, -1))), axis=-1)


@keras.saving.register_keras_serializable(package="multimodal_gen")
class RowMeanSquaredError(keras.losses.Loss):
    """Mean squared error of a row over all its numbers: for pictures and other arrays that a model gives back.

    Keras's `MeanSquaredError` takes the mean over the last axis only. Of pictures `(batch, height, width, channels)`
    errors `(batch, height, width)` are left, and a sample weight `(batch,)` does not go with them: it is refused, or,
    where the width happens to be the batch size, multiplied with the columns of every picture.

    Args:
        name: Name of the loss.
        reduction: How the losses of the rows become one, as for Keras's losses.
        dtype: Dtype of the computation; by default Keras's float.
    """

    def __init__(
        self, name: str = "row_mean_squared_error", reduction: str = "mean_with_sample_weight", dtype: Any = None
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """See `row_mean_squared_error`."""
        return row_mean_squared_error(y_true, y_pred)
