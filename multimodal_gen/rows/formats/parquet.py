"""Read parquet: the columns of the file; an index that pandas stored becomes a column again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from multimodal_gen.errors import TableError


def read_parquet(path: Path) -> pd.DataFrame:
    """Read a parquet file. The index is 0..n-1; a stored pandas index becomes one or several
    columns.

    An unnamed index of whole numbers, as rows have by default and after a filter, is dropped. Whole
    numbers with gaps get pandas' nullable type, because floats would lose digits above 2**53.

    Raises:
        TableError: If two columns have the same name.
    """
    schema = parquet.read_schema(path)
    _check_names([str(name) for name in schema.names])
    table = _without_index(pd.read_parquet(path))
    table.columns = table.columns.map(str)
    _check_names(list(table.columns))
    gaps = [
        field.name
        for field in schema
        if pa.types.is_integer(field.type)
        and field.name in table
        and table[field.name].dtype.kind == "f"
    ]
    if gaps:
        for name, column in zip(gaps, parquet.read_table(path, columns=gaps).columns, strict=True):
            table[name] = pd.Series(
                column.to_pandas(types_mapper=_NULLABLE.get).array, index=table.index
            )
    return table


_NULLABLE: dict[pa.DataType, Any] = {
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
}


def _without_index(table: pd.DataFrame) -> pd.DataFrame:
    index = table.index
    if index.name is None and index.dtype.kind in "iu" and index.nlevels == 1:
        return table.reset_index(drop=True)
    # After `set_index(..., drop=False)` a column and the index are the same; keep one.
    if (
        index.name is not None
        and index.name in table.columns
        and table[index.name].tolist() == index.tolist()
    ):
        return table.reset_index(drop=True)
    single = index.nlevels == 1 and "index" not in table.columns
    names = [
        name if name is not None else "index" if single else f"level_{level}"
        for level, name in enumerate(index.names)
    ]
    return table.reset_index(names=names, allow_duplicates=True)


def _check_names(names: list[str]) -> None:
    twice = [name for position, name in enumerate(names) if name in names[:position]]
    if twice:
        raise TableError(
            f"Several columns, or a column and the index, are called {twice[0]!r}; rename one of "
            "them."
        )
