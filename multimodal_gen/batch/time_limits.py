"""Reads that take too long: which thread reads what, and since when, over all batches of a process.

A thread that hangs in a read of one batch holds up the others, so that whoever waits for a batch
looks at the reads of all. Only batches with a `read_timeout` are looked at.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

# Thread -> what it reads now.
_READS: dict[int, TimedRead] = {}


class AbandonedError(BaseException):
    """Ends a task that was given to another thread, in the thread that had it before."""


@dataclass(eq=False)
class TimedRead:
    """A read that a thread is busy with.

    Args:
        batch: The `PendingBatch` that it is for.
        task: The batch's task that it is a part of.
        lock: The lock of the batch.
    """

    batch: Any
    task: Any
    lock: threading.Lock
    thread: int = field(default_factory=threading.get_ident)
    started: float = field(default_factory=time.monotonic)
    given_up: bool = False

    def __enter__(self) -> None:
        _READS[self.thread] = self

    def __exit__(self, *error: object) -> None:
        with self.lock:
            if _READS.get(self.thread) is self:
                _READS.pop(self.thread)
            if self.given_up:
                raise AbandonedError

    def give_up(self) -> bool:
        """Count the read as lost; False if it has just ended, or another has given it up."""
        with self.lock:
            if self.given_up or _READS.get(self.thread) is not self:
                return False
            self.given_up = True
            _READS.pop(self.thread)
            return True


def overdue(timeout: float) -> list[TimedRead]:
    """The reads that have taken longer than so many seconds."""
    now = time.monotonic()
    return [read for read in list(_READS.values()) if now - read.started > timeout]
