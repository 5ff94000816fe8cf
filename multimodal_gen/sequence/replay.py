"""One row as it was in one epoch: the arrays that a model was given of it, made once more."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.rows.plan import Plan


def position_of(index: pd.Index, row: Any) -> int:
    """The position of the one row that has a label in a table's index.

    Raises:
        KeyError: If no row has it.
        ValueError: If several have.
    """
    positions = index.get_indexer_for(pd.Index([row]))
    if len(positions) > 1:
        raise ValueError(
            f"{len(positions)} rows of the table have this label; give the sequence a table with "
            "labels of their own, as `table.reset_index(drop=True)` makes them. Received: "
            f"row={row!r}"
        )
    if positions[0] < 0:
        raise KeyError(f"No row of the table has this label in its index. Received: row={row!r}")
    return int(positions[0])


def place_of(plan: Plan, epoch: int, position: int) -> tuple[Plan, int, int] | None:
    """Where a row comes in an epoch: the plan of the rank that has it, the batch, and the place in
    that batch.

    A row that a sampler draws several times is looked for where it comes first.

    Args:
        plan: The plan of any rank.
        epoch: Counts from 0.
        position: Position of the row in the table.

    Returns:
        None where the epoch does without the row.

    Raises:
        ValueError: If the epoch is negative.
    """
    if epoch < 0:
        raise ValueError(f"Epochs count from 0. Received: epoch={epoch!r}")
    places = np.flatnonzero(plan.order(epoch)[: plan.num_batches * plan.batch_size] == position)
    if not len(places):
        return None
    index, place = divmod(int(places[0]), plan.batch_size)
    rows = min(plan.batch_size, plan.num_rows - index * plan.batch_size)
    rank, place = divmod(place, math.ceil(rows / plan.world_size))
    return plan if rank == plan.rank else dataclasses.replace(plan, rank=rank), index, place


def row_of(batch: Any, place: int) -> Any:
    """A batch of the one row at a place of a batch, in the same form."""
    if isinstance(batch, Mapping):
        return {name: row_of(part, place) for name, part in batch.items()}
    if isinstance(batch, list | tuple):
        return type(batch)(row_of(part, place) for part in batch)
    return batch[place : place + 1]
