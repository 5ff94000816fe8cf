"""States of a run on disk: whole or not there at all, the last two kept, one process at a time.

A state is one file, arrays and a JSON description in a zip archive as NumPy writes it, without
pickle. The archive has a checksum of each part, so a damaged file is known as such. It is written
under another name, flushed to disk, and then renamed.
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
from typing import Any

import numpy as np

from multimodal_gen.batch.cache.locks import fcntl

_KEPT = 2
_NAME = re.compile(r"state-\d+\.npz")
_DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError)
# Directory -> the open file that holds its lock. A run that was broken off in a notebook may begin
# again.
_HELD: dict[str, int] = {}


class Snapshots:
    """The states that a directory holds. Opening it removes what a killed process was writing.

    Args:
        directory: Where the files are; it is made if need be.

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
        """Make sure that a state can be written, as it is better known before training than after
        an hour of it.

        Args:
            size: Bytes of its arrays.

        Raises:
            OSError: If the directory cannot be written into, or has no room for it.
        """
        path = os.path.join(self.directory, "state-00000000.npz.tmp")
        try:
            with open(path, "wb") as file:
                # Unlike empty space at the end of a file, this is set aside on the disk.
                if size and hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise OSError(
                f"No state of the training could be saved, which takes {size:,} bytes: {error}. "
                f"Give `ResumeTraining` another directory. Received: directory={self.directory!r}"
            ) from error
        finally:
            with suppress(OSError):
                os.unlink(path)

    def save(self, description: Mapping[str, Any], arrays: list[np.ndarray]) -> None:
        """Keep a state, and of those before it one. What cannot be written is warned of, and
        training may go on.

        Args:
            description: JSON values.
            arrays: Numbers of any dtype.
        """
        parts: dict[str, Any] = {f"{place}": _plain(array) for place, array in enumerate(arrays)}
        dtypes = [None if _is_plain(array.dtype) else array.dtype.name for array in arrays]
        text = json.dumps({**description, "dtypes": dtypes})
        path = os.path.join(self.directory, f"state-{self._next_number():08d}.npz")
        try:
            with open(f"{path}.tmp", "wb") as file:
                np.savez(file, description=np.frombuffer(text.encode(), "u1"), **parts)
                file.flush()
                os.fsync(file.fileno())
            os.replace(f"{path}.tmp", path)
            self._flush()
        except OSError as error:
            with suppress(OSError):
                os.unlink(f"{path}.tmp")
            warnings.warn(
                "The state of the training cannot be saved, and training goes on without: "
                f"{error}. Received: directory={self.directory!r}",
                stacklevel=2,
            )
            return
        for name in self._names()[_KEPT:]:
            os.unlink(os.path.join(self.directory, name))

    def load(self) -> tuple[dict[str, Any], list[np.ndarray]] | None:
        """The last state that can be read: its description and arrays; None where there is none.

        Raises:
            RuntimeError: If there are states and none can be read.
        """
        damaged: dict[str, Exception] = {}
        for name in self._names():
            try:
                found = _read(os.path.join(self.directory, name))
            except _DAMAGE as error:
                damaged[name] = error
                continue
            for other, reason in damaged.items():
                os.unlink(os.path.join(self.directory, other))
                warnings.warn(
                    f"The state {other!r} is damaged and removed; training goes on from the one "
                    f"before it. {type(reason).__name__}: {reason}. Received: "
                    f"directory={self.directory!r}",
                    stacklevel=2,
                )
            return found
        if damaged:
            reasons = "; ".join(
                f"{name}: {type(error).__name__}: {error}" for name, error in damaged.items()
            )
            raise RuntimeError(
                f"No state in the directory can be read ({reasons}). To begin anew, delete it or "
                f"give another one. Received: directory={self.directory!r}"
            )
        return None

    def close(self) -> None:
        """Let others use the directory."""
        file = _HELD.pop(self.directory, None)
        if file is not None:
            os.close(file)

    def _names(self) -> list[str]:
        # The last first.
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
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise RuntimeError(
                "Another process is training with this directory; give each run its own. "
                f"Received: directory={self.directory!r}"
            ) from None
        except OSError:
            # A file system without locks.
            os.close(file)
            return
        _HELD[self.directory] = file

    def _flush(self) -> None:
        # The rename itself; not every system lets a directory be opened.
        with suppress(PermissionError):
            file = os.open(self.directory, os.O_RDONLY)
            try:
                os.fsync(file)
            finally:
                os.close(file)


def _read(path: str) -> tuple[dict[str, Any], list[np.ndarray]]:
    # Opened here, as NumPy leaves a damaged file open.
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as parts:
        description = json.loads(parts["description"].tobytes())
        arrays = [parts[f"{place}"] for place in range(len(description["dtypes"]))]
    names = zip(arrays, description.pop("dtypes"), strict=True)
    return description, [
        array if name is None else array.view(_dtype(name)) for array, name in names
    ]


def _is_plain(dtype: np.dtype[Any]) -> bool:
    return dtype.isbuiltin != 2


def _plain(array: np.ndarray) -> np.ndarray:
    # NumPy's files know its own dtypes only: bfloat16 goes as integers of its size.
    return array if _is_plain(array.dtype) else array.view(f"u{array.dtype.itemsize}")


def _dtype(name: str) -> np.dtype[Any]:
    # Those that numpy does not know come with the backends.
    import ml_dtypes

    return np.dtype(getattr(ml_dtypes, name))
