"""Losses and metrics of targets that Keras does not have.

Targets import them when asked, so that loaders need no Keras. Squared errors are those of whole
rows; in masked language modelling only positions whose label is not 0 count, and rows by their
weight.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="multimodal_gen")
def row_mean_squared_error(y_true: Any, y_pred: Any) -> Any:
    """Mean squared error of each row: two `(batch, ...)` of equal row size -> `(batch,)`."""
    y_pred = ops.convert_to_tensor(y_pred)
    # Labels are float32 also where the model computes in half precision.
    y_true = ops.cast(y_true, y_pred.dtype)
    rows = ops.shape(y_pred)[0]
    return ops.mean(
        ops.square(ops.reshape(y_pred, (rows, -1)) - ops.reshape(y_true, (rows, -1))), axis=-1
    )


@keras.saving.register_keras_serializable(package="multimodal_gen")
class RowMeanSquaredError(keras.losses.Loss):
    """Mean squared error of a row over all its numbers, for reconstructed pictures and arrays.

    Keras's `MeanSquaredError` takes the mean over the last axis only. For pictures `(batch, height,
    width, channels)`, this leaves errors `(batch, height, width)`, which do not fit a sample weight
    `(batch,)`: it is an error, or, if the width happens to equal the batch size, the weight is
    multiplied with the columns of every picture.

    Args:
        name: Name of the loss.
        reduction: How the losses of the rows become one, as for Keras's losses.
        dtype: Dtype of the computation; by default Keras's float.
    """

    def __init__(
        self,
        name: str = "row_mean_squared_error",
        reduction: str = "mean_with_sample_weight",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """See `row_mean_squared_error`."""
        return row_mean_squared_error(y_true, y_pred)


@keras.saving.register_keras_serializable(package="multimodal_gen")
class MaskedCrossentropy(keras.losses.SparseCategoricalCrossentropy):
    """Cross-entropy of `(batch, length)` labels and `(batch, length, ids)` probabilities.

    Label 0 means none. It is Keras's own loss with `ignore_class=0`, which rejects a sample weight
    per row `(batch,)` if a row has several labels.

    Args:
        reduction: How the losses become one, as for Keras's losses; by default their mean over the
            labels that count.
        name: Name of the loss.
        dtype: Dtype of the computation; by default Keras's float.
    """

    def __init__(
        self,
        reduction: str = "mean_with_sample_weight",
        name: str = "masked_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(ignore_class=0, reduction=reduction, name=name, dtype=dtype)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The loss of a batch; `sample_weight` is `(batch,)` or `(batch, length)`."""
        return super().__call__(y_true, y_pred, _weights(y_true, sample_weight, self.dtype))

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        config = super().get_config()
        return {name: config[name] for name in ("reduction", "name")} | {
            "dtype": config.get("dtype")
        }


@keras.saving.register_keras_serializable(package="multimodal_gen")
class MaskedAccuracy(keras.metrics.Mean):
    """The share of non-zero labels `(batch, length)` that have the highest probability.

    Args:
        name: Name of the metric.
        dtype: Dtype of the computation; by default Keras's float.
    """

    def __init__(self, name: str = "masked_accuracy", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch; `sample_weight` is `(batch,)` or `(batch, length)`."""
        labels = ops.cast(y_true, "int32")
        hits = ops.equal(labels, ops.cast(ops.argmax(y_pred, axis=-1), "int32"))
        weights = _weights(labels, sample_weight, self.dtype)
        super().update_state(ops.cast(hits, self.dtype), sample_weight=weights)


def _weights(labels: Any, sample_weight: Any, dtype: str) -> Any:
    # One weight per label, `(batch, length)`. Always a new tensor, because Keras multiplies it in
    # place on torch.
    weights = ops.cast(ops.not_equal(labels, 0), dtype)
    if sample_weight is None:
        return weights
    sample_weight = ops.cast(sample_weight, dtype)
    return weights * (
        ops.expand_dims(sample_weight, -1) if len(sample_weight.shape) == 1 else sample_weight
    )
