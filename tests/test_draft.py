"""One batch in the making: each step from positions to what Keras is given, alone."""

from __future__ import annotations

import gc
import re
import time
import weakref
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.augment import Sample
from multimodal_gen.batch.draft import Draft
from multimodal_gen.batch.finishing import finish
from multimodal_gen.batch.pending import PendingBatch
from multimodal_gen.batch.reading import read_cell, read_together, take_cells, vary_cells
from multimodal_gen.batch.slots import Slot, arrays_of, batch_of, by_slot
from multimodal_gen.loaders.base import ArraySpec, Loader

TABLE = pd.DataFrame(
    {
        "size": [1.0, 2.0, 3.0, 4.0],
        "price": [10.0, 20.0, 30.0, 40.0],
        "class": ["a", "b", "a", "b"],
    },
    index=["w", "x", "y", "z"],
)
SIZE, PRICE, TARGET = Slot("input", "size"), Slot("input", "price"), Slot("target", None)


class Halves(Loader):
    """A number and its half, read one by one; a cell of -1 is a bad one."""

    spec = ArraySpec((2,), "float32", "vector")

    def __init__(self, column: str, missing: str = "error") -> None:
        self.column, self.missing = column, missing

    def read(self, cell: Any) -> np.ndarray:
        if cell < 0:
            raise mg.LoadError(f"a number of at least 0 is needed. Received: {cell:g}")
        return np.array([cell, cell / 2], "float32")


class Together(Halves):
    """The same, read together."""

    def read_batch(self, cells: Any) -> list[np.ndarray]:
        return [self.read(cell) for cell in cells]


def draft_of(table: pd.DataFrame = TABLE, inputs: Any = None, **arguments: Any) -> Draft:
    inputs = inputs or {"size": Halves("size"), "price": Together("price")}
    target = mg.ClassLabel.from_values("class", TABLE)
    data = mg.MultimodalSequence(table, inputs, target, batch_size=4, **arguments)
    return Draft(data.assembly, data.plan, epoch=0, index=0)


def at_once(read: Any, *arguments: Any) -> Any:
    return read(*arguments)


def filled(draft: Draft) -> Draft:
    take_cells(draft)
    vary_cells(draft)
    for slot in draft.sources:
        for row in range(len(draft.positions)):
            read_cell(draft, slot, row, at_once)
    return draft


def test_a_draft_begins_with_positions_and_without_cells() -> None:
    draft = draft_of()
    assert draft.positions.tolist() == [0, 1, 2, 3] and draft.padding == 0
    assert draft.cells == {} and draft.steps == [] and not draft.failed.any()
    assert {str(slot): array.shape for slot, array in draft.arrays.items()} == {
        "input 'size'": (4, 2),
        "input 'price'": (4, 2),
        "the target": draft.arrays[TARGET].shape,
    }


def test_cells_are_taken_for_every_slot() -> None:
    draft = draft_of()
    take_cells(draft)
    assert draft.cells[SIZE] == [1.0, 2.0, 3.0, 4.0] and draft.cells[TARGET] == ["a", "b", "a", "b"]
    assert re.fullmatch(r"index 'x', column 'price', (np.float64\()?20.0\)?", draft.where(PRICE, 1))
    assert draft.where(PRICE, None) == "index 'w', column 'price' and 3 more"


class DoubleSize(mg.augment.SampleAugmentation):
    """Doubles the cell of `size`, and says what it will do with the arrays."""

    def prepare(self, cells: Any, rng: np.random.Generator) -> Any:
        def negate(sample: Sample) -> Sample:
            return sample.replace(price=-sample.inputs["price"])

        return {**cells, "size": cells["size"] * 2}, negate


def test_operations_on_samples_exchange_cells_before_and_change_arrays_after() -> None:
    draft = draft_of(sample_augment=[DoubleSize()])
    take_cells(draft)
    vary_cells(draft)
    assert draft.cells[SIZE] == [2.0, 4.0, 6.0, 8.0] and draft.own_cells[SIZE] == (
        1.0,
        2.0,
        3.0,
        4.0,
    )
    assert [len(steps) for steps in draft.steps] == [1, 1, 1, 1]
    for slot in draft.sources:
        assert read_together(draft, slot, at_once)
    (sizes, prices), _ = finish(draft)
    assert sizes[:, 0].tolist() == [2, 4, 6, 8] and prices[:, 0].tolist() == [-10, -20, -30, -40]


