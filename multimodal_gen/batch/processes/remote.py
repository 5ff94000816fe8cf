"""A batch that a worker process is making, as its user sees it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any

from multimodal_gen.batch.assembly import Assembly
from multimodal_gen.batch.draft import Draft
from multimodal_gen.batch.pending import PendingBatch
from multimodal_gen.batch.processes.making import Task, noted_step
from multimodal_gen.batch.time_limits import LONG, long_wait
from multimodal_gen.errors import LoadError, shown
from multimodal_gen.loaders import stages
from multimodal_gen.rows.plan import Plan
from multimodal_gen.rows.table import with_origin

# What `warnings` remembers of warnings that were shown once, over all workers.
_SHOWN: dict[Any, Any] = {}


class BrokenPoolError(Exception):
    """Worker processes cannot make the batches."""


class WorkerTracebackError(Exception):
    """The traceback of an error in a worker process, as its cause."""

    def __str__(self) -> str:
        return f"in a worker process\n\n{self.args[0]}"


class RemoteBatch:
    """A batch that a worker process is making, with the methods of a `PendingBatch`.

    Args:
        number: The number of the batch.
        cancel: Called with the number if nobody waits for the batch any more.
        assembly: The assembly in this process.
        plan: The sequence's plan.
        task: What the worker is given.
        header: Where the worker notes what it reads.
    """

    def __init__(
        self,
        number: int,
        cancel: Callable[[int], None],
        assembly: Assembly,
        plan: Plan,
        task: Task,
        header: memoryview,
    ) -> None:
        self.number, self._cancel = number, cancel
        self.assembly, self._plan, self.task, self._header = assembly, plan, task, header
        self.future: Future[Any] = Future()
        # Keeps the workers alive until the batch is made.
        self.pool: Any = None

    def result(self) -> Any:
        """Wait for the batch: inputs, then target and weights if there are any.

        Raises:
            LoadError: If a cell could not be loaded.
            BrokenPoolError: If workers cannot make it.
        """
        try:
            with stages.stage("wait"):
                batch, error, cells, rows, told, seconds = self._made()
        except BaseException:
            self.cancel()
            raise
        for text, category, filename, line in told:
            warnings.warn_explicit(text, category, filename, line, registry=_SHOWN)
        stages.add(seconds)
        # Not when it arrives: a batch that nobody asks for, after an early end, does not count.
        log = self.assembly.failures
        for position, problem, epoch in cells:
            log.add(position, self._located(problem, position), epoch)
        log.count(rows)
        if error is not None:
            problem, text = error
            at = [label == problem.index for label in self.task.rows.labels]
            if isinstance(problem, LoadError) and any(at):
                problem = self._located(problem, int(self.task.rows.positions[at.index(True)]))
            raise problem from WorkerTracebackError(text)
        return batch

    def _located(self, problem: LoadError, position: int) -> LoadError:
        # Workers do not have the table.
        if problem.column is None:
            return problem
        return with_origin(problem, self.assembly.table, problem.column, position)

    def cancel(self) -> None:
        """Do not make the batch, unless it is being made."""
        self._cancel(self.number)

    def _made(self) -> Any:
        try:
            try:
                return self.future.result(LONG)
            except TimeoutError:
                if self.future.done():
                    raise
                warnings.warn(long_wait(LONG, self._where()), stacklevel=4)
                return self.future.result()
        except CancelledError:
            raise BrokenPoolError("the batch was cancelled") from None

    def _where(self) -> str:
        noted = noted_step(self._header)
        if noted is None:
            return ""
        number, row, _ = noted
        slot = list(self.assembly.sources)[number]
        column = self.assembly.sources[slot].loader.column
        cells = self.task.rows.cells(column)
        which = f", {shown(cells[row])}" if row >= 0 else f" and {len(cells) - 1} more"
        label = self.task.rows.label(max(row, 0))
        return f"; index {label!r}, column {column!r}{which} is being read"

    def by_threads(self) -> PendingBatch:
        """Let threads of this process make the batch."""
        task = self.task
        return PendingBatch(Draft(self.assembly, self._plan, task.epoch, task.index, task.length))
