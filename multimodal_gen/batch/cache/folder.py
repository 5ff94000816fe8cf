"""The arrays of one loader on disk: all segments of a folder, with one index, and one to write.

`find` needs no lock and never waits. Everything else does: reading what other processes have
written, finishing what killed processes have left, and writing.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import pyarrow as pa

from multimodal_gen.batch.cache.claims import FILE as CLAIMS
from multimodal_gen.batch.cache.claims import Claims
from multimodal_gen.batch.cache.index import Index
from multimodal_gen.batch.cache.locks import directory_lock
from multimodal_gen.batch.cache.segments import (
    OPEN,
    SEALED,
    Layout,
    Segment,
    Writer,
    finish_orphan,
    open_orphan,
)

# A new segment gets an eighth of the present size or of the remaining room, so that little space is
# reserved in vain.
_SHARES, _FEWEST_ROWS = 8, 8
_LEAST_SEGMENT, _MOST_SEGMENT = 16 * 2**20, 2 * 2**30
# Listing a folder takes its time, above all over a network.
_SECONDS_BETWEEN_LOOKS = 1.0
_PLACES = 2**32


class LimitReachedError(Exception):
    """Raised if the limit has no room for another array."""


class Folder:
    """Key -> array, for one loader.

    Args:
        root: The directory of the whole cache.
        name: The folder in it.
        settings: Content of its `settings.json`.
        layout: How its arrays are stored in files.
        limit: Maximum bytes of the whole cache, or None.
    """

    def __init__(
        self, root: str, name: str, settings: str, layout: Layout, limit: int | None
    ) -> None:
        self.root, self.path, self.settings, self.layout, self.limit = (
            root,
            os.path.join(root, name),
            settings,
            layout,
            limit,
        )
        self._index = Index()
        # Segments in the order of their places, and where each begins. Replaced as one object, so
        # that `find` needs no lock.
        self._segments: tuple[list[int], list[Segment]] = ([], [])
        self._known: dict[str, Segment] = {}
        self._complete: set[str] = set()
        self._looked = -_SECONDS_BETWEEN_LOOKS
        self._lock = threading.Lock()
        self._writers: list[Writer] = []
        self._claims: Claims | None = None
        self._seal_at_exit = weakref.finalize(self, _seal_all, self._writers)
        _FOLDERS.add(self)

    def __len__(self) -> int:
        return len(self._index)

    def find(self, key: bytes) -> np.ndarray | None:
        """Return the read-only array of a key, or None if this process does not know it."""
        found = self._locate(key)
        return None if found is None else found[0].array(key, found[1])

    def gather(self, keys: Sequence[bytes]) -> np.ndarray | None:
        """Return the arrays of all keys as a new one, `(keys, *shape)`; None if any is unknown.

        A single call copies all of them without the interpreter lock. Many small calls would have
        to wait for it after each one.
        """
        parts = []
        for key in keys:
            found = self._locate(key)
            part = None if found is None else found[0].part(key, found[1])
            if part is None:
                return None
            parts.append(part)
        # Arrow's memory is aligned to 64 bytes, and is reused when the batch is gone.
        gathered = np.frombuffer(pa.concat_arrays(parts).buffers()[1], self.layout.dtype)
        return gathered.reshape(len(keys), *self.layout.shape)

    def _locate(self, key: bytes) -> tuple[Segment, int] | None:
        place = self._index.find(int.from_bytes(key[:8], "little"))
        if place is None:
            return None
        starts, segments = self._segments
        segment = segments[bisect_right(starts, place) - 1]
        return segment, place - segment.start

    def look(self) -> None:
        """Read what other processes have written, at most once per second.

        Raises:
            OSError: If a file cannot be read; the others are read nevertheless.
        """
        with self._lock:
            if time.monotonic() - self._looked < _SECONDS_BETWEEN_LOOKS:
                return
            try:
                self._look()
            finally:
                self._looked = time.monotonic()

    def look_again(self) -> None:
        """Let the next `look` read, however short ago the last one was."""
        with self._lock:
            self._looked = -_SECONDS_BETWEEN_LOOKS

    def store(self, key: bytes, array: np.ndarray) -> None:
        """Write an array, unless it is already there.

        Raises:
            LimitReachedError: If it exceeds the limit.
            OSError: If it cannot be written.
        """
        full = None
        try:
            with self._lock:
                if self.find(key) is not None:
                    return
                if self._writers and self._writers[0].count == self._writers[0].rows:
                    full = self._writers.pop()
                    self._complete.add(os.path.basename(full.path))
                if not self._writers:
                    self._begin()
                if self._claims is not None and not self._claims.claim(key):
                    self._look()
                    if self.find(key) is not None:
                        return
                writer = self._writers[0]
                segment = self._known[os.path.basename(writer.path)]
                writer.append(key, array)
                self._index.add(int.from_bytes(key[:8], "little"), segment.start + segment.count)
                segment.count = writer.count
        finally:
            # Outside the lock, because it waits for the disk.
            if full is not None:
                full.seal()

    def close(self) -> None:
        """Finish the segment that is being written."""
        with self._lock:
            self._complete.update(os.path.basename(writer.path) for writer in self._writers)
            _seal_all(self._writers)
            if self._claims is not None:
                self._claims.close()
                self._claims = None

    def _look(self) -> None:
        try:
            names = sorted(os.listdir(self.path))
        except FileNotFoundError:
            return
        own = {os.path.basename(writer.path) for writer in self._writers}
        problem: OSError | None = None
        for name, dot, end in (entry.partition(".") for entry in names):
            end = dot + end
            if end not in (OPEN, SEALED) or name in self._complete or name in own:
                continue
            try:
                if end == OPEN and self._mend(name):
                    end = SEALED
                self._adopt(name, end)
            except FileNotFoundError:
                # Another process has finished or removed it since the listing.
                continue
            except OSError as error:
                problem = error
        if problem is not None:
            raise problem

    def _mend(self, name: str) -> bool:
        path = os.path.join(self.path, name)
        try:
            # Writers create and lock a segment under this lock. Without it, a new segment that is
            # not locked yet would look orphaned.
            with directory_lock(self.root):
                index = open_orphan(path)
        except OSError:
            return False
        if index >= 0:
            finish_orphan(path, self.layout, index)
        return index >= 0

    def _adopt(self, name: str, end: str) -> None:
        segment = self._known.get(name) or self._map(name)
        if segment is None:
            return
        first = segment.start + segment.count
        numbers = segment.adopt(os.path.join(self.path, name) + end, end == SEALED)
        if len(numbers):
            self._index.add_many(numbers, np.arange(first, first + len(numbers), dtype="u4"))
        if end == SEALED:
            self._complete.add(name)

    def _map(self, name: str) -> Segment | None:
        starts, segments = self._segments
        start = segments[-1].start + segments[-1].capacity if segments else 0
        segment = Segment(os.path.join(self.path, name), self.layout, start)
        # Places are uint32 in the index.
        if not segment.capacity or start + segment.capacity > _PLACES:
            return None
        self._segments = ([*starts, start], [*segments, segment])
        self._known[name] = segment
        return segment

    def _begin(self) -> None:
        # Made with the first array, so that a cache that is never used leaves nothing.
        os.makedirs(self.path, exist_ok=True)
        with directory_lock(self.root):
            file = os.path.join(self.path, "settings.json")
            rows = self._affordable(0 if os.path.exists(file) else len(self.settings.encode()))
            if not os.path.exists(file):
                with open(file, "w", encoding="utf-8") as out:
                    out.write(self.settings)
            writer = Writer(self.path, self.layout, rows)
            if self._claims is None and self.limit is None:
                self._claims = Claims(self.path)
        self._writers.append(writer)
        if self._map(os.path.basename(writer.path)) is None:
            self._writers.pop().seal()
            raise LimitReachedError

    def _affordable(self, extra: int) -> int:
        row = self.layout.row_bytes
        rows = max(
            1, min(max(len(self._index) * row // _SHARES, _LEAST_SEGMENT), _MOST_SEGMENT) // row
        )
        if self.limit is not None:
            room = (self.limit - size_of(self.root) - extra - self.layout.offset) // row
            if room < 1:
                raise LimitReachedError
            # Leave room for other loaders and processes, which fill theirs at the same time.
            rows = min(rows, max(room // _SHARES, min(room, _FEWEST_ROWS)))
        return rows

    def _renew(self) -> None:
        # In a forked child: a thread that does not exist here may hold the lock, and the segment
        # belongs to the parent.
        self._lock = threading.Lock()
        for writer in self._writers:
            writer.forget()
        self._writers.clear()


def size_of(root: str) -> int:
    """Return the bytes that a cache takes or has reserved on disk."""
    total = 0
    try:
        folders = [entry.path for entry in os.scandir(root) if entry.is_dir()]
    except FileNotFoundError:
        return 0
    for folder in folders:
        for entry in os.scandir(folder):
            # The room for an open index is reserved in its data file, and claims take next to none.
            if not entry.name.endswith(OPEN) and entry.name != CLAIMS:
                with suppress(FileNotFoundError):
                    total += entry.stat().st_size
    return total


def _seal_all(writers: list[Writer]) -> None:
    while writers:
        writers.pop().seal()


_FOLDERS: weakref.WeakSet[Folder] = weakref.WeakSet()


def _renew_all() -> None:
    for folder in _FOLDERS:
        folder._renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
