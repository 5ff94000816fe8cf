"""Fetches files before they are needed, many at once, however many threads decode.

Whoever reads a file takes what has been fetched, or waits for it, or fetches it itself if nobody
has begun. What is fetched and not yet taken is bounded; beyond that nothing is fetched ahead.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from multimodal_gen.loaders.remote.fetching import Remote
from multimodal_gen.loaders.remote.gates import Gates
from multimodal_gen.loaders.remote.reasons import FetchError

# Bytes of files that wait to be taken.
MOST_WAITING = 1 << 28
# Seconds after which nobody will come for a file: its batch was given up.
_FORGOTTEN = 300.0


@dataclass(eq=False)
class _Entry:
    future: Future[bytes | None]
    # How many rows will take it: a table may name a file several times.
    wanted: int = 1
    size: int = 0
    done: float = field(default=float("inf"))


class Ahead:
    """The files that are being fetched, or wait to be taken. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[tuple[str, int], _Entry] = OrderedDict()
        self._waiting = 0
        self._gates: Gates | None = None

    def begin(self, remote: Remote, most: int, needed: Callable[[], bool] | None) -> None:
        """Start to fetch a file, unless that is being done.

        Args:
            remote: The file, in an asynchronous store.
            most: Bytes that it may have.
            needed: Asked when the version of the file is known: whether the content is needed,
                because a cache does not have it. None if it is needed in any case.
        """
        key = remote.url, most
        with self._lock:
            self._forget_old()
            if key in self._entries:
                self._entries[key].wanted += 1
                return
            future = remote.begin(partial(self._fetch, remote, most, needed))
            entry = self._entries[key] = _Entry(future)
        future.add_done_callback(lambda done: self._count(entry, done))

    def take(self, url: str, most: int) -> bytes | None:
        """Return the content, after waiting for it; None if it was not fetched.

        Raises:
            FetchError: If it cannot be had.
        """
        with self._lock:
            entry = self._entries.get((url, most))
            if entry is None:
                return None
            entry.wanted -= 1
            if not entry.wanted:
                self._drop((url, most))
        return entry.future.result()

    def wait(self, remote: Remote) -> None:
        """Wait until a file has come that is being fetched, as its answer tells its version."""
        with self._lock:
            futures = [one.future for (own, _), one in self._entries.items() if own == remote.url]
        if not remote.on_its_thread:
            wait(futures)

    async def _fetch(
        self, remote: Remote, most: int, needed: Callable[[], bool] | None
    ) -> bytes | None:
        if self._gates is None:
            self._gates = Gates()
        async with self._gates.through(remote.host):
            if needed is not None:
                # Whoever reads the file reports what is wrong.
                with suppress(FetchError):
                    await remote.finding_version()
                if not needed():
                    return None
            if self._waiting > MOST_WAITING:
                return None
            return await remote.fetching(most)

    def _count(self, entry: _Entry, done: Future[bytes | None]) -> None:
        if done.cancelled() or done.exception() is not None:
            return
        with self._lock:
            entry.done = time.monotonic()
            if entry.wanted:
                entry.size = len(done.result() or b"")
                self._waiting += entry.size

    def _drop(self, key: tuple[str, int]) -> None:
        entry = self._entries.pop(key)
        entry.wanted = 0
        self._waiting -= entry.size

    def _forget_old(self) -> None:
        # The first have waited longest.
        before = time.monotonic() - _FORGOTTEN
        while self._entries:
            key, entry = next(iter(self._entries.items()))
            if entry.done >= before and not (entry.future.done() and self._waiting > MOST_WAITING):
                return
            self._drop(key)


_AHEAD: dict[int, Ahead] = {}


def ahead() -> Ahead:
    """What this process fetches ahead; a forked child begins anew, without its parent's thread."""
    process = os.getpid()
    if process not in _AHEAD:
        _AHEAD.setdefault(process, Ahead())
    return _AHEAD[process]
