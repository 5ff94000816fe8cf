"""Segments: the files of a cache. One process writes a segment, row by row; all may read it.

A segment is `NAME.npy`, an array of rows with the fields "key" and "array", and an index with one
record per row: its key and a checksum of the row. The record is written after the row. While the
writer lives, the index is called `NAME.idx.open` and is locked. A finished segment is flushed to
disk before it is renamed to `NAME.idx`. So checksums need to be compared only in open segments, and
an open segment without a lock was left by a killed process.
"""

from __future__ import annotations

import io
import math
import mmap
import os
import secrets
import struct
import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from multimodal_gen.batch.cache.keys import KEY_BYTES
from multimodal_gen.batch.cache.locks import fcntl, try_lock, unlock

OPEN, SEALED = ".idx.open", ".idx"
# Key, checksum of the row, checksum of the two.
_RECORD = struct.Struct("<16sII")
RECORD = np.dtype([("low", "<u8"), ("high", "<u8"), ("row", "<u4"), ("check", "<u4")])
BINARY = getattr(os, "OBINARY", 0)


@dataclass(frozen=True)
class Layout:
    """How the arrays of one loader are stored in a file.

    Args:
        shape: Shape of one array.
        dtype: Its NumPy dtype name.
    """

    shape: tuple[int, ...]
    dtype: str

    @cached_property
    def row(self) -> np.dtype:
        """The dtype of a key and an array, padded to a multiple of 16 bytes."""
        array = np.dtype((self.dtype, self.shape))
        size = KEY_BYTES + 16 * math.ceil(array.itemsize / 16)
        formats = [f"V{KEY_BYTES}", array]
        return np.dtype(
            {
                "names": ["key", "array"],
                "formats": formats,
                "offsets": [0, KEY_BYTES],
                "itemsize": size,
            }
        )

    @property
    def row_bytes(self) -> int:
        """Bytes on disk per array."""
        return self.row.itemsize + RECORD.itemsize

    @cached_property
    def offset(self) -> int:
        """Position of the first row in the file."""
        return len(self.header(0))

    def header(self, rows: int) -> bytes:
        """Return the header of a `.npy` file with this number of rows; its length is constant."""
        header = {
            "descr": np.lib.format.dtype_to_descr(self.row),
            "fortran_order": False,
            "shape": (rows,),
        }
        file = io.BytesIO()
        np.lib.format.write_array_header_1_0(file, header)
        return file.getvalue()


