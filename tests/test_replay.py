"""`replay` gives the arrays that a row had: compared with real batches, whatever they were made
with.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg


def make_data(table: pd.DataFrame, folder: Path, **changes: Any) -> mg.MultimodalSequence:
    augment = [
        mg.augment.RandomFlip("horizontal"),
        mg.augment.RandomRotation(0.1),
        mg.augment.RandomBrightness(0.3),
    ]
    words = mg.TextLoader.from_texts(
        "caption",
        table["caption"],
        sequence_length=24,
        augment=[mg.augment.RandomWordDeletion(0.3)],
    )
    inputs = {
        "image": mg.ImageLoader("image", directory=folder, image_size=(12, 10), augment=augment),
        "words": words,
    }
    target = mg.ClassLabel("label", list("xyz"), label_mode="categorical")
    settings = {
        "batch_size": 4,
        "shuffle": True,
        "seed": 3,
        "sample_augment": [mg.augment.ModalityDropout(0.3)],
    } | changes
    return mg.MultimodalSequence(table, inputs, target, **settings)


def arrays_of(batch: Any) -> list[np.ndarray]:
    if isinstance(batch, np.ndarray):
        return [batch]
    return [
        array
        for part in (batch.values() if isinstance(batch, dict) else batch)
        for array in arrays_of(part)
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"batch_size": 3, "threads": 1},
        {"batch_size": 10, "threads": 8, "inputs_as": "dict"},
        {"sampler": "balanced"},
        {"bucket_by_length": "words"},
        {"bucket_by_length": "words", "sampler": "balanced", "batch_size": 2},
        {"batch_augment": [mg.augment.MixUp(0.4)]},
        {"drop_remainder": True, "sample_weight": "price"},
        {"endless": True},
    ],
    ids=str,
)
def test_a_row_is_replayed_as_it_was(
    picture_table: pd.DataFrame, tmp_path: Path, changes: dict[str, Any]
) -> None:
    picture_table["caption"] = [f"a mug {'of many words ' * (row % 4)}{row}" for row in range(10)]
    data = make_data(picture_table, tmp_path, **changes)
    again = make_data(picture_table, tmp_path, **changes)
    for epoch in (0, 3):
        data.epoch = epoch
        seen = set()
        for index in range(data.plan.num_batches):
            batch = arrays_of(data[index])
            for place, row in enumerate(data.rows(index).index):
                if row not in seen:
                    replayed = arrays_of(again.replay(epoch, row))
                    assert [one.tobytes() for one in replayed] == [
                        one[place : place + 1].tobytes() for one in batch
                    ]
                    assert [one.shape for one in replayed] == [(1, *one.shape[1:]) for one in batch]
                seen.add(row)
        for row in set(picture_table.index) - seen:
            with pytest.raises(
                ValueError, match="The row was not in that epoch: .* Received: epoch=.*, row='row-"
            ):
                again.replay(epoch, row)


def test_a_row_of_any_rank_is_replayed(picture_table: pd.DataFrame, tmp_path: Path) -> None:
    ranks = [make_data(picture_table, tmp_path).shard(rank, 2) for rank in range(2)]
    for data in ranks:
        for index in range(len(data)):
            batch = arrays_of(data[index])
            for place, row in enumerate(data.rows(index).index):
                for other in ranks:
                    replayed = arrays_of(other.replay(0, row))
                    assert [one.tobytes() for one in replayed] == [
                        one[place : place + 1].tobytes() for one in batch
                    ]


def test_a_row_that_is_not_there_or_not_alone_is_refused(
    picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    data = make_data(picture_table, tmp_path)
    with pytest.raises(
        KeyError, match="No row of the table has this label in its index. Received: row='row-10'"
    ):
        data.replay(0, "row-10")
    with pytest.raises(ValueError, match="`epoch` must be at least 0. Received: epoch=-1"):
        data.replay(-1, "row-1")
    twice = make_data(pd.concat([picture_table, picture_table[:3]]), tmp_path)
    with pytest.raises(
        ValueError,
        match=r"2 rows have this one; .*reset_index.* Received: row='row-1'",
    ):
        twice.replay(0, "row-1")


def test_a_row_after_one_that_was_left_out_is_replayed_as_it_was():
    table = pd.DataFrame(
        {"n": [[0.0], [1.0], "bad", [3.0], [4.0]], "y": [0, 1, 0, 1, 0]},
        [f"r{row}" for row in range(5)],
    )
    inputs = {"n": mg.ArrayLoader("n", shape=(1,))}
    target = mg.ClassLabel.from_values("y", [0, 1])
    data = mg.MultimodalSequence(
        table, inputs, target, batch_size=5, on_error="skip", max_error_rate=0.5
    )
    assert data[0][0][0].ravel().tolist() == [0, 1, 3, 4]
    assert data.replay(0, "r3")[0][0].tolist() == [[3]]
    with pytest.raises(mg.LoadError, match="'r2', column 'n'"):
        data.replay(0, "r2")
    kept = mg.MultimodalSequence(
        table, inputs, target, batch_size=5, on_error="blank", max_error_rate=0.5
    )
    (blank,), _, weight = kept.replay(0, "r2")
    assert blank.tolist() == [[0]] and weight.tolist() == [0]
