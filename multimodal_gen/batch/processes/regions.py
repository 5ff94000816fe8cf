"""Shared memory of one batch each: the parent lends a region to a worker, and then to its user.

A region is a file without a name, mapped by the parent and by the workers. The first bytes say
which cell a worker is reading. Behind them lies the task, and then the batch: the worker's loaders
write where the model reads. A region is free again when nobody holds an array of its batch.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import pickle
import tempfile
import threading
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from multimodal_gen.batch.draft import aligned_empty

# Arrays begin at multiples of this: jax and tensorflow copy what is not aligned to 64 bytes.
_ALIGNMENT = 64
# Bytes at the start of a region for the cell that is being read.
HEADER = 64
# A program may often have no more than 256 or 1,024 open files, and each region is one.
_MOST_LENT = 96
# Where a part of a region begins, and its number of bytes.
Span = tuple[int, int]


def rounded(size: int, multiple: int = _ALIGNMENT) -> int:
    """Return the next multiple."""
    return -(-size // multiple) * multiple


def nameless_file(size: int) -> int:
    """Create a file without a name, in memory where the system can, and return its descriptor."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("multimodal_gen", os.MFD_CLOEXEC)
    else:
        file, path = tempfile.mkstemp(prefix="multimodal_gen")
        os.unlink(path)
    os.ftruncate(file, max(size, 1))
    return file


def packed(thing: Any, dump: Callable[..., bytes] = pickle.dumps) -> list[memoryview]:
    """Pickle a thing: the pickle, then the memory of its arrays, which is not copied."""
    buffers: list[memoryview] = []
    head = dump(thing, protocol=5, buffer_callback=lambda one: buffers.append(one.raw()))
    return [memoryview(head), *buffers]


class Region:
    """A region as its parent sees it.

    Args:
        number: Which region it is.
        size: Its bytes at first; pages that nobody touches take no memory.
    """

    def __init__(self, number: int, size: int) -> None:
        self.number, self.file, self.size = number, nameless_file(size), 0
        self._close = weakref.finalize(self, os.close, self.file)
        self.grow(size)

    def grow(self, size: int) -> None:
        """Map at least this many bytes. Arrays that were lent keep the old mapping."""
        if size > self.size:
            os.ftruncate(self.file, size)
            self._map, self.size = mmap.mmap(self.file, size), size
            self.header = memoryview(self._map)[:HEADER].cast("q")

    def write(self, parts: Sequence[memoryview]) -> list[Span]:
        """Write what `packed` returned behind the header, and return where each part lies."""
        spans, end = [], HEADER
        for part in parts:
            spans.append((end, part.nbytes))
            end = rounded(end + part.nbytes)
        self.grow(end)
        with memoryview(self._map) as whole:
            for part, (start, size) in zip(parts, spans, strict=True):
                whole[start : start + size] = part
        return spans

    def lend(self, spans: Sequence[Span], done: Callable[[], None]) -> Any:
        """Return what a worker has put into the region, whose arrays lie in it.

        Args:
            spans: Where its parts lie, as `WorkerRegion.put` returned them.
            done: Called when the last array is gone, on whatever thread drops it.
        """
        owner = (ctypes.c_char * self.size).from_buffer(self._map)
        weakref.finalize(owner, done).atexit = False
        head, *buffers = (memoryview(owner)[start : start + size] for start, size in spans)
        return pickle.loads(head, buffers=buffers)

    def copy(self, spans: Sequence[Span]) -> Any:
        """Return the same as `lend`, with arrays of its own: the region is free at once."""
        with memoryview(self._map) as whole:
            head, *parts = (whole[start : start + size] for start, size in spans)
            copies: list[Any] = [
                aligned_empty((size,), "uint8") if size else b"" for _, size in spans[1:]
            ]
            for own, part in zip(copies, parts, strict=True):
                memoryview(own)[:] = part
            return pickle.loads(head, buffers=copies)


class WorkerRegion:
    """A region as a worker sees it: arrays are made in it, one behind the other.

    Args:
        file: The region's file.
    """

    def __init__(self, file: int) -> None:
        self._file, self.size = file, 0
        self._end = HEADER

    def open(self, size: int, task: Sequence[Span]) -> Any:
        """Return the task that the parent wrote, and continue behind it."""
        self._remap(size)
        self._end = max(rounded(start + length) for start, length in task)
        head, *buffers = (self._whole[start : start + length] for start, length in task)
        return pickle.loads(head, buffers=buffers)

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Return an array of undefined content: in the region, or elsewhere if that is full."""
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        if self._end + size > self.size:
            return np.empty(shape, dtype)
        start, self._end = self._end, rounded(self._end + size)
        return np.frombuffer(self._whole[start : start + size], dtype).reshape(shape)

    def put(self, thing: Any) -> list[Span]:
        """Write a thing into the region, and return where its parts lie.

        Arrays that were made in the region stay where they are. If it is too small, it grows.
        """
        spans: list[Span] = []
        moved: list[tuple[int, memoryview]] = []
        end = self._end
        for part in packed(thing):
            start = self._start_of(part)
            if start is None:
                start, end = end, rounded(end + part.nbytes)
                moved.append((start, part))
            spans.append((start, part.nbytes))
        self._remap(end)
        for start, part in moved:
            self._whole[start : start + part.nbytes] = part
        return spans

    def _start_of(self, part: memoryview) -> int | None:
        # Where a part lies, or None if it was made elsewhere.
        if not part.nbytes:
            return None
        start = int(np.frombuffer(part, "u1").ctypes.data) - self._address
        return start if 0 <= start < self.size else None

    def _remap(self, size: int) -> None:
        if size > self.size:
            if size > os.fstat(self._file).st_size:
                os.ftruncate(self._file, size)
            self._map, self.size = mmap.mmap(self._file, size), size
            self._whole = memoryview(self._map)
            self._address = np.frombuffer(self._map, "u1").ctypes.data
            self.header = self._whole[:HEADER].cast("q")


class Regions:
    """The regions of a pool: free ones are used again, and there are as many as are needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: list[Region] = []
        self._count = 0

    def take(self, size: int) -> Region:
        """Return a region of at least `size` bytes that nobody uses."""
        try:
            # The one that was used last, whose pages may still be in a cache of the processor.
            region = self._free.pop()
        except IndexError:
            with self._lock:
                self._count += 1
                return Region(self._count, rounded(size, mmap.PAGESIZE))
        region.grow(rounded(size, mmap.PAGESIZE))
        return region

    def give_back(self, region: Region) -> None:
        """Make a region free."""
        # Called by the garbage collector too, so it must not wait for a lock.
        self._free.append(region)

    def deliver(self, region: Region, spans: Sequence[Span]) -> Any:
        """Return what a worker has put into a region, which comes back when nobody uses it."""
        if self._count < _MOST_LENT:
            return region.lend(spans, partial(self.give_back, region))
        # More are in use than a pool needs: its user keeps the batches.
        made = region.copy(spans)
        self.give_back(region)
        return made

    def clear(self) -> None:
        """Close the files of free regions; those in use are closed when nobody uses them."""
        self._free.clear()
