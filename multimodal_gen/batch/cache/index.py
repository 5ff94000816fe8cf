"""The index of a cache in memory: 64 bits of a key -> place of its array, 12 bytes per entry.

Most entries are in two sorted arrays. New ones are in a dict, which is merged into the arrays when
it has grown.
"""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

# Merging copies the sorted arrays, so it must become rarer as they grow.
_LEAST_MERGED = 1024
_MOST_MERGED = 65_536


class Index:
    """Number -> place. Many threads may call `find` while one other adds."""

    def __init__(self) -> None:
        # Replaced as one object, so that readers need no lock.
        self._state = _frozen(np.empty(0, "u8"), np.empty(0, "u4"))

    def __len__(self) -> int:
        return len(self._state[0]) + len(self._state[2])

    @property
    def nbytes(self) -> int:
        """Bytes of the sorted arrays."""
        return self._state[0].nbytes + self._state[1].nbytes

    def find(self, number: int) -> int | None:
        """Return the place of a number, or None."""
        numbers, places, recent = self._state
        place = recent.get(number)
        if place is not None:
            return place
        position = bisect_left(numbers, number)
        return places[position] if position < len(numbers) and numbers[position] == number else None

    def add(self, number: int, place: int) -> None:
        """Add one entry."""
        recent = self._state[2]
        recent[number] = place
        if len(recent) >= min(_MOST_MERGED, max(_LEAST_MERGED, len(self._state[0]) // 8)):
            self.add_many(np.empty(0, "u8"), np.empty(0, "u4"))

    def add_many(self, numbers: np.ndarray, places: np.ndarray) -> None:
        """Add entries, `(entries,)` uint64 and uint32; for equal numbers, the first one stays."""
        sorted_numbers, sorted_places, recent = self._state
        numbers = np.concatenate(
            [np.fromiter(recent.keys(), "u8", len(recent)), numbers.astype("u8")]
        )
        places = np.concatenate(
            [np.fromiter(recent.values(), "u4", len(recent)), places.astype("u4")]
        )
        numbers, first = np.unique(numbers, return_index=True)
        places = places[first]
        if not len(sorted_numbers):
            self._state = _frozen(numbers, places)
            return
        before = np.asarray(sorted_numbers)
        where = np.searchsorted(before, numbers)
        new = before[np.minimum(where, len(before) - 1)] != numbers
        where, numbers, places = where[new], numbers[new], places[new]
        self._state = _frozen(
            np.insert(before, where, numbers), np.insert(np.asarray(sorted_places), where, places)
        )


def _frozen(
    numbers: np.ndarray, places: np.ndarray
) -> tuple[memoryview, memoryview, dict[int, int]]:
    # Items of a memoryview are plain integers, and cost a third of the time of array items.
    return numbers.data, places.data, {}
