"""One batch in progress: its rows, their cells, its arrays, and which rows failed.

Here it is decided what an unreadable cell means for its row (`Draft.lose`). `reading.py` fills a
`Draft`, and `finishing.py` turns it into what Keras is given. `pending.py` decides which thread
does what, and how long it may take.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import InitVar, dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from multimodal_gen.augment.sample import SampleFunction
from multimodal_gen.batch.assembly import Assembly
from multimodal_gen.batch.batch_rows import BatchRows, TableRows
from multimodal_gen.batch.choosing import chosen_cells, chosen_error
from multimodal_gen.batch.failures import Found
from multimodal_gen.batch.slots import Slot
from multimodal_gen.batch.sources import chooses
from multimodal_gen.errors import shown
from multimodal_gen.loaders.cell_errors import placed
from multimodal_gen.rows.cells import Unreadable
from multimodal_gen.rows.plan import Plan


def aligned_empty(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Like `np.empty`, but aligned to 64 bytes: tensorflow and jax copy unaligned memory.

    Arrow reuses freed memory for the next batch. The system would take it back and clear every page
    again.
    """
    memory = pa.allocate_buffer(math.prod(shape) * np.dtype(dtype).itemsize)
    return np.frombuffer(memory, dtype).reshape(shape)


@dataclass(eq=False)
class Draft:
    """The state of one batch, from its rows' positions to arrays that are filled.

    Args:
        assembly: Settings that all batches share.
        plan: Which rows the batch has, and the random streams of their cells.
        epoch: The epoch, counting from 0.
        index: The position of the batch in its epoch.
        length: The length in ids that captions in buckets are cut to; by default the shortest that
            holds them all.
        given: The rows of the batch; by default those that the plan takes from the table.
        allocate: `(shape, dtype) -> array` of undefined content, for the arrays of the batch.

    Attributes:
        rows: The rows of the batch.
        positions: Positions of the rows in the table, `(rows,)`.
        padding: Number of rows at the end that only fill up the batch.
        cells: Slot -> the cells that are read; empty until `take_cells`.
        own_cells: Slot -> the cells as the table has them, or what loaders choose of them in the
            epoch. Arrays kept in memory or in a cache belong to these cells only.
        remembered: The slots whose arrays are all in memory; their cells are not looked up.
        varies: Slot -> whether its loader varies cells or arrays at random.
        chosen: The slots whose loaders choose what they read of a cell.
        cached: The slots whose rows are all likely to be in the cache.
        arrays: Slot -> `(rows, *spec.shape)`; slots in `cached` are added when they are read.
        missing: Slot -> `(rows,) bool`, for inputs with a mask: rows whose cell is missing or
            unreadable.
        failed: `(rows,) bool`: rows with a cell that could not be loaded, or excluded.
        found: The cells that could not be loaded, and how many rows were read.
        given_rows: Whether the rows were given, and are not those of the plan.
        steps: Per row, what the operations on samples do with its arrays; empty if there are no
            such operations.
    """

    assembly: Assembly
    plan: Plan
    epoch: int
    index: int
    length: int | None = None
    given: InitVar[BatchRows | None] = None
    allocate: Callable[[tuple[int, ...], str], np.ndarray] = aligned_empty

    def __post_init__(self, given: BatchRows | None) -> None:
        # Only positions and memory here: cells are looked up on a thread of the pool
        # (`take_cells`).
        self.given_rows = given is not None
        if given is None:
            log, place = self.assembly.failures, (self.epoch, self.index)
            given = TableRows(self.assembly.table, self.plan, *place, log.excluded)
        self.rows = given
        self.positions, self.padding = self.rows.positions, self.rows.padding
        self.sources, rows = self.assembly.sources, len(self.positions)
        self.cells: dict[Slot, list[Any]] = {}
        self.own_cells: dict[Slot, tuple[Any, ...]] = {}
        self.remembered: Collection[Slot] = ()
        loaders = {slot: one.loader for slot, one in self.sources.items()}
        self.chosen = [
            slot for slot, one in loaders.items() if self.assembly.augmenting and chooses(one)
        ]
        self.found = Found()
        self.steps: list[list[tuple[Any, SampleFunction]]] = []
        augmenting = self.assembly.augmenting
        self.varies = {slot: one.loader.varies(augmenting) for slot, one in self.sources.items()}
        # If the cache holds the whole batch, `gather` copies it in one call, into memory of its
        # own.
        self.cached = [
            slot for slot, one in self.sources.items() if one.warm and not self.varies[slot]
        ]
        self.arrays = {slot: self.empty(slot) for slot in self.sources if slot not in self.cached}
        masked = [
            s for s, one in loaders.items() if one.spec.kind == "many" or one.missing == "blank"
        ]
        self.missing = {slot: np.zeros(rows, bool) for slot in masked}
        # What cannot be trained on is dealt with as what cannot be loaded.
        self.failed = self.rows.excluded.copy()

    def label(self, row: int) -> Any:
        """Return the label of a row of the batch in the table's own index, for error messages."""
        return self.rows.label(row)

    def rng(self, slot: Slot, row: int) -> np.random.Generator | None:
        """Return the random stream of a cell, or None if nothing random happens to it."""
        if not (self.assembly.augmenting and self.varies[slot]):
            return None
        return self.plan.rng(self.epoch, self.positions[row], self.sources[slot].loader.stream)

    def choose(self, slot: Slot) -> list[Any]:
        """Return what a loader reads of the table's cells in this epoch."""
        loader, stream = self.sources[slot].loader, partial(self.stream, slot)
        return chosen_cells(loader, self.cells[slot], self.epoch, stream)

    def stream(self, slot: Slot, row: int, number: int) -> np.random.Generator:
        """Return one of the random streams of a row that are the same in every epoch."""
        stream = self.sources[slot].loader.stream
        name = stream if isinstance(stream, str) else "\0".join(stream)
        # No column can start with a NUL, so these streams differ from those of cells.
        return self.plan.rng(number, self.positions[row], f"\0choice {name}")

    def lose(self, slot: Slot, row: int, error: Exception) -> None:
        """Count a row as lost, and set its array to zeros.

        Raises:
            LoadError: If `on_error` is "raise".
        """
        loader, cell = self.sources[slot].loader, self.cells[slot][row]
        if isinstance(cell, Unreadable):
            cell = cell.cell
        elif slot in self.chosen:
            error = chosen_error(error, loader, cell, self.rows.cells(loader.column)[row])
        located = self.rows.located(placed(error, loader, cell, self.label(row)), row)
        if self.assembly.on_error == "raise":
            raise located from error
        self.found.add(self.positions[row], located, self.epoch)
        self.failed[row] = True
        if slot in self.missing:
            self.missing[slot][row] = True
        self.blank(slot, row)

    def blank(self, slot: Slot, row: int) -> None:
        """Set the array of a row to zeros."""
        if slot in self.arrays:
            self.arrays[slot][row] = 0

    def empty(self, slot: Slot) -> np.ndarray:
        """Allocate the array of a slot."""
        spec = self.sources[slot].loader.spec
        return self.allocate((len(self.positions), *spec.shape), spec.dtype)

    def read_array(self, slot: Slot) -> np.ndarray:
        """Memory for what the loader of a slot reads, where `augment` changes its shape."""
        spec = self.sources[slot].loader.read_spec
        return np.empty((len(self.positions), *spec.shape), spec.dtype)

    def where(self, slot: Slot, row: int | None) -> str:
        """Describe a cell, or the cells of all rows, for a warning."""
        cells = self.cells[slot]
        which = f", {shown(cells[row])}" if row is not None else f" and {len(cells) - 1} more"
        column = self.sources[slot].loader.column
        return f"index {self.label(row or 0)!r}, column {column!r}{which}"
