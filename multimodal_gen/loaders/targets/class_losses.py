"""Losses of classes that Keras lacks, or has for some labels only: focal, smoothed, ordinal.

`loss_of_classes` and `loss_of_labels` choose Keras's own where that is all a target asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from multimodal_gen.rows.checks import check_switches

_REDUCTION = "mean_with_sample_weight"
# As far as float32 probabilities are kept from 0 and 1, whose logarithms are infinite.
_LEAST = 1e-7


@keras.saving.register_keras_serializable(package="multimodal_gen")
class ClassCrossentropy(keras.losses.Loss):
    """Cross-entropy of exclusive classes that is focal, smoothed or ordinal.

    Focal: `-(1 - p) ** gamma * log(p)` for the true class's probability p, so that rows that are
    right already count less (Lin et al., "Focal loss for dense object detection", 2017, equation
    4). Smoothed: the true class counts `1 - s + s / classes` and each other one `s / classes`
    (Szegedy et al., "Rethinking the Inception architecture", 2016, section 7). Ordinal: each class
    counts by its distance of d steps from the true one, `exp(-d)` divided by the sum over all
    classes, so that a probability beside the true class costs less than one far from it (Díaz and
    Marathe, "Soft labels for ordinal regression", 2019, with absolute distances).

    Args:
        focal: Gamma; 0 turns it off.
        label_smoothing: The share s of a row's weight that is spread over all classes, in [0, 1).
        ordered: Whether the loss is ordinal; then the others must be 0.
        name: Name of the loss.
        reduction: How the losses of the rows become one, as for Keras's losses.
        dtype: Dtype of the computation; by default Keras's float.
    """

    def __init__(
        self,
        focal: float = 0.0,
        label_smoothing: float = 0.0,
        ordered: bool = False,
        name: str = "class_crossentropy",
        reduction: str = _REDUCTION,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        check_switches(ordered=ordered)
        self.focal, self.label_smoothing, self.ordered = focal, label_smoothing, ordered

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Positions `(batch,)` or shares `(batch, classes)`, and probabilities `(batch, classes)`;
        or for two classes both `(batch, 1)` -> `(batch,)`.
        """
        shares, probabilities = _by_class(y_true, ops.convert_to_tensor(y_pred))
        classes = probabilities.shape[-1]
        if self.ordered:
            shares = ops.matmul(shares, ops.convert_to_tensor(_near(classes), dtype=shares.dtype))
        shares = shares * (1 - self.label_smoothing) + self.label_smoothing / classes
        kept = ops.clip(probabilities, _LEAST, 1 - _LEAST)
        return -ops.sum(shares * _focus(kept, self.focal) * ops.log(kept), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        own = {name: getattr(self, name) for name in ("focal", "label_smoothing", "ordered")}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="multimodal_gen")
class LabelCrossentropy(keras.losses.Loss):
    """Binary cross-entropy of labels that do not exclude each other, averaged over the labels.

    A label's presence counts `positive_weight` times its absence, as in PyTorch's
    `BCEWithLogitsLoss(pos_weight=)`. Focal and smoothed as in `ClassCrossentropy`, with two classes
    for each label.

    Args:
        positive_weight: One positive number for each label; None for 1.
        focal: Gamma; 0 turns it off.
        label_smoothing: The share of a label's weight that is spread over both answers, in [0, 1).
        name: Name of the loss.
        reduction: How the losses of the rows become one, as for Keras's losses.
        dtype: Dtype of the computation; by default Keras's float.
    """

    def __init__(
        self,
        positive_weight: Sequence[float] | None = None,
        focal: float = 0.0,
        label_smoothing: float = 0.0,
        name: str = "label_crossentropy",
        reduction: str = _REDUCTION,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.positive_weight = None if positive_weight is None else list(positive_weight)
        self.focal, self.label_smoothing = focal, label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Two `(batch, labels)`, zeros and ones, and probabilities -> `(batch,)`."""
        kept = ops.clip(ops.convert_to_tensor(y_pred), _LEAST, 1 - _LEAST)
        there = ops.cast(y_true, kept.dtype) * (1 - self.label_smoothing) + self.label_smoothing / 2
        weight: Any = 1.0
        if self.positive_weight is not None:
            weight = ops.convert_to_tensor(self.positive_weight, dtype=kept.dtype)
        present = weight * there * _focus(kept, self.focal) * ops.log(kept)
        absent = (1 - there) * _focus(1 - kept, self.focal) * ops.log(1 - kept)
        return -ops.mean(present + absent, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        own = {name: getattr(self, name) for name in ("positive_weight", "focal")}
        return {**super().get_config(), **own, "label_smoothing": self.label_smoothing}


def loss_of_classes(
    label_mode: str, focal: float, label_smoothing: float, ordered: bool
) -> keras.losses.Loss:
    """The loss of a `ClassLabel` with these arguments."""
    if focal or label_smoothing or ordered:
        return ClassCrossentropy(focal, label_smoothing, ordered)
    losses = {
        "int": keras.losses.SparseCategoricalCrossentropy,
        "categorical": keras.losses.CategoricalCrossentropy,
        "binary": keras.losses.BinaryCrossentropy,
    }
    return losses[label_mode](reduction=_REDUCTION)


def loss_of_labels(
    positive_weight: Sequence[float] | None, focal: float, label_smoothing: float
) -> keras.losses.Loss:
    """The loss of a `MultiLabel` with these arguments."""
    if positive_weight is not None or focal or label_smoothing:
        return LabelCrossentropy(positive_weight, focal, label_smoothing)
    return keras.losses.BinaryCrossentropy(reduction=_REDUCTION)


def _by_class(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    # Shares and probabilities, both `(batch, classes)`.
    classes = y_pred.shape[-1]
    if classes == 1:
        one = ops.reshape(ops.cast(y_true, y_pred.dtype), (-1, 1))
        return (
            ops.concatenate([1 - one, one], axis=-1),
            ops.concatenate([1 - y_pred, y_pred], axis=-1),
        )
    if len(y_true.shape) == 1 or y_true.shape[-1] == 1:
        positions = ops.reshape(ops.cast(y_true, "int32"), (-1,))
        return ops.one_hot(positions, classes, dtype=y_pred.dtype), y_pred
    return ops.cast(y_true, y_pred.dtype), y_pred


def _focus(probabilities: Any, gamma: float) -> Any:
    # Without a power of 0, whose gradient some backends make NaN.
    return ops.power(1 - probabilities, gamma) if gamma else 1.0


def _near(classes: int) -> np.ndarray:
    # True class -> the shares of all classes, `(classes, classes)`.
    places = np.arange(classes)
    weights = np.exp(-np.abs(places[:, None] - places).astype("float64"))
    shares: np.ndarray = weights / weights.sum(axis=1, keepdims=True)
    return shares
