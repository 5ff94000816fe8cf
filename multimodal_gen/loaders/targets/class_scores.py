"""The scores of `ClassLabel.score`."""

from __future__ import annotations

import numpy as np


def scores_of_classes(
    positions: np.ndarray, probabilities: np.ndarray, *, ordered: bool
) -> dict[str, float]:
    """Accuracy, balanced accuracy, macro F1 and log loss.

    Args:
        positions: `(rows,) int64`, the true classes.
        probabilities: `(rows, classes) float64`, summing to 1.
        ordered: Whether classes are steps of a scale; then also "mean_steps_off".
    """
    from sklearn import metrics

    guesses = probabilities.argmax(axis=1)
    present = np.unique(positions)
    # balanced_accuracy_score warns of predicted classes that no row has, which is normal here.
    recalls = [float(np.mean(guesses[positions == one] == one)) for one in present]
    steps = {"mean_steps_off": float(np.abs(guesses - positions).mean())}
    labels = range(probabilities.shape[1])
    return {
        **(steps if ordered else {}),
        "accuracy": float(metrics.accuracy_score(positions, guesses)),
        "balanced_accuracy": float(np.mean(recalls)),
        "macro_f1": float(metrics.f1_score(positions, guesses, average="macro", zero_division=0.0)),
        "log_loss": float(metrics.log_loss(positions, probabilities, labels=labels)),
    }
