"""One batch in the making: which rows it has, their cells, its arrays, and what went wrong by now.

`reading.py` fills a `Draft` and `finishing.py` makes of it what Keras is given; which thread does
what, and how long it may take, is the business of `pending.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from multimodal_gen.augment.sample import SampleFunction
from multimodal_gen.batch.assembly import Assembly
from multimodal_gen.batch.slots import Slot
from multimodal_gen.errors import shown
from multimodal_gen.loaders.cell_errors import placed
from multimodal_gen.rows.plan import Plan


@dataclass(eq=False)
class Draft:
    """The state of one batch, from its rows' positions to arrays that are filled.

    Args:
        assembly: Settings that all batches share.
        plan: Which rows the batch has, and the random streams of their cells.
        epoch: The epoch, counting from 0.
        index: The position of the batch in its epoch.
        length: The length in ids that captions in buckets are cut to; by default the least that
            holds them all.

    Attributes:
        positions: Positions of the rows in the table, `(rows,)`.
        padding: How many of the last rows only fill up the batch.
        cells: Slot -> the cells that are read; empty until `take_cells`.
        own_cells: Slot -> the cells as the table has them. What is kept of a row, in memory or in
            a cache, holds for these and for no others.
        varies: Slot -> whether its loader varies cells or arrays at random.
        cached: The slots of which all rows are likely to be in the cache.
        arrays: Slot -> `(rows, *spec.shape)`; for slots in `cached`, from when they are read.
        missing: Slot -> `(rows,) bool`, for loaders with `missing="blank"`: the rows that have no
            cell, or none that can be read.
        failed: `(rows,) bool`: the rows of which a cell could not be loaded.
        steps: For each row, what the operations on samples do with its arrays; empty where there
            are no such operations.
    """

    assembly: Assembly
    plan: Plan
    epoch: int
    index: int
    length: int | None = None

    def __post_init__(self) -> None:
        self.positions, self.padding = self.plan.batch(self.epoch, self.index)
        self.sources, rows = self.assembly.sources, len(self.positions)
        self.cells: dict[Slot, list[Any]] = {}
        self.own_cells: Mapping[Slot, tuple[Any, ...]] = {}
        self.steps: list[list[tuple[Any, SampleFunction]]] = []
        augmenting = self.assembly.augmenting
        self.varies = {slot: one.loader.varies(augmenting) for slot, one in self.sources.items()}
        # Of a cache that holds everything, a batch is one copy.
        self.cached = [
            slot for slot, one in self.sources.items() if one.warm and not self.varies[slot]
        ]
        self.arrays = {slot: self.empty(slot) for slot in self.sources if slot not in self.cached}
        blank = [slot for slot, one in self.sources.items() if one.loader.missing == "blank"]
        self.missing = {slot: np.zeros(rows, bool) for slot in blank}
        self.failed = np.zeros(rows, bool)

    def label(self, row: int) -> Any:
        """The label of a row of the batch in the table's own index, for error reports."""
        return self.assembly.table.index[self.positions[row : row + 1]].tolist()[0]

    def rng(self, slot: Slot, row: int) -> np.random.Generator | None:
        """The random stream of a cell, or None where nothing random happens to it."""
        if not (self.assembly.augmenting and self.varies[slot]):
            return None
        return self.plan.rng(self.epoch, self.positions[row], self.sources[slot].loader.stream)

    def lose(self, slot: Slot, row: int, error: Exception) -> None:
        """Count a row as lost, and blank its array.

        Raises:
            LoadError: If no row may be lost.
        """
        loader = self.sources[slot].loader
        located = placed(error, loader, self.cells[slot][row], self.label(row))
        if self.assembly.on_error == "raise":
            raise located from error
        self.assembly.failures.add(self.positions[row], located, self.epoch)
        self.failed[row] = True
        if slot in self.missing:
            self.missing[slot][row] = True
        self.blank(slot, row)

    def blank(self, slot: Slot, row: int) -> None:
        """Make the array of a row all zeros."""
        if slot in self.arrays:
            self.arrays[slot][row] = 0

    def empty(self, slot: Slot) -> np.ndarray:
        """Memory for the array of a slot."""
        spec = self.sources[slot].loader.spec
        return _aligned_empty((len(self.positions), *spec.shape), spec.dtype)

    def where(self, slot: Slot, row: int | None) -> str:
        """The place of a cell, or of the first of all rows' cells, in words."""
        cells = self.cells[slot]
        which = f", {shown(cells[row])}" if row is not None else f" and {len(cells) - 1} more"
        column = self.sources[slot].loader.column
        return f"index {self.label(row or 0)!r}, column {column!r}{which}"


def _aligned_empty(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """As `np.empty`, at a multiple of 64 bytes: tensorflow and jax copy memory that is not.

    Arrow keeps what is freed for the next batch; the system would take it back, and clear every
    page anew.
    """
    memory = pa.allocate_buffer(math.prod(shape) * np.dtype(dtype).itemsize)
    return np.frombuffer(memory, dtype).reshape(shape)
