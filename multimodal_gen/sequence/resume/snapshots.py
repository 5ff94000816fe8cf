"""The states of a run on disk: complete or absent, the last two kept, one process at a time.

A state is one file: arrays and a JSON description in a zip archive as NumPy writes it, without
pickle. The archive has a checksum per part, so damage is detected. It is written under another
name, flushed to disk, and then renamed.
"""

from __future__ import annotations

import json
import os
import re
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, Any

import numpy as np

from multimodal_gen.batch.cache.locks import fcntl, try_lock

# The second one is used if the latest is damaged.
_KEPT = 2
_NAME = re.compile(r"state-\d+\.npz")
_DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError)
# Directory -> the open file that holds its lock. Kept per process, so that an interrupted cell of a
# notebook can run again.
_HELD: dict[str, int] = {}


class Snapshots:
    """The states in a directory. Opening it removes unfinished files of a killed process.

    Args:
        directory: Where the files are; it is created if needed.

    Raises:
        NotADirectoryError: If it is a file.
        RuntimeError: If another process uses the directory.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = os.path.realpath(directory)
        if os.path.exists(self.directory) and not os.path.isdir(self.directory):
            raise NotADirectoryError(
                f"`directory` must be a directory. Received: directory={os.fspath(directory)!r}"
            )
        os.makedirs(self.directory, exist_ok=True)
        self._lock()
        for name in os.listdir(self.directory):
            stem, end = os.path.splitext(name)
            if end == ".tmp" and _NAME.fullmatch(stem):
                os.unlink(os.path.join(self.directory, name))

    def make_room(self, size: int) -> None:
        """Make sure before training that a state can be written.

        Args:
            size: Bytes of its arrays.

        Raises:
            OSError: If the directory is not writable, or has no room for it.
        """
        path = os.path.join(self.directory, "state-00000000.npz.tmp")
        try:
            with open(path, "wb") as file:
                # Unlike `truncate`, this reserves the space on the disk.
                if size and hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise OSError(
                f"A state of {size:,} bytes cannot be saved: {error}. Give `ResumeTraining` "
                f"another directory. Received: directory={self.directory!r}"
            ) from error
        finally:
            with suppress(OSError):
                os.unlink(path)

    def save(self, description: Mapping[str, Any], arrays: list[np.ndarray]) -> None:
        """Write a state, and keep one earlier state. A failure is a warning, so training continues.

        Args:
            description: JSON values.
            arrays: Numbers of any dtype.
        """
        path = os.path.join(self.directory, f"state-{self._next_number():08d}.npz")
        try:
            with open(f"{path}.tmp", "wb") as file:
                write_state(file, description, arrays)
                file.flush()
                # Without it, a power failure could leave the new name with an empty file.
                os.fsync(file.fileno())
            os.replace(f"{path}.tmp", path)
            self._flush()
        except OSError as error:
            with suppress(OSError):
                os.unlink(f"{path}.tmp")
            warnings.warn(
                f"The state cannot be saved, and training continues without it: {error}. "
                f"Received: directory={self.directory!r}",
                stacklevel=2,
            )
            return
        # Old states go only once the new one is safe.
        for name in self._names()[_KEPT:]:
            os.unlink(os.path.join(self.directory, name))

    def load(self) -> tuple[dict[str, Any], list[np.ndarray]] | None:
        """Return description and arrays of the last readable state, or None if there is no state.

        Raises:
            RuntimeError: If there are states but none is readable.
        """
        damaged: dict[str, Exception] = {}
        for name in self._names():
            try:
                # Opened here, because NumPy leaves a damaged file open.
                with open(os.path.join(self.directory, name), "rb") as file:
                    found = read_state(file)
            except _DAMAGE as error:
                damaged[name] = error
                continue
            for other, reason in damaged.items():
                os.unlink(os.path.join(self.directory, other))
                warnings.warn(
                    f"The state {other!r} was damaged and has been removed; training resumes "
                    f"from the one before it. {type(reason).__name__}: {reason}. Received: "
                    f"directory={self.directory!r}",
                    stacklevel=2,
                )
            return found
        if damaged:
            reasons = "; ".join(
                f"{name}: {type(error).__name__}: {error}" for name, error in damaged.items()
            )
            raise RuntimeError(
                f"No state in the directory is readable ({reasons}). To start over, delete the "
                f"directory or use another one. Received: directory={self.directory!r}"
            )
        return None

    def close(self) -> None:
        """Release the directory."""
        file = _HELD.pop(self.directory, None)
        if file is not None:
            os.close(file)

    def _names(self) -> list[str]:
        # The latest first.
        try:
            return sorted(filter(_NAME.fullmatch, os.listdir(self.directory)), reverse=True)
        except FileNotFoundError:
            return []

    def _next_number(self) -> int:
        return (
            max((int(name[len("state-") : -len(".npz")]) for name in self._names()), default=0) + 1
        )

    def _lock(self) -> None:
        if fcntl is None or self.directory in _HELD:
            return
        file = os.open(self.directory, os.O_RDONLY)
        held = try_lock(file)
        if held:
            _HELD[self.directory] = file
            return
        os.close(file)
        # None: the file system has no locks. Two runs are then the user's responsibility.
        if held is False:
            raise RuntimeError(
                "Another process is training with this directory; give each run its own. "
                f"Received: directory={self.directory!r}"
            )

    def _flush(self) -> None:
        # Makes the rename itself durable. Not every system allows opening a directory.
        with suppress(PermissionError):
            file = os.open(self.directory, os.O_RDONLY)
            try:
                os.fsync(file)
            finally:
                os.close(file)


def write_state(file: IO[bytes], description: Mapping[str, Any], arrays: list[np.ndarray]) -> None:
    """Write a state to an open file."""
    parts: dict[str, Any] = {f"{place}": _plain(array) for place, array in enumerate(arrays)}
    dtypes = [None if _is_plain(array.dtype) else array.dtype.name for array in arrays]
    text = json.dumps({**description, "dtypes": dtypes})
    np.savez(file, description=np.frombuffer(text.encode(), "u1"), **parts)


def read_state(file: IO[bytes]) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Return the description and the arrays that `write_state` wrote."""
    with np.load(file, allow_pickle=False) as parts:
        description = json.loads(parts["description"].tobytes())
        arrays = [parts[f"{place}"] for place in range(len(description["dtypes"]))]
    names = zip(arrays, description.pop("dtypes"), strict=True)
    return description, [
        array if name is None else array.view(_dtype(name)) for array, name in names
    ]


def _is_plain(dtype: np.dtype[Any]) -> bool:
    return dtype.isbuiltin != 2


def _plain(array: np.ndarray) -> np.ndarray:
    # NumPy's files hold only its own dtypes: bfloat16 is stored as integers of the same size.
    return array if _is_plain(array.dtype) else array.view(f"u{array.dtype.itemsize}")


def _dtype(name: str) -> np.dtype[Any]:
    # Dtypes that NumPy does not have come with the backends.
    import ml_dtypes

    return np.dtype(getattr(ml_dtypes, name))
