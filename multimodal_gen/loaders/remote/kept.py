"""Keeps the files of URLs on disk while a run lasts, so that each is fetched once where it fits."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path

# Of the space that is free on the disk, the share that may be taken.
_SHARE = 0.1


class KeptFiles:
    """The contents of files that were fetched, in a folder of their own. Thread-safe.

    What is there stays: beyond the limit nothing is added, as a run goes through its pictures in
    another order each time, and what came last is not needed first.

    Args:
        folder: A folder that does not exist.
        limit: Bytes that may be kept; also at most a tenth of what is free on the disk.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._lock = folder, threading.Lock()
        folder.mkdir(parents=True)
        self._left = min(limit, int(_SHARE * shutil.disk_usage(folder).free))
        self._sizes: dict[str, int] = {}

    def __contains__(self, url: str) -> bool:
        return _name(url) in self._sizes

    def get(self, url: str) -> bytes | None:
        """The content of a file; None if it is not kept."""
        name = _name(url)
        size = self._sizes.get(name)
        if size is None:
            return None
        with suppress(OSError):
            content = (self._folder / name).read_bytes()
            return content if len(content) == size else None
        return None

    def put(self, url: str, content: bytes) -> None:
        """Keep the content of a file, if there is room."""
        name = _name(url)
        with self._lock:
            if name in self._sizes or len(content) > self._left:
                return
            self._left -= len(content)
        partial = self._folder / f"{name}.{threading.get_ident()}"
        try:
            partial.write_bytes(content)
            os.replace(partial, self._folder / name)
        except OSError:
            # The disk is full: the run goes on without.
            self._left = 0
            return
        self._sizes[name] = len(content)


_KEPT: list[KeptFiles] = []


def kept_files() -> KeptFiles | None:
    """What keeps files in this process now."""
    return _KEPT[-1] if _KEPT else None


@contextmanager
def keeping_files(folder: Path, limit: int) -> Iterator[None]:
    """Keep the files of URLs that this process reads, and remove them at the end.

    Args:
        folder: Where; what an earlier run has left there is removed.
        limit: As in `KeptFiles`.
    """
    shutil.rmtree(folder, ignore_errors=True)
    _KEPT.append(KeptFiles(folder, limit))
    try:
        yield
    finally:
        _KEPT.pop()
        shutil.rmtree(folder, ignore_errors=True)


def _name(url: str) -> str:
    return blake2b(url.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
