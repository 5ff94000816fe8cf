"""Decides which thread reads which rows of a draft, and waits for the batch.

Each thread writes a few rows directly into the draft's memory. A `PendingBatch` is started once,
and its arrays are requested later. `read_ahead.py` starts the next ones while a model trains.
"""

from __future__ import annotations

import functools
import threading
import warnings
from collections import deque
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from dataclasses import dataclass
from typing import Any

from multimodal_gen.batch.draft import Draft
from multimodal_gen.batch.finishing import finish
from multimodal_gen.batch.reading import (
    Timed,
    fetch_ahead,
    read_cell,
    read_together,
    take_cells,
    vary_cells,
)
from multimodal_gen.batch.steps import Step, one_by_one, steps_of
from multimodal_gen.batch.threads import Once, pool_of
from multimodal_gen.batch.time_limits import (
    LONG,
    AbandonedError,
    TimedRead,
    long_wait,
    overdue,
    too_long,
)
from multimodal_gen.loaders.stages import stage


@dataclass(eq=False)
class Task:
    """The steps of one thread. If it hangs, another thread does the rest.

    Args:
        number: Which of the batch's tasks it is.
        steps: The remaining steps.
        now: The current step.
    """

    number: int
    steps: deque[Step]
    now: Step | None = None


class PendingBatch:
    """A batch that threads are making.

    Args:
        draft: The batch, of which nothing has been read.
    """

    def __init__(self, draft: Draft) -> None:
        self._draft, self._reading = draft, draft.assembly.reading
        self._lock = threading.Lock()
        self._begin = Once(self._take_cells)
        if any(one.loader.fetches for one in draft.sources.values()):
            # Not on a thread that reads: those are busy with the batches before.
            pool_of(1, "fetch").submit(self._begin)
        tasks = steps_of(draft, self._reading.threads)
        self._tasks = [Task(number, steps) for number, steps in enumerate(tasks)]
        self._open = len(self._tasks)
        self._futures = {task.number: self._submit(task) for task in self._tasks}

    def result(self) -> Any:
        """Wait for the batch: inputs, then target and weights if there are any.

        Raises:
            LoadError: If a cell could not be loaded; for several, the first by task and row.
            TableError: If too many rows are lost.
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
            self._draft.found.tell(self._draft.assembly.failures)
        return next(result for result in results if result is not None)

    def _result(self, number: int) -> Any:
        future = self._futures[number]
        try:
            return future.result(LONG)
        except TimeoutError:
            if future.done():
                # The task has just ended, or its own error is a TimeoutError.
                return future.result()
        now = self._tasks[number].now
        what = f"; {self._draft.where(*now)} is being read" if now else ""
        warnings.warn(long_wait(LONG, what), stacklevel=2)
        return future.result()

    def cancel(self) -> None:
        """Cancel the tasks that have not started."""
        for future in list(self._futures.values()):
            future.cancel()

    def _submit(self, task: Task) -> Future[Any]:
        return pool_of(self._reading.threads).submit(self._run, task)

    def _run(self, task: Task) -> Any:
        self._begin()
        timed: Timed = _at_once
        if self._reading.timeout is not None:
            timed = functools.partial(self._timed, task)
        try:
            while task.steps:
                slot, row = task.now = task.steps.popleft()
                if row is not None:
                    read_cell(self._draft, slot, row, timed)
                elif not read_together(self._draft, slot, timed):
                    task.steps.extendleft(one_by_one(self._draft, slot))
        except AbandonedError:
            return None
        # A task that failed never gets here, so the count stays above zero and nothing is finished.
        with self._lock:
            self._open -= 1
            last = self._open == 0
        if not last:
            return None
        with stage("assemble"):
            return finish(self._draft)

    def _take_cells(self) -> None:
        take_cells(self._draft)
        if self._draft.assembly.augmenting and self._draft.assembly.sample_augment:
            vary_cells(self._draft)
        fetch_ahead(self._draft)

    # Reads that hang

    def _timed(self, task: Task, read: Any, *arguments: Any) -> Any:
        with TimedRead(self, task, self._lock):
            return read(*arguments)

    def _watch(self, timeout: float) -> None:
        while True:
            pending = list(self._futures.values())
            _, unfinished = wait(pending, min(timeout / 4, 1.0), FIRST_EXCEPTION)
            if not unfinished or any(
                one.done() and one.exception() for one in pending if not one.cancelled()
            ):
                return
            for read in overdue(timeout):
                if read.give_up():
                    read.batch.go_on_without(read, timeout)

    def go_on_without(self, read: TimedRead, timeout: float) -> None:
        """Count a hanging read as lost, and let another thread do the rest of its task."""
        pool = pool_of(self._reading.threads)
        # Python cannot stop the thread. Another one takes its place, and it ends if it ever
        # returns.
        pool.abandon(read.thread)
        slot, row = read.task.now
        rest = Task(read.task.number, deque(read.task.steps))
        try:
            if row is None:
                # One cell of many hangs. Reading them one by one shows which.
                rest.steps.extendleft(one_by_one(self._draft, slot))
            else:
                self._draft.lose(slot, row, too_long(timeout))
            self._futures[rest.number] = self._submit(rest)
        except Exception as error:
            failed: Future[Any] = Future()
            failed.set_exception(error)
            self._futures[rest.number] = failed


def _at_once(read: Any, *arguments: Any) -> Any:
    # Used without `read_timeout`, so that no read pays for keeping time.
    return read(*arguments)
