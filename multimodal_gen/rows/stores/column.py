"""A pandas column whose cells stay in files until they are asked for.

Taking, filtering, splitting and joining move row numbers only. What pandas computes over all cells,
such as a comparison or counts, reads them into an ordinary column first.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.api.extensions import ExtensionDtype
from pandas.api.indexers import check_array_indexer

from multimodal_gen.errors import LoadError, shown
from multimodal_gen.rows.cells import Unreadable
from multimodal_gen.rows.chunks import CHUNK_ROWS
from multimodal_gen.rows.shared_column import is_missing_scalar
from multimodal_gen.rows.stores.computing import ComputedColumn
from multimodal_gen.rows.stores.store import KINDS, HeldCells, Store, StoreColumn, objects

_TYPES: dict[str, type] = {"int": int, "float": float, "bool": bool, "text": str, "bytes": bytes}
_NUMPY = {"int": np.dtype("int64"), "float": np.dtype("float64"), "bool": np.dtype("bool")}


class StoredDtype(ExtensionDtype):
    """The pandas dtype of a `StoredColumn`.

    Args:
        cells: The kind of its cells: "int", "float", "bool", "text", "bytes" or "other".
    """

    na_value = None
    _metadata: ClassVar[tuple[str, ...]] = ("cells",)

    def __init__(self, cells: str) -> None:
        self.cells = cells

    @property
    def name(self) -> str:  # type: ignore[override]
        """Such as "stored text"."""
        return f"stored {self.cells}"

    def __repr__(self) -> str:
        return f"StoredDtype({self.cells!r})"

    @property
    def type(self) -> builtins.type:  # type: ignore[override]
        """The type of a cell; `object` for mappings, lists and arrays."""
        return _TYPES.get(self.cells, object)

    @property
    def kind(self) -> Any:
        """The letter of NumPy's kind of dtype; "O" for texts and objects."""
        return KINDS[self.cells]

    def _get_common_dtype(self, dtypes: list[Any]) -> Any:
        # What numbers of several columns become in one array.
        kinds = [_NUMPY.get(one.cells) if isinstance(one, StoredDtype) else one for one in dtypes]
        if all(isinstance(one, StoredDtype) and one == self for one in dtypes):
            return self
        if all(isinstance(one, np.dtype) and one.kind in "iufb" for one in kinds):
            return np.result_type(*kinds)
        return None

    @property
    def _is_numeric(self) -> bool:
        return self.kind in "ifb"

    @property
    def _is_boolean(self) -> bool:
        return self.kind == "b"

    @classmethod
    def construct_array_type(cls) -> builtins.type[StoredColumn]:
        """The class of columns of this dtype."""
        return StoredColumn

    @classmethod
    def construct_from_string(cls, string: str) -> Self:
        """Always fails: such a column is only made by `open_table`."""
        raise TypeError(f"Cannot construct a {cls.__name__} from a string. Received: {string!r}")


