"""Vectors that were computed before, by what they were computed from, in bounded memory.

For runs that read the same cells several times by different sequences: to check them, to train, and
to score. It knows contents and not files, so a file that changes is encoded again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np

# Bytes: the vectors of 29,000 pictures of MobileNetV3Small, or of 87,000 texts of MiniLM.
_MOST = 128 * 2**20


class KeptVectors:
    """Remembers what an encoder gave, until it is full; then what is known stays. Thread-safe.

    Args:
        most_bytes: Bytes of vectors that are kept.
    """

    def __init__(self, most_bytes: int = _MOST) -> None:
        self.most_bytes = most_bytes
        self._lock = threading.Lock()
        self._found: dict[bytes, np.ndarray] = {}
        self._bytes = 0

    def encode(self, encode: Callable[[list[Any]], np.ndarray], values: Sequence[Any]) -> Any:
        """Encode what is not known, and return the vectors of all.

        Args:
            encode: `Encoder.encode`.
            values: What `Encoder.prepare` returned for each row.

        Returns:
            `(rows, ...)`, the same bits as from `encode`.
        """
        keys = [_key(value) for value in values]
        with self._lock:
            known = {key: self._found[key] for key in keys if key in self._found}
        # Of equal values the first.
        first: dict[Any, int] = {}
        for row, key in enumerate(keys):
            if key not in known:
                first.setdefault(row if key is None else key, row)
        new = encode([values[row] for row in first.values()])
        places = {row: place for place, row in enumerate(first.values())}
        with self._lock:
            for key, row in first.items():
                vector = new[places[row]]
                if isinstance(key, bytes) and self._bytes + vector.nbytes <= self.most_bytes:
                    self._found[key] = vector.copy()
                    self._bytes += vector.nbytes
        found = np.empty((len(values), *new.shape[1:]), new.dtype)
        for row, key in enumerate(keys):
            if key in known:
                found[row] = known[key]
            else:
                found[row] = new[places[first[row if key is None else key]]]
        return found


def _key(value: Any) -> bytes | None:
    # Of arrays and texts; anything else is encoded each time.
    if isinstance(value, str):
        return blake2b(value.encode("utf-8", "surrogatepass"), digest_size=16, key=b"text").digest()
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        digest = blake2b(f"{value.dtype.str} {value.shape}".encode(), digest_size=16)
        digest.update(np.ascontiguousarray(value).data)
        return digest.digest()
    return None
