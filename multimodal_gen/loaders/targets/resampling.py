"""Scores of many resamples of the rows at once, and scores of each class, with intervals.

A bootstrap draws rows with replacement, so each resample is a count for each row, and most scores
follow from sums of these counts: no score is computed a thousand times from the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

# Of a normal distribution, the middle 95 %.
_Z = 1.959964
_LEAST = float(np.finfo("float64").eps)


def one_by_one(
    score: Callable[[np.ndarray, np.ndarray], dict[str, float]],
    truth: np.ndarray,
    outputs: np.ndarray,
    counts: np.ndarray,
) -> dict[str, np.ndarray]:
    """The scores of each resample, by any function that scores rows.

    Args:
        score: `Target.score`.
        truth: `(rows, ...)`.
        outputs: `(rows, ...)`.
        counts: `(resamples, rows)`, how often each row is in each resample.
    """
    found: list[dict[str, float]] = []
    for one in counts:
        rows = np.repeat(np.arange(len(one)), one)
        found.append(score(truth[rows], outputs[rows]))
    return {name: np.array([one[name] for one in found]) for name in found[0]}


def resampled_classes(
    truth: np.ndarray, probabilities: np.ndarray, counts: np.ndarray, *, ordered: bool
) -> dict[str, np.ndarray]:
    """The scores of `ClassLabel.score` for each resample.

    Args:
        truth: `(rows,)` positions of the classes.
        probabilities: `(rows, classes)`, each row summing to 1.
        counts: `(resamples, rows)`, how often each row is in each resample.
        ordered: Whether the mean of the steps off is wanted too.
    """
    classes = probabilities.shape[1]
    guesses = probabilities.argmax(axis=1)
    right = guesses == truth
    there, said, hits = (
        np.stack([np.bincount(own[rows], one[rows], classes) for one in counts])
        for own, rows in (
            (truth, slice(None)),
            (guesses, slice(None)),
            (truth, right),
        )
    )
    counts = counts.astype("float64")
    total = counts.sum(axis=1)
    present, seen = there > 0, (there + said) > 0
    f1 = 2 * hits / np.maximum(there + said, 1)
    own = np.clip(probabilities[np.arange(len(truth)), truth], _LEAST, 1 - _LEAST)
    found = {"mean_steps_off": counts @ np.abs(guesses - truth) / total} if ordered else {}
    return {
        **found,
        "accuracy": hits.sum(axis=1) / total,
        "balanced_accuracy": (hits / np.maximum(there, 1)).sum(axis=1) / present.sum(axis=1),
        "macro_f1": f1.sum(axis=1) / seen.sum(axis=1),
        "log_loss": counts @ -np.log(own) / total,
    }


def resampled_labels(
    truth: np.ndarray, outputs: np.ndarray, thresholds: np.ndarray, counts: np.ndarray
) -> dict[str, np.ndarray]:
    """The scores of `MultiLabel.score` for each resample.

    Args:
        truth: `(rows, labels)` of False and True.
        outputs: `(rows, labels)` probabilities.
        thresholds: `(labels,)`.
        counts: `(resamples, rows)`, how often each row is in each resample.
    """
    said = outputs > thresholds
    whole = counts.astype("float64")
    there, claimed, hits = whole @ truth, whole @ said, whole @ (truth & said)
    both, seen = there + claimed, (there + claimed) > 0
    f1 = 2 * hits / np.maximum(both, 1)
    precisions = np.stack(
        [
            average_precisions(truth[:, label], outputs[:, label], counts)
            for label in range(truth.shape[1])
        ],
        axis=1,
    )
    with np.errstate(invalid="ignore"):
        micro = 2 * hits.sum(axis=1) / both.sum(axis=1)
        macro = np.where(seen, f1, 0).sum(axis=1) / seen.sum(axis=1)
        has = there > 0
        mean = np.where(has, precisions, 0).sum(axis=1) / has.sum(axis=1)
    return {
        # As scikit-learn counts them: nothing to find and nothing found is right.
        "micro_f1": np.where(both.sum(axis=1) > 0, micro, 1.0),
        "macro_f1": np.where(seen.any(axis=1), macro, 1.0),
        "mean_average_precision": mean,
        "subset_accuracy": whole @ (truth == said).all(axis=1) / whole.sum(axis=1),
    }


def average_precisions(has: np.ndarray, scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The average precision of one label in each resample, `(resamples,)`; NaN where no row has it.

    Args:
        has: `(rows,)` of False and True.
        scores: `(rows,)`, larger for rows that rather have it.
        counts: `(resamples, rows)`, how often each row is in each resample.
    """
    order = np.argsort(-scores, kind="stable")
    ordered = counts[:, order].astype("float32")
    # Rows of one score are found together.
    ends = np.append(np.diff(scores[order]) != 0, True)
    found = np.cumsum(ordered, axis=1, dtype="float64")[:, ends]
    hits = np.cumsum(ordered * has[order], axis=1, dtype="float64")[:, ends]
    new = np.diff(hits, axis=1, prepend=0.0)
    with np.errstate(invalid="ignore"):
        return np.asarray((new * hits / np.maximum(found, 1)).sum(axis=1) / hits[:, -1])


