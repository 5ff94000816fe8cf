"""Locks between processes: of a whole cache briefly, and of one file while its writer lives.

They are locks of the operating system, so a killed process leaves none behind. Without such locks
(Windows, some network file systems) no file is ever considered orphaned.
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
    """Hold the exclusive right to create files in a directory."""
    # Open to all whom the umask allows, as several users may share a cache.
    file = os.open(os.path.join(directory, ".lock"), os.O_CREAT | os.O_RDWR, 0o666)
    try:
        if fcntl is not None:
            with suppress(OSError):
                # Without locks, writers are still apart by the random names of their segments.
                fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        unlock(file)
        os.close(file)


def try_lock(file: int) -> bool | None:
    """Lock an open file without waiting.

    Returns:
        True; False if it is locked already; None without locks.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def unlock(file: int) -> None:
    """Release a lock; closing is not enough if a forked child also has the file open."""
    if fcntl is not None:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)
