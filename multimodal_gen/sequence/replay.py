"""Makes again the arrays that a model was given in one epoch, for one row or a batch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.batch.assembly import Assembly
from multimodal_gen.batch.draft import Draft
from multimodal_gen.batch.failures import FailureLog
from multimodal_gen.batch.pending import PendingBatch
from multimodal_gen.rows.checks import check_at_least
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
            f"The label of a row must be unique, and {len(positions)} rows have this one; use "
            f"`table.reset_index(drop=True)`. Received: row={row!r}"
        )
    if positions[0] < 0:
        raise KeyError(f"No row of the table has this label in its index. Received: row={row!r}")
    return int(positions[0])


def place_of(plan: Plan, epoch: int, position: int) -> tuple[Plan, int, int] | None:
    """Find a row in an epoch: the plan of its rank, the batch, and the place in that batch.

    If a sampler draws the row several times, its first place counts.

    Args:
        plan: The plan of any rank.
        epoch: Counts from 0.
        position: Position of the row in the table.

    Returns:
        None if the row is not in the epoch.

    Raises:
        ValueError: If the epoch is negative.
    """
    check_at_least(0, epoch=epoch)
    # Cut where the epoch ends: `drop_remainder` leaves rows out.
    places = np.flatnonzero(plan.order(epoch)[: plan.num_batches * plan.batch_size] == position)
    if not len(places):
        return None
    index, place = divmod(int(places[0]), plan.batch_size)
    # A shorter last batch gives every rank a smaller share.
    rows = min(plan.batch_size, plan.num_rows - index * plan.batch_size)
    rank, place = divmod(place, math.ceil(rows / plan.world_size))
    return plan if rank == plan.rank else replace(plan, rank=rank), index, place


def replay_row(assembly: Assembly, plan: Plan, epoch: int, row: Any) -> tuple[Any, ...]:
    """Make a row's batch again and return a batch of that row alone.

    Args:
        assembly: What makes the sequence's batches.
        plan: The plan of any rank.
        epoch: Counts from 0.
        row: The row's label in the table's own index.

    Raises:
        KeyError: If no row has the label.
        ValueError: If several rows have it, or the row was not in that epoch.
        LoadError: If the row cannot be loaded and `on_error` is "raise" or "skip".
    """
    position = position_of(assembly.table.index, row)
    found = place_of(plan, epoch, position)
    if found is None:
        drawn = plan.weights is not None or plan.mixture is not None
        why = "the sampler did not draw it" if drawn else "it is in the remainder that is dropped"
        raise ValueError(
            f"The row was not in that epoch: {why}. Received: epoch={epoch!r}, row={row!r}"
        )
    own_plan, index, place = found
    whole, failures = steady_batch(assembly, own_plan, epoch, index)
    error = failures.error_of(position)
    if error is not None and assembly.on_error == "skip":
        raise error
    batch: tuple[Any, ...] = row_of(whole, place)
    return batch


def steady_batch(
    assembly: Assembly, plan: Plan, epoch: int, index: int
) -> tuple[tuple[Any, ...], FailureLog]:
    """Make a batch again, with each row in its place: bad rows are blank, and none is excluded.

    Returns:
        The batch, and the rows of it that could not be loaded.

    Raises:
        LoadError: If a row cannot be loaded and `on_error` is "raise".
    """
    # With "skip" the place of a row depends on the bad rows before it; with "blank" it does not.
    # A copy has a list of failures of its own, which excludes no rows.
    steady = assembly if assembly.on_error == "raise" else replace(assembly, on_error="blank")
    return PendingBatch(Draft(steady, plan, epoch, index)).result(), steady.failures


def row_of(batch: Any, place: int) -> Any:
    """Return a batch of the single row at a place of a batch, in the same form."""
    if isinstance(batch, Mapping):
        return {name: row_of(part, place) for name, part in batch.items()}
    if isinstance(batch, list | tuple):
        return type(batch)(row_of(part, place) for part in batch)
    return batch[place : place + 1]
