"""One batch in the making: memory for its arrays, and the tasks that fill it on a pool of threads.

Threads write straight into the batch's memory, each a few rows. A `PendingBatch` is started once and asked
for its arrays later; `ReadAhead` starts the next ones while a model trains on an earlier one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
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
        loaders: Key -> loader; one array is made for each.
        cells: Key -> the cells of the batch's rows.
        index: The rows' labels in the table's own index, for error reports.
        rng_of: `(row of the batch, loader) -> random stream`, or None when nothing random may happen.
        threads: Size of the pool.
        prepare: Called once before the first cell is read; it may exchange cells.
        finish: Called with the filled arrays by the thread that is done last; makes the result of them.
    """

    def __init__(
        self,
        loaders: Mapping[Any, Loader],
        cells: Mapping[Any, Sequence[Any]],
        index: Sequence[Any],
        rng_of: Callable[[int, Loader], np.random.Generator] | None,
        threads: int,
        *,
        prepare: Callable[[], None] | None = None,
        finish: Callable[[dict[Any, np.ndarray]], Any],
    ) -> None:
        self._loaders, self._cells, self._index, self._rng_of = loaders, cells, index, rng_of
        self._finish = finish
        rows = len(index)
        self._arrays = {key: np.empty((rows, *one.spec.shape), one.spec.dtype) for key, one in loaders.items()}
        whole = [key for key, one in loaders.items() if type(one).read_batch is not Loader.read_batch]
        single = [key for key in loaders if key not in whole]
        tasks: list[tuple[Callable[..., None], Any, Any]] = [(self._fill_whole, key, None) for key in whole]
        if single:
            # Two chunks a thread level out rows of unequal cost.
            size = max(1, -(-rows // (2 * threads)))
            chunks = [range(start, min(start + size, rows)) for start in range(0, rows, size)]
            tasks += [(self._fill_rows, single, chunk) for chunk in chunks]
        self._open, self._lock = len(tasks), threading.Lock()
        self._prepared = _Once(prepare)
        pool = _pool(threads)
        self._futures = [pool.submit(self._run, *task) for task in tasks]

    def result(self) -> Any:
        """Wait for what `finish` makes.

        Raises:
            LoadError: If a cell could not be loaded; of several bad cells, the first by task and row.
        """
        try:
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
        self._prepared()
        fill(*arguments)
        # After an error the count never comes down to zero.
        with self._lock:
            self._open -= 1
            last = self._open == 0
        return self._finish(self._arrays) if last else None

    def _fill_rows(self, keys: Sequence[Any], rows: range) -> None:
        for row in rows:
            for key in keys:
                loader, rng = self._loaders[key], self._rng(key, row)
                cell = self._cell(key, row, rng)
                try:
                    array = loader.read(cell)
                except Exception as error:
                    raise self._placed(error, loader, cell, row) from error
                self._store(key, row, array, rng)

    def _fill_whole(self, key: Any, _: Any) -> None:
        loader, rows = self._loaders[key], range(len(self._index))
        rngs = [self._rng(key, row) for row in rows]
        cells = [self._cell(key, row, rng) for row, rng in zip(rows, rngs, strict=True)]
        try:
            arrays = loader.read_batch(cells)
        except Exception:
            # Somewhere in the batch is a bad cell: reading one by one finds which.
            self._fill_rows([key], rows)
            return
        if len(arrays) != len(cells):
            raise LoaderError(
                f"{type(loader).__name__}.read_batch must return one array a cell. "
                f"Received: {len(arrays)} arrays for {len(cells)} cells"
            )
        for row, array in enumerate(arrays):
            self._store(key, row, array, rngs[row])

    def _rng(self, key: Any, row: int) -> np.random.Generator | None:
        loader = self._loaders[key]
        random = type(loader).augment is not Loader.augment or type(loader).augment_cell is not Loader.augment_cell
        return self._rng_of(row, loader) if self._rng_of is not None and random else None

    def _cell(self, key: Any, row: int, rng: np.random.Generator | None) -> Any:
        loader, cell = self._loaders[key], self._cells[key][row]
        if not loader.accepts_missing and is_missing(cell):
            raise self._placed(missing_error(), loader, cell, row)
        if rng is None:
            return cell
        try:
            return loader.augment_cell(cell, rng)
        except Exception as error:
            raise self._broken(error, key, row, "augment_cell") from error

    def _store(self, key: Any, row: int, array: np.ndarray, rng: np.random.Generator | None) -> None:
        loader = self._loaders[key]
        self._check_spec(key, row, array, "read")
        # It may be the table's own memory: an operation that writes into it is to fail, not to change the data.
        array = np.asarray(array).view()
        array.flags.writeable = False
        try:
            array = loader.augment(array, rng)
        except Exception as error:
            raise self._broken(error, key, row, "augment") from error
        self._check_spec(key, row, array, "augment")
        self._arrays[key][row] = array

    def _check_spec(self, key: Any, row: int, array: Any, method: str) -> None:
        loader = self._loaders[key]
        problem = spec_problem(array, loader.spec)
        if problem:
            raise LoaderError(
                f"{type(loader).__name__}.{method} must return what its spec says; {self._where(key, row)}. {problem}"
            )

    def _where(self, key: Any, row: int) -> str:
        return f"{f'input {key!r}' if isinstance(key, str) else 'the target'}, index {self._index[row]!r}"

    def _broken(self, error: Exception, key: Any, row: int, method: str) -> LoaderError:
        # The cell could be read: what failed is an operation, and no other row would fare better.
        name = type(self._loaders[key]).__name__
        hint = " Return a new array, and leave the one that is given as it is." if "read-only" in str(error) else ""
        return LoaderError(f"{name}.{method} failed; {self._where(key, row)}. {type(error).__name__}: {error}{hint}")

    def _placed(self, error: Exception, loader: Loader, cell: Any, row: int) -> LoadError:
        if not isinstance(error, LoadError):
            error = LoadError(f"{type(loader).__name__}.read failed with {type(error).__name__}: {error}")
        if error.path is None and isinstance(cell, str | os.PathLike) and len(os.fspath(cell)) <= 300:
            error = LoadError(f"{error.reason.rstrip('.')}. The cell holds {os.fspath(cell)!r}.", path=None)
        return error.at(self._index[row], loader.column)


class _Once:
    # Calls a function on the first call, while all others wait for it; an error of it is everybody's.
    def __init__(self, function: Callable[[], None] | None) -> None:
        self._function, self._lock = function, threading.Lock()
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
        self._next = 0

    def take(self, epoch: int, position: int, stop: int) -> PendingBatch:
        """The batch at a position, started by now at the latest; those after it, up to `stop`, if this was the next."""
        with self._lock:
            batch = self._pending.pop((epoch, position), None) or self._start(epoch, position)
            # Only a reader that goes in order is worth reading ahead for.
            if self._on and position in (0, self._next):
                for ahead in range(position + 1, min(position + 1 + self._size, stop)):
                    if (epoch, ahead) not in self._pending:
                        self._pending[epoch, ahead] = self._start(epoch, ahead)
            self._next = position + 1
            return batch

    def begin(self) -> None:
        """From now on, read ahead of whoever reads in order."""
        with self._lock:
            self._on = True

    def end(self) -> None:
        """Read ahead no more; what was prepared for nothing is given up."""
        with self._lock:
            self._on = False
            self._give_up()

    def give_up(self) -> None:
        """Forget what was prepared, as the epoch has changed."""
        with self._lock:
            self._give_up()

    def _give_up(self) -> None:
        for batch in self._pending.values():
            batch.cancel()
        self._pending.clear()
