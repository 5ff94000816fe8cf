"""The guard after training: weighs the heads of a model by what they are worth on held-out rows.

Where one input is much weaker than another, adding its logits does harm: its head is as confident on training rows
as the good one. Few non-negative numbers, one for each head, are fitted on rows that no head was trained on. Nothing
here trains a branch.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from multimodal_gen.models.layers import SumOfHeads

_STEPS = 400


def calibrate_heads(model: keras.Model, data: Any, *, strength: float = 2.0) -> dict[str, float]:
    """Fits the scales of the heads of a `joint` or `late` model on held-out rows, and puts them into the model.

    The scales minimise the mean loss of the rows (cross-entropy, or squared error without an activation) plus a
    ridge that draws them towards each other, as strong as `strength` rows. The problem is convex, and with a handful
    of numbers a few dozen rows are enough. Stacking with non-negative weights: Breiman, "Stacked regressions", 1996.

    Args:
        model: A model whose fusion is `joint` or `late`, or any other (then nothing is done).
        data: A `PyDataset` of held-out rows with targets: validation rows, never test rows.
        strength: Weight of the ridge, in rows.

    Returns:
        The scale of each head, by the name of the layer that made its logits; empty if the model has no such heads.
    """
    layer = next((layer for layer in model.layers if isinstance(layer, SumOfHeads)), None)
    if layer is None:
        return {}
    heads = keras.Model(model.inputs, layer.input)
    logits, labels, weights = [], [], []
    for i in range(data.num_batches):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data[i])
        logits.append(np.stack([np.asarray(head) for head in heads.predict_on_batch(x)], axis=1))
        labels.append(np.asarray(y))
        weights.append(np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight).reshape(-1))
    scales = fit_scales(
        np.concatenate(logits).astype("float64"),
        np.concatenate(labels),
        activation=layer.activation,
        sample_weight=np.concatenate(weights),
        strength=strength,
    )
    if scales.max() < 1e-3:
        # On these rows no head is better than knowing nothing; with all scales 0 every row would get the first class.
        scales = np.ones(len(scales))
    layer.scales.assign(scales.astype("float32"))
    names = [tensor._keras_history.operation.name for tensor in layer.input]
    return dict(zip(names, scales.tolist(), strict=True))


def fit_scales(
    logits: np.ndarray,
    labels: np.ndarray,
    *,
    activation: str | None,
    sample_weight: np.ndarray | None = None,
    strength: float = 2.0,
) -> np.ndarray:
    """Non-negative factors of several heads' logits that minimise the loss of their sum.

    Args:
        logits: `(rows, heads, units)`.
        labels: `(rows,)` or `(rows, 1)` class ids, or `(rows, units)` one-hot rows, binary labels or numbers.
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

    def residuals(scales: np.ndarray) -> np.ndarray:
        z = np.einsum("rhu,h->ru", logits, scales)
        if activation == "softmax":
            z = np.exp(z - z.max(axis=1, keepdims=True))
            z = z / z.sum(axis=1, keepdims=True)
        elif activation == "sigmoid":
            z = 1.0 / (1.0 + np.exp(-np.clip(z, -60, 60)))
        return z - targets

    def gradient(scales: np.ndarray) -> np.ndarray:
        fit = np.einsum("ru,rhu,r->h", residuals(scales), logits, weights) / total
        return fit + strength / total * (scales - scales.mean())

    # Nesterov's accelerated projected gradient; the curvature is at most the mean squared norm of the logits.
    step = 1.0 / (np.einsum("rhu,rhu,r->", logits, logits, weights) / total + strength / total + 1e-12)
    scales = momentum = np.ones(heads)
    for i in range(_STEPS):
        following = np.maximum(momentum - step * gradient(momentum), 0.0)
        momentum = following + i / (i + 3.0) * (following - scales)
        scales = following
    return scales
