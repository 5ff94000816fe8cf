"""Rows that belong to one picture become one row with lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


class Groups:
    """Which rows belong to which group.

    Args:
        codes: `(rows,) int64`, the group of each row.
        count: The number of groups; some may have no rows.
    """

    def __init__(self, codes: np.ndarray, count: int) -> None:
        self._order = np.argsort(codes, kind="stable")
        self._ends = np.cumsum(np.bincount(codes, minlength=count)).tolist()

    def lists(self, cells: Sequence[Any]) -> list[list[Any]]:
        """The cells of each group, in the order of the rows."""
        ordered = [cells[row] for row in self._order.tolist()]
        starts = [0, *self._ends]
        return [ordered[start:end] for start, end in zip(starts, self._ends, strict=False)]
