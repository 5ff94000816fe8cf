"""Turns the filled arrays of a draft into what Keras is given: adds masks, sets the weight of bad
rows to 0 or drops them, and applies operations to samples and batches.

The steps in order: excluded rows, masks of missing cells, operations on samples, weights, rows that
could not be loaded, operations on the batch, captions cut to the length of their bucket.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from multimodal_gen.augment.batch import Batch
from multimodal_gen.batch.assembly import INPUTS_AS
from multimodal_gen.batch.draft import Draft
from multimodal_gen.batch.operations import sample_error, vary_batch, vary_sample
from multimodal_gen.batch.slots import Slot, arrays_of, batch_of
from multimodal_gen.spec import mask_of


def finish(draft: Draft) -> tuple[Any, ...]:
    """Return what Keras is given: inputs, then target and weights if there are any.

    Raises:
        LoadError: If a weight is bad.
        LoaderError: If an operation fails or breaks its contract.
    """
    assembly = draft.assembly
    draft.found.count(len(draft.positions))
    _blank_excluded(draft)
    _add_masks(draft)
    _vary_samples(draft)
    batch = _vary_rows(draft, _weighted(draft))
    buckets = assembly.buckets
    if buckets is not None:
        length = draft.length or buckets.length(batch, draft.plan, draft.rows)
        batch = buckets.cut(batch, length)
    others = (one for one in (batch.target, batch.sample_weight) if one is not None)
    return INPUTS_AS[assembly.inputs_as](batch.inputs), *others


def _blank_excluded(draft: Draft) -> None:
    # A weight of 0 is not enough: 0 times NaN is NaN.
    for row in map(int, np.flatnonzero(draft.rows.excluded)):
        for slot in draft.missing:
            draft.missing[slot][row] = True
        for slot in draft.sources:
            draft.blank(slot, row)


def _add_masks(draft: Draft) -> None:
    for name, mask in draft.assembly.masks.items():
        slot = Slot("input", name)
        loader, there = draft.sources[slot].loader, ~draft.missing[slot]
        counts = there.astype("int64")
        if loader.spec.kind == "many":
            cells = draft.cells[slot]
            counts[there] = [loader.count(cells[row]) for row in np.flatnonzero(there)]
        places = np.arange(*mask_of(loader.spec).shape)
        draft.arrays[Slot("input", mask)] = (places < counts[:, None]).astype("float32")


def _vary_samples(draft: Draft) -> None:
    for row, steps in enumerate(draft.steps):
        if steps and not draft.failed[row]:
            try:
                vary_sample(draft.arrays, row, steps)
            except Exception as error:
                raise sample_error(error, draft.label(row)) from error


def _weighted(draft: Draft) -> Batch:
    # The arrays in the order of the model's inputs, with weights. Bad rows get weight 0 here, so
    # they do not count even if no operation follows.
    assembly, arrays = draft.assembly, draft.arrays
    slots = [Slot("input", name) for name in assembly.specs]
    slots += [Slot("target", name) for name in assembly.targets]
    truths = {name: arrays[Slot("target", name)] for name in assembly.targets}
    weights = assembly.weights.of(draft.rows, truths)
    by_slot = {slot: arrays[slot] for slot in slots}
    for name, array in (weights or {}).items():
        array[draft.failed] = 0
        by_slot[Slot("weights", name)] = array
    return batch_of(by_slot, assembly.specs)


def _vary_rows(draft: Draft, batch: Batch) -> Batch:
    # Applies the operations to the good rows only: MixUp with a blank row would train on nothing.
    assembly, bad = draft.assembly, draft.failed
    operations = assembly.batch_augment if assembly.augmenting else ()
    if not bad.any():
        return _vary(draft, batch, operations)
    if bad.all() and assembly.on_error == "skip":
        # Keras needs at least one row per batch; this one is blank and has weight 0.
        return _rows_of(batch, np.arange(1))
    if bad.all() or not (operations or assembly.on_error == "skip"):
        return _vary(draft, batch, operations)
    good = _vary(draft, _rows_of(batch, np.flatnonzero(~bad)), operations)
    return good if assembly.on_error == "skip" else _with_blank_rows(good, batch, bad)


def _vary(draft: Draft, batch: Batch, operations: Sequence[Any]) -> Batch:
    plan = draft.plan
    for number, operation in enumerate(operations):
        # No column can start with a NUL, so this stream differs from that of every cell.
        rng = plan.rng(draft.epoch, draft.index, f"\0batch {number} {plan.rank}")
        batch = vary_batch(operation, batch, rng)
    return batch


def _rows_of(batch: Batch, rows: np.ndarray) -> Batch:
    return batch_of({slot: array[rows] for slot, array in arrays_of(batch).items()}, batch.specs)


def _with_blank_rows(good: Batch, whole: Batch, bad: np.ndarray) -> Batch:
    # The good rows after their operations, and the blank rows at their old places; or at the end,
    # if operations have changed the number of rows.
    order: Any = slice(None)
    if len(next(iter(good.inputs.values()))) == (~bad).sum():
        order = np.concatenate([np.flatnonzero(~bad), np.flatnonzero(bad)]).argsort()
    varied = arrays_of(good)
    arrays = {
        slot: np.concatenate([varied[slot], array[bad]])[order]
        for slot, array in arrays_of(whole).items()
    }
    return batch_of(arrays, whole.specs)
