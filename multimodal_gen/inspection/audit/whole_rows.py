"""Rows that are equal in every input: copies, and contradictions where their labels differ.

What repeats in one column may be the nature of a table. A whole row that repeats is not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from multimodal_gen.errors import by_number
from multimodal_gen.inspection.audit.clusters import Alike
from multimodal_gen.inspection.audit.findings import UNUSABLE, Finding

# From this share of rows on, a note says how many rows a clean table would lose.
_MANY = 0.2


def alike_rows(name: str, contents: Sequence[np.ndarray], usable: np.ndarray) -> Alike:
    """Find rows that are equal in every input.

    Args:
        name: The inputs' columns in words.
        contents: For each input, `(rows,) int64`: equal for equal content, -1 for no value.
        usable: `(rows,) bool`: whether every cell can be read.
    """
    exact = np.full(len(usable), -1, "int64")
    # Rows without any value are not duplicates of each other.
    there = np.logical_or.reduce([content >= 0 for content in contents])
    rows = np.flatnonzero(usable & there)
    frame = pd.DataFrame({place: content[rows] for place, content in enumerate(contents)})
    if len(rows):
        exact[rows] = frame.groupby(list(frame.columns), sort=False).ngroup().to_numpy()
    return Alike(name, exact, exact)


def usable_rows(count: int, findings: Sequence[Finding]) -> np.ndarray:
    """`(count,) bool`: whether every cell of the row's inputs can be read."""
    usable = np.ones(count, bool)
    refused = UNUSABLE - {"unseen label"}
    usable[[one.position for one in findings if one.kind in refused]] = False
    return usable


def contradictory(exact: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    """`(rows,) bool`: whether another row has the same inputs and another label.

    Args:
        exact: `(rows,) int64`, equal for equal inputs; -1 for rows that do not count.
        labels: `(rows,) int64`, equal for equal labels; -1 for none.
    """
    result = np.zeros(len(exact), bool)
    if labels is None:
        return result
    rows = np.flatnonzero((exact >= 0) & (labels >= 0))
    least = np.full(int(exact.max(initial=-1)) + 1, np.iinfo("int64").max)
    most = np.full(len(least), -1, "int64")
    np.minimum.at(least, exact[rows], labels[rows])
    np.maximum.at(most, exact[rows], labels[rows])
    result[rows] = (least != most)[exact[rows]]
    return result


def repeated(exact: np.ndarray, labels: np.ndarray | None, codes: np.ndarray) -> np.ndarray:
    """`(rows,) bool`: whether an earlier row of the same part has the same inputs and label.

    Args:
        exact: `(rows,) int64`, equal for equal inputs; -1 for rows that do not count.
        labels: `(rows,) int64`, equal for equal labels; None without a target.
        codes: `(rows,)`, which part a row is in.
    """
    rows = np.flatnonzero(exact >= 0)
    # One number for each row, of which equal rows have the same.
    numbers = exact[rows]
    for column in [codes] if labels is None else [codes, labels]:
        numbers *= int(column.max(initial=0)) + 2
        numbers += column[rows] + 1
    result = np.zeros(len(exact), bool)
    result[rows] = pd.Series(numbers).duplicated().to_numpy()
    return result


def contradiction_note(name: str, contradicting: np.ndarray) -> list[str]:
    """A sentence if so many rows contradict one another that it may be intended; otherwise empty.

    Args:
        name: The inputs' columns in words.
        contradicting: `(rows,) bool`.
    """
    if contradicting.mean() <= _MANY:
        return []
    return [
        f"{name}: {contradicting.sum():,} rows ({contradicting.mean():.0%}) have the same inputs "
        "as another row, but another label. A clean table leaves all of them out. If this is "
        "intended, for example because several people rated a picture, ignore 'conflicting labels'"
    ]


def labels_note(
    column: str, exact: np.ndarray, labels: np.ndarray | None, index: pd.Index
) -> list[str]:
    """A note on equal pictures whose rows have different labels, where sharing them is usual.

    Args:
        column: The column of the pictures.
        exact: `(rows,) int64`, equal for equal pictures; -1 for rows that do not count.
        labels: `(rows,) int64`, equal for equal labels; -1 for none.
        index: The table's index.
    """
    rows = np.flatnonzero(contradictory(exact, labels))
    if not len(rows):
        return []
    assert labels is not None
    pictures, count = len(np.unique(exact[rows])), len(np.unique(exact[exact >= 0]))
    same = rows[exact[rows] == exact[rows[0]]]
    other = same[labels[same] != labels[rows[0]]][0]
    first = " and ".join(repr(one) for one in index.take([rows[0], other]).tolist())
    return [
        f"{column}: {pictures:,} of {count:,} pictures {by_number(pictures, 'has', 'have')} rows "
        f"with different labels, the first at index {first}"
    ]
