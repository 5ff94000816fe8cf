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

from multimodal_gen.errors import shown
from multimodal_gen.rows.shared_column import SharedColumn, is_missing_scalar
from multimodal_gen.rows.stores.store import KINDS, HeldCells, Store, StoreColumn, objects

# Rows that are read at a time where all are.
_CHUNK_ROWS = 10_000
_TYPES: dict[str, type] = {"int": int, "float": float, "bool": bool, "text": str, "bytes": bytes}
_NUMPY = {"int": np.dtype("int64"), "float": np.dtype("float64"), "bool": np.dtype("bool")}
_OPERATORS = [
    *("eq", "ne", "lt", "le", "gt", "ge"),
    *("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv"),
    *("floordiv", "rfloordiv", "mod", "rmod", "pow", "rpow", "and", "rand", "or", "ror", "xor"),
    *("neg", "abs", "invert"),
]


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


class StoredColumn(SharedColumn):
    """A pandas column whose cells stay in files until they are asked for.

    Args:
        store: The files.
        name: Which of their columns.
    """

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
        found = self._gathered(lambda part, rows: part.store.missing(part.name, rows).tolist())
        return np.array([one is None or one for one in found], bool)

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, len(self), _CHUNK_ROWS):
            yield from self[start : start + _CHUNK_ROWS].tolist()

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

    def to_numpy(
        self, dtype: Any = None, copy: bool = False, na_value: Any = pd.api.extensions.no_default
    ) -> np.ndarray:
        """The cells as an array in memory, `(rows,)`."""
        return self.loaded().to_numpy(dtype, copy, na_value)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The cells as an array in memory, `(rows,)`."""
        if dtype is not None and np.dtype(dtype) == object:
            return objects(self.tolist())
        return np.asarray(self.loaded(), dtype)

    def factorize(self, use_na_sentinel: bool = True) -> tuple[np.ndarray, Any]:
        """Codes and distinct cells, as `pandas.factorize`."""
        return pd.factorize(self.loaded(), use_na_sentinel=use_na_sentinel)

    def unique(self) -> Any:
        """Distinct cells, in the order in which they come."""
        return pd.Series(self.loaded()).unique()

    def value_counts(self, dropna: bool = True) -> pd.Series:
        """How often each cell comes."""
        return pd.Series(self.loaded()).value_counts(dropna=dropna)

    def isin(self, values: Any) -> np.ndarray:
        """Which cells are among some values, `(rows,) bool`."""
        return pd.Series(self.loaded()).isin(list(values)).to_numpy()

    def duplicated(self, keep: Any = "first") -> np.ndarray:
        """Which cells have come before, `(rows,) bool`."""
        return pd.Series(self.loaded()).duplicated(keep=keep).to_numpy()

    def fillna(self, value: Any, limit: int | None = None, copy: bool = True) -> Any:
        """The cells in memory, with others in place of missing ones."""
        return pd.Series(self.loaded()).fillna(value, limit=limit).array

    def map(self, mapper: Any, na_action: Any = None) -> Any:
        """What a function or mapping makes of the cells, in memory."""
        return pd.Series(self.loaded()).map(mapper, na_action).array

    def __getattr__(self, name: str) -> Any:
        # What is behind `Series.str`.
        if name.startswith("_str_") and self.dtype.cells == "text":
            return getattr(self.loaded(), name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _values_for_argsort(self) -> np.ndarray:
        return np.asarray(self.loaded())

    def _reduce(
        self, name: str, *, skipna: bool = True, keepdims: bool = False, **named: Any
    ) -> Any:
        result = getattr(pd.Series(self.loaded()), name)(skipna=skipna, **named)
        return pd.array([result]) if keepdims else result

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

    def _accumulate(self, name: str, *, skipna: bool = True, **named: Any) -> Any:
        return getattr(pd.Series(self.loaded()), name)(skipna=skipna, **named).array

    def __arrow_array__(self, type: Any = None) -> pa.Array:  # noqa: A002 - Arrow's name
        """The cells as an Arrow array, as `to_parquet` needs them."""
        return pa.array(self.tolist(), type=type)

    def _formatter(self, boxed: bool = False) -> Callable[[Any], str]:
        return _short


def _plain(cell: Any) -> Any:
    return cell.item() if isinstance(cell, np.generic) else cell


def _short(cell: Any) -> str:
    # Bytes of a picture would fill the screen.
    if isinstance(cell, bytes):
        return f"<{len(cell):,} bytes>"
    if isinstance(cell, dict):
        return "{" + ", ".join(f"{name}: {_short(one)}" for name, one in cell.items()) + "}"
    return cell if isinstance(cell, str) else shown(cell)


def _operator(name: str) -> Callable[..., Any]:
    def operate(column: StoredColumn, *others: Any) -> Any:
        if others and isinstance(others[0], pd.Series | pd.Index | pd.DataFrame):
            return NotImplemented
        plain = [one.loaded() if isinstance(one, StoredColumn) else one for one in others]
        return getattr(column.loaded(), name)(*plain)

    operate.__name__ = name
    return operate


for _name in _OPERATORS:
    setattr(StoredColumn, f"__{_name}__", _operator(f"__{_name}__"))


def stored_table(store: Store) -> pd.DataFrame:
    """A DataFrame with the index 0..n-1 whose columns stay in files."""
    columns = {name: StoredColumn(store, name) for name in store.columns}
    return pd.DataFrame(columns, index=pd.RangeIndex(len(store)), copy=False)