class Segment:
    """A segment, mapped for reading.

    Args:
        path: Its path without the suffix.
        layout: How its arrays are stored.
        start: The place of its first row in the index.
    """

    def __init__(self, path: str, layout: Layout, start: int) -> None:
        self.start, self.count = start, 0
        self._offset, self._stride = layout.offset, layout.row.itemsize
        self._array_bytes = layout.row["array"].itemsize
        with open(f"{path}.npy", "rb") as file:
            self.capacity = max(0, os.fstat(file.fileno()).st_size - self._offset) // self._stride
            # The map may become longer than the file, which is cut after its last row when it is
            # finished.
            self._map = (
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if self.capacity else None
            )
        self._arrays = np.ndarray(
            self.capacity, layout.row, self._map or b"", self._offset if self._map else 0
        )["array"]

    def array(self, key: bytes, row: int) -> np.ndarray | None:
        """Return a row's array, a read-only view of the file; None if the row has another key."""
        begin = self._offset + row * self._stride
        if self._map is None or self._map[begin : begin + KEY_BYTES] != key:
            return None
        return self._arrays[row, ...]

    def part(self, key: bytes, row: int) -> pa.Array | None:
        """Like `array`, but only the bytes, in a form that Arrow can concatenate in one call."""
        begin = self._offset + row * self._stride
        if self._map is None or self._map[begin : begin + KEY_BYTES] != key:
            return None
        return self._bytes.slice(begin + KEY_BYTES, self._array_bytes)

    @cached_property
    def _bytes(self) -> pa.Array:
        content = pa.py_buffer(self._map)
        return pa.UInt8Array.from_buffers(pa.uint8(), content.size, [None, content])

    def adopt(self, path: str, sealed: bool) -> np.ndarray:
        """Read the records of the index that this object does not know yet.

        Returns:
            The first 64 bits of their keys, `(rows,) uint64`.
        """
        with open(path, "rb") as file:
            file.seek(self.count * RECORD.itemsize)
            data = file.read()
        records = np.frombuffer(
            data, RECORD, min(len(data) // RECORD.itemsize, self.capacity - self.count)
        )
        if not sealed:
            records = records[: self._whole(data, len(records))]
        self.count += len(records)
        return records["low"]

    def _whole(self, data: bytes, rows: int) -> int:
        content = memoryview(self._map or b"")
        for number in range(rows):
            key, checksum, check = _RECORD.unpack_from(data, number * _RECORD.size)
            begin = self._offset + (self.count + number) * self._stride
            row = content[begin : begin + self._stride]
            if (
                check != _check(key, checksum)
                or row[:KEY_BYTES] != key
                or zlib.crc32(row) != checksum
            ):
                return number
        return rows


class Writer:
    """A new segment that is being written.

    Args:
        folder: Its folder.
        layout: How its arrays are stored.
        rows: Maximum number of rows. The file gets its full size at once, as a sparse file that
            takes no space on the disk yet.
    """

    def __init__(self, folder: str, layout: Layout, rows: int) -> None:
        self.path, self.layout, self.rows = os.path.join(folder, secrets.token_hex(8)), layout, rows
        self.count, self.process = 0, os.getpid()
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | BINARY
        self._index = os.open(self.path + OPEN, flags, 0o666)
        self._data = -1
        try_lock(self._index)
        try:
            self._data = os.open(f"{self.path}.npy", flags, 0o666)
            os.ftruncate(self._data, layout.offset + rows * layout.row_bytes)
            _write(self._data, layout.header(rows), 0)
        except OSError:
            self.seal()
            raise

    def append(self, key: bytes, array: np.ndarray) -> None:
        """Write one row, and then its record.

        Raises:
            OSError: If it cannot be written, for instance on a full disk; earlier rows stay valid.
        """
        padding = self.layout.row.itemsize - KEY_BYTES - array.nbytes
        row = b"".join((key, array.tobytes(), bytes(padding)))
        # Not through a map: there, a full disk would kill the process; here it is an error.
        _write(self._data, row, self.layout.offset + self.count * self.layout.row.itemsize)
        checksum = zlib.crc32(row)
        _write(
            self._index,
            _RECORD.pack(key, checksum, _check(key, checksum)),
            self.count * _RECORD.size,
        )
        self.count += 1

    def seal(self) -> None:
        """Finish the segment, or remove it if it has no rows.

        In a forked child of the writer it only closes the files.
        """
        if self.process == os.getpid() and self._index >= 0:
            _seal(self.path, self.layout, self.count, self._data, self._index)
        else:
            self.forget()
        self._data = self._index = -1

    def forget(self) -> None:
        """Close the files without finishing the segment."""
        for file in (self._data, self._index):
            if file >= 0:
                os.close(file)
        self._data = self._index = -1


def open_orphan(path: str) -> int:
    """Open and lock the index of an open segment if its writer is gone; otherwise return -1."""
    try:
        index = os.open(path + OPEN, os.O_RDWR | BINARY)
    except OSError:
        return -1
    try:
        # Another process may have finished it between the two calls.
        if try_lock(index) and os.path.samestat(os.fstat(index), os.stat(path + OPEN)):
            return index
    except OSError:
        pass
    os.close(index)
    return -1


def finish_orphan(path: str, layout: Layout, index: int) -> None:
    """Finish the segment of a killed process, keeping all rows before the first incomplete one."""
    try:
        segment = Segment(path, layout, 0)
        segment.adopt(path + OPEN, False)
        data, count = os.open(f"{path}.npy", os.O_RDWR | BINARY), segment.count
    except FileNotFoundError:
        data, count = -1, 0
    _seal(path, layout, count, data, index)


def _seal(path: str, layout: Layout, count: int, data: int, index: int) -> None:
    try:
        if count:
            _cut(data, layout.offset + count * layout.row.itemsize)
            _write(data, layout.header(count), 0)
            _cut(index, count * _RECORD.size)
            # Both files must be on disk before the name says that checksums need not be compared.
            os.fsync(data)
            os.fsync(index)
            if fcntl is None:
                # Windows cannot rename an open file.
                os.close(index)
                index = -1
            os.rename(path + OPEN, path + SEALED)
        else:
            for end in (".npy", OPEN):
                if os.path.exists(path + end):
                    os.remove(path + end)
    except OSError:
        # The segment now looks orphaned, so another process will check and finish it.
        pass
    finally:
        if index >= 0:
            unlock(index)
        for file in (data, index):
            if file >= 0:
                os.close(file)


def _cut(file: int, size: int) -> None:
    try:
        os.ftruncate(file, size)
    except OSError:
        # Windows cannot truncate a mapped file. Bytes after the last row are never read.
        if fcntl is not None:
            raise


def _check(key: bytes, checksum: int) -> int:
    return zlib.crc32(key, checksum)


def _write(file: int, data: bytes, offset: int) -> None:
    rest = memoryview(data)
    while rest:
        if hasattr(os, "pwrite"):
            written = os.pwrite(file, rest, offset)
        else:
            os.lseek(file, offset, os.SEEK_SET)
            written = os.write(file, rest)
        rest, offset = rest[written:], offset + written
