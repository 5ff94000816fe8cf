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
from typing import Any

import numpy as np

from multimodal_gen.spec import ArraySpec

LARGEST = 8192  # bytes of a row


class RowMemory:
    """The arrays that one loader read for the rows of one table. Thread-safe; pickled copies are
    empty.

    Args:
        num_rows: Rows of the table.
        spec: Spec of the loader; ids are kept in as few bytes as their vocabulary allows.
    """

    def __init__(self, num_rows: int, spec: ArraySpec) -> None:
        self._num_rows, self._spec = num_rows, spec
        ids = spec.vocabulary_size if spec.kind == "tokens" else None
        self._dtype = np.dtype(spec.dtype) if ids is None else np.min_scalar_type(ids)
        self._bytes = int(np.prod(spec.shape, dtype=np.int64)) * self._dtype.itemsize
        self._known = np.zeros(num_rows, bool)
        self._lock = threading.Lock()
        self._file: Any = None
        self._close: weakref.finalize[Any, RowMemory] | None = None
        self._rows: np.ndarray | None = None
        self._full = False

    def take(self, positions: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Copy known rows into `out`, `(rows, *shape)`, and return which, `(rows,) bool`."""
        known, rows = self._known[positions], self._rows
        if rows is None:
            # Nothing was kept yet, or another thread has just called `clear`.
            return np.zeros(len(positions), bool)
        if known.all():
            out[...] = rows[positions]
        elif known.any():
            out[known] = rows[positions[known]]
        return known

    def put(self, position: int, array: np.ndarray) -> None:
        """Keep an array for a row. On a full disk nothing is kept, and the first time it warns."""
        if self._full:
            return
        data = np.ascontiguousarray(array, self._dtype).tobytes()
        try:
            self._write(int(position) * self._bytes, data)
        except OSError as error:
            self._full = True
            warnings.warn(
                "The temporary folder has no room for encoded captions, so they are encoded "
                "again in every epoch. Free some space, or set TMPDIR to another folder. "
                f"{tempfile.gettempdir()!r}: {error}",
                stacklevel=2,
            )
            return
        # After the write, because other threads read known rows without a lock.
        self._known[position] = True

    def clear(self) -> None:
        """Forget all rows, and close the file."""
        with self._lock:
            self._known = np.zeros(self._num_rows, bool)
            self._rows = self._file = None
            if self._close is not None:
                self._close()

    def _write(self, offset: int, data: bytes) -> None:
        with self._lock:
            if self._file is None:
                file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - it lives as long as this object
                self._close = weakref.finalize(self, file.close)
                # A sparse file: a row takes room once it is written.
                file.truncate(self._num_rows * self._bytes)
                self._rows = np.memmap(
                    file, self._dtype, "r", shape=(self._num_rows, *self._spec.shape)
                )
                self._file = file
            if not hasattr(os, "pwrite"):
                self._file.seek(offset)
                self._file.write(data)
                return
        # `pwrite`, because a forked child shares the position in the file.
        os.pwrite(self._file.fileno(), data, offset)

    def __reduce__(self) -> tuple[type[RowMemory], tuple[int, ArraySpec]]:
        return RowMemory, (self._num_rows, self._spec)
