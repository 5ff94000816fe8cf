"""Weighs the heads of a trained model by their value on held-out rows.

If one input is much weaker than another, adding its logits does harm, because its head is as
confident on training rows as the good one. So one non-negative number per head is fitted on rows
that no head was trained on. Nothing here trains a branch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from multimodal_gen.models.layers import SumOfHeads
from multimodal_gen.models.outputs import slices
from multimodal_gen.sequence.keras_inside.graph import made_by

_STEPS = 400


def calibrate_heads(model: keras.Model, data: Any, *, strength: float = 2.0) -> dict[str, float]:
    """Fit the scales of the heads of a `joint`, `late` or `attend` model on held-out rows.

    The scales minimize the mean loss of the rows (cross-entropy, or squared error without an
    activation) plus a ridge that pulls them towards each other, as strong as `strength` rows. The
    problem is convex, and a few dozen rows are enough for a handful of numbers. Stacking with
    non-negative weights: Breiman, "Stacked regressions", 1996. Each of several targets has its own
    scales, fitted on its own labels. Where the target's loss is focal, ordered or weighted, the
    scales still minimize the plain cross-entropy, which makes probabilities fit the rows
    (docs/models.md has a measurement).

    Args:
        model: A model with fusion `joint`, `late` or `attend`; for any other, nothing is done.
        data: A `PyDataset` of held-out rows with targets: validation rows, never test rows.
        strength: Weight of the ridge, in rows.

    Returns:
        The scale of each head by the name of the layer that makes its logits; for several targets
        by "{target}.{layer}"; empty if the model has no such heads.
    """
    layer = next((layer for layer in model.layers if isinstance(layer, SumOfHeads)), None)
    if layer is None:
        return {}
    # Keras gives the only one of a list by itself, here and below.
    tensors = layer.heads_of(layer.input if isinstance(layer.input, list) else [layer.input])
    logits, labels, weights = _collect(keras.Model(model.inputs, tensors), data)
    # `fill_absent` adds this to the head of an input that rows may lack.
    heads = [made_by(tensor).name.removesuffix("_if_present") for tensor in tensors]
    if not isinstance(layer.activation, Mapping):
        scales = _scales(logits, labels, weights, layer.activation, strength)
        layer.scales.assign(scales)
        return dict(zip(heads, scales.tolist(), strict=True))
    columns, named = [], dict[str, float]()
    for name, where in slices(layer.activation).items():
        own = weights[name] if isinstance(weights, Mapping) else weights
        columns.append(
            _scales(logits[..., where], labels[name], own, layer.activation[name][1], strength)
        )
        named.update(zip((f"{name}.{head}" for head in heads), columns[-1].tolist(), strict=True))
    layer.scales.assign(np.stack(columns, axis=1))
    return named


def _collect(heads: keras.Model, data: Any) -> tuple[np.ndarray, Any, Any]:
    # Logits `(rows, heads, units)`, labels and weights, with the rows of all batches.
    batches = []
    for i in range(data.num_batches):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data[i])
        # `predict_on_batch`, because `predict` would return the rows without labels and weights.
        outputs = heads.predict_on_batch(x)
        several = outputs if isinstance(outputs, list) else [outputs]
        logits = np.stack([np.asarray(head) for head in several], axis=1)
        batches.append(
            (
                logits.astype("float64"),
                y,
                np.ones(len(logits)) if sample_weight is None else sample_weight,
            )
        )
    return keras.tree.map_structure(
        lambda *parts: np.concatenate([np.asarray(one) for one in parts]), *batches
    )


def _scales(
    logits: np.ndarray, labels: Any, weights: Any, activation: str | None, strength: float
) -> np.ndarray:
    weights = np.asarray(weights).reshape(-1)
    scales = fit_scales(
        logits, labels, activation=activation, sample_weight=weights, strength=strength
    )
    # If no head is better than a constant on these rows, all scales are 0 and every row would get
    # the same prediction; then the heads stay unweighted.
    return (scales if scales.max() >= 1e-3 else np.ones(len(scales))).astype("float32")


def fit_scales(
    logits: np.ndarray,
    labels: np.ndarray,
    *,
    activation: str | None,
    sample_weight: np.ndarray | None = None,
    strength: float = 2.0,
) -> np.ndarray:
    """Fit non-negative factors of several heads' logits that minimize the loss of their sum.

    Args:
        logits: `(rows, heads, units)`.
        labels: `(rows,)` or `(rows, 1)` class ids, or rows of `units` one-hot or binary labels or
            numbers.
        activation: `"softmax"`, `"sigmoid"`, or None for the squared error.
        sample_weight: `(rows,)`, or None for ones.
        strength: Weight of the ridge towards equal factors, in rows.

    Returns:
        `(heads,)` float64, all at least 0.
    """
    rows, heads, units = logits.shape
    targets = np.asarray(labels, dtype="float64").reshape(rows, -1)
    if activation == "softmax" and targets.shape[1] != units:
        targets = np.eye(units)[targets[:, 0].astype(int)]
    weights = np.ones(rows) if sample_weight is None else np.asarray(sample_weight, dtype="float64")
    total = max(weights.sum(), 1e-12)

    # Nesterov's accelerated projected gradient. The curvature is at most the mean squared norm of
    # the logits, so this step never diverges.
    step = 1.0 / (
        np.einsum("rhu,rhu,r->", logits, logits, weights) / total + strength / total + 1e-12
    )
    scales = momentum = np.ones(heads)
    for i in range(_STEPS):
        residuals = predicted(np.einsum("rhu,h->ru", logits, momentum), activation) - targets
        fit = np.einsum("ru,rhu,r->h", residuals, logits, weights) / total
        gradient = fit + strength / total * (momentum - momentum.mean())
        following = np.maximum(momentum - step * gradient, 0.0)
        momentum = following + i / (i + 3.0) * (following - scales)
        scales = following
    return scales


def predicted(logits: np.ndarray, activation: str | None) -> np.ndarray:
    """Turn logits `(rows, units)` into predictions, in NumPy: a call of Keras would cost more."""
    if activation == "softmax":
        # The largest becomes 1, so nothing overflows.
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))
    if activation == "sigmoid":
        # Beyond 60 the result is 0 or 1 to the last bit, and `exp` must not overflow.
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits, -60, 60))))
    return logits
