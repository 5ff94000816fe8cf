"""Joins tables of unlike formats into one, with a column that says which each row is from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.errors import TableError, shown
from multimodal_gen.rows.cell_numbers import cell_number
from multimodal_gen.rows.cells import is_blank, truth_of
from multimodal_gen.rows.stores.column import StoredColumn
from multimodal_gen.rows.table import cells_of, check_columns

# Texts that tell whether a column holds numbers.
_SAMPLED = 100


def concat_tables(tables: Mapping[str, pd.DataFrame], *, column: str = "source") -> pd.DataFrame:
    """Join tables of unlike formats into one: DataFrames, and what `open_table` opens.

    Cells of files stay there, and those of DataFrames are not copied where the same column of
    another table is in files. A column that a table lacks is missing in its rows. Pictures may be
    paths in one table and bytes in another, and numbers may be texts, as csv files have them.

    Args:
        tables: Name -> table.
        column: The new column that holds the name of each row's table.

    Returns:
        The rows of the first table, then those of the next. The index has pairs of the name of the
        table and the row's label in it, so that errors and `failures` say both.

    Raises:
        TypeError: If it is not a mapping of names to DataFrames.
        TableError: If a table has no rows or already has the new column, or a column holds numbers
            in one table and other texts in another.

    Example:
        table = mg.concat_tables({"shop": shop, "web": mg.open_table("web-{000..031}.tar")})
    """
    if not isinstance(tables, Mapping) or not tables:
        raise TypeError(
            '`tables` must map names to DataFrames, as in {"a": table_a, "b": table_b}. Received: '
            f"{type(tables).__name__} {shown(list(tables)) if isinstance(tables, Mapping) else ''}"
        )
    for name, table in tables.items():
        if not isinstance(name, str) or not name.strip():
            raise TypeError(f"The name of a table must be a string. Received: {name!r}")
        _check_table(name, table, column)
    names = list(dict.fromkeys(one for table in tables.values() for one in table.columns))
    sizes = [len(table) for table in tables.values()]
    codes = np.repeat(np.arange(len(tables)), sizes)
    sources = pd.Categorical.from_codes(codes, pd.Index(list(tables)), validate=False)
    joined: dict[str, Any] = {column: sources}
    for name in names:
        own = {source: table[name] for source, table in tables.items() if name in table}
        _check_kinds(name, own)
        pieces = [own.get(source, len(table)) for source, table in tables.items()]
        joined[name] = _joined(pieces)
    return pd.DataFrame(joined, index=_index(tables), copy=False)


def _check_table(name: str, table: Any, column: str) -> None:
    if not isinstance(table, pd.DataFrame):
        raise TypeError(
            f"A table must be a pandas DataFrame. Received: {type(table).__name__} for {name!r}"
        )
    try:
        check_columns(table, list(table.columns))
    except TableError as error:
        raise TableError(f"{error} in the table {name!r}") from None
    if column in table:
        raise TableError(
            "The column that says which table a row is from must be a new one; choose another name "
            f"with `column`. Received: column={column!r}, and the table {name!r} has that column"
        )


def _joined(pieces: list[pd.Series | int]) -> Any:
    # A piece that is a number is so many missing cells.
    there = [piece for piece in pieces if not isinstance(piece, int)]
    stored = [piece.array for piece in there if isinstance(piece.array, StoredColumn)]
    if not stored:
        if len(there) < len(pieces):
            # Floats, which pandas takes for gaps, would lose digits.
            there = [one.astype("Int64") if one.dtype.kind in "iu" else one for one in there]
        frames = [
            pd.DataFrame(index=range(piece)) if isinstance(piece, int) else piece.to_frame("x")
            for piece in pieces
            for piece in [piece if isinstance(piece, int) else there.pop(0)]
        ]
        return pd.concat(frames, ignore_index=True)["x"].array
    columns = []
    for piece in pieces:
        if isinstance(piece, int):
            columns.append(stored[0][:0].take(np.full(piece, -1), allow_fill=True))
        elif isinstance(piece.array, StoredColumn):
            columns.append(piece.array)
        else:
            columns.append(StoredColumn.held(_kind(piece), piece.array))
    return StoredColumn._concat_same_type(columns)


def _kind(cells: pd.Series) -> str:
    kind = {"i": "int", "u": "int", "f": "float", "b": "bool"}.get(cells.dtype.kind)
    if kind is not None:
        return kind
    return "text" if pd.api.types.infer_dtype(cells, skipna=True) == "string" else "other"


def _check_kinds(name: str, own: Mapping[str, pd.Series]) -> None:
    # Cells mean the same whatever their type, but names are never what numbers are.
    numbers = next((source for source, one in own.items() if one.dtype.kind in "iuf"), None)
    if numbers is None:
        return
    for source, cells in own.items():
        if cells.dtype.kind in "iufb":
            continue
        rows = np.unique(np.linspace(0, len(cells) - 1, _SAMPLED).astype("int64"))
        for cell in cells_of(cells.to_frame(name), name, rows):
            if isinstance(cell, str) and not is_blank(cell) and not _is_number(cell):
                raise TableError(
                    "A column must mean the same in all tables; rename it in one of them, or make "
                    f"its cells alike. Received: column={name!r}, which holds numbers in the table "
                    f"{numbers!r}, and {shown(cell)} in {source!r}"
                )


def _is_number(text: str) -> bool:
    try:
        cell_number(text)
    except ValueError:
        return truth_of(text) is not None
    return True


def _index(tables: Mapping[str, pd.DataFrame]) -> pd.MultiIndex:
    sizes = [len(table) for table in tables.values()]
    if all(table.index.equals(pd.RangeIndex(len(table))) for table in tables.values()):
        # Five bytes a row, where pandas would look every label up.
        levels: list[Any] = [list(tables), pd.RangeIndex(max(sizes))]
        codes: list[Any] = [
            np.repeat(np.arange(len(sizes)), sizes),
            np.concatenate([np.arange(size) for size in sizes]),
        ]
        return pd.MultiIndex(levels=levels, codes=codes, verify_integrity=False)
    index = pd.concat({name: pd.DataFrame(index=one.index) for name, one in tables.items()}).index
    assert isinstance(index, pd.MultiIndex)
    return index
