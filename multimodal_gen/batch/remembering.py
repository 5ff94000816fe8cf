"""What the memory of rows spares a batch: cells that need not be looked up, and rows read before.

From the second epoch on, all arrays of captions, labels and features are in memory. Looking up
their cells in the table would take twice as long as copying them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import numpy as np

from multimodal_gen.batch.assembly import Assembly
from multimodal_gen.batch.draft import Draft
from multimodal_gen.batch.row_memory import RowMemory
from multimodal_gen.batch.slots import Slot
from multimodal_gen.batch.sources import chooses, read_rows_ahead
from multimodal_gen.batch.windows import batches_together, unknown_rows
from multimodal_gen.loaders.stages import stage


def remembered(
    assembly: Assembly,
    positions: np.ndarray,
    memory_of: Callable[[RowMemory], RowMemory] = lambda memory: memory,
) -> set[Slot]:
    """The slots whose arrays are all in memory, and need no cells.

    Args:
        assembly: The settings of the batch.
        positions: Positions of its rows in the table, `(rows,)`.
        memory_of: The memory to look into, for one of the assembly's.
    """
    training = assembly.augmenting
    if training and assembly.sample_augment:
        # Operations on samples look at the cells, and may replace them.
        return set()
    return {
        slot
        for slot, source in assembly.sources.items()
        if source.memory is not None
        and not source.loader.varies(training)
        and not (training and chooses(source.loader))
        # How many there are in a cell is asked of the cell.
        and source.loader.spec.kind != "many"
        and memory_of(source.memory).knows(positions).all()
    }


def recall(draft: Draft, slot: Slot) -> bool:
    """Copy the arrays of all rows out of memory.

    Returns:
        Whether they are still there. If not, the memory was cleared by another thread, and the
        cells have been looked up.
    """
    source = draft.sources[slot]
    assert source.memory is not None
    with stage("memory"):
        if source.memory.take(draft.positions, draft.arrays[slot]).all():
            return True
    draft.cells[slot] = draft.rows.cells(source.loader.column)
    draft.own_cells[slot] = tuple(draft.cells[slot])
    return False


def read_ahead(draft: Draft, slot: Slot) -> None:
    """Read the rows of the batches around this one with it, if that is best for the loader.

    Not with a time limit, which is for the cells of one batch, nor for a batch of given rows.
    """
    source, plan = draft.sources[slot], draft.plan
    best, memory = source.loader.batch_rows, source.memory
    if best is None or memory is None or draft.given_rows or draft.assembly.reading.timeout:
        return
    size = batches_together(math.ceil(plan.batch_size / plan.world_size), best)
    if size == 1 or memory.knows(draft.positions).all():
        return
    last, read = (plan.num_batches - 1) // size, partial(_read_window, draft, slot, size)
    # A batch whose rows could not be read ahead reads them itself, and reports what is wrong.
    with stage("load"), suppress(Exception):
        source.windows.read(draft.epoch, draft.index // size, last, read)


def _read_window(draft: Draft, slot: Slot, size: int, window: int) -> None:
    source, plan = draft.sources[slot], draft.plan
    assert source.memory is not None
    batches = range(window * size, min((window + 1) * size, plan.num_batches))
    positions = np.concatenate([plan.batch(draft.epoch, one)[0] for one in batches])
    unknown = unknown_rows(positions, source.memory.knows(positions))
    read_rows_ahead(source, draft.assembly.table, unknown)
