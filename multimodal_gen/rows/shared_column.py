"""A pandas column that shows rows of data which it shares and never copies, such as an array or
files.

`ArrayColumn` (`arrays.py`) shares arrays, `StoredColumn` (`stores/column.py`) files.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
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

    All rows in their order, or a slice of them, take no memory in addition to the parts; others
    take 8 bytes each. Taking, filtering, sorting, joining and copying move row numbers only.
    """

    _parts: tuple[Any, ...]
    _shown: range | np.ndarray

    def _set(self, parts: Iterable[Part], shown: range | np.ndarray) -> None:
        # `shown` are row numbers in all parts together, -1 is a missing cell; a range has none.
        self._parts = tuple(parts)
        self._starts = tuple(accumulate((len(part) for part in self._parts), initial=0))
        self._shown = shown

    @property
    def _positions(self) -> np.ndarray:
        # `(rows,) int64`
        return numbers_in(self._shown)

    @classmethod
    def _made(cls, parts: Iterable[Part], shown: range | np.ndarray) -> Self:
        column = cls.__new__(cls)
        column._set(parts, shown)
        return column

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[Self]) -> Self:
        # Columns cut from one part share it, so it is kept only once.
        parts = list({id(part): part for column in to_concat for part in column._parts}.values())
        starts = dict(zip(map(id, parts), accumulate(map(len, parts), initial=0), strict=False))
        return cls._made(parts, joined_rows([column._moved(starts) for column in to_concat]))

    def _moved(self, starts: Mapping[int, int]) -> range | np.ndarray:
        # What is shown, where the parts begin at other numbers: id of a part -> start.
        shift = np.array([starts[id(part)] for part in self._parts]) - self._starts[:-1]
        if isinstance(self._shown, range) and (shift == shift[0]).all():
            step = int(shift[0])
            return range(self._shown.start + step, self._shown.stop + step, self._shown.step)
        positions = self._positions
        return np.where(positions < 0, -1, positions + shift[self._part_of(positions)])

    @property
    def nbytes(self) -> int:
        """Bytes in addition to those of the parts, which are shared."""
        return 0 if isinstance(self._shown, range) else self._shown.nbytes

    def __len__(self) -> int:
        return len(self._shown)

    def __getitem__(self, item: Any) -> Any:
        """A cell for an integer; otherwise a column."""
        item = check_array_indexer(self, item)
        if isinstance(item, int | np.integer):
            return self._cell(int(self._shown[item]))
        if isinstance(self._shown, range) and not isinstance(item, slice):
            places = np.flatnonzero(item) if item.dtype == bool else item
            return self.take(np.where(places < 0, places + len(self), places))
        return self._made(self._parts, self._shown[item])

    def take(self, indexer: Any, *, allow_fill: bool = False, fill_value: Any = None) -> Self:
        """The cells at some positions; with `allow_fill`, -1 means a missing cell."""
        if not is_missing_scalar(fill_value):
            raise TypeError(
                f"Only missing cells can be filled in. Received: {type(fill_value).__name__}"
            )
        if isinstance(self._shown, range):
            places = np.asarray(indexer, "int64")
            least = -1 if allow_fill else -len(self)
            if len(places) and not least <= places.min() <= places.max() < len(self):
                raise IndexError(
                    f"Rows must be in [{least}, {len(self)}). Received: {places.min()} to "
                    f"{places.max()}"
                )
            found = self._shown.start + self._shown.step * (places % max(len(self), 1))
            return self._made(self._parts, np.where(places < 0, -1, found) if allow_fill else found)
        positions = take(self._shown, indexer, allow_fill=allow_fill, fill_value=-1)
        return self._made(self._parts, np.asarray(positions))

    def copy(self) -> Self:
        """A new column on the same parts."""
        shown = self._shown if isinstance(self._shown, range) else self._shown.copy()
        return self._made(self._parts, shown)

    def _part_of(self, positions: np.ndarray) -> np.ndarray:
        return np.clip(
            np.searchsorted(self._starts, positions, side="right") - 1, 0, len(self._parts) - 1
        )

    def _cell(self, position: int) -> Any:
        if position < 0:
            return self.dtype.na_value
        part = bisect_right(self._starts, position) - 1
        return self._parts[part][position - self._starts[part]]


def numbers_in(shown: range | np.ndarray) -> np.ndarray:
    """Row numbers as an array, `(rows,) int64`."""
    if isinstance(shown, range):
        return np.arange(shown.start, shown.stop, shown.step, dtype="int64")
    return shown


def joined_rows(pieces: Sequence[range | np.ndarray]) -> range | np.ndarray:
    """Row numbers one after the other; a range where they go on without a gap."""
    whole = [piece for piece in pieces if len(piece)]
    steady = all(isinstance(piece, range) and piece.step == 1 for piece in whole)
    if whole and steady and all(a[-1] + 1 == b[0] for a, b in pairwise(whole)):
        return range(int(whole[0][0]), int(whole[-1][-1]) + 1)
    return np.concatenate([numbers_in(piece) for piece in pieces])


def is_missing_scalar(value: Any) -> bool:
    """Whether a value is one of those that pandas takes for a missing cell."""
    return pd.api.types.is_scalar(value) and bool(pd.isna(value))
