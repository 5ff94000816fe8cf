"""What the tests of the cache share: a loader, in a file of its own so that other processes can
import it.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_gen.batch.cache import ArrayCache, LoaderCache
from multimodal_gen.loaders.base import ArraySpec, Loader

ROW_BYTES = 16_384
# What was read and not served, in this process.
reads: list[Any] = []
CELLS = [f"cell {number}" for number in range(40)]


@dataclass(frozen=True)
class DigestLoader(Loader):
    """Turns a text into 16 KiB that look random and depend on the text and the salt alone."""

    column: str
    salt: str = ""
    spec = ArraySpec((ROW_BYTES,), "uint8", "vector")

    def read(self, cell: str) -> np.ndarray:
        reads.append(cell)
        return np.frombuffer(
            hashlib.shake_128(f"{self.salt}{cell}".encode()).digest(ROW_BYTES), "uint8"
        )


def cached(directory: Path | str, loader: Loader, limit: int | None = None) -> LoaderCache:
    """The cache of a loader in a directory, opened again."""
    found = ArrayCache(directory, limit=limit).of(loader, num_rows=len(CELLS))
    assert found is not None
    return found


def reads_of(cache: LoaderCache, cells: list[Any]) -> list[Any]:
    """Read cells through the cache, compare them with fresh ones, and say which the loader was
    asked for.
    """
    reads.clear()
    arrays = [cache.read(cell) for cell in cells]
    asked = list(reads)
    for cell, array in zip(cells, arrays, strict=True):
        fresh = cache.loader.read(cell)
        assert (array.dtype, array.shape) == (fresh.dtype, fresh.shape)
        assert array.tobytes() == fresh.tobytes()
    return asked


def main() -> None:
    """Read the cells `first` to `last` through the cache in a directory, and say how many were no
    hits.
    """
    directory, first, last, rounds = sys.argv[1], *map(int, sys.argv[2:5])
    loader = DigestLoader("text")
    cache = cached(directory, loader)
    for _ in range(rounds):
        for number in range(first, last):
            array = cache.read(f"cell {number}")
            misses = len(reads)
            assert array.tobytes() == loader.read(f"cell {number}").tobytes()
            del reads[misses:]
    sys.stdout.write(f"{len(reads)}\n")


if __name__ == "__main__":
    main()
