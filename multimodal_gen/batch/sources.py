"""Where the arrays of one loader come from: the row memory, the cache on disk, or the loader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from multimodal_gen.batch.cache import ArrayCache, LoaderCache
from multimodal_gen.batch.row_memory import LARGEST, RowMemory
from multimodal_gen.batch.slots import Slot
from multimodal_gen.loaders.base import Loader


@dataclass(frozen=True)
class Source:
    """One loader, and the places where its earlier results are kept.

    Args:
        loader: The loader.
        memory: Its arrays of the table's rows, if they are small and depend only on the cell.
        cache: Its arrays on disk, shared with other loaders and runs.
    """

    loader: Loader
    memory: RowMemory | None = None
    cache: LoaderCache | None = None

    @property
    def whole(self) -> bool:
        """Whether the cells of a batch should be read together."""
        # Known rows are copied in one call for the whole batch.
        return self.memory is not None or self.loader.reads_together

    @property
    def warm(self) -> bool:
        """Whether a whole batch is likely to be in the cache."""
        return self.cache is not None and self.cache.warm

    def gather(self, cells: Sequence[Any]) -> np.ndarray | None:
        """Return all arrays as a new one, `(cells, *shape)`, or None if any is not in the cache."""
        return None if self.cache is None or not cells else self.cache.gather(cells)

    def read(self, cell: Any, own: bool) -> np.ndarray:
        """Return the result of `loader.read`.

        A cell that was varied at random, and so is not the table's own, is not kept.
        """
        return self.loader.read(cell) if self.cache is None or not own else self.cache.read(cell)

    def read_batch(self, cells: Sequence[Any], own: bool) -> list[np.ndarray]:
        """Return the result of `loader.read_batch`."""
        return (
            self.loader.read_batch(cells)
            if self.cache is None or not own
            else self.cache.read_batch(cells)
        )


def sources_of(
    loaders: Mapping[Slot, Loader], num_rows: int, cache: ArrayCache | None
) -> dict[Slot, Source]:
    """Return slot -> source, for the loaders of a table with `num_rows` rows."""

    def memory_of(loader: Loader) -> RowMemory | None:
        # Pictures would fill the temporary folder; they have the cache.
        small = loader.spec.nbytes <= LARGEST
        return RowMemory(num_rows, loader.spec) if loader.kept_by_row and small else None

    return {
        slot: Source(
            one, memory_of(one), None if cache is None else cache.of(one, num_rows=num_rows)
        )
        for slot, one in loaders.items()
    }
