"""Locks between processes: of a whole cache for a moment, and of one file for as long as its writer
lives.

They are the operating system's, so that a killed process leaves none behind. Where there are none
(Windows, some network file systems) nobody takes another's file for orphaned.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:
    fcntl = None


@contextmanager
def directory_lock(directory: str) -> Iterator[None]:
    """Be the only one to change which files there are in a directory."""
    file = os.open(os.path.join(directory, ".lock"), os.O_CREAT | os.O_RDWR, 0o666)
    try:
        if fcntl is not None:
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        unlock(file)
        os.close(file)


def try_lock(file: int) -> bool:
    """Lock an open file, unless somebody else has, or there are no locks."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def unlock(file: int) -> None:
    """Release a lock; closing is not enough where a forked child has the file open too."""
    if fcntl is not None:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)
