"""Reads the rows of several batches at once, for loaders that read best in large groups.

An encoder runs on 32 rows at once, say, and batches of 8 rows would fill it to a quarter. So the
batches of an epoch are divided into windows of a few batches, and whoever needs a row of a window
first reads them all into the memory of rows. Meanwhile, another thread that needs one of them
begins with the next window: so one decodes while the other encodes.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

# Batches in a window at most, and the share of the rows of the encoder that should be in use.
_MOST_BATCHES, _FULL = 16, 0.9
# Windows remembered; a pass needs two, and several passes may take turns.
_REMEMBERED = 64


def batches_together(batch_size: int, best: int) -> int:
    """How many batches to read at once.

    Args:
        batch_size: Rows of a batch.
        best: How many rows are read best at once.
    """
    for batches in range(1, _MOST_BATCHES):
        rows = batches * batch_size
        if rows / (math.ceil(rows / best) * best) >= _FULL:
            return batches
    return _MOST_BATCHES


@dataclass(eq=False)
class _Window:
    done: threading.Event = field(default_factory=threading.Event)
    taken: bool = False


class Windows:
    """The windows of one source. Thread-safe; pickled copies are empty."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._windows: dict[tuple[int, int], _Window] = {}

    def read(self, epoch: int, number: int, last: int, read: Callable[[int], None]) -> None:
        """Make sure that a window was read, or tried, once.

        Args:
            epoch: The epoch.
            number: The window, counting from 0.
            last: The last window of the epoch.
            read: Reads the window with a number.
        """
        window = self._take(epoch, number)
        if window is not None:
            self._read(window, number, read)
            return
        if number < last:
            # Another thread is at it: begin with the next one instead of waiting.
            ahead = self._take(epoch, number + 1)
            if ahead is not None:
                self._read(ahead, number + 1, read)
        with self._lock:
            found = self._windows.get((epoch, number))
        if found is not None:
            found.done.wait()

    def _take(self, epoch: int, number: int) -> _Window | None:
        # The window, if the caller is to read it.
        with self._lock:
            window = self._windows.setdefault((epoch, number), _Window())
            if window.taken:
                return None
            window.taken = True
            for old in [one for one, found in self._windows.items() if found.done.is_set()]:
                if len(self._windows) > _REMEMBERED:
                    del self._windows[old]
            return window

    def _read(self, window: _Window, number: int, read: Callable[[int], None]) -> None:
        try:
            read(number)
        finally:
            # Also after an error: the batch reads its own rows then, and reports what is wrong.
            window.done.set()

    def __reduce__(self) -> tuple[type[Windows], tuple[()]]:
        return Windows, ()


def unknown_rows(positions: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The positions that are not known yet, each once, in their order."""
    missing = positions[~known]
    return missing[np.sort(np.unique(missing, return_index=True)[1])]
