"""Digests that stand for contents, and numbers for equal ones."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import pandas as pd


def digest(content: bytes) -> int:
    """64 bits that stand for a content."""
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "little")


def numbered(digests: np.ndarray, there: np.ndarray) -> np.ndarray:
    """`(rows,) int64`: equal numbers for equal digests, counting from 0 in the order of the first
    rows; -1 for rows without one.

    Args:
        digests: `(rows,) uint64`.
        there: `(rows,) bool`, which rows have one.
    """
    own = pd.factorize(digests[there])[0]
    numbers = np.full(len(digests), -1, "int64")
    numbers[there] = own
    return numbers
