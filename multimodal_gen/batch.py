"""One batch in the making: memory for its arrays, and the tasks that fill it on a pool of threads.

Threads write straight into the batch's memory, each a few rows. A `PendingBatch` is started once and asked
for its arrays later; `read_ahead.py` starts the next ones while a model trains on an earlier one.
"""

from __future__ import annotations

import math
import operator
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa

from multimodal_gen.errors import LoaderError
from multimodal_gen.loaders.base import Loader, is_missing, missing_error, spec_problem
from multimodal_gen.loaders.placing import placed
from multimodal_gen.sources import Source
from multimodal_gen.stages import stage

_POOLS: dict[tuple[int, int], ThreadPoolExecutor] = {}
_POOLS_LOCK = threading.Lock()


def available_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _pool(threads: int) -> ThreadPoolExecutor:
    # One pool for all sequences of a process. A forked child has none of its parent's threads and gets its own.
    key = (os.getpid(), threads)
    with _POOLS_LOCK:
        if key not in _POOLS:
            _POOLS[key] = ThreadPoolExecutor(threads, thread_name_prefix="multimodal_gen")
        return _POOLS[key]


def aligned_empty(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """As `np.empty`, but at a multiple of 64 bytes: tensorflow and jax take such memory over, and copy any other.

    Arrow keeps what is freed for the next batch; the system would take it back, and clear every page anew.
    """
    memory = pa.allocate_buffer(math.prod(shape) * np.dtype(dtype).itemsize)
    return np.frombuffer(memory, dtype).reshape(shape)


def check_loaders(inputs: Mapping[str, Loader], target: Loader | Mapping[str, Loader] | None) -> None:
    """Refuse inputs that are no mapping of names to loaders, and a target that is no loader or mapping of them."""
    if not isinstance(inputs, Mapping) or not inputs:
        raise ValueError(
            f'`inputs` must map at least one name to a loader, as in {{"image": loader}}. Received: inputs={inputs!r}'
        )
    for name, loader in inputs.items():
        if not isinstance(name, str) or not isinstance(loader, Loader):
            raise ValueError(f"`inputs` must map names to loaders. Received: {name!r}: {loader!r}")
    if isinstance(target, Mapping):
        if not target:
            raise ValueError("`target` must name at least one target, or be None. Received: target={}")
        for name, loader in target.items():
            if not isinstance(name, str) or not isinstance(loader, Loader):
                raise ValueError(f"`target` must map names to targets. Received: {name!r}: {loader!r}")
    elif target is not None and not isinstance(target, Loader):
        raise ValueError(
            "`target` must be a target such as ClassLabel, a mapping of names to targets, or None. "
            f"Received: target={target!r}"
        )


class PendingBatch:
    """The arrays of one batch, being filled.

    Args:
        sources: Key -> source; one array is made for each.
        positions: The rows' positions in the table.
        label_of: Row of the batch -> its label in the table's own index, for error reports.
        cells_of: Key -> the cells of the batch's rows; called once, by the first thread that needs them.
        rng_of: `(row of the batch, loader) -> random stream`, or None when nothing random may happen.
        threads: Size of the pool.
        prepare: Called once before the first cell is read, with what `cells_of` gave; it may exchange cells.
        finish: Called with the filled arrays by the thread that is done last; makes the result of them.
    """

    def __init__(
        self,
        sources: Mapping[Any, Source],
        positions: np.ndarray,
        label_of: Callable[[int], Any],
        cells_of: Callable[[], Mapping[Any, Sequence[Any]]],
        rng_of: Callable[[int, Loader], np.random.Generator] | None,
        threads: int,
        *,
        prepare: Callable[[Mapping[Any, Sequence[Any]]], None] | None = None,
        finish: Callable[[dict[Any, np.ndarray]], Any],
    ) -> None:
        self._sources, self._positions, self._label_of = sources, positions, label_of
        self._cells_of, self._prepare, self._rng_of, self._finish = cells_of, prepare, rng_of, finish
        self._varies = {key: one.loader.varies(rng_of is not None) for key, one in sources.items()}
        self._cells: Mapping[Any, Sequence[Any]] = {}
        self._own_cells: Mapping[Any, Sequence[Any]] = {}
        rows = len(positions)
        specs = {key: one.loader.spec for key, one in sources.items()}
        # Of a cache that holds everything, a batch is one copy.
        self._kept = [key for key, one in sources.items() if one.warm and not self._varies[key]]
        whole = [key for key, one in sources.items() if one.whole or key in self._kept]
        self._arrays = {
            key: aligned_empty((rows, *spec.shape), spec.dtype) for key, spec in specs.items() if key not in self._kept
        }
        single = [key for key in sources if key not in whole]
        # One thread for all of them: they are small, and threads that wait for each other cost more.
        tasks: list[tuple[Callable[..., None], Any, Any]] = [(self._fill_whole, whole, range(rows))] if whole else []
        if single:
            # Two chunks a thread level out rows of unequal cost.
            size = max(1, -(-rows // (2 * threads)))
            chunks = [range(start, min(start + size, rows)) for start in range(0, rows, size)]
            tasks += [(self._fill_rows, single, chunk) for chunk in chunks]
        self._open, self._lock = len(tasks), threading.Lock()
        self._begin = _Once(self._take_cells)
        pool = _pool(threads)
        self._futures = [pool.submit(self._run, *task) for task in tasks]

    def result(self) -> Any:
        """Wait for what `finish` makes.

        Raises:
            LoadError: If a cell could not be loaded; of several bad cells, the first by task and row.
        """
        try:
            with stage("wait"):
                results = [future.result() for future in self._futures]
        except BaseException:
            self.cancel()
            raise
        return next(result for result in results if result is not None)

    def cancel(self) -> None:
        """Give up what has not been started."""
        for future in self._futures:
            future.cancel()

    def _run(self, fill: Callable[..., None], *arguments: Any) -> Any:
        self._begin()
        fill(*arguments)
        # After an error the count never comes down to zero.
        with self._lock:
            self._open -= 1
            last = self._open == 0
        if not last:
            return None
        with stage("assemble"):
            return self._finish(self._arrays)

    def _take_cells(self) -> None:
        with stage("assemble"):
            self._cells = self._cells_of()
        # What is kept of a row holds for the cell that stands in the table, and for no other.
        self._own_cells = {key: tuple(column) for key, column in self._cells.items()}
        if self._prepare is not None:
            self._prepare(self._cells)

    def _fill_rows(self, keys: Sequence[Any], rows: Iterable[int]) -> None:
        for row in rows:
            for key in keys:
                rng = self._rng(key, row)
                cell = self._cell(key, row, rng)
                try:
                    with stage("load"):
                        array = self._sources[key].read(cell, cell is self._own_cells[key][row])
                except Exception as error:
                    raise placed(error, self._sources[key].loader, cell, self._label_of(row)) from error
                self._check_spec(key, row, array, "read")
                self._store(key, row, array, rng)

    def _fill_whole(self, keys: Sequence[Any], rows: Sequence[int]) -> None:
        for key in keys:
            if key in self._kept:
                self._gather(key, rows)
            else:
                self._fill_together(key, rows)

    def _gather(self, key: Any, rows: Sequence[int]) -> None:
        source, cells = self._sources[key], self._cells[key]
        gathered = None
        if source.cache is not None and all(map(operator.is_, cells, self._own_cells[key])):
            with stage("load"):
                gathered = source.cache.gather(cells)
        if gathered is None:
            spec = source.loader.spec
            gathered = self._arrays[key] = aligned_empty((len(rows), *spec.shape), spec.dtype)
            self._fill_rows([key], rows)
        self._arrays[key] = gathered

    def _fill_together(self, key: Any, rows: Sequence[int]) -> None:
        source, filled, memory = self._sources[key], self._arrays[key], self._sources[key].memory
        with stage("memory"):
            known = np.zeros(len(rows), bool) if memory is None else memory.take(self._positions, filled)
        own_cells = self._own_cells[key]
        if known.all() and not self._varies[key] and all(map(operator.is_, self._cells[key], own_cells)):
            return
        rngs = [self._rng(key, row) for row in rows]
        cells = [self._cell(key, row, rng) for row, rng in zip(rows, rngs, strict=True)]
        own = [cells[row] is own_cells[row] for row in rows]
        unread = [row for row in rows if not (known[row] and own[row])]
        try:
            with stage("load"):
                arrays = source.read_batch([cells[row] for row in unread], all(own))
        except Exception:
            # Somewhere in the batch is a bad cell: reading one by one finds which.
            self._fill_rows([key], rows)
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
            for row in rows:
                self._store(key, row, filled[row, ...].copy(), rngs[row])

    def _rng(self, key: Any, row: int) -> np.random.Generator | None:
        return self._rng_of(row, self._sources[key].loader) if self._rng_of is not None and self._varies[key] else None

    def _cell(self, key: Any, row: int, rng: np.random.Generator | None) -> Any:
        loader, cell = self._sources[key].loader, self._cells[key][row]
        if not loader.accepts_missing and is_missing(cell):
            raise placed(missing_error(), loader, cell, self._label_of(row))
        if rng is None:
            return cell
        try:
            return loader.augment_cell(cell, rng)
        except Exception as error:
            raise self._broken(error, key, row, "augment_cell") from error

    def _store(self, key: Any, row: int, array: np.ndarray, rng: np.random.Generator | None) -> None:
        if self._varies[key]:
            # It may be the table's own memory: an operation that writes into it is to fail, not to change the data.
            array = np.asarray(array).view()
            array.flags.writeable = False
            try:
                with stage("augment"):
                    array = self._sources[key].loader.augment(array, rng)
            except Exception as error:
                raise self._broken(error, key, row, "augment") from error
            self._check_spec(key, row, array, "augment")
        with stage("assemble"):
            self._arrays[key][row] = array

    def _check_spec(self, key: Any, row: int, array: Any, method: str) -> None:
        loader = self._sources[key].loader
        problem = spec_problem(array, loader.spec)
        if problem:
            raise LoaderError(
                f"{type(loader).__name__}.{method} must return what its spec says; {self._where(key, row)}. {problem}"
            )

    def _where(self, key: Any, row: int) -> str:
        return f"{f'input {key!r}' if isinstance(key, str) else 'the target'}, index {self._label_of(row)!r}"

    def _broken(self, error: Exception, key: Any, row: int, method: str) -> LoaderError:
        # The cell could be read: what failed is an operation, and no other row would fare better.
        name = type(self._sources[key].loader).__name__
        hint = " Return a new array, and leave the one that is given as it is." if "read-only" in str(error) else ""
        return LoaderError(f"{name}.{method} failed; {self._where(key, row)}. {type(error).__name__}: {error}{hint}")


class _Once:
    # Calls a function on the first call, while all others wait for it; an error of it is everybody's.
    def __init__(self, function: Callable[[], None]) -> None:
        self._function: Callable[[], None] | None = function
        self._lock = threading.Lock()
        self._error: Exception | None = None

    def __call__(self) -> None:
        with self._lock:
            function, self._function = self._function, None
            if function is not None:
                try:
                    function()
                except Exception as error:
                    self._error = error
            if self._error is not None:
                raise self._error
