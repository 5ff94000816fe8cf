"""Small arrays by row in a temporary file, so that captions are encoded once, not every epoch.

The file is memory-mapped for reading, so the system can take back its memory at any time. It has no
name, or is deleted with the process, so nothing is left behind.
"""

from __future__ import annotations

import os
import tempfile
import threading
import warnings
import weakref

import numpy as np

from multimodal_gen.spec import ArraySpec

LARGEST = 2**16  # bytes of a row


class RowMemory:
    """The arrays that one loader read for the rows of one table. Thread-safe; pickled copies are
    empty.

    Args:
        num_rows: Rows of the table.
        spec: Spec of the loader; ids are kept in as few bytes as their vocabulary allows.
    """

    def __init__(self, num_rows: int, spec: ArraySpec) -> None:
        self.num_rows, self.spec = num_rows, spec
        ids = spec.vocabulary_size if spec.kind == "tokens" else None
        self._dtype = np.dtype(spec.dtype) if ids is None else np.min_scalar_type(ids)
        self._bytes = int(np.prod(spec.shape, dtype=np.int64)) * self._dtype.itemsize
        self._lock = threading.Lock()
        self._file: _File | None = None
        # Which rows are known, and all rows: both are parts of the file. Replaced together, so that
        # `take` needs no lock.
        self._maps: tuple[np.ndarray, np.ndarray] | None = None
        self._full = False

    def take(self, positions: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Copy known rows into `out`, `(rows, *shape)`, and return which, `(rows,) bool`."""
        maps = self._maps
        if maps is None:
            # Nothing was kept yet, or another thread has just called `clear`.
            return np.zeros(len(positions), bool)
        known, rows = maps[0][positions], maps[1]
        if known.all():
            out[...] = rows[positions]
        elif known.any():
            out[known] = rows[positions[known]]
        return known

    def knows(self, positions: np.ndarray) -> np.ndarray:
        """Which rows are known, `(rows,) bool`."""
        maps = self._maps
        return np.zeros(len(positions), bool) if maps is None else maps[0][positions]

    def put(self, position: int, array: np.ndarray) -> None:
        """Keep an array for a row. On a full disk nothing is kept, and the first time it warns."""
        if self._full:
            return
        try:
            self._write(int(position), np.ascontiguousarray(array, self._dtype).tobytes())
        except OSError as error:
            self._warn(error)

    def clear(self) -> None:
        """Forget all rows, and close the file. Other processes that share it keep it."""
        with self._lock:
            self._maps = self._file = None

    def share(self) -> int | None:
        """Return the descriptor of a file for `attach`; None if it cannot be created.

        It is closed with this memory, so another process needs its own duplicate.
        """
        try:
            return self._opened().number
        except OSError as error:
            self._warn(error)
            return None

    @classmethod
    def attach(cls, num_rows: int, spec: ArraySpec, file: int) -> RowMemory:
        """Return a memory that shares its rows with the one whose `share` gave the file."""
        memory = cls(num_rows, spec)
        memory._map(_File(os.dup(file)))
        return memory

    def _write(self, position: int, data: bytes) -> None:
        file = self._opened()
        flag = self.num_rows * self._bytes + position
        # The flag last, because other threads and processes read known rows without a lock.
        for offset, part in ((position * self._bytes, data), (flag, b"\1")):
            if hasattr(os, "pwrite"):
                # A forked child shares the position in the file, so `seek` would not do.
                os.pwrite(file.number, part, offset)
            else:
                with self._lock:
                    os.lseek(file.number, offset, os.SEEK_SET)
                    os.write(file.number, part)

    def _opened(self) -> _File:
        with self._lock:
            if self._file is None:
                with tempfile.TemporaryFile(buffering=0) as file:
                    self._map(_File(os.dup(file.fileno())))
            assert self._file is not None
            return self._file

    def _map(self, file: _File) -> None:
        size = self.num_rows * self._bytes
        # A sparse file: a row takes room once it is written.
        os.ftruncate(file.number, size + self.num_rows)
        with os.fdopen(os.dup(file.number), "rb") as opened:
            whole = np.memmap(opened, "u1", "r")
        rows = whole[:size].view(self._dtype).reshape(self.num_rows, *self.spec.shape)
        # Read through the map, but written with `pwrite`: on a full disk, a write through the map
        # would end the process.
        self._maps = whole[size:].view(bool), rows
        self._file = file

    def _warn(self, error: OSError) -> None:
        self._full = True
        warnings.warn(
            "The temporary folder has no room for encoded captions or features, so they are "
            "computed again in every epoch. Free some space, or set TMPDIR to another folder. "
            f"{tempfile.gettempdir()!r}: {error}",
            stacklevel=3,
        )

    def __reduce__(self) -> tuple[type[RowMemory], tuple[int, ArraySpec]]:
        return RowMemory, (self.num_rows, self.spec)


class _File:
    # An open file. It is closed when no thread writes to it any more, so `clear` need not wait.
    def __init__(self, number: int) -> None:
        self.number = number
        weakref.finalize(self, os.close, number)
