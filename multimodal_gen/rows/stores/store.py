"""What a table kept in files answers: how many rows, which columns, the cells of these rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, Self

import numpy as np
import pandas as pd

from multimodal_gen.rows.cells import is_missing
from multimodal_gen.rows.chunks import CHUNK_ROWS

# The kinds of cells, and the letter of NumPy dtypes for each.
KINDS = {"int": "i", "float": "f", "bool": "b", "text": "O", "bytes": "O", "other": "O"}


class Store(ABC):
    """A table kept in files. Opening it reads an index or a footer, and no cells.

    Cells are what `read_table` would give: texts, numbers, bytes, or a mapping with "bytes" for a
    picture; None if one is missing. Several threads may read at a time. Two stores that are opened
    with the same arguments on the same files have the same cells.

    Attributes:
        columns: Name -> kind of the cells: "int", "float", "bool", "text", "bytes" or "other".
        notes: What this table cannot do, or does slowly; said when it is opened.
    """

    columns: Mapping[str, str]
    notes: tuple[str, ...] = ()

    @abstractmethod
    def __len__(self) -> int:
        """Number of rows."""

    @abstractmethod
    def cells(self, column: str, rows: np.ndarray) -> list[Any]:
        """Read cells.

        Args:
            column: One of `columns`.
            rows: `(rows,) int64`, in any order, repeats included.

        Raises:
            LoadError: If a cell cannot be read. It names the file.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """A digest that differs if the files do: of their names, sizes and times, or of what they
        say about their contents.
        """

    @abstractmethod
    def reopen(self) -> tuple[Callable[..., Store], tuple[Any, ...]]:
        """A function and its arguments that open the same files, for another process."""

    def origin(self, column: str, row: int) -> str | None:
        """Where a cell is, for people: the file and the place in it, as in "a.tar::key.jpg".

        Args:
            column: One of `columns`.
            row: The row.
        """
        return None

    def series(self, column: str, rows: np.ndarray) -> pd.Series:
        """The cells as an ordinary pandas Series in memory, by the index 0..n-1.

        Args:
            column: One of `columns`.
            rows: `(rows,) int64`.

        Raises:
            LoadError: As `cells`.
        """
        cells = self.cells(column, rows)
        kind = self.columns[column]
        if kind == "int" and any(cell is None for cell in cells):
            # Floats would lose digits.
            return pd.Series(cells, dtype="Int64")
        if kind in ("bytes", "other"):
            return pd.Series(objects(cells))
        return pd.Series(cells)

    def missing(self, column: str, rows: np.ndarray) -> np.ndarray:
        """Which cells are missing, `(rows,) bool`.

        Args:
            column: One of `columns`.
            rows: `(rows,) int64`.
        """
        return self.series(column, rows).isna().to_numpy()

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.reopen()

    def __deepcopy__(self, memo: object) -> Self:
        # Nothing in it changes.
        return self


def objects(cells: list[Any]) -> np.ndarray:
    """An array of objects, `(cells,)`, even where cells are sequences of one length."""
    array = np.empty(len(cells), object)
    for place, cell in enumerate(cells):
        array[place] = cell
    return array


class HeldCells(Store):
    """Cells in memory, where those of files were replaced, or joined with those of a table in
    memory.

    Args:
        kind: Their kind, as in `Store.columns`.
        cells: The cells as pandas or NumPy keep them, `(rows,)`.
    """

    NAME = "cells"

    def __init__(self, kind: str, cells: Any) -> None:
        self.columns, self._cells = {self.NAME: kind}, cells

    def __len__(self) -> int:
        return len(self._cells)

    def cells(self, column: str, rows: np.ndarray) -> list[Any]:
        """See `Store.cells`."""
        return [None if is_missing(cell) else cell for cell in self._cells.take(rows).tolist()]

    def fingerprint(self) -> str:
        """See `Store.fingerprint`."""
        digest = blake2b(digest_size=16)
        for start in range(0, len(self), CHUNK_ROWS):
            for cell in self.cells(self.NAME, np.arange(start, min(start + CHUNK_ROWS, len(self)))):
                digest.update(_content(cell))
        return digest.hexdigest()

    def reopen(self) -> tuple[Callable[..., HeldCells], tuple[Any, ...]]:
        """See `Store.reopen`."""
        return HeldCells, (self.columns[self.NAME], self._cells)


def _content(cell: Any) -> bytes:
    if isinstance(cell, np.ndarray) and not cell.dtype.hasobject:
        return f"{cell.dtype} {cell.shape} ".encode() + cell.tobytes()
    if isinstance(cell, bytes):
        return b"%d %s" % (len(cell), cell)
    return f"{cell!r}\n".encode("utf-8", "surrogatepass")


class StoreColumn:
    """One column of a store.

    Args:
        store: The store.
        name: The column.
    """

    def __init__(self, store: Store, name: str) -> None:
        self.store, self.name = store, name

    @property
    def kind(self) -> str:
        """The kind of its cells, as in `Store.columns`."""
        return self.store.columns[self.name]

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, row: int) -> Any:
        return self.store.cells(self.name, np.array([row], "int64"))[0]

    def __deepcopy__(self, memo: object) -> StoreColumn:
        return self
