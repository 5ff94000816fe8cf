"""Makes a batch in a worker process: one step after the other, noting which cell is being read.

The note is in shared memory. When a worker dies or hangs, its parent knows at which cell.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from multimodal_gen.batch.batch_rows import GivenRows
from multimodal_gen.batch.draft import Draft
from multimodal_gen.batch.finishing import finish
from multimodal_gen.batch.reading import read_cell, read_together, take_cells, vary_cells
from multimodal_gen.batch.steps import one_by_one, steps_of
from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.stages import stage
from multimodal_gen.rows.plan import Plan

_TOGETHER = -1


@dataclass(frozen=True)
class Task:
    """A batch to be made.

    Args:
        plan: The sequence's plan without what is as long as the table.
        epoch: The epoch, counting from 0.
        index: The position of the batch in its epoch.
        length: The length in ids that captions in buckets are cut to, or None.
        rows: The rows of the batch, with their cells.
        timed: Whether seconds are measured by stage.
        lost: Number of a slot and row -> the error of a cell that must not be read again.
        singly: Numbers of slots whose cells must be read one by one.
    """

    plan: Plan
    epoch: int
    index: int
    length: int | None
    rows: GivenRows
    timed: bool = False
    lost: Mapping[tuple[int, int], LoadError] = field(default_factory=dict)
    singly: frozenset[int] = frozenset()


def make(draft: Draft, task: Task, header: memoryview) -> tuple[Any, ...]:
    """Make a batch, as a `PendingBatch` does with threads.

    Args:
        draft: The batch, of which nothing has been read.
        task: What is known of it from failed attempts.
        header: Where the cell that is being read is noted.
    """
    take_cells(draft)
    if draft.assembly.augmenting and draft.assembly.sample_augment:
        vary_cells(draft)
    numbers = {slot: number for number, slot in enumerate(draft.sources)}
    for steps in steps_of(draft, threads=1):
        while steps:
            slot, row = steps.popleft()
            number = numbers[slot]
            timed = functools.partial(_noted, header, number, _TOGETHER if row is None else row)
            known = task.lost.get((number, row)) if row is not None else None
            if known is not None:
                draft.lose(slot, row or 0, known)
            elif row is not None:
                read_cell(draft, slot, row, timed)
            elif number in task.singly or not read_together(draft, slot, timed):
                steps.extendleft(one_by_one(draft, slot))
    with stage("assemble"):
        return finish(draft)


def _noted(header: memoryview, slot: int, row: int, read: Any, *arguments: Any) -> Any:
    # The time is written last and removed first, so it always belongs to the cell.
    header[0], header[1] = slot, row
    header[2] = time.monotonic_ns()
    try:
        return read(*arguments)
    finally:
        header[2] = 0


def noted_step(header: memoryview) -> tuple[int, int, float] | None:
    """Return the number of the slot and the row that a worker is reading, and for how many seconds.

    The row is negative if all rows are read together. None if nothing is being read.
    """
    started, slot, row = header[2], header[0], header[1]
    if not started or header[2] != started:
        return None
    return slot, row, (time.monotonic_ns() - started) / 1e9
