"""Finds reads that take too long, over all batches of a process.

A thread that hangs for one batch delays the others, so waiting for any batch checks the reads of
all batches. Only batches with a `read_timeout` are checked.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from multimodal_gen.errors import LoadError, seconds_in_words

# Seconds after which a warning names the cell that is being read.
LONG = 60.0
# Thread -> its current read.
_READS: dict[int, TimedRead] = {}


class AbandonedError(BaseException):
    """Ends a task in its old thread, after it was given to another one."""


@dataclass(eq=False)
class TimedRead:
    """A read in progress.

    Args:
        batch: The `PendingBatch` that needs it.
        task: The batch's task that it belongs to.
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
                # Another thread has the task now, so this one must not write into the batch.
                raise AbandonedError

    def give_up(self) -> bool:
        """Mark the read as lost; return False if it has just ended or was already lost."""
        with self.lock:
            if self.given_up or _READS.get(self.thread) is not self:
                return False
            self.given_up = True
            _READS.pop(self.thread)
            return True


def overdue(timeout: float) -> list[TimedRead]:
    """Return the reads that have taken longer than `timeout` seconds."""
    now = time.monotonic()
    return [read for read in list(_READS.values()) if now - read.started > timeout]


def too_long(timeout: float) -> LoadError:
    """Return the error of a cell whose read exceeded `read_timeout`."""
    return LoadError(
        f"reading took longer than {seconds_in_words(timeout)}. Check the disk or network, or "
        f"increase `read_timeout`. Received: read_timeout={timeout!r}"
    )


def long_wait(seconds: float, what: str) -> str:
    """Return the warning about a batch that takes long, without `read_timeout`."""
    return (
        f"No batch after {seconds_in_words(seconds)}{what}. Set `read_timeout=SECONDS` to turn a "
        "hanging read into an error or a skipped row."
    )
