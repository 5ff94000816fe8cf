"""Compare predictions with the truth: which rows are right, which are worst, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.errors import counted
from multimodal_gen.rows.cells import shown_name


@dataclass(frozen=True)
class Judgement:
    """What to say about the predictions of some rows.

    Args:
        right: `(rows,) bool`; None for numbers, which are never quite right.
        badness: `(rows,)`: how bad each wrong row is, larger is worse, such as the confidence of a
            mistake or the size of an error; NaN if that is not known.
        title: How many rows are right, or how large errors are.
        words: Position of a row -> what was said of it, then what is true. Where `right` is None,
            any number of sentences, the last of them a remark such as how far off the row is.
    """

    right: np.ndarray | None
    badness: np.ndarray
    title: str
    words: Callable[[int], list[str]]


def judged_classes(
    class_names: Sequence[Any], column: str, truths: np.ndarray, predictions: pd.DataFrame
) -> Judgement:
    """Compare one predicted class per row with the true one.

    Args:
        class_names: The classes; the column of the same name holds a class's probability, if there
            is one.
        column: The column of predicted classes.
        truths: `(rows,) object`, the true classes.
        predictions: What `Bundle.predict` gave.

    Raises:
        KeyError: If there is no such column.
    """
    guesses = predictions[column].to_numpy(object)
    # Cell by cell, because the columns may mix texts and numbers.
    right = np.array([one == other for one, other in zip(truths, guesses, strict=True)], bool)
    shares = np.full(len(truths), np.nan)
    for name in class_names:
        own = f"{column}_probability" if name == column else name
        if own in predictions:
            said = guesses == name
            shares[said] = predictions[own].to_numpy("float64", na_value=np.nan)[said]

    def words(row: int) -> list[str]:
        share = "" if np.isnan(shares[row]) else f" ({shares[row]:.0%})"
        return [f"{shown_name(guesses[row])}{share}", shown_name(truths[row])]

    return Judgement(
        right, shares, f"{right.sum():,} of {counted(len(truths), 'row')} right", words
    )


def judged_labels(
    class_names: Sequence[Any], truth: np.ndarray, shares: np.ndarray, thresholds: np.ndarray
) -> Judgement:
    """Compare the labels that rows are said to have with the true ones.

    Args:
        class_names: The labels.
        truth: `(rows, labels)` of False and True.
        shares: `(rows, labels)`, their predicted probabilities.
        thresholds: `(labels,)`.
    """
    guesses = shares > thresholds
    right = (truth == guesses).all(axis=1)

    def listed(row: np.ndarray) -> str:
        there = zip(class_names, row, strict=True)
        return ", ".join(str(name) for name, has in there if has) or "no label"

    return Judgement(
        right,
        np.abs(shares - truth).max(axis=1),
        f"{right.sum():,} of {counted(len(truth), 'row')} right in every label",
        lambda row: [listed(guesses[row]), listed(truth[row])],
    )
