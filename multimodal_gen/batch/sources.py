"""Where the arrays of one loader come from: what is remembered of a row, the cache on disk, or the
loader itself.
"""

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
    """One loader, and what spares it work.

    Args:
        loader: The loader.
        memory: What it read of the table's rows before, for small arrays that depend on nothing but
            the cell.
        cache: What it, or anybody, read before, on disk.
    """

    loader: Loader
    memory: RowMemory | None = None
    cache: LoaderCache | None = None

    @property
    def whole(self) -> bool:
        """Whether cells of a batch had better be read together."""
        return self.memory is not None or self.loader.reads_together

    @property
    def warm(self) -> bool:
        """Whether a whole batch is likely to be in the cache."""
        return self.cache is not None and self.cache.warm

    def gather(self, cells: Sequence[Any]) -> np.ndarray | None:
        """All arrays as one, `(cells, *shape)` in memory of its own, if the cache holds them;
        otherwise None.
        """
        return None if self.cache is None or not cells else self.cache.gather(cells)

    def read(self, cell: Any, own: bool) -> np.ndarray:
        """What `loader.read` gives.

        A cell that is not the table's own, but varied at random, is not worth keeping.
        """
        return self.loader.read(cell) if self.cache is None or not own else self.cache.read(cell)

    def read_batch(self, cells: Sequence[Any], own: bool) -> list[np.ndarray]:
        """What `loader.read_batch` gives."""
        return (
            self.loader.read_batch(cells)
            if self.cache is None or not own
            else self.cache.read_batch(cells)
        )


def sources_of(
    loaders: Mapping[Slot, Loader], num_rows: int, cache: ArrayCache | None
) -> dict[Slot, Source]:
    """Slot -> source, for the loaders of a table of so many rows."""

    def memory_of(loader: Loader) -> RowMemory | None:
        spec = loader.spec
        small = int(np.prod(spec.shape, dtype=np.int64)) * np.dtype(spec.dtype).itemsize <= LARGEST
        return RowMemory(num_rows, spec) if loader.kept_by_row and small else None

    return {
        slot: Source(
            one, memory_of(one), None if cache is None else cache.of(one, num_rows=num_rows)
        )
        for slot, one in loaders.items()
    }
