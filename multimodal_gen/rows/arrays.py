"""A table made from arrays in memory, or mapped from disk.

An array with one axis becomes an ordinary column. An array with more axes becomes an `ArrayColumn`:
a pandas column that shares the array and knows which of its rows it shows, so splitting, filtering
and joining tables never copies pixels. Nothing here reads cells for a model; that is the job of
`ArrayLoader`.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Sequence, Sized
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionDtype
from pandas.api.indexers import check_array_indexer

from multimodal_gen.errors import TableError
from multimodal_gen.rows.shared_column import SharedColumn, is_missing_scalar


def table_from_arrays(**columns: Any) -> pd.DataFrame:
    """Make a table from arrays, one column each.

    Args:
        **columns: Column name -> values, row by row. A list or Series becomes a column of its
            items. Anything else is taken as a NumPy array: with one axis it becomes an ordinary
            column; with more, `(rows, ...)` of numbers, an `ArrayColumn` whose cells are views of
            the array, read-only. The array, which may be a memory map, is shared and not copied: do
            not change it while the table is in use.

    Returns:
        A DataFrame with the index 0..n-1.

    Raises:
        TableError: If there is no column, a column has no rows or no axis, or the numbers of rows
            differ.

    Example:
        table = table_from_arrays(x=images, y=labels)
    """
    if not columns:
        raise TableError(
            "A table needs at least one column, as in table_from_arrays(x=images). Received: none"
        )
    made = {name: _column(name, values) for name, values in columns.items()}
    if len({len(values) for values in made.values()}) > 1:
        sizes = ", ".join(f"{name} of {len(values):,}" for name, values in made.items())
        raise TableError(f"All columns must have the same number of rows. Received: {sizes}")
    return pd.DataFrame(made)


def _column(name: str, values: Any) -> Any:
    if isinstance(values, pd.Series | pd.Index):
        values = values.array
    elif not isinstance(values, list | tuple):
        if isinstance(values, np.ma.MaskedArray):
            raise TableError(
                "A masked array would lose its mask; fill it first with `values.filled(...)`. "
                f"Received: {name} with {np.ma.count_masked(values)} masked values"
            )
        values = np.asarray(values)
        if values.ndim == 0:
            raise TableError(
                "A column must be a list, or an array whose first axis counts the rows. Received: "
                f"{name}={values!r}"
            )
        # Pandas cannot filter numbers in another machine's byte order.
        native = values.dtype.newbyteorder("=")
        values = ArrayColumn(values) if values.ndim > 1 else values.astype(native, copy=False)
    if not len(values):
        raise TableError(f"A column needs at least one row. Received: {name} with none")
    return values


class ArrayDtype(ExtensionDtype):
    """The pandas dtype of an `ArrayColumn`: the shape and NumPy dtype of its cells.

    Args:
        shape: Shape of a cell.
        dtype: Name of the NumPy dtype of a cell.
    """

    type = np.ndarray
    _metadata: ClassVar[tuple[str, ...]] = ("shape", "cell_dtype")

    def __init__(self, shape: Sequence[int], dtype: str) -> None:
        self.shape, self.cell_dtype = tuple(shape), np.dtype(dtype)

    @property
    def name(self) -> str:  # type: ignore[override]
        """Such as "uint8 (28, 28)"."""
        return f"{self.cell_dtype} {self.shape}"

    @classmethod
    def construct_array_type(cls) -> builtins.type[ArrayColumn]:
        """The class of columns of this dtype."""
        return ArrayColumn

    @classmethod
    def construct_from_string(cls, string: str) -> Self:
        """Always fails: such a column is only made from arrays."""
        raise TypeError(f"Cannot construct an {cls.__name__} from a string. Received: {string!r}")


class ArrayColumn(SharedColumn):
    """A pandas column whose cells are the rows of an array, shared and not copied.

    Rows that are picked take 8 bytes each in addition to the array. Taking, filtering, sorting,
    joining and copying move row numbers only. A cell is a read-only view, or NaN if it is missing.
    Pickling writes only the rows of the array that are in use.

    Args:
        values: `(rows, ...)` numbers or booleans, at least two axes.

    Raises:
        TableError: If it has fewer axes, or holds no numbers.
    """

    def __init__(self, values: np.ndarray) -> None:
        # A plain view, also of a memory map: taking rows of an `ndarray` subclass costs twice the
        # time.
        values = np.asarray(values).view()
        if values.ndim < 2 or values.dtype.kind not in "biufc":
            raise TableError(
                "An array with more than one axis must hold numbers; pass texts and objects as a "
                f"list. Received: shape {values.shape}, dtype {values.dtype}"
            )
        self._set([values], range(len(values)))

    def _set(self, parts: Iterable[Any], shown: range | np.ndarray) -> None:
        super()._set(parts, shown)
        for part in self._parts:
            # Read-only, because pandas hands out views: writing into a cell would change every
            # table that shares the array.
            part.flags.writeable = False

    @classmethod
    def _from_sequence(cls, scalars: Any, *, dtype: Any = None, copy: bool = False) -> Self:
        cells = [None if is_missing_scalar(cell) else np.asarray(cell) for cell in scalars]
        filled = [cell for cell in cells if cell is not None]
        if not isinstance(dtype, ArrayDtype):
            if not filled:
                raise ValueError(
                    f"A dtype is needed if every cell is missing. Received: dtype={dtype!r}"
                )
            dtype = ArrayDtype(filled[0].shape, filled[0].dtype.name)
        for cell in filled:
            if (cell.shape, cell.dtype.name) != (dtype.shape, dtype.cell_dtype.name):
                raise ValueError(
                    f"Every cell must be {dtype.name}. Received: {cell.dtype} {cell.shape}"
                )
        part = np.stack(filled) if filled else np.empty((0, *dtype.shape), dtype.cell_dtype)
        present = np.array([cell is not None for cell in cells], bool)
        return cls._made([part], np.where(present, np.cumsum(present) - 1, -1))

    @property
    def dtype(self) -> ArrayDtype:
        """Shape and NumPy dtype of the cells."""
        return ArrayDtype(self._parts[0].shape[1:], self._parts[0].dtype.name)

    def __setitem__(self, key: Any, value: Any) -> None:
        """Replace cells: by one array or None, or by one for each. The shared array is not changed.

        Raises:
            ValueError: If a cell has another shape or dtype.
        """
        if not isinstance(value, ArrayColumn):
            several = np.ndim(value) != len(self.dtype.shape) and isinstance(value, Iterable)
            value = self._from_sequence(value if several else [value], dtype=self.dtype)
        both = self._concat_same_type([self, value])
        positions, new = np.split(both._positions, [len(self)])
        positions[check_array_indexer(self, key)] = new[0] if len(new) == 1 else new
        self._set(both._parts, positions)

    def tolist(self) -> list[Any]:
        """The cells, each a read-only view or NaN."""
        return [self._cell(position) for position in self._positions.tolist()]

    def isna(self) -> np.ndarray:
        """Which cells are missing, `(rows,) bool`."""
        return self._positions < 0

    def __eq__(self, other: object) -> Any:
        """Which cells hold the same numbers as those of a column or sequence of the same length,
        `(rows,) bool`.
        """
        if isinstance(other, pd.Series | pd.Index | pd.DataFrame):
            return NotImplemented
        if (
            not isinstance(other, Iterable)
            or not isinstance(other, Sized)
            or len(other) != len(self)
        ):
            return np.zeros(len(self), bool)
        return np.array(
            [np.array_equal(one, two) for one, two in zip(self, other, strict=True)], bool
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The cells as objects, `(rows,)`, as pandas needs them; `np.stack(column)` joins their
        numbers.
        """
        if dtype is not None and np.dtype(dtype) != object:
            raise ValueError(
                f"Use `np.stack(column)` to join the cells in one array. Received: dtype={dtype!r}"
            )
        cells = np.empty(len(self), object)
        for row, cell in enumerate(self.tolist()):
            cells[row] = cell
        return cells

    def __reduce__(self) -> tuple[Any, ...]:
        # A slice of a large array is pickled without the rest of it.
        used = np.unique(self._positions[self._positions >= 0])
        bounds = np.searchsorted(used, self._starts)
        parts = [
            part[used[low:high] - start]
            for part, start, low, high in zip(
                self._parts, self._starts, bounds, bounds[1:], strict=False
            )
        ]
        positions = np.where(self._positions < 0, -1, np.searchsorted(used, self._positions))
        return type(self)._made, (parts, positions)

    def _formatter(self, boxed: bool = False) -> Callable[[Any], str]:
        return lambda cell: (
            f"{cell.dtype} {cell.shape}" if isinstance(cell, np.ndarray) else str(cell)
        )
