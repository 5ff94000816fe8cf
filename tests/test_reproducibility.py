"""The promises of docs/reproducibility.md about data: the same bytes of each row, however they are
asked for.
"""

from __future__ import annotations

import multiprocessing
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg

ROWS, EPOCHS = 30, 2
# Of the sample catalogue, made by what does not depend on versions of libraries: no resizing, no
# rotation.
KNOWN = "09be3694d5dd2859"


def make_data(exact: bool = False, **changes: Any) -> mg.MultimodalSequence:
    """All random operations on one row; with `exact`, only those that move pixels and words."""
    sample_data = Path(__file__).parent.parent / "sample_data"
    table = mg.read_table(sample_data / "catalog.csv")[:ROWS]
    augment: list[Any] = [mg.augment.RandomFlip("horizontal_and_vertical")]
    if not exact:
        augment += [mg.augment.RandomRotation(0.1), mg.augment.RandomContrast(0.3)]
    words = [mg.augment.RandomWordDeletion(0.3), mg.augment.TokenMasking(0.2)]
    size = (64, 64) if exact else (20, 20)
    inputs = {
        "image": mg.ImageLoader("image", directory=sample_data, image_size=size, augment=augment),
        "caption": mg.TextLoader.from_texts(
            "caption", table["caption"], vocabulary_size=200, sequence_length=16, augment=words
        ),
    }
    target = mg.ClassLabel.from_values("label", table["label"])
    settings = {
        "batch_size": 8,
        "shuffle": True,
        "seed": 11,
        "sample_augment": [mg.augment.ModalityDropout(0.2)],
    }
    return mg.MultimodalSequence(table, inputs, target, **(settings | changes))


def digests_of(data: mg.MultimodalSequence) -> dict[tuple[int, Any], str]:
    """A digest of each row in each epoch, in the order in which rows come."""
    digests = {}
    for epoch in range(EPOCHS):
        data.epoch = epoch
        for index, ((images, ids), labels, *_) in enumerate(data):
            for place, row in enumerate(data.rows(index).index):
                parts = (images[place], ids[place], labels[place : place + 1])
                digests[epoch, row] = blake2b(
                    b"".join(part.tobytes() for part in parts), digest_size=8
                ).hexdigest()
    return digests


@pytest.fixture(scope="module")
def expected() -> dict[tuple[int, Any], str]:
    digests = digests_of(make_data())
    assert len(set(digests.values())) == ROWS * EPOCHS
    return digests


@pytest.mark.parametrize("changes", [{"batch_size": size} for size in (1, 7, 30)], ids=str)
def test_a_row_is_the_same_whatever_the_batch_size(expected: dict, changes: dict[str, int]) -> None:
    digests = digests_of(make_data(**changes))
    assert list(digests.items()) == list(expected.items())


@pytest.mark.parametrize(
    "changes", [{"threads": 1}, {"threads": 2}, {"threads": 8, "max_queue_size": 9}], ids=str
)
def test_a_row_is_the_same_whatever_the_threads(expected: dict, changes: dict[str, int]) -> None:
    assert list(digests_of(make_data(**changes)).items()) == list(expected.items())


def test_a_row_is_the_same_with_a_cache_that_is_empty_and_one_that_is_full(
    expected: dict, tmp_path: Path
) -> None:
    for _ in range(2):
        assert digests_of(make_data(cache=tmp_path)) == expected


@pytest.mark.parametrize("hosts", [2, 4])
def test_a_row_is_the_same_however_many_hosts(expected: dict, hosts: int) -> None:
    together: dict[tuple[int, Any], str] = {}
    for rank in range(hosts):
        own = digests_of(make_data().shard(rank, hosts))
        assert not set(own) & set(together)
        together |= own
    assert together == expected


def test_a_row_is_the_same_in_a_loop_that_was_interrupted(expected: dict) -> None:
    state, digests = None, {}
    for _ in range(100):
        data = make_data()
        if state is not None:
            data.set_state(state)
        # The loop of a process that dies after its second batch.
        for epoch in range(data.epoch, EPOCHS):
            data.epoch = epoch
            for (images, ids), labels in data:
                index = data.state()["batch"] - 1
                for place, row in enumerate(data.rows(index).index):
                    parts = (images[place], ids[place], labels[place : place + 1])
                    digests[epoch, row] = blake2b(
                        b"".join(one.tobytes() for one in parts), digest_size=8
                    ).hexdigest()
                state = data.state()
                if index % 2:
                    break
            else:
                continue
            break
        else:
            break
    assert list(digests.items()) == list(expected.items())


def _in_process(data: mg.MultimodalSequence, results: Any) -> None:
    results.put(digests_of(data))


@pytest.mark.slow
def test_a_row_is_the_same_in_another_process(expected: dict) -> None:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=_in_process, args=(make_data(), results))
    process.start()
    assert results.get(timeout=120) == expected
    process.join()


def test_rows_are_the_same_on_every_backend_and_in_every_version() -> None:
    assert (
        blake2b(
            "".join(digests_of(make_data(exact=True)).values()).encode(), digest_size=8
        ).hexdigest()
        == KNOWN
    )


def test_a_row_is_replayed_from_its_label(expected: dict) -> None:
    data = make_data(batch_size=5)
    for (epoch, row), digest in list(expected.items())[::7]:
        (images, ids), labels = data.replay(epoch, row)
        parts = (images[0], ids[0], labels)
        assert (
            blake2b(b"".join(part.tobytes() for part in parts), digest_size=8).hexdigest() == digest
        )


def test_other_seeds_and_epochs_give_other_rows(expected: dict) -> None:
    others = digests_of(make_data(seed=12))
    assert not set(others.values()) & set(expected.values())
    assert (
        isinstance(make_data().table, pd.DataFrame)
        and np.unique(list(expected.values())).size == ROWS * EPOCHS
    )
