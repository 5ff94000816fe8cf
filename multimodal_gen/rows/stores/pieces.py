"""Which piece of a table a row is in: its row group, its file or its shard."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


class Pieces:
    """Pieces of a table that follow one another.

    Args:
        sizes: Rows of each.
    """

    def __init__(self, sizes: Iterable[int]) -> None:
        self._starts = np.concatenate([[0], np.cumsum(list(sizes), dtype="int64")])

    def __len__(self) -> int:
        """Rows of all pieces together."""
        return int(self._starts[-1])

    def place_of(self, row: int) -> tuple[int, int]:
        """The number of the piece that a row is in, and of the row in it."""
        number = int(np.searchsorted(self._starts, row, side="right") - 1)
        return number, row - int(self._starts[number])

    def of(self, rows: np.ndarray) -> list[tuple[int, np.ndarray, np.ndarray]]:
        """Go through rows piece by piece.

        Args:
            rows: `(rows,)`, numbers of rows in any order.

        Returns:
            For each piece that has some, in order: its number, the places in `rows` of those it
            has, and their numbers in it.
        """
        if not len(rows):
            return []
        pieces = np.searchsorted(self._starts, rows, side="right") - 1
        if (pieces == pieces[0]).all():
            return [(int(pieces[0]), np.arange(len(rows)), rows - self._starts[pieces[0]])]
        order = np.argsort(pieces, kind="stable")
        numbers, firsts = np.unique(pieces[order], return_index=True)
        return [
            (number, places, rows[places] - self._starts[number])
            for number, places in zip(numbers.tolist(), np.split(order, firsts[1:]), strict=True)
        ]
