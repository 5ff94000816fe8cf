"""Starts batches: on threads of this process, or in worker processes where a sequence has them."""

from __future__ import annotations

import warnings
from typing import Any, Protocol

from multimodal_gen.batch.assembly import Assembly
from multimodal_gen.batch.draft import Draft
from multimodal_gen.batch.pending import PendingBatch
from multimodal_gen.batch.processes.choice import Choice
from multimodal_gen.batch.processes.pool import ProcessPool, process_pool_of
from multimodal_gen.batch.processes.remote import BrokenPoolError, RemoteBatch
from multimodal_gen.rows.plan import Plan


class Batch(Protocol):
    """A batch that is being made."""

    def result(self) -> Any:
        """Wait for the batch, and return it."""

    def cancel(self) -> None:
        """Do not make what has not begun."""


class BatchMaker:
    """Starts the batches of a sequence.

    Args:
        choice: How many worker processes make them.

    Attributes:
        choice: The same, or none if they turned out not to work.
    """

    def __init__(self, choice: Choice) -> None:
        self.choice = choice
        self._pool: ProcessPool | None = None
        # The epoch in which the cache was last examined, and whether it was filled.
        self._cached: tuple[int, bool] = -1, False

    def start(
        self, assembly: Assembly, plan: Plan, epoch: int, index: int, length: int | None = None
    ) -> Batch:
        """Start to make a batch.

        Args:
            assembly: The settings of all batches.
            plan: Which rows the batch has.
            epoch: The epoch, counting from 0.
            index: The position of the batch in its epoch.
            length: The length in ids that captions in buckets are cut to, or None.

        Raises:
            RuntimeError: If worker processes were requested, and cannot make batches.
        """
        if self.choice.processes and not self._copies(assembly, epoch):
            try:
                batch = self._remote(assembly, plan, epoch, index, length)
            except BrokenPoolError as error:
                self._do_without(error)
            else:
                if batch is not None:
                    return batch
        # Also until the first worker is ready, so that nothing waits for their start.
        return PendingBatch(Draft(assembly, plan, epoch, index, length))

    @property
    def current(self) -> Choice:
        """How many worker processes make the batches of this epoch, and why."""
        return Choice(0, "the cache is filled") if self._cached[1] else self.choice

    def chooses_by_epoch(self, assembly: Assembly) -> bool:
        """Whether threads or processes make an epoch, depending on what is cached by then."""
        # A number that the user has set is kept; it has no reason.
        return bool(self.choice.processes and self.choice.reason and assembly.copies_from_cache)

    def _copies(self, assembly: Assembly, epoch: int) -> bool:
        if not self.chooses_by_epoch(assembly):
            return False
        if self._cached[0] != epoch:
            self._cached = epoch, assembly.is_cached()
        return self._cached[1]

    def _remote(self, *arguments: Any) -> Batch | None:
        if self._pool is None or self._pool.closed:
            self._pool = process_pool_of(self.choice.processes)
        remote = self._pool.start(*arguments)
        return None if remote is None else _Careful(self, remote)

    def _do_without(self, error: Exception) -> None:
        # Processes that were chosen by rule must not break what works with threads.
        if not self.choice.reason:
            raise RuntimeError(
                f"Worker processes cannot make the batches: {error}. Use `processes=0` for "
                f"threads. Received: processes={self.choice.processes!r}"
            ) from error
        warnings.warn(
            f"Worker processes cannot make the batches, so threads do: {error}. Set `processes=0` "
            "to silence this.",
            stacklevel=2,
        )
        self.choice, self._pool = Choice(0, str(error)), None

    def release(self, assembly: Assembly) -> None:
        """Forget the rows that are kept in temporary files, here and in worker processes."""
        assembly.release()
        if self._pool is not None:
            self._pool.forget(assembly)


class _Careful:
    # A remote batch that threads make if workers cannot.
    def __init__(self, maker: BatchMaker, batch: RemoteBatch) -> None:
        self._maker, self._batch = maker, batch

    def result(self) -> Any:
        try:
            return self._batch.result()
        except BrokenPoolError as error:
            self._maker._do_without(error)
            return self._batch.by_threads().result()

    def cancel(self) -> None:
        self._batch.cancel()
