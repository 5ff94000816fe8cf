"""Which type each column of a packed table has: that of the table's own cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from multimodal_gen.errors import TableError
from multimodal_gen.rows.stores.arrow import ArrowStore
from multimodal_gen.rows.stores.column import StoredColumn

_TYPES = {
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "text": pa.large_string(),
    "bytes": pa.large_binary(),
}
# Rows of a stored column that are read at a time to learn its type.
_ROWS = 10_000


def schema_of(table: pd.DataFrame, contents: Mapping[str, pa.DataType]) -> pa.Schema:
    """Names and types of the packed columns, with what pandas notes of them.

    Args:
        table: The table.
        contents: Column of files -> the type of their contents.

    Raises:
        TableError: If the cells of a column have no common type.
    """
    fields = [
        pa.field(name, contents[name] if name in contents else _type_of(name, table[name].array))
        for name in table.columns
    ]
    # Without rows, so that nothing is read.
    empty = pd.DataFrame(
        {
            name: pd.Series([], dtype=object)
            if name in contents or isinstance(table[name].array, StoredColumn)
            else table[name].iloc[:0]
            for name in table.columns
        }
    )
    noted = pa.Schema.from_pandas(empty, preserve_index=False).metadata
    return pa.schema(fields, noted)


def as_arrow(name: str, cells: Any, of: pa.DataType) -> pa.Array:
    """Cells of a column as Arrow has them; NaN and the like are missing.

    Args:
        name: The column.
        cells: A pandas array, or a list.
        of: Its type.

    Raises:
        TableError: If a cell is of another type.
    """
    try:
        # Of categories of pandas, the type is in the cells.
        own = pa.types.is_dictionary(of) and not isinstance(cells, list)
        array = pa.array(cells, None if own else of, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise _mixed(name, error) from error
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _type_of(name: str, column: Any) -> pa.DataType:
    try:
        if isinstance(column, StoredColumn):
            found = _type_of_stored(column)
        elif column.dtype == object:
            found = pa.array(column, from_pandas=True).type
        else:
            # An empty piece tells it, and of categories what they are.
            found = pa.array(column[:0], from_pandas=True).type
            if pa.types.is_null(found):
                found = pa.array(column.tolist(), from_pandas=True).type
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise _mixed(name, error) from error
    # Of a column without any cell.
    return pa.string() if pa.types.is_null(found) else found


def _type_of_stored(column: StoredColumn) -> pa.DataType:
    kinds = column.dtype.cells
    found = {
        store.type_of(name) if isinstance(store, ArrowStore) else _TYPES.get(kinds)
        for store, name in column.sources
    }
    if len(found) == 1 and (only := found.pop()) is not None:
        return only
    if kinds in _TYPES:
        return _TYPES[kinds]
    fields = [pa.schema([pa.field("cells", one)]) for one in _types_in(column)]
    return pa.unify_schemas(fields, promote_options="permissive").field(0).type


def _types_in(column: StoredColumn) -> Iterator[pa.DataType]:
    yield pa.null()
    for start in range(0, len(column), _ROWS):
        rows = np.arange(start, min(start + _ROWS, len(column)))
        yield pa.array(column.take(rows).tolist(), from_pandas=True).type


def _mixed(name: str, error: Exception) -> TableError:
    said = " ".join(str(error).split()).rstrip(".")
    return TableError(
        f"The cells of column {name!r} have no common type, so no file can hold them: {said}. Drop "
        f"the column, or make texts of its cells, as in `table[{name!r}].astype(str)`. Received: "
        f"column={name!r}"
    )
