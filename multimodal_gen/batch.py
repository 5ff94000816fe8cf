"""One batch in the making: memory for its arrays, and the tasks that fill it on a pool of threads.

Threads write straight into the batch's memory, each a few rows. A `PendingBatch` is started once and asked
for its arrays later; `ReadAhead` starts the next ones while a model trains on an earlier one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from multimodal_gen.errors import LoaderError, LoadError
from multimodal_gen.loaders.base import Loader, is_missing, missing_error, spec_problem

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


def check_loaders(inputs: Mapping[str, Loader], target: Loader | None) -> None:
    """Refuse inputs that are no mapping of names to loaders, and a target that is no loader."""
    if not isinstance(inputs, Mapping) or not inputs:
        raise ValueError(
            f'`inputs` must map at least one name to a loader, as in {{"image": loader}}. Received: inputs={inputs!r}'
        )
    for name, loader in inputs.items():
        if not isinstance(name, str) or not isinstance(loader, Loader):
            raise ValueError(f"`inputs` must map names to loaders. Received: {name!r}: {loader!r}")
    if target is not None and not isinstance(target, Loader):
        raise ValueError(f"`target` must be a target such as ClassLabel, or None. Received: target={target!r}")


class PendingBatch:
    """The arrays of one batch, being filled.

    Args:
        loaders: Name -> loader; one array is made for each.
        cells: Name -> the cells of the batch's rows.
        index: The rows' labels in the table's own index, for error reports.
        rng_of: `(row of the batch, loader) -> random stream`, or None when nothing random may happen.
        threads: Size of the pool.
    """

    def __init__(
        self,
        loaders: Mapping[str, Loader],
        cells: Mapping[str, Sequence[Any]],
        index: Sequence[Any],
        rng_of: Callable[[int, Loader], np.random.Generator] | None,
        threads: int,
    ) -> None:
        self._loaders, self._cells, self._index, self._rng_of = loaders, cells, index, rng_of
        rows = len(index)
        self.arrays = {name: np.empty((rows, *one.spec.shape), one.spec.dtype) for name, one in loaders.items()}
        pool = _pool(threads)
        whole = [name for name, one in loaders.items() if type(one).read_batch is not Loader.read_batch]
        single = [name for name in loaders if name not in whole]
        self._futures: list[Future[None]] = [pool.submit(self._fill_whole, name) for name in whole]
        if single:
            # Two chunks a thread level out rows of unequal cost.
            size = max(1, -(-rows // (2 * threads)))
            self._futures += [
                pool.submit(self._fill_rows, single, range(start, min(start + size, rows)))
                for start in range(0, rows, size)
            ]

    def result(self) -> dict[str, np.ndarray]:
        """Wait for the arrays.

        Raises:
            LoadError: If a cell could not be loaded; of several bad cells, the first by task and row.
        """
        try:
            for future in self._futures:
                future.result()
        except BaseException:
            self.cancel()
            raise
        return self.arrays

    def cancel(self) -> None:
        """Give up what has not been started."""
        for future in self._futures:
            future.cancel()

    def _fill_rows(self, names: Sequence[str], rows: range) -> None:
        for row in rows:
            for name in names:
                loader, cell = self._loaders[name], self._cells[name][row]
                try:
                    self._check_missing(loader, cell)
                    array = loader.read(cell)
                except Exception as error:
                    raise self._placed(error, loader, cell, row) from error
                self._store(name, row, array)

    def _fill_whole(self, name: str) -> None:
        loader, cells = self._loaders[name], self._cells[name]
        try:
            for cell in cells:
                self._check_missing(loader, cell)
            arrays = loader.read_batch(cells)
        except Exception:
            # Somewhere in the batch is a bad cell: reading one by one finds which.
            self._fill_rows([name], range(len(cells)))
            return
        if len(arrays) != len(cells):
            raise LoaderError(
                f"{type(loader).__name__}.read_batch must return one array a cell. "
                f"Received: {len(arrays)} arrays for {len(cells)} cells"
            )
        for row, array in enumerate(arrays):
            self._store(name, row, array)

    def _store(self, name: str, row: int, array: np.ndarray) -> None:
        loader = self._loaders[name]
        self._check_spec(name, row, array, "read")
        rng = None if self._rng_of is None else self._rng_of(row, loader)
        array = loader.augment(array, rng)
        self._check_spec(name, row, array, "augment")
        self.arrays[name][row] = array

    def _check_spec(self, name: str, row: int, array: Any, method: str) -> None:
        loader = self._loaders[name]
        problem = spec_problem(array, loader.spec)
        if problem:
            raise LoaderError(
                f"{type(loader).__name__}.{method} must return what its spec says; input {name!r}, "
                f"index {self._index[row]!r}. {problem}"
            )

    @staticmethod
    def _check_missing(loader: Loader, cell: Any) -> None:
        if not loader.accepts_missing and is_missing(cell):
            raise missing_error()

    def _placed(self, error: Exception, loader: Loader, cell: Any, row: int) -> LoadError:
        if not isinstance(error, LoadError):
            error = LoadError(f"{type(loader).__name__}.read failed with {type(error).__name__}: {error}")
        if error.path is None and isinstance(cell, str | os.PathLike) and len(os.fspath(cell)) <= 300:
            error = LoadError(f"{error.reason.rstrip('.')}. The cell holds {os.fspath(cell)!r}.", path=None)
        return error.at(self._index[row], loader.column)


class ReadAhead:
    """Starts batches before they are asked for, while somebody reads them in order.

    Args:
        start: `(epoch, position) -> PendingBatch`.
        size: How many batches to be ahead.
    """

    def __init__(self, start: Callable[[int, int], PendingBatch], size: int) -> None:
        self._start, self._size = start, size
        self._lock = threading.Lock()
        self._pending: dict[tuple[int, int], PendingBatch] = {}
        self._on = False
        self._last = -1

    def take(self, epoch: int, position: int, num_batches: int) -> PendingBatch:
        """The batch at a position, started by now at the latest; the next ones are started if this is the next one."""
        with self._lock:
            batch = self._pending.pop((epoch, position), None) or self._start(epoch, position)
            # Only a reader that goes in order is worth reading ahead for.
            if self._on and position == self._last + 1:
                for ahead in range(position + 1, min(position + 1 + self._size, num_batches)):
                    if (epoch, ahead) not in self._pending:
                        self._pending[epoch, ahead] = self._start(epoch, ahead)
            self._last = position
            return batch

    def switch(self, on: bool) -> None:
        """Begin with the first batch of an epoch, or end; what was prepared for nothing is given up."""
        with self._lock:
            self._on, self._last = on, -1
            if not on:
                self._give_up()

    def give_up(self) -> None:
        """Forget what was prepared, as the epoch has changed."""
        with self._lock:
            self._give_up()

    def _give_up(self) -> None:
        for batch in self._pending.values():
            batch.cancel()
        self._pending.clear()
