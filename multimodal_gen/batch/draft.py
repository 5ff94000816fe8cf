"""The arrays of one batch, and how they are filled: from cells, row by row or together, with what goes wrong in them.

Which thread does what, and how long it may take, is the business of `pending.py`.
"""

from __future__ import annotations

import math
import operator
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from multimodal_gen.batch.sources import Source
from multimodal_gen.errors import LoaderError, LoadError
from multimodal_gen.loaders.base import Loader, missing_error, missing_target_error
from multimodal_gen.loaders.cell_errors import placed
from multimodal_gen.loaders.stages import stage
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.rows.cells import is_missing
from multimodal_gen.spec import spec_problem

# In place of a cell: there is nothing to read, and the row's array stays zero.
_NOTHING = object()


class AbandonedError(BaseException):
    """Ends a task that another thread goes on with."""


# What to call, with a key, a row or several, and the task.
Step = tuple[Callable[[Any, Any, "Task"], None], Any, Any]


@dataclass(frozen=True)
class Task:
    """What one thread does, step by step; what is left of it goes to another one if the thread hangs.

    Args:
        number: Which of the batch's tasks.
        steps: What is to be done yet; it may put more of it in front.
        now: The key, and the row or rows, of what is being done.
    """

    number: int
    steps: deque[Step]
    now: list[Any] = field(default_factory=list)


def at_once(read: Callable[[], Any], key: Any, row: int | None, task: Task) -> Any:
    """Call a function that reads; nobody looks at the time."""
    return read()


