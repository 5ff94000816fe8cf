"""Reads the rows of a table in batches, as `MultimodalSequence` does, but for no Keras."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.batch.assembly import Assembly, Reading, columns_read
from multimodal_gen.batch.draft import Draft
from multimodal_gen.batch.pending import PendingBatch
from multimodal_gen.batch.threads import default_threads
from multimodal_gen.batch.weights import Weights
from multimodal_gen.loaders.base import Loader
from multimodal_gen.rows.plan import Plan
from multimodal_gen.rows.table import check_columns
from multimodal_gen.sequence.read_ahead import ReadAhead

# As many batches as a sequence prepares.
_AHEAD = 4


class Batches:
    """The rows of a table in order, each once, with nothing random.

    Args:
        table: The rows.
        loaders: Name -> loader.
        batch_size: Rows per batch.
        on_error: "raise", or "blank" for zeros in the place of a cell that cannot be loaded.

    Raises:
        TableError: If the table has no rows or lacks a column.
    """

    def __init__(
        self, table: pd.DataFrame, loaders: Mapping[str, Loader], batch_size: int, on_error: str
    ) -> None:
        check_columns(table, columns_read(loaders, {}, []))
        self.plan = Plan(len(table), batch_size)
        self.assembly = Assembly(
            table,
            dict(loaders),
            {},
            Weights({}, {}, {}),
            (),
            (),
            augmenting=False,
            inputs_as="dict",
            reading=Reading(default_threads()),
            on_error=on_error,
        )

    def __getitem__(self, index: int) -> tuple[dict[str, np.ndarray]]:
        """Read the batch at a position."""
        batch: tuple[dict[str, np.ndarray]] = self._start(0, index).result()
        return batch

    def __iter__(self) -> Iterator[tuple[dict[str, np.ndarray]]]:
        """Read all batches, the next ones while one is in use."""
        ahead, stop = ReadAhead(self._start, _AHEAD), self.plan.num_batches
        ahead.begin()
        try:
            for index in range(stop):
                yield ahead.take(0, index, stop).result()
        finally:
            ahead.end()
            self.assembly.release()

    def __len__(self) -> int:
        """Number of batches."""
        return self.plan.num_batches

    def _start(self, epoch: int, index: int) -> Any:
        return PendingBatch(Draft(self.assembly, self.plan, epoch, index))
