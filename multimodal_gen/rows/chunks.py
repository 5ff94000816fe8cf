"""Goes through a column a piece at a time, so that none is in memory as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.rows.cells import column_texts, is_blank

# Cells of a piece: their objects take some 10 MB.
CHUNK_ROWS = 50_000
# Of pictures, arrays and lists in files.
_FEW_ROWS = 500


def chunks_of(column: pd.Series) -> Iterator[pd.Series]:
    """The pieces of a column, in its order, each with its part of the index.

    Cells that are kept in files are read when a piece is used, and not kept.

    Args:
        column: Any column; one without rows has one piece.
    """
    for part in chunk_slices(len(column), rows_of_chunk(column)):
        yield column.iloc[part]


def rows_of_chunk(column: pd.Series) -> int:
    """How many cells of a column make a piece: few where files hold pictures, arrays or lists."""
    large = getattr(column.dtype, "cells", "") in ("bytes", "other")
    return _FEW_ROWS if large else CHUNK_ROWS


def chunk_slices(rows: int, size: int = CHUNK_ROWS) -> Iterator[slice]:
    """The rows of the pieces of a table that has so many; at least one piece."""
    for start in range(0, max(rows, 1), size):
        yield slice(start, min(start + size, rows))


def cells_in(table: pd.DataFrame, column: str | tuple[str, ...]) -> Iterator[Any]:
    """The cells that a loader of a column reads, one after the other, as plain objects; for several
    columns, a tuple per row. Few of them are in memory at a time.

    Args:
        table: The table.
        column: Name of the column or columns.
    """
    if not isinstance(column, str):
        return zip(*(cells_in(table, one) for one in column), strict=True)
    return cells_of_series(table[column])


def cells_of_series(column: pd.Series) -> Iterator[Any]:
    """The cells of a column, one after the other, as plain objects, few in memory at a time."""
    for part in chunks_of(column):
        yield from part.array.tolist()


def text_codes(column: pd.Series) -> tuple[np.ndarray, list[str]]:
    """Which text each cell of a column has, by `cell_text`.

    Args:
        column: The column; errors name a row by its index.

    Returns:
        `(rows,) int32`, the place of each cell's text in the list, -1 where a cell is missing or
        blank; and the different texts, in the order of their first rows.

    Raises:
        TypeError: If a cell is not a single value; the message names the index and the column.
    """
    places: dict[str, int] = {}
    codes = [np.empty(0, "int32")]
    for part in chunks_of(column):
        own, texts = pd.factorize(column_texts(part))
        # The last is for missing cells, whose code is -1.
        known = [-1 if is_blank(text) else places.setdefault(text, len(places)) for text in texts]
        codes.append(np.array([*known, -1], "int32")[own])
    return np.concatenate(codes), list(places)
