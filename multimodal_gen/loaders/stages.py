"""Named stages from cell to batch, timed only while a `Stopwatch` runs.

`with stage("decode"):` costs next to nothing unless a `Stopwatch` is on; `profile` turns one on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

_NOTHING: AbstractContextManager[None] = nullcontext()
_running: Stopwatch | None = None


class Stopwatch:
    """Sums seconds by stage over all threads; a nested stage counts only for itself."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._lock = threading.Lock()
        self._local = threading.local()

    @contextmanager
    def running(self) -> Iterator[Stopwatch]:
        """Measure everything this process does inside the block.

        Raises:
            RuntimeError: If another one is running.
        """
        global _running
        if _running is not None:
            raise RuntimeError("Another profile is running in this process; wait until it ends.")
        _running = self
        try:
            yield self
        finally:
            _running = None

    def add(self, seconds: Mapping[str, float]) -> None:
        """Add seconds by stage that were measured elsewhere."""
        with self._lock:
            for name, value in seconds.items():
                self.seconds[name] = self.seconds.get(name, 0.0) + value

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure one stage in the calling thread."""
        # Per thread, because only stages of the same thread nest.
        inner = getattr(self._local, "inner", 0.0)
        self._local.inner = 0.0
        started = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - started
            with self._lock:
                # The time of nested stages is counted as theirs.
                self.seconds[name] = self.seconds.get(name, 0.0) + spent - self._local.inner
            self._local.inner = inner + spent


def timed() -> bool:
    """Return whether a `Stopwatch` is running."""
    return _running is not None


def add(seconds: Mapping[str, float]) -> None:
    """Add what was measured in a worker process, if a `Stopwatch` is running."""
    if _running is not None:
        _running.add(seconds)


def stage(name: str) -> AbstractContextManager[None]:
    """Count the time spent inside as this stage, if a `Stopwatch` is running."""
    return _NOTHING if _running is None else _running.stage(name)
