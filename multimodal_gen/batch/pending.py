"""One batch in the making: memory for its arrays, and the tasks that fill it on a pool of threads.

Threads write straight into the batch's memory, each a few rows. A `PendingBatch` is started once and asked
for its arrays later; `read_ahead.py` starts the next ones while a model trains on an earlier one.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from dataclasses import dataclass
from typing import Any

from multimodal_gen.batch.draft import AbandonedError, BatchArrays, Step, Task, at_once
from multimodal_gen.batch.threads import Once, pool_of
from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.stages import stage

# Seconds after which a user is told what is being waited for.
_LONG = 60.0
# Thread -> what it is reading now, where somebody looks at the time; a thread that hangs may be another batch's.
_READS: dict[int, _Read] = {}


@dataclass(frozen=True)
class Reading:
    """How cells are read, for all batches of a sequence alike.

    Args:
        threads: Size of the pool.
        timeout: Seconds that one read may take, or None.
    """

    threads: int
    timeout: float | None = None


class PendingBatch:
    """The arrays of one batch, being filled.

    Args:
        arrays: The arrays, still empty.
        reading: How cells are read.
        prepare: Called once before the first cell is read, with the cells of all rows; it may exchange them.
        finish: Called with the filled arrays by the thread that is done last; makes the result of them.
    """

    def __init__(
        self,
        arrays: BatchArrays,
        reading: Reading,
        *,
        prepare: Callable[[Mapping[Any, Sequence[Any]]], None] | None = None,
        finish: Callable[[BatchArrays], Any],
    ) -> None:
        self._arrays, self._prepare, self._finish, self._reading = arrays, prepare, finish, reading
        if reading.timeout is not None:
            arrays.timed = self._timed
        rows = len(arrays.failed)
        whole = [key for key, one in arrays.sources.items() if one.whole or key in arrays.kept]
        single = [key for key in arrays.sources if key not in whole]
        # One thread for all of them: they are small, and threads that wait for each other cost more.
        tasks: list[deque[Step]] = [deque((arrays.fill_together, key, range(rows)) for key in whole)] if whole else []
        if single:
            # Two chunks a thread level out rows of unequal cost.
            size = max(1, -(-rows // (2 * reading.threads)))
            chunks = [range(start, min(start + size, rows)) for start in range(0, rows, size)]
            tasks += [deque((arrays.fill_cell, key, row) for row in chunk for key in single) for chunk in chunks]
        self._open, self._lock = len(tasks), threading.Lock()
        self._begin = Once(self._take_cells)
        self._tasks = [Task(number, steps) for number, steps in enumerate(tasks)]
        self._futures = {task.number: self._submit(task) for task in self._tasks}

    def result(self) -> Any:
        """Wait for what `finish` makes.

        Raises:
            LoadError: If a cell could not be loaded; of several bad cells, the first by task and row.
        """
        try:
            with stage("wait"):
                if self._reading.timeout is not None:
                    self._watch(self._reading.timeout)
                results = [self._result(number) for number in list(self._futures)]
        except BaseException:
            self.cancel()
            raise
        finally:
            # Two objects that hold one another would keep the batch's memory until a collection.
            self._arrays.timed = at_once
        return next(result for result in results if result is not None)

    def _result(self, number: int) -> Any:
        future = self._futures[number]
        try:
            return future.result(_LONG)
        except TimeoutError:
            if future.done():
                # It has just ended, or the error is its own.
                return future.result()
        now = self._tasks[number].now
        what = f"; {self._arrays.told(*now)} is being read" if now else ""
        warnings.warn(
            f"A batch has been waited for {_LONG:g} seconds{what}. `read_timeout=SECONDS` makes of a read that hangs "
            "an error, or a row that is left out.",
            stacklevel=2,
        )
        return future.result()

    def cancel(self) -> None:
        """Give up what has not been started."""
        for future in list(self._futures.values()):
            future.cancel()

    def _submit(self, task: Task) -> Future[Any]:
        return pool_of(self._reading.threads).submit(self._run, task)

    def _run(self, task: Task) -> Any:
        self._begin()
        try:
            while task.steps:
                fill, key, rows = task.steps.popleft()
                task.now[:] = key, rows
                fill(key, rows, task)
        except AbandonedError:
            return None
        # After an error the count never comes down to zero.
        with self._lock:
            self._open -= 1
            last = self._open == 0
        if not last:
            return None
        with stage("assemble"):
            return self._finish(self._arrays)

    def _take_cells(self) -> None:
        self._arrays.take_cells()
        if self._prepare is not None:
            self._prepare(self._arrays.cells)

    # Reads that hang

    def _timed(self, read: Callable[[], Any], key: Any, row: int | None, task: Task) -> Any:
        me = threading.get_ident()
        entry = _READS[me] = _Read(self, task, key, row, me)
        try:
            return read()
        finally:
            with self._lock:
                _READS.pop(me, None)
                if entry.given_up:
                    raise AbandonedError

    def _watch(self, timeout: float) -> None:
        while True:
            pending = list(self._futures.values())
            _, unfinished = wait(pending, min(timeout / 4, 1.0), FIRST_EXCEPTION)
            if not unfinished or any(one.done() and one.exception() for one in pending if not one.cancelled()):
                return
            for read in list(_READS.values()):
                if time.monotonic() - read.started > timeout:
                    read.batch._give_up(read, timeout)

    def _give_up(self, read: _Read, timeout: float) -> None:
        with self._lock:
            if read.given_up or _READS.get(read.thread) is not read:
                return
            read.given_up = True
            _READS.pop(read.thread)
        # The thread cannot be stopped: another takes its place, and it ends by itself if ever it returns.
        pool_of(self._reading.threads).abandon(read.thread)
        rest = Task(read.task.number, deque(read.task.steps))
        try:
            if read.row is None:
                # One of many hangs; one by one it will be known which.
                self._arrays.fill_one_by_one(read.key, rest)
            else:
                self._arrays.lose(
                    read.key,
                    read.row,
                    LoadError(
                        f"reading took longer than {timeout:g} seconds. Check whether the disk or the network answers, "
                        f"or allow more with `read_timeout`. Received: read_timeout={timeout!r}"
                    ),
                )
            self._futures[rest.number] = self._submit(rest)
        except Exception as error:
            failed: Future[Any] = Future()
            failed.set_exception(error)
            self._futures[rest.number] = failed


@dataclass(eq=False)
class _Read:
    # What a thread is reading; of several rows at once, None.
    batch: PendingBatch
    task: Task
    key: Any
    row: int | None
    thread: int
    given_up: bool = False

    def __post_init__(self) -> None:
        self.started = time.monotonic()