class BatchArrays:
    """The arrays of one batch.

    Args:
        sources: Key -> source; one array is made for each.
        positions: The rows' positions in the table.
        label_of: Row of the batch -> its label in the table's own index, for error reports.
        cells_of: Key -> the cells of the batch's rows.
        rng_of: `(row of the batch, loader) -> random stream`, or None when nothing random may happen.
        lost: Called with the row of the batch and the error of a cell that could not be loaded; or None, where that is
            an error of the batch.

    Attributes:
        timed: Calls a function that reads; it is told the key, the row (None for several) and the task.
        arrays: Key -> `(batch, *spec.shape)`.
        missing: Key -> `(batch,) bool`, for loaders with `missing="blank"`: the rows without a cell, or a good one.
        failed: `(batch,) bool`: the rows of which a cell could not be loaded.
        kept: The keys of which all rows are likely to be in the cache.
    """

    def __init__(
        self,
        sources: Mapping[Any, Source],
        positions: np.ndarray,
        label_of: Callable[[int], Any],
        cells_of: Callable[[], Mapping[Any, Sequence[Any]]],
        rng_of: Callable[[int, Loader], np.random.Generator] | None,
        lost: Callable[[int, LoadError], None] | None,
    ) -> None:
        self.sources, self._positions, self._label_of, self._cells_of = sources, positions, label_of, cells_of
        self._rng_of, self._lost = rng_of, lost
        self.timed: Callable[[Callable[[], Any], Any, int | None, Task], Any] = at_once
        self._varies = {key: one.loader.varies(rng_of is not None) for key, one in sources.items()}
        self.cells: Mapping[Any, Sequence[Any]] = {}
        self._own_cells: Mapping[Any, Sequence[Any]] = {}
        rows = len(positions)
        # Of a cache that holds everything, a batch is one copy.
        self.kept = [key for key, one in sources.items() if one.warm and not self._varies[key]]
        self.arrays = {key: self.empty(key) for key in sources if key not in self.kept}
        self.missing = {key: np.zeros(rows, bool) for key, one in sources.items() if one.loader.missing == "blank"}
        self.failed = np.zeros(rows, bool)

    def take_cells(self) -> None:
        """Look up the cells in the table; before all else."""
        with stage("assemble"):
            self.cells = self._cells_of()
        # What is kept of a row holds for the cell that stands in the table, and for no other.
        self._own_cells = {key: tuple(column) for key, column in self.cells.items()}

    def fill_cell(self, key: Any, row: int, task: Task) -> None:
        """Read one cell into its row."""
        source, rng = self.sources[key], self._rng(key, row)
        cell = self._cell(key, row, rng)
        if cell is _NOTHING:
            return
        own = cell is self._own_cells[key][row]
        try:
            with stage("load"):
                array = self.timed(lambda: source.read(cell, own), key, row, task)
        except Exception as error:
            self.lose(key, row, error)
            return
        self._check_spec(key, row, array, "read")
        self._store(key, row, array, rng)

    def fill_one_by_one(self, key: Any, task: Task) -> None:
        """Have every row of an array filled by `fill_cell`, before what the task does next."""
        if key not in self.arrays:
            self.arrays[key] = self.empty(key)
        task.steps.extendleft((self.fill_cell, key, row) for row in reversed(range(len(self._positions))))

    def _gather(self, key: Any, task: Task) -> bool:
        source, cells = self.sources[key], self.cells[key]
        if not all(map(operator.is_, cells, self._own_cells[key])):
            return False
        there = [row for row in range(len(cells)) if self._cell(key, row, None) is not _NOTHING]
        with stage("load"):
            gathered = self.timed(lambda: source.gather([cells[row] for row in there]), key, None, task)
        if gathered is not None and len(there) < len(cells):
            whole = np.zeros_like(self.empty(key))
            whole[there] = gathered
            gathered = whole
        if gathered is not None:
            self.arrays[key] = gathered
        return gathered is not None

    def fill_together(self, key: Any, rows: Sequence[int], task: Task) -> None:
        """Read the cells of all rows at once, as far as they are not remembered."""
        source, memory, own_cells = self.sources[key], self.sources[key].memory, self._own_cells[key]
        if key in self.kept:
            if not self._gather(key, task):
                self.fill_one_by_one(key, task)
            return
        filled = self.arrays[key]
        with stage("memory"):
            known = np.zeros(len(rows), bool) if memory is None else memory.take(self._positions, filled)
        if known.all() and not self._varies[key] and all(map(operator.is_, self.cells[key], own_cells)):
            return
        rngs = [self._rng(key, row) for row in rows]
        cells = [self._cell(key, row, rng) for row, rng in zip(rows, rngs, strict=True)]
        there = [row for row in rows if cells[row] is not _NOTHING]
        own = [cells[row] is own_cells[row] for row in rows]
        unread = [row for row in there if not (known[row] and own[row])]
        try:
            with stage("load"):
                wanted = [cells[row] for row in unread]
                arrays = self.timed(lambda: source.read_batch(wanted, all(own)), key, None, task)
        except AbandonedError:
            raise
        except Exception:
            # Somewhere in the batch is a bad cell: reading one by one finds which.
            self.fill_one_by_one(key, task)
            return
        if len(arrays) != len(unread):
            raise LoaderError(
                f"{type(source.loader).__name__}.read_batch must return one array a cell. "
                f"Received: {len(arrays)} arrays for {len(unread)} cells"
            )
        for row, array in zip(unread, arrays, strict=True):
            self._check_spec(key, row, array, "read")
            filled[row] = array
            if memory is not None and own[row]:
                memory.put(self._positions[row], array)
        if self._varies[key]:
            for row in there:
                self._store(key, row, filled[row, ...].copy(), rngs[row])

    def empty(self, key: Any) -> np.ndarray:
        """Memory for the array of a key."""
        spec = self.sources[key].loader.spec
        return _aligned_empty((len(self._positions), *spec.shape), spec.dtype)

    def _rng(self, key: Any, row: int) -> np.random.Generator | None:
        return self._rng_of(row, self.sources[key].loader) if self._rng_of is not None and self._varies[key] else None

    def _cell(self, key: Any, row: int, rng: np.random.Generator | None) -> Any:
        loader, cell = self.sources[key].loader, self.cells[key][row]
        if not loader.accepts_missing and is_missing(cell):
            if key in self.missing:
                self.missing[key][row] = True
                self._blank(key, row)
            else:
                self.lose(key, row, missing_target_error() if isinstance(loader, Target) else missing_error())
            return _NOTHING
        if rng is None:
            return cell
        try:
            return loader.augment_cell(cell, rng)
        except Exception as error:
            raise self._broken(error, key, row, "augment_cell") from error

    def lose(self, key: Any, row: int, error: Exception) -> None:
        """Have a row counted as lost, or raise the error if none may be."""
        placed_error = placed(error, self.sources[key].loader, self.cells[key][row], self._label_of(row))
        if self._lost is None:
            raise placed_error from error
        self._lost(row, placed_error)
        self.failed[row] = True
        if key in self.missing:
            self.missing[key][row] = True
        self._blank(key, row)

    def _blank(self, key: Any, row: int) -> None:
        if key in self.arrays:
            self.arrays[key][row] = 0

    def _store(self, key: Any, row: int, array: np.ndarray, rng: np.random.Generator | None) -> None:
        if self._varies[key]:
            # It may be the table's own memory: an operation that writes into it is to fail, not to change the data.
            array = np.asarray(array).view()
            array.flags.writeable = False
            try:
                with stage("augment"):
                    array = self.sources[key].loader.augment(array, rng)
            except Exception as error:
                raise self._broken(error, key, row, "augment") from error
            self._check_spec(key, row, array, "augment")
        with stage("assemble"):
            self.arrays[key][row] = array

    def _check_spec(self, key: Any, row: int, array: Any, method: str) -> None:
        loader = self.sources[key].loader
        problem = spec_problem(array, loader.spec)
        if problem:
            raise LoaderError(
                f"{type(loader).__name__}.{method} must return what its spec says; {self._where(key, row)}. {problem}"
            )

    def told(self, key: Any, row: Any) -> str:
        """A cell in words, for who waits for it; `row` may be several."""
        loader, rows = self.sources[key].loader, [row] if isinstance(row, int) else list(row)
        cells = f", {self.cells[key][rows[0]]!r}" if len(rows) == 1 else f" and {len(rows) - 1} more"
        return f"index {self._label_of(rows[0])!r}, column {loader.column!r}{cells}"

    def _where(self, key: Any, row: int) -> str:
        return f"{f'input {key!r}' if isinstance(key, str) else 'the target'}, index {self._label_of(row)!r}"

    def _broken(self, error: Exception, key: Any, row: int, method: str) -> LoaderError:
        # The cell could be read: what failed is an operation, and no other row would fare better.
        name = type(self.sources[key].loader).__name__
        hint = " Return a new array, and leave the one that is given as it is." if "read-only" in str(error) else ""
        return LoaderError(f"{name}.{method} failed; {self._where(key, row)}. {type(error).__name__}: {error}{hint}")


def _aligned_empty(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """As `np.empty`, but at a multiple of 64 bytes: tensorflow and jax take such memory over, and copy any other.

    Arrow keeps what is freed for the next batch; the system would take it back, and clear every page anew.
    """
    memory = pa.allocate_buffer(math.prod(shape) * np.dtype(dtype).itemsize)
    return np.frombuffer(memory, dtype).reshape(shape)
