"""`state` and `set_state`: a loop goes on at the next batch, and a state of something else is
refused by name.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import multimodal_gen as mg
from multimodal_gen.sequence.state import digest_of_column

WORDS = mg.TextLoader.from_texts("caption", ["a red mug", "a blue mug"], sequence_length=6)
TARGET = mg.ClassLabel("label", list("xyz"))


def make_data(table: pd.DataFrame, **changes: Any) -> mg.MultimodalSequence:
    inputs = {"caption": WORDS, "price": mg.NumericLoader("price", mean=[0], scale=[1])}
    settings = {
        "inputs": inputs,
        "target": TARGET,
        "batch_size": 3,
        "shuffle": True,
        "seed": 1,
    } | changes
    return mg.MultimodalSequence(table, **settings)


def as_bytes(batches: Any) -> list[bytes]:
    return [b"".join(array.tobytes() for array in (*inputs, *rest)) for inputs, *rest in batches]


def test_a_loop_goes_on_with_the_next_batch_in_another_sequence(
    picture_table: pd.DataFrame,
) -> None:
    data = make_data(picture_table)
    data.epoch = 2
    whole = as_bytes(data[index] for index in range(4))
    iterator = iter(data)
    first = [next(iterator), next(iterator)]
    text = json.dumps(data.state())
    other = make_data(picture_table.copy(), threads=1, max_queue_size=0)
    other.set_state(json.loads(text))
    assert (other.epoch, other.state()) == (2, json.loads(text))
    rest = as_bytes(other)
    assert as_bytes(first) + rest == whole
    assert len(rest) == 2
    # The next loop is a whole one again, of the next epoch.
    data.epoch = 3
    assert as_bytes(other) == as_bytes(data)


def test_a_state_after_the_last_batch_leaves_nothing_of_the_epoch(
    picture_table: pd.DataFrame,
) -> None:
    data, other = make_data(picture_table), make_data(picture_table)
    other.epoch = 1
    for _ in data:
        state = data.state()
    assert (state["epoch"], state["batch"]) == (0, 4)
    other.set_state(state)
    assert (other.epoch, list(other), other.epoch) == (0, [], 1)
    assert as_bytes(other) == as_bytes(data)


def test_copies_and_other_epochs_begin_at_the_first_batch(picture_table: pd.DataFrame) -> None:
    data = make_data(picture_table)
    next(iter(data))
    assert data.state()["batch"] == 1
    assert data.for_evaluation().state()["batch"] == 0
    data.epoch = 3
    assert (data.state()["epoch"], data.state()["batch"]) == (3, 0)


def test_an_endless_sequence_goes_on_too(picture_table: pd.DataFrame) -> None:
    data, other = (make_data(picture_table, endless=True) for _ in range(2))
    batches = [data[index] for index in range(9)]
    iterator = iter(data)
    for _ in range(6):
        next(iterator)
    other.set_state(data.state())
    rest = iter(other)
    assert as_bytes(next(rest) for _ in range(3)) == as_bytes(batches[6:])


def changed(table: pd.DataFrame, column: str, value: Any) -> pd.DataFrame:
    table = table.copy()
    table.loc["row-4", column] = value
    return table


@pytest.mark.parametrize(
    ("table", "changes", "message"),
    [
        (lambda t: t, {"seed": 2}, "seed was 1 and is 2"),
        (lambda t: t, {"batch_size": 4}, "batch_size was 3 and is 4"),
        (
            lambda t: t,
            {"drop_remainder": True, "seed": 3},
            "seed was 1 and is 3; drop_remainder was False and is True",
        ),
        (lambda t: t, {"shuffle": False}, "shuffle was True and is False"),
        (lambda t: t, {"endless": True}, "endless was False and is True"),
        (lambda t: t, {"sampler": "balanced"}, "sampler differs"),
        (lambda t: t, {"class_weight": "balanced"}, "'class_weight' has different settings"),
        (
            lambda t: t,
            {"batch_augment": [lambda batch, rng: batch]},
            "argument 'batch_augment' has different settings",
        ),
        (
            lambda t: t,
            {"inputs": {"caption": WORDS}},
            r"the inputs were \['caption', 'price'\] and are \['caption'\]",
        ),
        (
            lambda t: t,
            {"inputs": {"caption": WORDS, "price": mg.NumericLoader("price", mean=[0], scale=[2])}},
            "input 'price' has different settings",
        ),
        (lambda t: t[:9], {}, "the table had 10 rows and has 9"),
        (lambda t: changed(t, "caption", "a red cup"), {}, "column 'caption' has different cells"),
        (lambda t: changed(t, "price", 1.25), {}, "column 'price' has different cells"),
        (lambda t: t[::-1], {}, "column 'label' has different cells, or the same in another order"),
    ],
)
def test_a_state_of_another_sequence_is_refused_naming_what_differs(
    picture_table: pd.DataFrame, table: Any, changes: dict[str, Any], message: str
) -> None:
    state = make_data(picture_table).state()
    with pytest.raises(
        ValueError,
        match=rf"The state belongs to another sequence: .*{message}.* "
        "Received: the state of epoch 0, batch 0",
    ):
        make_data(table(picture_table), **changes).set_state(state)


def test_a_run_that_a_bad_row_has_stopped_goes_on_without_it(picture_table: pd.DataFrame) -> None:
    state = make_data(picture_table).state()
    for policy in ("skip", "blank"):
        make_data(picture_table, on_error=policy).set_state(state)
    with pytest.raises(ValueError, match="argument 'on_error' has different settings"):
        make_data(picture_table).set_state(make_data(picture_table, on_error="skip").state())


def test_what_does_not_change_the_batches_does_not_matter(
    picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    state = make_data(picture_table).state()
    for changes in (
        {"threads": 1},
        {"max_queue_size": 0},
        {"cache": tmp_path / "cache"},
        {"inputs_as": "dict"},
    ):
        make_data(picture_table, **changes).set_state(state)
    make_data(picture_table.assign(image="another")).set_state(state)
    make_data(picture_table.reset_index()).set_state(state)


@pytest.mark.parametrize("state", [None, {}, {"epoch": 1}, 3])
def test_what_is_no_state_is_refused(picture_table: pd.DataFrame, state: Any) -> None:
    with pytest.raises(
        ValueError,
        match=r"must be what this version's `sequence.state\(\)` returns. Received",
    ):
        make_data(picture_table).set_state(state)


@pytest.mark.parametrize("change", [{"epoch": -1}, {"batch": "2"}, {"batch": True}])
def test_a_state_with_an_impossible_position_is_refused(
    picture_table: pd.DataFrame, change: dict[str, Any]
) -> None:
    data = make_data(picture_table)
    with pytest.raises(ValueError, match="in a state must be an integer of at least 0. Received"):
        data.set_state({**data.state(), **change})


def test_a_state_of_a_batch_beyond_the_epoch_is_refused(picture_table: pd.DataFrame) -> None:
    data, endless = make_data(picture_table), make_data(picture_table, endless=True)
    data.set_state({**data.state(), "batch": 4})
    for batch in (5, 99):
        with pytest.raises(
            ValueError,
            match=f"in a state must be at most 4, the batches per epoch. Received: batch={batch}",
        ):
            data.set_state({**data.state(), "batch": batch})
    endless.set_state({**endless.state(), "batch": 5})


def make_columns(folder: Path) -> dict[str, list[Any]]:
    """Columns of every kind, and as the last cell what another table has there."""
    pixels = np.zeros((3, 40, 40, 3), "uint8")
    pixels[1, 30, 30], pixels[2, 30, 30] = 1, 2
    return {
        "text": ["a", "b\n", "c"],
        "int": [1, 2, 3],
        "float": [1.0, float("nan"), 2.0],
        "mixed": [None, "1", 1],
        "list": [["a", "b"], [], ["a"]],
        "bytes": [b"1", b"2", b"3"],
        "path": [Path("a"), Path("b"), Path("c")],
        "mapping": [{"bytes": b"1"}, {"path": "a"}, {"bytes": b"2"}],
        "array": [np.zeros(3000), np.ones(3000), np.eye(3000)[1500]],
        "picture": [Image.fromarray(one) for one in pixels],
        "time": list(pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-03"])),
    }


def test_the_digest_of_a_column_changes_with_a_cell_and_with_the_order(tmp_path: Path) -> None:
    for name, cells in make_columns(tmp_path).items():
        first, second, third = cells
        columns = [
            pd.Series(some)
            for some in ([first, second], [first, second], [second, first], [first, third])
        ]
        digests = [digest_of_column(column) for column in columns]
        assert digests[0] == digests[1], name
        assert len(set(digests)) == 3, name


def test_of_a_column_of_arrays_some_rows_are_looked_at() -> None:
    values = np.arange(1000 * 4, dtype="uint8").reshape(1000, 2, 2)
    other = values.copy()
    other[999] = 7
    column, same, changed, mixed = (
        mg.table_from_arrays(x=one)["x"] for one in (values, values.copy(), other, values[::-1])
    )
    assert digest_of_column(column) == digest_of_column(same)
    assert len({digest_of_column(one) for one in (column, changed, mixed)}) == 3


def test_digests_are_the_same_in_another_process() -> None:
    code = (
        "import pandas as pd, numpy as np; from PIL import Image\n"
        "from multimodal_gen.sequence.state import digest_of_column as d\n"
        "x = [{'a', }, Image.new('RGB', (3, 3)), object(), np.zeros(2), 'text', lambda: 1];"
        "print(d(pd.Series(x, dtype=object)), d(pd.Series(['a', 'b'])), d(pd.Series([1.5, 2])))"
    )
    printed = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
        for _ in range(2)
    }
    assert len(printed) == 1
    assert len(printed.pop().split()) == 3


def test_many_texts_and_numbers_are_looked_at_in_little_memory() -> None:
    columns = (
        pd.Series(["a caption of 200 characters" + 173 * "."] * 300_000),
        pd.Series(np.arange(3_000_000)),
    )
    for column in columns:
        tracemalloc.start()
        digest_of_column(column)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        # All texts at once would be held as a list, as text and as bytes: 200 MB.
        assert peak < 100_000_000
