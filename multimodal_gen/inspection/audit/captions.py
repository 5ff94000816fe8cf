"""The captions of a table, read again each time somebody goes through them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.rows.chunks import chunk_slices, rows_of_chunk
from multimodal_gen.rows.table import readable_cells, readable_cells_in


class Captions(Sequence[str]):
    """The captions of some rows of a table, few of them in memory at a time.

    Args:
        table: The table.
        column: Its column of captions.
        rows: `(captions,) int64`, the positions of rows whose cells are texts.
    """

    def __init__(self, table: pd.DataFrame, column: str, rows: np.ndarray) -> None:
        self.table, self.column, self.rows = table, column, rows

    def of(self, rows: np.ndarray) -> Captions:
        """Those of other rows, `(captions,) int64`."""
        return Captions(self.table, self.column, rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return readable_cells(self.table, self.column, self.rows[place])
        return readable_cells(self.table, self.column, self.rows[[place]])[0]

    def __iter__(self) -> Iterator[str]:
        for part in chunk_slices(len(self), rows_of_chunk(self.table[self.column])):
            yield from self[part]


def texts_in(table: pd.DataFrame, column: str) -> Iterator[str | None]:
    """The caption of every row; None where the cell is no text, or cannot be read."""
    for cell in readable_cells_in(table, column):
        yield cell if isinstance(cell, str) else None
