from __future__ import annotations

import keras
import numpy as np
import pytest

from multimodal_gen.loaders.targets.losses import MaskedAccuracy, MaskedCrossentropy


def batch() -> tuple[np.ndarray, np.ndarray]:
    """Labels `(4, 6)`, 0 for none, and probabilities `(4, 6, 5)`; the first label of each row is
    guessed right.
    """
    rng = np.random.default_rng(0)
    outputs = rng.random((4, 6, 5)).astype("float32") + 0.01
    outputs[:, :, 0] = 0.001
    outputs /= outputs.sum(axis=-1, keepdims=True)
    labels = np.where(rng.random((4, 6)) < 0.4, rng.integers(1, 5, (4, 6)), 0).astype("int32")
    labels[:, 0] = outputs[:, 0].argmax(axis=-1)
    return labels, outputs


@pytest.mark.parametrize("weights", [None, np.array([1, 0, 2, 0.5], "float32"), "positions"])
def test_only_labels_count_and_rows_by_their_weight(weights: np.ndarray | str | None) -> None:
    labels, outputs = batch()
    if isinstance(weights, str):
        weights = np.random.default_rng(1).random((4, 6)).astype("float32")
    counted = (labels > 0) * (
        1.0 if weights is None else weights if weights.ndim == 2 else weights[:, None]
    )
    losses = -np.log(np.take_along_axis(outputs, labels[..., None], axis=-1)[..., 0])
    loss = MaskedCrossentropy()(labels, outputs, weights)
    assert float(loss) == pytest.approx((losses * counted).sum() / counted.sum(), rel=1e-5)

    metric = MaskedAccuracy()
    for rows in (slice(1), slice(1, 4)):
        metric.update_state(labels[rows], outputs[rows], None if weights is None else weights[rows])
    hits = outputs.argmax(axis=-1) == labels
    assert float(metric.result()) == pytest.approx((hits * counted).sum() / counted.sum(), rel=1e-5)


def test_a_batch_without_labels_has_no_loss() -> None:
    _, outputs = batch()
    labels = np.zeros((4, 6), "int32")
    assert float(MaskedCrossentropy()(labels, outputs, np.ones(4, "float32"))) == 0.0
    metric = MaskedAccuracy()
    metric.update_state(labels, outputs)
    assert float(metric.result()) == 0.0


def test_both_are_saved_by_name() -> None:
    loss = keras.losses.deserialize(keras.losses.serialize(MaskedCrossentropy(name="words")))
    assert isinstance(loss, MaskedCrossentropy)
    assert (loss.name, loss.ignore_class, loss.reduction) == ("words", 0, "mean_with_sample_weight")
    labels, outputs = batch()
    assert float(loss(labels, outputs)) == pytest.approx(
        float(MaskedCrossentropy()(labels, outputs))
    )
    metric = keras.metrics.deserialize(keras.metrics.serialize(MaskedAccuracy()))
    assert isinstance(metric, MaskedAccuracy)
    assert metric.name == "masked_accuracy"
