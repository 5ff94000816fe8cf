"""Objects of JSON become columns, block by block: a value keeps its JSON type, and an absent key is
a missing cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from multimodal_gen.rows.formats.delimited import PANDAS_2, text_dtype

# Rows held as dicts before they are turned into columns, which need a fraction of the memory.
ROWS = 4096
# Every whole number up to here has an exact float.
_EXACT = 2**53


class Columns:
    """The columns of the rows that have been read so far."""

    def __init__(self) -> None:
        self._pieces: dict[str, list[list[Any] | pa.Array]] = {}
        self.rows = 0

    def add(self, block: Sequence[dict[str, Any]]) -> None:
        """Add rows, up to `ROWS` at a time."""
        kinds = dict.fromkeys(map(tuple, block))
        for name in dict.fromkeys([*self._pieces, *(name for kind in kinds for name in kind)]):
            # A key that first appears here is missing in all rows before.
            pieces = self._pieces.setdefault(name, [[None] * self.rows])
            pieces.append(_piece([row.get(name) for row in block]))
        self.rows += len(block)

    def table(self) -> pd.DataFrame:
        """All rows, with the index 0..n-1. Their columns are no longer here afterwards."""
        names = list(self._pieces)
        # One at a time, so that the list of each column is freed once its Series exists.
        made = [_column(self._pieces.pop(name)) for name in names]
        table = pd.DataFrame(dict(enumerate(made)), index=pd.RangeIndex(self.rows), copy=False)
        table.columns = pd.Index(names, dtype=None if names else object)
        return table


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of a JSON text; of two equal keys Python would silently keep the last.

    Raises:
        ValueError: If a key appears twice.
    """
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(
            f"the key {next(name for name in names if names.count(name) > 1)!r} appears twice"
        )
    return row


def _piece(cells: list[Any]) -> list[Any] | pa.Array:
    # Arrow stores texts in a third of the memory.
    if set(map(type, cells)) <= {str, type(None)}:
        try:
            return pa.array(cells, pa.large_string())
        except UnicodeEncodeError:
            pass
    return cells


def _column(pieces: list[list[Any] | pa.Array]) -> pd.Series:
    if any(isinstance(piece, pa.Array) for piece in pieces) and all(
        isinstance(piece, pa.Array) or all(cell is None for cell in piece) for piece in pieces
    ):
        texts = pa.chunked_array(
            [pa.array(piece, pa.large_string()) for piece in pieces], pa.large_string()
        )
        if texts.null_count < len(texts):
            return texts.to_pandas(
                types_mapper=None if PANDAS_2 else {pa.large_string(): text_dtype()}.get
            )
    cells = [
        cell
        for piece in pieces
        for cell in (piece.to_pylist() if isinstance(piece, pa.Array) else piece)
    ]
    kinds = set(map(type, cells))
    some = kinds - {type(None)}
    if some == {int}:
        # Integers with gaps become a nullable integer column: as floats, those above 2**53 would
        # lose digits.
        try:
            return pd.Series(cells, dtype="Int64" if type(None) in kinds else "int64")
        except OverflowError:
            return pd.Series(cells, dtype=object)
    if some <= {int, float}:
        exact = int not in some or all(abs(cell) <= _EXACT for cell in cells if type(cell) is int)
        return pd.Series(cells, dtype="float64" if exact else object)
    if some == {str}:
        try:
            return pd.Series(cells)
        except UnicodeEncodeError:
            # Half a surrogate pair, such as "\ud83d", does not fit into a string column of pandas,
            # but does into one of objects.
            return pd.Series(cells, dtype=object)
    if kinds == {bool}:
        return pd.Series(np.array(cells))
    return pd.Series(cells, dtype=object)
