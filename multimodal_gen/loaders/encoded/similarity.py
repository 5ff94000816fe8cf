"""How well two cells of a row fit, as an input: the cosine of two vectors that share a space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from multimodal_gen.loaders.base import Loader
from multimodal_gen.spec import ArraySpec


class SimilarityLoader(Loader):
    """The similarity of two cells of a row, such as a picture and its caption.

    Returns `(1,) float32`, kind "features": the cosine of two vectors, in [-1, 1]; 0 if one of them
    is zero. A model that is given the two cells alone can hardly find out whether they belong
    together; this number says so. Both cells must be there.

    `similarity_loader(pair)` makes one of any pair of one picture and one text.

    Args:
        first: A loader of vectors, such as an `EncodedLoader`.
        second: Another one of the same size, whose vectors share the space of the first.

    Raises:
        ValueError: If they are not vectors of one size, vary what they read, or read one column.
    """

    kept_by_row = True
    one_process = True

    def __init__(self, first: Loader, second: Loader) -> None:
        if len(first.spec.shape) != 1 or first.spec.shape != second.spec.shape:
            raise ValueError(
                "Both loaders must read vectors of one size. Received: shapes "
                f"{first.spec.shape} and {second.spec.shape}"
            )
        varied = [one.column for one in (first, second) if one.varies(True)]
        if varied:
            raise ValueError(
                "A similarity is of the cells themselves: leave out `augment` and `views`. "
                f"Received: loaders of {varied} that vary"
            )
        if not isinstance(first.column, str) or not isinstance(second.column, str):
            raise ValueError(
                "Each loader must read one column. Received: columns "
                f"{first.column!r} and {second.column!r}"
            )
        self.first, self.second = first, second
        self.column = (first.column, second.column)
        self.spec = ArraySpec((1,), "float32", "features")
        self.parts = (first, second)
        self.fetches = first.fetches or second.fetches
        self.batch_tolerance = max(first.batch_tolerance, second.batch_tolerance)
        rows = [one.batch_rows for one in self.parts if one.batch_rows is not None]
        self.batch_rows = max(rows, default=None)

    def read(self, cell: Any) -> np.ndarray:
        """Compare the two cells of a row.

        Raises:
            LoadError: If one of them cannot be read.
        """
        return _cosine(*(one.read(part) for one, part in zip(self.parts, cell, strict=True)))

    def read_batch(self, cells: Sequence[Any]) -> list[Any]:
        """Compare those of many rows; a row that cannot be read has its error instead."""
        read = [
            one.read_batch([cell[place] for cell in cells]) for place, one in enumerate(self.parts)
        ]
        found: list[Any] = []
        for pair in zip(*read, strict=True):
            bad = next((one for one in pair if isinstance(one, Exception)), None)
            found.append(_cosine(*pair) if bad is None else bad)
        return found

    def file_of(self, cell: Any) -> str | None:
        """None: its parts say which files they read."""
        return None

    def fetch_ahead(self, cell: Any, needed: Callable[[], bool] | None = None) -> None:
        """Start to fetch what its parts read."""
        for one, part in zip(self.parts, cell, strict=True):
            # Whether an array is needed depends on both cells.
            one.fetch_ahead(part)

    def read_config(self) -> dict[str, Any]:
        """What the two loaders' vectors depend on."""
        return {
            f"part {place}": [type(one).__name__, one.read_config()]
            for place, one in enumerate(self.parts)
        }


def _cosine(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    one, other = np.asarray(first, "float64"), np.asarray(second, "float64")
    length = np.linalg.norm(one) * np.linalg.norm(other)
    return np.array([one @ other / length if length else 0.0], "float32")
