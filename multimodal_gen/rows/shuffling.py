"""A random order of very many rows that needs no memory: the row at any place is computed.

The order is a keyed bijection of 0..n-1, a Feistel network as block ciphers are (Luby and Rackoff,
1988, "How to construct pseudorandom permutations from pseudorandom functions"), on the smallest
number of bits that holds n. Where it leads beyond n, it is applied again until it does not (Black
and Rogaway, 2002, "Ciphers with arbitrary finite domains").
"""

from __future__ import annotations

import numpy as np

# Four rounds look random to whoever has few samples; eight are safe.
ROUNDS = 8


def shuffled_rows(num_rows: int, keys: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The rows at some places of a random order of all rows.

    Args:
        num_rows: Rows that are ordered; at least 1,000, as orders of a handful are uneven.
        keys: `(ROUNDS,) uint64`, random words that choose the order.
        places: `(places,)` whole numbers in [0, num_rows).

    Returns:
        `(places,) int64` in [0, num_rows). All places together give each row once.
    """
    bits = (num_rows - 1).bit_length()
    rows = _passed(places.astype(np.uint64), bits, keys)
    # Fewer than half of all numbers lie beyond, so few passes are needed.
    while len(beyond := np.flatnonzero(rows >= num_rows)):
        rows[beyond] = _passed(rows[beyond], bits, keys)
    return rows.astype(np.int64)


def _passed(numbers: np.ndarray, bits: int, keys: np.ndarray) -> np.ndarray:
    # The halves have unequal sizes where the number of bits is odd, and change places each round.
    low, high = bits // 2, bits - bits // 2
    left, right = numbers >> np.uint64(low), numbers & _mask(low)
    for key in keys[:ROUNDS]:
        left, right = right, left ^ (_mixed(right ^ key) & _mask(high))
        low, high = high, low
    return (left << np.uint64(low)) | right


def _mask(bits: int) -> np.uint64:
    return np.uint64((1 << bits) - 1)


def _mixed(words: np.ndarray) -> np.ndarray:
    # The finalizer of SplitMix64 (Steele, Lea and Flood, 2014).
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
