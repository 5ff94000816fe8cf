"""Rows that are unlike all others, by the vectors of an encoder."""

from __future__ import annotations

from collections.abc import Mapping
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


def checked_vectors(
    vectors: Any, rows: int, columns: Mapping[str, str]
) -> list[tuple[str, np.ndarray]]:
    """What findings name as the column, and the vectors as an array, of each input that has some.

    Args:
        vectors: Of all inputs together, `(rows, size)`; or input name -> those of this input, also
            `(rows, items, size)`.
        rows: The number of rows.
        columns: Input name -> its column.

    Raises:
        ValueError: If they are not numbers of such a shape, or there is no such input.
    """
    if not isinstance(vectors, Mapping):
        return [(", ".join(columns.values()), _array(vectors, rows, (2,)))]
    strange = [name for name in vectors if name not in columns]
    if strange:
        raise ValueError(
            f"`vectors` must be of the inputs {list(columns)}. Received: vectors of {strange[0]!r}"
        )
    return [(columns[name], _array(own, rows, (2, 3))) for name, own in vectors.items()]


def _array(vectors: Any, rows: int, dimensions: tuple[int, ...]) -> np.ndarray:
    found = np.asarray(vectors)
    if found.ndim not in dimensions or len(found) != rows or found.dtype.kind not in "fiu":
        raise ValueError(
            f"`vectors` must be numbers of shape (rows, size), for the {rows:,} rows of the table. "
            f"Received: vectors of shape {found.shape} and type {found.dtype}"
        )
    return found


def distances(vectors: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """How far each vector is from the ten nearest of other rows, on average, `(vectors,) float64`.

    Args:
        vectors: `(vectors, size)`; those with NaN have no neighbours, and get NaN.
        rows: The row of each, by default one for each.
    """
    owner = np.arange(len(vectors)) if rows is None else rows
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
        chunk = good[start : start + _CHUNK]
        own = vectors[chunk].astype("float32")
        squared = (own**2).sum(axis=1)[:, None] + squares - 2 * own @ points.T
        # A row is not a neighbour of itself, nor are the items of its cell.
        squared[owner[chunk][:, None] == owner[compared]] = np.inf
        nearest = np.partition(squared, count - 1, axis=1)[:, :count]
        found[chunk] = np.sqrt(np.maximum(nearest, 0)).mean(axis=1)
    return found


def outliers(vectors: np.ndarray, column: str) -> list[Finding]:
    """The rows whose neighbours are far away, the farthest first.

    Args:
        vectors: `(rows, size)`, in the order of the table; or `(rows, items, size)`, with NaN where
            a row has fewer items.
        column: What findings name as their column.
    """
    items = vectors.shape[1] if vectors.ndim == 3 else 1
    flat = vectors.reshape(-1, vectors.shape[-1])
    rows = np.arange(len(flat)) // items
    far = distances(flat, rows)
    known = np.flatnonzero((far > 0) & np.isfinite(far))
    if len(known) < _FEWEST:
        return []
    scale = np.log(far[known])
    low, middle, high = np.quantile(scale, (0.25, 0.5, 0.75))
    # The standard deviation of a normal distribution is .741 times its quartiles' distance.
    beyond = (scale - middle) / max(0.741 * (high - low), 1e-9)
    places = known[beyond > _FAR]
    places = places[(-far[places]).argsort(kind="stable")]
    several = np.isfinite(vectors).all(axis=-1).sum(axis=1) if vectors.ndim == 3 else None
    found = []
    for rank, place in enumerate(places.tolist(), 1):
        row, item = int(rows[place]), place % items if items > 1 else None
        which = "" if several is None else f"item {place % items + 1} of {several[row]}: "
        found.append(
            Finding(
                row,
                column,
                KIND,
                f"{which}number {rank:,} of {len(places):,}: its "
                f"{counted(_NEIGHBOURS, 'nearest row')} are "
                f"{far[place] / np.exp(middle):.1f} times as far away as those of other rows",
                item,
            )
        )
    return found
