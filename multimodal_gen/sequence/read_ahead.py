"""The next batches, started before they are asked for, while somebody reads in order."""

from __future__ import annotations

import threading
from collections.abc import Callable

from multimodal_gen.batch.pending import PendingBatch


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
        """The batch at a position, started by now at the latest; those after it, up to `stop`, if
        this was the next.
        """
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
