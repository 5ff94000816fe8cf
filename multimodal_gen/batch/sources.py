"""Where the arrays of one loader come from: the row memory, the cache on disk, or the loader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.batch.cache import ArrayCache, ItemsCache, LoaderCache
from multimodal_gen.batch.choosing import is_absent
from multimodal_gen.batch.row_memory import LARGEST, RowMemory
from multimodal_gen.batch.slots import Slot
from multimodal_gen.batch.windows import Windows
from multimodal_gen.loaders.base import Loader
from multimodal_gen.rows.cells import is_missing, is_unreadable
from multimodal_gen.rows.table import readable_cells
from multimodal_gen.spec import spec_problem


@dataclass(frozen=True)
class Source:
    """One loader, and the places where its earlier results are kept.

    Args:
        loader: The loader.
        memory: Its arrays of the table's rows, if they are small and depend only on the cell.
        cache: Its arrays on disk, shared with other loaders and runs.

    Attributes:
        windows: Which rows were read ahead, for a loader that reads best in large groups.
    """

    loader: Loader
    memory: RowMemory | None = None
    cache: LoaderCache | ItemsCache | None = None
    windows: Windows = field(default_factory=Windows, compare=False, repr=False)

    @property
    def whole(self) -> bool:
        """Whether the cells of a batch should be read together."""
        # Known rows are copied in one call for the whole batch.
        return self.memory is not None or self.loader.reads_together

    @property
    def warm(self) -> bool:
        """Whether a whole batch is likely to be in the cache."""
        # What is kept by row is found faster there, without looking at files.
        return self.cache is not None and self.cache.warm and self.memory is None

    def gather(self, cells: Sequence[Any]) -> np.ndarray | None:
        """Return all arrays as a new one, `(cells, *shape)`, or None if any is not in the cache."""
        return None if self.cache is None or not cells else self.cache.gather(cells)

    def fetch_ahead(self, cells: Sequence[Any], own: bool) -> None:
        """Start to fetch what cells name elsewhere, if their loader does that."""
        if not self.loader.fetches:
            return
        fetch = self.cache.fetch_ahead if own and self.cache is not None else None
        for cell in cells:
            if not is_missing(cell):
                (fetch or self.loader.fetch_ahead)(cell)

    def read(self, cell: Any, own: bool) -> np.ndarray:
        """Return the result of `loader.read`.

        A cell that was varied at random, and so is not the table's own, is not kept.
        """
        return self.loader.read(cell) if self.cache is None or not own else self.cache.read(cell)

    def read_batch(self, cells: Sequence[Any], own: bool) -> list[Any]:
        """Return the result of `loader.read_batch`."""
        self.fetch_ahead(cells, own)
        return (
            self.loader.read_batch(cells)
            if self.cache is None or not own
            else self.cache.read_batch(cells)
        )


def read_rows_ahead(source: Source, table: pd.DataFrame, positions: np.ndarray) -> None:
    """Read rows of the table together into the memory of a source, as far as that works.

    A row that cannot be read is left out: whoever needs it reads it again, and reports the error.
    """
    if source.memory is None or not len(positions):
        return
    cells = readable_cells(table, source.loader.column, positions)
    absent = is_unreadable if source.loader.accepts_missing else is_absent
    there = [row for row, cell in enumerate(cells) if not absent(cell)]
    cells, positions = [cells[row] for row in there], positions[there]
    for position, array in zip(positions, source.read_batch(cells, True), strict=True):
        if spec_problem(array, source.loader.read_spec) is None:
            source.memory.put(position, array)


def chooses(loader: Loader) -> bool:
    """Whether a loader reads something else of a cell in other epochs."""
    return type(loader).choose is not Loader.choose


def sources_of(
    loaders: Mapping[Slot, Loader], num_rows: int, cache: ArrayCache | None, *, training: bool
) -> dict[Slot, Source]:
    """Return slot -> source, for the loaders of a table with `num_rows` rows.

    Args:
        loaders: Slot -> loader.
        num_rows: Rows of the table.
        cache: Where arrays are kept on disk, or None.
        training: Whether loaders may choose what they read of a cell.
    """

    def memory_of(loader: Loader) -> RowMemory | None:
        # Pictures would fill the temporary folder; they have the cache. What is chosen anew in each
        # epoch is not the row's only array.
        kept = loader.kept_by_row and not (training and chooses(loader))
        small = loader.read_spec.nbytes <= LARGEST
        return RowMemory(num_rows, loader.read_spec) if kept and small else None

    return {
        slot: Source(
            one, memory_of(one), None if cache is None else cache.of(one, num_rows=num_rows)
        )
        for slot, one in loaders.items()
    }
