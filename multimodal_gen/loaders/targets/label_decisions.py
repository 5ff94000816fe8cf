"""From the probability of a label to a decision: thresholds, weights and scores of each label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.errors import shown
from multimodal_gen.loaders.targets.class_shares import shares_in
from multimodal_gen.loaders.targets.resampling import share_interval, table_by_class
from multimodal_gen.rows.cells import cell_text

THRESHOLD = 0.5
# A label of a single row in a table of many would count so much that nothing else did.
_MOST_WEIGHT = 100.0


def by_label(
    values: Any, names: Sequence[Any], argument: str, below: float = np.inf
) -> tuple[float, ...] | None:
    """A number for each label, from numbers in their order or label -> number.

    Args:
        values: The numbers, one number for all labels, or None.
        names: The labels.
        argument: Its name, for errors.
        below: What each number must be below.

    Raises:
        ValueError: If there are not as many numbers as labels, one is not above 0 and below
            `below`, or a mapping names other labels.
    """
    if values is None:
        return None
    if isinstance(values, Mapping):
        if set(values) != set(names):
            raise ValueError(
                f"`{argument}` must have a number for each of the labels {list(names)}. Received: "
                f"{argument}={shown(values)}"
            )
        values = [values[name] for name in names]
    if isinstance(values, int | float) and not isinstance(values, bool):
        values = [values] * len(names)
    try:
        numbers = np.asarray(values, "float64")
    except (TypeError, ValueError):
        numbers = np.zeros(0)
    if numbers.shape != (len(names),) or not ((numbers > 0) & (numbers < below)).all():
        limit = "" if below == np.inf else f" below {below:g}"
        raise ValueError(
            f"`{argument}` must be a positive number{limit}, or one for each of the {len(names)} "
            f"labels. Received: {argument}={shown(values)}"
        )
    return tuple(numbers.tolist())


def said_labels(names: Sequence[Any], above: np.ndarray, separator: str | None) -> np.ndarray:
    """The labels of each row, `(rows,) object`: lists, or with a separator texts.

    Args:
        names: The labels.
        above: `(rows, labels)` of False and True.
        separator: What stands between labels in a cell, or None.
    """
    found = np.empty(len(above), object)
    for row, has in enumerate(above):
        own = [name for name, one in zip(names, has, strict=True) if one]
        found[row] = own if separator is None else separator.join(map(cell_text, own))
    return found


def sets_of_labels(
    names: Sequence[Any], limit: float, predictions: pd.DataFrame, separator: str | None
) -> np.ndarray:
    """The labels of each row that reach a limit, as `said_labels`; None in rows without outputs.

    Args:
        names: The labels.
        limit: The probability that a label needs.
        predictions: What `MultiLabel.decode_outputs` gave.
        separator: What stands between labels in a cell, or None.
    """
    shares = shares_in(names, predictions)
    found = said_labels(names, shares >= limit, separator)
    found[np.isnan(shares).all(axis=1)] = None
    return found


def balanced_positives(truth: Iterable[np.ndarray]) -> list[float]:
    """Rows without a label, divided by those with it: then both count equally in a loss.

    The heuristic "balanced" of scikit-learn for each label (after King and Zeng, "Logistic
    regression in rare events data", 2001). At most 100, and 1 for a label that all rows have or
    none.

    Args:
        truth: For each row, `(labels,)` of 0 and 1.
    """
    rows, there = 0, np.zeros((), "float64")
    for row in truth:
        rows, there = rows + 1, there + row
    absent = rows - there
    ratio = np.where((there > 0) & (absent > 0), absent / np.maximum(there, 1), 1.0)
    found: list[float] = np.minimum(ratio, _MOST_WEIGHT).tolist()
    return found


def scores_of_labels(
    truth: np.ndarray, outputs: np.ndarray, thresholds: np.ndarray
) -> dict[str, float]:
    """The scores of `MultiLabel.score`."""
    from sklearn import metrics

    truth = np.asarray(truth) > THRESHOLD
    outputs = np.asarray(outputs, "float64").reshape(truth.shape)
    guesses = outputs > thresholds
    has = truth.any(axis=0)
    seen = has | guesses.any(axis=0)
    micro = metrics.f1_score(truth, guesses, average="micro", zero_division=1.0)
    # scikit-learn counts a class that no row has as 0, with a warning; here it is left out.
    macro, precision = 1.0, float("nan")
    if seen.any():
        macro = metrics.f1_score(
            truth[:, seen], guesses[:, seen], average="macro", zero_division=0.0
        )
    if has.any():
        precision = metrics.average_precision_score(truth[:, has], outputs[:, has], average="macro")
    return {
        "micro_f1": float(micro),
        "macro_f1": float(macro),
        "mean_average_precision": float(precision),
        "subset_accuracy": float((truth == guesses).all(axis=1).mean()),
    }


def scores_by_label(
    names: Sequence[Any], truth: np.ndarray, outputs: np.ndarray, thresholds: np.ndarray
) -> pd.DataFrame:
    """Rows, threshold, precision, recall, F1 and average precision of each label.

    Args:
        names: The labels.
        truth: `(rows, labels)` of 0 and 1.
        outputs: `(rows, labels)` probabilities.
        thresholds: `(labels,)`.

    Returns:
        A row for each label. What has no value is NaN: precision without a row that is said to have
        the label, recall and average precision without one that has it.
    """
    from sklearn import metrics

    has = np.asarray(truth) > THRESHOLD
    outputs = np.asarray(outputs, "float64").reshape(has.shape)
    said = outputs > thresholds
    rows = []
    for label in range(len(names)):
        hits = int((has[:, label] & said[:, label]).sum())
        there, claimed = int(has[:, label].sum()), int(said[:, label].sum())
        rows.append(
            {
                "rows": there,
                "threshold": float(thresholds[label]),
                "precision": hits / claimed if claimed else np.nan,
                "recall": hits / there if there else np.nan,
                "f1": 2 * hits / (there + claimed) if there + claimed else np.nan,
                "average_precision": float(
                    metrics.average_precision_score(has[:, label], outputs[:, label])
                )
                if there
                else np.nan,
            }
        )
    return pd.DataFrame(rows, index=pd.Index(list(names), name="label", dtype=object))


def with_intervals(
    table: pd.DataFrame,
    truth: np.ndarray,
    outputs: np.ndarray,
    thresholds: np.ndarray,
    groups: np.ndarray | None,
) -> pd.DataFrame:
    """What `scores_by_label` returned, with intervals of precision, recall and F1.

    Args:
        table: The table.
        truth: `(rows, labels)` of 0 and 1.
        outputs: `(rows, labels)` probabilities.
        thresholds: `(labels,)`.
        groups: `(rows,) int64`, the group of each row, or None.
    """
    has = np.asarray(truth) > THRESHOLD
    said = np.asarray(outputs, "float64").reshape(has.shape) > thresholds
    own = np.arange(len(has)) if groups is None else groups
    there, its_label = np.nonzero(has)
    claimed, claimed_label = np.nonzero(said)
    found = table_by_class(list(table.index), (there, its_label), (claimed, claimed_label), own)
    precision = table["average_precision"].to_numpy()
    rows = found["rows"].to_numpy()
    # Wilson's interval for a share of that many rows or groups.
    apart = np.array([len(np.unique(own[has[:, label]])) for label in range(has.shape[1])])
    low, high = share_interval(np.where(rows > 0, precision * apart, 0), apart)
    return found.assign(
        average_precision=precision,
        average_precision_low=low,
        average_precision_high=high,
        threshold=table["threshold"].to_numpy(),
    )
