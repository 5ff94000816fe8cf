"""Starts the next batches before they are requested, while batches are read in order.

In a `fit` these may be the first ones of the next epoch: workers are busy while the model trains on
the last batches, and during the validation.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Self

from multimodal_gen.batch.making import Batch


class Place(int):
    """A position of a batch, with the epoch in which the pass began.

    The sequence may have moved on since.

    Args:
        position: The position.
        epoch: The epoch.
    """

    epoch: int

    def __new__(  # noqa: D102 - the class says it
        cls, position: int, epoch: int
    ) -> Self:
        place = super().__new__(cls, position)
        place.epoch = epoch
        return place


class ReadAhead:
    """Starts batches before they are requested, while they are read in order.

    Args:
        start: `(epoch, position) -> Batch`.
        size: Number of batches to start ahead.
    """

    def __init__(self, start: Callable[[int, int], Batch], size: int) -> None:
        self._start, self._size = start, size
        self._lock = threading.Lock()
        # By epoch too: a pass may begin in one epoch and be read when the sequence is in the next.
        self._pending: dict[tuple[int, int], Batch] = {}
        self._on = False
        self._last = 0
        self._left_out: frozenset[int] = frozenset()
        self._next = 0
        self._run = 0

    def take(self, epoch: int, position: int, stop: int) -> Batch:
        """Return the batch at a position, and start those after it if batches are read in order.

        Args:
            epoch: Counts from 0.
            position: Position of the batch.
            stop: Position after the last batch of an epoch.
        """
        with self._lock:
            batch = self._pending.pop((epoch, position), None) or self._start(epoch, position)
            # Random access gives no hint of what comes next, so nothing is started ahead for it.
            if self._on and position in (0, self._next):
                for step in range(1, self._size + 1):
                    further, place = divmod(position + step, stop)
                    if further and epoch + further > self._last:
                        break
                    ahead = epoch + further, place
                    if ahead not in self._pending:
                        self._pending[ahead] = self._start(*ahead)
            # Also after random access, which may turn into a pass.
            self._next = position + 1
            return batch

    def begin(self, last: int = 0, left_out: frozenset[int] = frozenset()) -> None:
        """Start reading ahead.

        Args:
            last: The last epoch that is read. Of a later one than the current, batches are started
                too.
            left_out: The rows that are left out. Batches that were started while other rows were
                are given up.
        """
        with self._lock:
            if left_out != self._left_out:
                self._give_up(None)
            self._on, self._last, self._left_out = True, last, left_out

    def run(self) -> Callable[[], None]:
        """Begin a `fit`, without batches of an earlier one that may not have ended.

        Returns:
            What ends reading ahead, unless another `fit` has begun.
        """
        with self._lock:
            self._give_up(None)
            self._run += 1
            return partial(self._end_run, self._run)

    def _end_run(self, run: int) -> None:
        with self._lock:
            if run == self._run:
                self._on = False
                self._give_up(None)

    def end(self, *, but_after: int | None = None) -> None:
        """Stop reading ahead, and cancel batches that were not used.

        Args:
            but_after: An epoch: batches of later ones are kept.
        """
        with self._lock:
            self._on = False
            self._give_up(but_after)

    def give_up(self, *, but_after: int | None = None) -> None:
        """Cancel prepared batches, as the epoch has changed; see `end`."""
        with self._lock:
            self._give_up(but_after)

    def _give_up(self, but_after: int | None) -> None:
        for place, batch in list(self._pending.items()):
            if but_after is None or place[0] <= but_after:
                batch.cancel()
                del self._pending[place]
