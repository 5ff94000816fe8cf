"""Reads the cells of a draft into its arrays: all rows together, or one cell at a time.

The steps in order: `take_cells`, `vary_cells`, then `read_together` or `read_cell` for every slot.
If reading together fails, every cell is read by itself, to find the bad one. A cell that then fails
is not tried again in this batch.
`timed(read, *arguments)` calls the function that reads, while `pending.py` watches the time.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from multimodal_gen.augment.sample import SampleAugmentation, SampleFunction
from multimodal_gen.batch.choosing import is_absent
from multimodal_gen.batch.draft import Draft
from multimodal_gen.batch.operations import sample_error, with_rng
from multimodal_gen.batch.remembering import read_ahead, recall, remembered
from multimodal_gen.batch.slots import Slot
from multimodal_gen.errors import LoaderError
from multimodal_gen.loaders.base import Loader, missing_error, missing_target_error
from multimodal_gen.loaders.stages import stage
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.rows.cells import Unreadable, is_missing, is_unreadable
from multimodal_gen.spec import spec_problem

Timed = Callable[..., Any]
# Marks a cell that is missing: nothing is read, and the row's array stays zero.
_NOTHING = object()


def take_cells(draft: Draft) -> None:
    """Look up the cells in the table, except for arrays that are already in memory."""
    with stage("assemble"):
        draft.remembered = remembered(draft.assembly, draft.positions)
        draft.cells = {
            slot: draft.rows.cells(one.loader.column)
            for slot, one in draft.sources.items()
            if slot not in draft.remembered
        }
        for slot in draft.chosen:
            draft.cells[slot] = draft.choose(slot)
        # Tuples, because the lists are changed in place when cells are replaced.
        draft.own_cells = {slot: tuple(cells) for slot, cells in draft.cells.items()}


def fetch_ahead(draft: Draft) -> None:
    """Start to fetch what the cells name elsewhere, such as pictures at URLs, all at once."""
    for slot, cells in draft.cells.items():
        # What is read together is fetched then, as some of it may be in memory.
        if not draft.sources[slot].whole:
            there = [one for one in cells if not is_unreadable(one)]
            draft.sources[slot].fetch_ahead(there, _are_own(draft, slot))


def vary_cells(draft: Draft) -> None:
    """Let operations on samples replace cells, and prepare what they will do with the arrays.

    Raises:
        LoaderError: If an operation fails.
    """
    loaders = {slot: one.loader for slot, one in draft.sources.items()}
    needed = [s for s, one in loaders.items() if not one.accepts_missing and one.missing != "blank"]
    for row in range(len(draft.positions)):
        broken = any(is_unreadable(cells[row]) for cells in draft.cells.values())
        if broken or any(is_missing(draft.cells[slot][row]) for slot in needed):
            # Nothing to vary. `read_cell` or `read_together` decides what happens to the row.
            draft.steps.append([])
            continue
        try:
            varied, steps = _prepare_sample(draft, row)
        except Exception as error:
            raise sample_error(error, draft.label(row)) from error
        draft.steps.append(steps)
        for name, cell in varied.items():
            _exchange(draft, Slot("input", name), row, cell)


def _prepare_sample(
    draft: Draft, row: int
) -> tuple[Mapping[str, Any], list[tuple[Any, SampleFunction]]]:
    names = draft.assembly.inputs
    cells: Mapping[str, Any] = {name: draft.cells[Slot("input", name)][row] for name in names}
    steps: list[tuple[Any, SampleFunction]] = []
    for number, operation in enumerate(draft.assembly.sample_augment):
        # No column can start with a NUL, so this stream differs from that of every cell.
        rng = draft.plan.rng(draft.epoch, draft.positions[row], f"\0sample {number}")
        if not isinstance(operation, SampleAugmentation):
            steps.append((operation, with_rng(operation, rng)))
            continue
        cells, step = operation.prepare(cells, rng)
        if step is not None:
            steps.append((operation, step))
    return cells, steps


def _exchange(draft: Draft, slot: Slot, row: int, cell: Any) -> None:
    # A target on the same column must see the new cell too, such as masked words of a caption.
    if cell is draft.cells[slot][row]:
        return
    column = draft.sources[slot].loader.column
    for other, source in draft.sources.items():
        if other == slot or (other.role == "target" and source.loader.column == column):
            draft.cells[other][row] = cell


def read_cell(draft: Draft, slot: Slot, row: int, timed: Timed) -> None:
    """Read one cell into its row.

    Raises:
        LoadError: If it cannot be read, and `on_error` is "raise".
        LoaderError: If a loader breaks its contract.
    """
    source, rng = draft.sources[slot], draft.rng(slot, row)
    cell = _cell(draft, slot, row, rng)
    if cell is _NOTHING:
        return
    try:
        with stage("load"):
            array = timed(source.read, cell, cell is draft.own_cells[slot][row])
    except Exception as error:
        draft.lose(slot, row, error)
        return
    _check_spec(draft, slot, row, array, "read")
    _store(draft, slot, row, array, rng)


def read_together(draft: Draft, slot: Slot, timed: Timed) -> bool:
    """Read the cells of all rows at once, except those already in memory.

    Returns:
        Whether it succeeded. If not, a cell is bad or not in the cache, and `read_cell` must be
        called for every row.

    Raises:
        LoaderError: If a loader breaks its contract.
    """
    if slot in draft.cached:
        return _read_cached(draft, slot, timed)
    if slot in draft.remembered and recall(draft, slot):
        return True
    read_ahead(draft, slot)
    source, own_cells = draft.sources[slot], draft.own_cells[slot]
    memory, rows, varies = source.memory, range(len(draft.positions)), draft.varies[slot]
    # What is read may have another shape than what `augment` makes of it.
    filled = draft.arrays[slot] if _same_shape(source.loader) else draft.read_array(slot)
    with stage("memory"):
        known = (
            np.zeros(len(rows), bool) if memory is None else memory.take(draft.positions, filled)
        )
    if known.all() and not varies and _are_own(draft, slot):
        return True
    rngs = [draft.rng(slot, row) for row in rows] if varies else [None] * len(rows)
    cells = _cells(draft, slot, rngs)
    there = [row for row in rows if cells[row] is not _NOTHING]
    own = [cells[row] is own_cells[row] for row in rows]
    unread = [row for row in there if not (known[row] and own[row])]
    try:
        with stage("load"):
            arrays = timed(source.read_batch, [cells[row] for row in unread], all(own))
    except Exception:
        # Reading one by one shows which cell is bad.
        return False
    _check_number(type(source.loader).__name__, arrays, unread)
    lost = set()
    for row, array in zip(unread, arrays, strict=True):
        if isinstance(array, Exception):
            draft.lose(slot, row, array)
            lost.add(row)
            continue
        _check_spec(draft, slot, row, array, "read")
        filled[row] = array
        if memory is not None and own[row]:
            memory.put(draft.positions[row], array)
    if varies:
        for row in there:
            if row not in lost:
                _store(draft, slot, row, filled[row, ...].copy(), rngs[row])
    return True


def _same_shape(loader: Loader) -> bool:
    return loader.read_spec.shape == loader.spec.shape


def _read_cached(draft: Draft, slot: Slot, timed: Timed) -> bool:
    if not _are_own(draft, slot):
        return False
    cells = _cells(draft, slot, [None] * len(draft.positions))
    there = [row for row, cell in enumerate(cells) if cell is not _NOTHING]
    with stage("load"):
        # One call for the batch: this is what makes a warm cache fast.
        whole = timed(draft.sources[slot].gather, [cells[row] for row in there])
    if whole is not None and len(there) < len(cells):
        found, whole = whole, np.zeros_like(draft.empty(slot))
        whole[there] = found
    if whole is None:
        return False
    draft.arrays[slot] = whole
    return True


def _are_own(draft: Draft, slot: Slot) -> bool:
    return all(map(operator.is_, draft.cells[slot], draft.own_cells[slot]))


def _cells(draft: Draft, slot: Slot, rngs: Sequence[np.random.Generator | None]) -> list[Any]:
    # The result of `_cell` for all rows; usually, no cell is missing or varied.
    cells, loader = draft.cells[slot], draft.sources[slot].loader
    absent = is_unreadable if loader.accepts_missing else is_absent
    if rngs[0] is None and not any(map(absent, cells)):
        return cells
    return [_cell(draft, slot, row, rng) for row, rng in enumerate(rngs)]


def _cell(draft: Draft, slot: Slot, row: int, rng: np.random.Generator | None) -> Any:
    # The cell to read, or _NOTHING if the row has been set to zeros already.
    loader, cell = draft.sources[slot].loader, draft.cells[slot][row]
    if isinstance(cell, Unreadable):
        draft.lose(slot, row, cell.error)
        return _NOTHING
    if not loader.accepts_missing and is_missing(cell):
        if loader.missing == "blank":
            draft.missing[slot][row] = True
            draft.blank(slot, row)
        else:
            # Scores are computed from labels that are read like inputs.
            is_target = isinstance(loader, Target)
            draft.lose(slot, row, missing_target_error() if is_target else missing_error())
        return _NOTHING
    if rng is None:
        return cell
    try:
        return loader.augment_cell(cell, rng)
    except Exception as error:
        raise _broken(draft, slot, row, error, "augment_cell") from error


def _store(
    draft: Draft, slot: Slot, row: int, array: np.ndarray, rng: np.random.Generator | None
) -> None:
    if draft.varies[slot]:
        # The array may be the table's own memory, so an operation that writes into it must fail
        # instead of changing the data.
        array = np.asarray(array).view()
        array.flags.writeable = False
        try:
            with stage("augment"):
                array = draft.sources[slot].loader.augment(array, rng)
        except Exception as error:
            raise _broken(draft, slot, row, error, "augment") from error
        _check_spec(draft, slot, row, array, "augment")
    with stage("assemble"):
        draft.arrays[slot][row] = array


def _check_spec(draft: Draft, slot: Slot, row: int, array: Any, method: str) -> None:
    loader = draft.sources[slot].loader
    which = "spec" if method == "augment" or _same_shape(loader) else "read_spec"
    problem = spec_problem(array, getattr(loader, which))
    if problem:
        raise LoaderError(
            f"{type(loader).__name__}.{method} must return what `{which}` says; {slot}, "
            f"index {draft.label(row)!r}. {problem}"
        )


def _check_number(name: str, arrays: Sequence[Any], rows: Sequence[int]) -> None:
    if len(arrays) != len(rows):
        raise LoaderError(
            f"{name}.read_batch must return one array per cell. Received: {len(arrays)} arrays for "
            f"{len(rows)} cells"
        )


def _broken(draft: Draft, slot: Slot, row: int, error: Exception, method: str) -> LoaderError:
    # The cell was read, so the operation is broken and would fail on every row: `on_error` does not
    # apply.
    hint = ""
    if "read-only" in str(error):
        hint = " Return a new array instead of changing the given one."
    return LoaderError(
        f"{type(draft.sources[slot].loader).__name__}.{method} failed; {slot}, "
        f"index {draft.label(row)!r}. {type(error).__name__}: {error}{hint}"
    )
