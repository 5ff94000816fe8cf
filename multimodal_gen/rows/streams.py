"""Streams of random words, each a pure function of its coordinates.

The generator is Philox, which is counter-based: a stream is set up by writing its coordinates into
the counter (Salmon et al., 2011, "Parallel random numbers: as easy as 1, 2, 3").
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISpawnableSeedSequence


def stream_of(name: str) -> int:
    """The number of a stream that has a name, in [0, 2**32)."""
    # Not `hash`, which differs between processes for texts.
    return zlib.crc32(name.encode("utf-8", "surrogatepass"))


def philox(seed: int, stream: int, epoch: int, position: int) -> np.random.Philox:
    """A generator that depends on these four only, each in [0, 2**64)."""
    # The low word of the counter is left at 0: it counts the numbers drawn from the stream.
    counter = np.array((0, position, epoch, 0), np.uint64)
    key: Any = _Key(seed, stream, epoch, position)
    return np.random.Philox(key, counter=counter)


class _Key(ISpawnableSeedSequence):
    # The key of a stream. Philox takes it as `key=` too, but then asks the system for randomness
    # that it does not use, which takes 5 of 8 microseconds and gives other threads a turn; and
    # `Generator.spawn` is a TypeError (NumPy 2.4). Here spawned streams follow from the key.
    def __init__(self, seed: int, stream: int, epoch: int, position: int) -> None:
        self._words = seed, stream, epoch, position
        self._sequence: np.random.SeedSequence | None = None

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> np.ndarray:
        return np.array(self._words[:n_words], dtype)

    def spawn(self, n_children: int) -> Any:
        if self._sequence is None:
            self._sequence = np.random.SeedSequence(self._words)
        return self._sequence.spawn(n_children)
