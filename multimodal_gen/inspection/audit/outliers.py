"""Rows that are unlike all others, by the vectors of an encoder."""

from __future__ import annotations

from typing import Any

import numpy as np

from multimodal_gen.errors import counted
from multimodal_gen.inspection.audit.findings import Finding

KIND = "outlier"
_NEIGHBOURS = 10
# A row is reported if the logarithm of its distance is this many standard deviations above the
# median, of which a normal distribution has 1 row in 30,000.
_FAR = 4.0
# Rows that all others are compared with; more would take time and tell the same.
_MOST_COMPARED = 20_000
_FEWEST = 50
_CHUNK = 1024


def checked_vectors(vectors: Any, rows: int) -> np.ndarray:
    """Vectors as an array.

    Raises:
        ValueError: If they are not `(rows, size)` numbers.
    """
    found = np.asarray(vectors)
    if found.ndim != 2 or len(found) != rows or found.dtype.kind not in "fiu":
        raise ValueError(
            f"`vectors` must be numbers of shape (rows, size), for the {rows:,} rows of the table. "
            f"Received: vectors of shape {found.shape} and type {found.dtype}"
        )
    return found


def distances(vectors: np.ndarray) -> np.ndarray:
    """How far each row is from its ten nearest others, on average, `(rows,) float64`.

    Args:
        vectors: `(rows, size)`; rows with NaN have no neighbours, and get NaN.
    """
    good = np.flatnonzero(np.isfinite(vectors).all(axis=1))
    found = np.full(len(vectors), np.nan)
    if len(good) <= _NEIGHBOURS:
        return found
    spread = np.linspace(0, len(good) - 1, min(len(good), _MOST_COMPARED)).astype("int64")
    compared = good[np.unique(spread)]
    points = vectors[compared].astype("float32")
    squares = (points**2).sum(axis=1)
    count = min(_NEIGHBOURS, len(compared) - 1)
    for start in range(0, len(good), _CHUNK):
        rows = good[start : start + _CHUNK]
        own = vectors[rows].astype("float32")
        squared = (own**2).sum(axis=1)[:, None] + squares - 2 * own @ points.T
        # A row is not a neighbour of itself.
        squared[rows[:, None] == compared] = np.inf
        nearest = np.partition(squared, count - 1, axis=1)[:, :count]
        found[rows] = np.sqrt(np.maximum(nearest, 0)).mean(axis=1)
    return found


def outliers(vectors: np.ndarray, column: str) -> list[Finding]:
    """The rows whose neighbours are far away, the farthest first.

    Args:
        vectors: `(rows, size)`, in the order of the table.
        column: What findings name as their column.
    """
    far = distances(vectors)
    known = np.flatnonzero(far > 0)
    if len(known) < _FEWEST:
        return []
    scale = np.log(far[known])
    low, middle, high = np.quantile(scale, (0.25, 0.5, 0.75))
    # The standard deviation of a normal distribution is .741 times its quartiles' distance.
    beyond = (scale - middle) / max(0.741 * (high - low), 1e-9)
    rows = known[beyond > _FAR]
    rows = rows[(-far[rows]).argsort(kind="stable")]
    return [
        Finding(
            row,
            column,
            KIND,
            f"number {rank:,} of {len(rows):,}: its {counted(_NEIGHBOURS, 'nearest row')} are "
            f"{far[row] / np.exp(middle):.1f} times as far away as those of other rows",
        )
        for rank, row in enumerate(rows.tolist(), 1)
    ]
