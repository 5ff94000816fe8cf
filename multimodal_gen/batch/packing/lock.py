"""Keeps two processes from packing into the same output at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from multimodal_gen.batch.cache.locks import try_lock
from multimodal_gen.batch.packing.naming import Output


@contextmanager
def alone(output: Output) -> Iterator[None]:
    """Hold the exclusive right to write an output, until the end of the block.

    It is a lock of the operating system, which ends with its process. Without such locks (Windows,
    some network file systems) nothing is held.

    Raises:
        FileExistsError: If another process has it.
    """
    path = Path(f"{output.manifest}.lock")
    file = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
    try:
        if not _locked(file, path):
            raise FileExistsError(
                "Another process is packing this output: wait until it has ended, or choose "
                f"another name. Received: out={output.path!r}"
            )
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
    finally:
        os.close(file)


def _locked(file: int, path: Path) -> bool:
    held = try_lock(file)
    # Another one may have ended, and removed the file, since it was opened here.
    here = path.exists() and os.path.samestat(os.fstat(file), path.stat())
    return held is None or (held and here)
