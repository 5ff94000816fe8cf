"""Divides the reading of a draft into steps: which cells are read together, and by which thread."""

from __future__ import annotations

import math
from collections import deque

from multimodal_gen.batch.draft import Draft
from multimodal_gen.batch.slots import Slot

# A slot, and a row of it or None for all rows together.
Step = tuple[Slot, int | None]


def steps_of(draft: Draft, threads: int) -> list[deque[Step]]:
    """Return the steps of each task, for a number of threads.

    Cells that are read together come first, then the others row by row.
    """
    rows = len(draft.positions)
    together = [s for s, one in draft.sources.items() if one.whole or s in draft.cached]
    single = [slot for slot in draft.sources if slot not in together]
    # One thread for all of them: they are small, and threads waiting for each other would cost
    # more.
    tasks: list[deque[Step]] = [deque((slot, None) for slot in together)] if together else []
    if single:
        # Two chunks per thread balance rows of unequal cost.
        size = max(1, math.ceil(rows / (2 * threads)))
        chunks = [range(start, min(start + size, rows)) for start in range(0, rows, size)]
        tasks += [deque((slot, row) for row in chunk for slot in single) for chunk in chunks]
    return tasks


def one_by_one(draft: Draft, slot: Slot) -> list[Step]:
    """Return the steps that replace `(slot, None)`, for `deque.extendleft`, which reverses them."""
    if slot not in draft.arrays:
        draft.arrays[slot] = draft.empty(slot)
    return [(slot, row) for row in reversed(range(len(draft.positions)))]
