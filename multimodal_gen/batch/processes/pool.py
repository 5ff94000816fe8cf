"""The worker processes of this process, shared by its sequences.

`start` gives a batch to a worker and returns a `RemoteBatch`.
"""

from __future__ import annotations

import os
import sys
import weakref

from multimodal_gen.batch.assembly import Assembly
from multimodal_gen.batch.processes.crew import Crew
from multimodal_gen.batch.processes.remote import RemoteBatch
from multimodal_gen.rows.plan import Plan


class ProcessPool:
    """A number of worker processes. They end when nobody refers to the pool any more.

    Args:
        processes: How many.
        forks: Whether workers are forked by a nursery; by default, except on macOS.
    """

    def __init__(self, processes: int, forks: bool | None = None) -> None:
        self._crew = Crew(processes, sys.platform == "linux" if forks is None else forks)
        # When the pool is collected, and at the latest when Python ends.
        self._close = weakref.finalize(self, self._crew.close)

    @property
    def workers(self) -> list[int]:
        """Ids of the worker processes that are ready."""
        return [one.child.process or 0 for one in self._crew.hands if one.ready]

    def start(
        self, assembly: Assembly, plan: Plan, epoch: int, index: int, length: int | None = None
    ) -> RemoteBatch | None:
        """Start to make a batch; None if no worker can make it now, so threads should.

        Raises:
            BrokenPoolError: If workers cannot be started, or a loader cannot be pickled.
        """
        # The batch holds the pool: workers must not end while somebody waits for them.
        batch = self._crew.start(assembly, plan, epoch, index, length)
        if batch is not None:
            batch.pool = self
        return batch

    def wait(self, timeout: float) -> bool:
        """Start the workers, and wait until all are ready; return whether they are.

        Args:
            timeout: Maximum seconds.
        """
        return self._crew.wait(timeout)

    def forget(self, assembly: Assembly) -> None:
        """Let the workers forget an assembly, and what they remember of its rows."""
        self._crew.forget(assembly)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return not self._close.alive

    def close(self) -> None:
        """End the workers."""
        self._close()


_POOLS: weakref.WeakValueDictionary[tuple[int, int], ProcessPool] = weakref.WeakValueDictionary()


def process_pool_of(processes: int) -> ProcessPool:
    """Return this process's pool with a number of worker processes, shared by all sequences."""
    key = os.getpid(), processes
    pool = _POOLS.get(key)
    if pool is None or pool.closed:
        pool = _POOLS[key] = ProcessPool(processes)
    return pool