def test_one_by_one_and_together_fill_the_same_arrays() -> None:
    one_by_one, together = filled(draft_of()), draft_of()
    take_cells(together)
    for slot in together.sources:
        assert read_together(together, slot, at_once)
        assert np.array_equal(one_by_one.arrays[slot], together.arrays[slot])


def test_a_bad_cell_among_many_is_found_by_reading_one_by_one() -> None:
    table = TABLE.assign(price=[10.0, -1.0, 30.0, 40.0])
    draft = draft_of(table)
    take_cells(draft)
    assert not read_together(draft, PRICE, at_once)
    read_cell(draft, PRICE, 0, at_once)
    with pytest.raises(mg.LoadError, match=r"index 'x', column 'price'.*Received: -1"):
        read_cell(draft, PRICE, 1, at_once)


@pytest.mark.parametrize(
    ("on_error", "sizes", "weights"),
    [("blank", [1, 2, 3, 4], [1, 0, 1, 1]), ("skip", [1, 3, 4], [1, 1, 1])],
)
def test_a_row_that_is_lost_counts_for_nothing(
    on_error: str, sizes: list[int], weights: list[int]
) -> None:
    table = TABLE.assign(price=[10.0, -1.0, 30.0, 40.0])
    draft = filled(draft_of(table, on_error=on_error, max_error_rate=1))
    assert draft.failed.tolist() == [False, True, False, False]
    (given, prices), _, sample_weight = finish(draft)
    assert given[:, 0].tolist() == sizes and sample_weight.tolist() == weights
    assert prices[:, 0].tolist() == ([10, 0, 30, 40] if on_error == "blank" else [10, 30, 40])
    # Known once somebody takes the batch.
    failures = draft.assembly.failures
    assert failures.frame().empty
    draft.found.tell(failures)
    assert failures.frame()["index"].tolist() == ["x"]


def test_a_missing_cell_has_a_mask() -> None:
    table = TABLE.assign(size=[1.0, None, 3.0, 4.0])
    draft = filled(
        draft_of(table, {"size": Halves("size", missing="blank"), "price": Halves("price")})
    )
    assert draft.missing[SIZE].tolist() == [False, True, False, False]
    (sizes, _, present), _ = finish(draft)
    assert sizes[:, 0].tolist() == [1, 0, 3, 4] and present[:, 0].tolist() == [1, 0, 1, 1]


def test_a_pending_batch_gives_what_its_steps_give() -> None:
    expected, (given, truth) = finish(filled(draft_of())), PendingBatch(draft_of()).result()
    for one, other in zip(expected[0], given, strict=True):
        assert np.array_equal(one, other)
    assert np.array_equal(expected[1], truth)


def test_nothing_keeps_a_batch_alive_that_has_been_handed_out() -> None:
    for limit in (None, 60.0):
        draft = draft_of(read_timeout=limit)
        pending, held = PendingBatch(draft), weakref.ref(draft)
        gc.disable()
        try:
            pending.result()
            # The last thread lets go of its task a moment after it has set the result.
            del draft, pending
            until = time.monotonic() + 60
            while held() is not None and time.monotonic() < until:
                time.sleep(0.01)
            assert held() is None
        finally:
            gc.enable()


def test_arrays_go_to_slots_and_back() -> None:
    specs = {"a": ArraySpec((1,), "float32")}
    array = np.zeros((2, 1), "float32")
    for target, weights in (
        (None, None),
        (array, array[:, 0]),
        ({"x": array, "y": array}, {"x": array[:, 0]}),
    ):
        batch = mg.augment.Batch({"a": array}, target, weights, specs)
        again = batch_of(arrays_of(batch), specs)
        assert again.inputs.keys() == batch.inputs.keys()
        assert type(again.target) is type(target) and type(again.sample_weight) is type(weights)
    assert [str(slot) for slot in by_slot({"a": array}, {"x": array}, array[:, 0])] == [
        "input 'a'",
        "target 'x'",
        "the weights",
    ]
