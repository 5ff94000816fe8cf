"""A pandas column that shows rows of data which it shares and never copies, such as an array or
files.

`ArrayColumn` (`arrays.py`) shares arrays, `StoredColumn` (`stores/column.py`) files.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any, Protocol, Self

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray, take
from pandas.api.indexers import check_array_indexer


class Part(Protocol):
    """What a column shares: it has a length, and a cell for each row."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> Any: ...


class SharedColumn(ExtensionArray):
    """A pandas column whose cells are rows of some parts, treated as one long part.

    It takes 8 bytes per row in addition to the parts. Taking, filtering, sorting, joining and
    copying move row numbers only.
    """

    _parts: tuple[Any, ...]
    _positions: np.ndarray

    def _set(self, parts: Iterable[Part], positions: np.ndarray) -> None:
        # `positions` are row numbers in all parts together, -1 is a missing cell.
        self._parts = tuple(parts)
        self._starts = tuple(accumulate((len(part) for part in self._parts), initial=0))
        self._positions = positions

    @classmethod
    def _made(cls, parts: Iterable[Part], positions: np.ndarray) -> Self:
        column = cls.__new__(cls)
        column._set(parts, positions)
        return column

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[Self]) -> Self:
        # Columns cut from one part share it, so it is kept only once.
        parts = list({id(part): part for column in to_concat for part in column._parts}.values())
        starts = dict(zip(map(id, parts), accumulate(map(len, parts), initial=0), strict=False))
        positions = []
        for column in to_concat:
            shift = np.array([starts[id(part)] for part in column._parts]) - column._starts[:-1]
            moved = column._positions + shift[column._part_of(column._positions)]
            positions.append(np.where(column._positions < 0, -1, moved))
        return cls._made(parts, np.concatenate(positions))

    @property
    def nbytes(self) -> int:
        """Bytes in addition to those of the parts, which are shared."""
        return self._positions.nbytes

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, item: Any) -> Any:
        """A cell for an integer; otherwise a column."""
        item = check_array_indexer(self, item)
        if isinstance(item, int | np.integer):
            return self._cell(int(self._positions[item]))
        return self._made(self._parts, self._positions[item])

    def take(self, indexer: Any, *, allow_fill: bool = False, fill_value: Any = None) -> Self:
        """The cells at some positions; with `allow_fill`, -1 means a missing cell."""
        if not is_missing_scalar(fill_value):
            raise TypeError(
                f"Only missing cells can be filled in. Received: {type(fill_value).__name__}"
            )
        positions = take(self._positions, indexer, allow_fill=allow_fill, fill_value=-1)
        return self._made(self._parts, np.asarray(positions))

    def copy(self) -> Self:
        """A new column on the same parts."""
        return self._made(self._parts, self._positions.copy())

    def _part_of(self, positions: np.ndarray) -> np.ndarray:
        return np.clip(
            np.searchsorted(self._starts, positions, side="right") - 1, 0, len(self._parts) - 1
        )

    def _cell(self, position: int) -> Any:
        if position < 0:
            return self.dtype.na_value
        part = bisect_right(self._starts, position) - 1
        return self._parts[part][position - self._starts[part]]


def is_missing_scalar(value: Any) -> bool:
    """Whether a value is one of those that pandas takes for a missing cell."""
    return pd.api.types.is_scalar(value) and bool(pd.isna(value))