def resampled_numbers(
    names: Sequence[str], expected: np.ndarray, predicted: np.ndarray, counts: np.ndarray
) -> dict[str, np.ndarray]:
    """The scores of `NumericTarget.score` for each resample.

    Args:
        names: The names of the numbers.
        expected: `(rows, numbers)` in the table's units.
        predicted: `(rows, numbers)`.
        counts: `(resamples, rows)`, how often each row is in each resample.
    """
    shares = counts / counts.sum(axis=1, keepdims=True)
    found = {}
    for place, name in enumerate(names):
        prefix = f"{name}." if len(names) > 1 else ""
        own = expected[:, place] - expected[:, place].mean()
        errors = predicted[:, place] - expected[:, place]
        squared = shares @ errors**2
        # About the mean of all rows, so that nothing is lost to rounding.
        variance = shares @ own**2 - (shares @ own) ** 2
        varies = variance > 1e-12 * max(float(np.mean(own**2)), 1e-300)
        found[f"{prefix}mean_absolute_error"] = shares @ np.abs(errors)
        found[f"{prefix}root_mean_squared_error"] = np.sqrt(squared)
        found[f"{prefix}r2"] = np.where(
            varies, 1.0 - squared / np.where(varies, variance, 1.0), np.nan
        )
    return found


def share_interval(hits: Any, rows: Any) -> tuple[np.ndarray, np.ndarray]:
    """The 95 % interval of a share, after Wilson, "Probable inference", 1927.

    It holds for few rows as well, and where all of them or none count. NaN without rows.

    Args:
        hits: How many count; a number or an array.
        rows: Of how many.
    """
    hits, rows = np.asarray(hits, "float64"), np.asarray(rows, "float64")
    with np.errstate(invalid="ignore", divide="ignore"):
        share = hits / rows
        middle = (share + _Z**2 / (2 * rows)) / (1 + _Z**2 / rows)
        half = np.sqrt(share * (1 - share) / rows + _Z**2 / (4 * rows**2)) / (1 + _Z**2 / rows)
    half = _Z * half
    low = np.where(hits == 0, np.where(rows > 0, 0.0, np.nan), middle - half)
    high = np.where((hits == rows) & (rows > 0), 1.0, middle + half)
    return low, high


def table_by_class(
    names: Sequence[Any],
    has: tuple[np.ndarray, np.ndarray],
    said: tuple[np.ndarray, np.ndarray],
    groups: np.ndarray,
) -> pd.DataFrame:
    """Rows, precision, recall and F1 of each class, each with a 95 % interval.

    Args:
        names: The classes.
        has: Rows and positions of classes, `(pairs,)` each: which row has which class.
        said: Likewise, which row is said to have which class.
        groups: `(rows,) int64`, the group of each row. Rows of one group tell no more than one row:
            an interval is as wide as if there were as many rows as groups.
    """
    classes = len(names)
    # A row and a class as one number.
    true, claimed = (rows * classes + own for rows, own in (has, said))
    either = np.union1d(true, claimed)
    hits = np.bincount(np.intersect1d(true, claimed) % classes, minlength=classes)
    found: dict[str, np.ndarray] = {"rows": np.bincount(has[1], minlength=classes)}
    for name, pairs in (("precision", claimed), ("recall", true), ("f1", either)):
        rows = np.bincount(pairs % classes, minlength=classes)
        own_groups = np.unique(groups[pairs // classes] * classes + pairs % classes) % classes
        apart = np.bincount(own_groups, minlength=classes)
        with np.errstate(invalid="ignore", divide="ignore"):
            share = hits / rows
            low, high = share_interval(np.where(rows > 0, share * apart, 0), apart)
        values: tuple[np.ndarray, ...] = (share, low, high)
        if name == "f1":
            # F1 grows with the share of hits among the rows that have a class or are said to.
            values = tuple(2 * one / (1 + one) for one in values)
        found |= dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))
    return pd.DataFrame(found, index=pd.Index(list(names), name="class", dtype=object))