class StoredColumn(ComputedColumn):
    """A pandas column whose cells stay in files until they are asked for.

    Args:
        store: The files.
        name: Which of their columns.
    """

    # Whether the cells that pandas takes next are printed.
    _printed = False

    def __init__(self, store: Store, name: str) -> None:
        self._set([StoreColumn(store, name)], range(len(store)))

    @classmethod
    def _from_sequence(cls, scalars: Any, *, dtype: Any = None, copy: bool = False) -> Self:
        cells = [None if is_missing_scalar(one) else _plain(one) for one in scalars]
        kind = dtype.cells if isinstance(dtype, StoredDtype) else "other"
        return cls(HeldCells(kind, objects(cells)), HeldCells.NAME)

    @classmethod
    def held(cls, kind: str, cells: Any) -> Self:
        """A column of cells in memory, to be joined with others.

        Args:
            kind: Their kind, as in `Store.columns`.
            cells: The cells as pandas or NumPy keep them, `(rows,)`.
        """
        return cls(HeldCells(kind, cells), HeldCells.NAME)

    @property
    def dtype(self) -> StoredDtype:
        """The kind of cells."""
        kinds = {part.kind for part in self._parts}
        if len(kinds) == 1:
            return StoredDtype(kinds.pop())
        return StoredDtype("float" if kinds <= {"int", "float"} else "other")

    @property
    def sources(self) -> list[tuple[Store, str]]:
        """The stores of the cells, and the column in each."""
        return [(part.store, part.name) for part in self._parts]

    @property
    def rows(self) -> np.ndarray:
        """Which rows of all stores together are shown, `(rows,) int64`; -1 is a missing cell."""
        return self._positions

    def origin(self, row: int) -> str | None:
        """Where a cell is, for people: the file and the place in it; None if it is in no file."""
        position = int(self._shown[row])
        if position < 0:
            return None
        number = int(self._part_of(np.array([position]))[0])
        part: StoreColumn = self._parts[number]
        return part.store.origin(part.name, position - self._starts[number])

    def tolist(self) -> list[Any]:
        """The cells; None if one is missing.

        Raises:
            LoadError: If one cannot be read.
        """
        return self._gathered(lambda part, rows: part.store.cells(part.name, rows))

    def loaded(self) -> Any:
        """The cells as an ordinary pandas array in memory.

        Raises:
            LoadError: If one cannot be read.
        """
        if len(self._parts) == 1 and self._is_full():
            (part,) = self._parts
            return part.store.series(part.name, self._positions).array
        cells = self.tolist()
        return pd.Series(cells if self.dtype.cells == "text" else objects(cells)).array

    def isna(self) -> np.ndarray:
        """Which cells are missing, `(rows,) bool`."""
        gone = np.ones(len(self), bool)
        for start in range(0, len(self), CHUNK_ROWS):
            piece = self[start : start + CHUNK_ROWS]
            found = piece._gathered(lambda part, rows: part.store.missing(part.name, rows).tolist())
            gone[start : start + CHUNK_ROWS] = [one is None or one for one in found]
        return gone

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, len(self), CHUNK_ROWS):
            yield from self[start : start + CHUNK_ROWS].tolist()

    def __setitem__(self, key: Any, value: Any) -> None:
        """Replace cells: by one, or by one for each. What is new stays in memory; the files are not
        changed.
        """
        key = check_array_indexer(self, key)
        if not isinstance(value, StoredColumn):
            several = pd.api.types.is_list_like(value) and not isinstance(key, int | np.integer)
            value = self._from_sequence(value if several else [value], dtype=self.dtype)
        both = self._concat_same_type([self, value])
        positions, new = np.split(both._positions, [len(self)])
        positions[key] = new[0] if len(new) == 1 else new
        self._set(both._parts, positions)

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        """The cells in memory in another dtype."""
        if isinstance(dtype, StoredDtype) and dtype == self.dtype:
            return self.copy() if copy else self
        return self.loaded().astype(dtype)

    def __getattr__(self, name: str) -> Any:
        # What is behind `Series.str`.
        if name.startswith("_str_") and self.dtype.cells == "text":
            return getattr(self.loaded(), name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _gathered(self, read: Callable[[StoreColumn, np.ndarray], list[Any]]) -> list[Any]:
        # What `read` gives for the rows of each part, in the column's order; None for no row.
        positions = self._positions
        part_of = self._part_of(positions) if len(self._parts) > 1 else None
        if part_of is None and self._is_full():
            return read(self._parts[0], positions)
        found: list[Any] = [None] * len(self)
        for number, part in enumerate(self._parts):
            own = positions >= 0
            places = np.flatnonzero(own if part_of is None else own & (part_of == number))
            if len(places):
                cells = read(part, positions[places] - self._starts[number])
                for place, one in zip(places.tolist(), cells, strict=True):
                    found[place] = one
        return found

    def _is_full(self) -> bool:
        # Whether no cell is missing because a file lacks it.
        return isinstance(self._shown, range) or not len(self) or bool(self._shown.min() >= 0)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self)._made, (self._parts, self._shown)

    def __arrow_array__(self, type: Any = None) -> pa.Array:  # noqa: A002 - Arrow's name
        """The cells as an Arrow array, as `to_parquet` needs them."""
        return pa.array(self.tolist(), type=type)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The cells as an array in memory, `(rows,)`."""
        if dtype is None or np.dtype(dtype) != object:
            return np.asarray(self.loaded(), dtype)
        # pandas prints what it finds here, and printing must not fail.
        printing, self._printed = self._printed, False
        return objects(self._readable() if printing else self.tolist())

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>\n{pd.Series(self, copy=False)!r}"

    def _readable(self) -> list[Any]:
        # The cells, with `Unreadable` for what the files do not give.
        try:
            return self.tolist()
        except LoadError as error:
            if len(self) == 1:
                return [Unreadable(None, error)]
        return [cell for row in range(len(self)) for cell in self[row : row + 1]._readable()]

    def _formatter(self, boxed: bool = False) -> Callable[[Any], str]:
        # pandas asks for this right before it takes the cells of a table that it prints.
        self._printed = boxed
        return _short


def _plain(cell: Any) -> Any:
    return cell.item() if isinstance(cell, np.generic) else cell


def _short(cell: Any) -> str:
    # Bytes of a picture would fill the screen.
    if isinstance(cell, bytes):
        return f"<{len(cell):,} bytes>"
    if isinstance(cell, Unreadable):
        return f"<unreadable: {cell.error}>"
    if isinstance(cell, dict):
        return "{" + ", ".join(f"{name}: {_short(one)}" for name, one in cell.items()) + "}"
    return cell if isinstance(cell, str) else shown(cell)


def stored_table(store: Store) -> pd.DataFrame:
    """A DataFrame with the index 0..n-1 whose columns stay in files."""
    columns = {name: StoredColumn(store, name) for name in store.columns}
    return pd.DataFrame(columns, index=pd.RangeIndex(len(store)), copy=False)
