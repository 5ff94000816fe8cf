"""Loops of your own: a whole pass moves on to the next epoch, a pass that was broken off does not.

Without that, `for epoch in ...: for batch in data` would see one order and one augmentation in
every epoch.
"""

from __future__ import annotations

import copy
import gc
import itertools
import threading
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg

ROWS, BATCHES = 10, 4
TABLE = pd.DataFrame({"x": np.arange(float(ROWS)), "y": ["a", "b"] * 5})


def jitter(sample: Any, rng: np.random.Generator) -> Any:
    return type(sample)(
        {"x": sample.inputs["x"] + rng.uniform(0, 0.5, 1).astype("float32")}, sample.target
    )


def make_data(**arguments: Any) -> mg.MultimodalSequence:
    settings = {"batch_size": 3, "shuffle": True, "seed": 4, "sample_augment": [jitter]} | arguments
    inputs = {"x": mg.NumericLoader("x", mean=[0], scale=[1])}
    return mg.MultimodalSequence(TABLE, inputs, mg.ClassLabel("y", ["a", "b"]), **settings)


def values(batches: Any) -> list[list[float]]:
    return [inputs[0][:, 0].tolist() for inputs, *_ in batches]


def epochs(count: int, **arguments: Any) -> list[list[list[float]]]:
    """The batches of each epoch, asked for by the epoch's number."""
    data = make_data(**arguments)
    found = []
    for epoch in range(count):
        data.epoch = epoch
        found.append(values(data[index] for index in range(len(data))))
    return found


def by_index(data: mg.MultimodalSequence) -> Iterator[Any]:
    for index in range(len(data)):
        yield data[index]
    data.on_epoch_end()


def loop_and_hook(data: mg.MultimodalSequence) -> Iterator[Any]:
    yield from data
    data.on_epoch_end()


def by_next(data: mg.MultimodalSequence) -> Iterator[Any]:
    iterator = iter(data)
    KEPT.append(iterator)
    for _ in range(BATCHES):
        yield next(iterator)


def until_the_last(data: mg.MultimodalSequence) -> Iterator[Any]:
    for number, batch in enumerate(data):
        yield batch
        if number == BATCHES - 1:
            break


# Iterators that are never closed.
KEPT: list[Any] = []
LOOPS = {
    "for": iter,
    "enumerate": lambda data: (batch for _, batch in enumerate(data)),
    "zip": lambda data: (batch for _, batch in zip(range(BATCHES), data, strict=False)),
    "zip the other way round": lambda data: (
        batch for batch, _ in zip(data, range(BATCHES), strict=True)
    ),
    "islice": lambda data: itertools.islice(data, BATCHES),
    "next": by_next,
    "break after the last": until_the_last,
    "two at once": lambda data: (batch for batch, _ in zip(data, data, strict=True)),
    "by index": by_index,
    "a loop and the hook": loop_and_hook,
}


@pytest.mark.parametrize("name", LOOPS)
def test_every_loop_has_the_next_epoch(name: str) -> None:
    expected, data = epochs(3), make_data()
    assert [values(LOOPS[name](data)) for _ in range(3)] == expected
    assert sorted(itertools.chain(*map(sorted, expected[0]))) != sorted(
        itertools.chain(*map(sorted, expected[1]))
    )


@pytest.mark.parametrize(
    "arguments", [{"shuffle": False}, {"drop_remainder": True}, {"sampler": "balanced"}]
)
def test_every_plan_has_epochs(arguments: dict[str, Any]) -> None:
    data = make_data(**arguments)
    assert [values(data), values(data)] == epochs(2, **arguments)
    assert data.epoch == 2


def test_each_rank_of_several_moves_on() -> None:
    expected, data = epochs(2, batch_size=4), make_data(batch_size=4)
    for rank in range(2):
        part = data.shard(rank, 2)
        for epoch in range(2):
            rows = set(itertools.chain(*expected[epoch]))
            assert len({one for batch in values(part) for one in batch} & rows) == ROWS // 2
    assert data.epoch == 0


def test_a_pass_that_is_broken_off_begins_again() -> None:
    expected, data = epochs(2), make_data()
    for number, _ in enumerate(data):
        if number == BATCHES - 2:
            break
    with pytest.raises(ZeroDivisionError):
        [1 / len(batch[3:]) for batch in data]
    assert values([next(iter(data))]) == expected[0][:1]
    assert (data.epoch, data.state()["batch"]) == (0, 1)
    assert values(data) == expected[0]
    data.on_epoch_end()
    assert data.epoch == 1
    # By hand, a pass that was broken off is ended too.
    next(iter(data))
    data.on_epoch_end()
    data.on_epoch_end()
    assert data.epoch == 3


def test_a_pass_keeps_its_epoch_whatever_happens_meanwhile() -> None:
    expected, data = epochs(4), make_data()
    outer, inner = [], []
    for batch in data:
        outer += values([batch])
        if len(outer) in (1, 3):
            inner.append(values(data))
    assert outer == expected[0]
    assert inner == expected[:2]
    assert data.epoch == 2
    rest = iter(data)
    first = [next(rest)]
    data.epoch = 0
    assert values([*first, *rest]) == expected[2]
    assert (data.epoch, data.state()["batch"]) == (0, 0)


def test_an_epoch_that_is_set_is_the_next_one() -> None:
    expected, data = epochs(3), make_data()
    for epoch in (0, 1, 2, 2, 0):
        data.epoch = epoch
        assert values(data) == expected[epoch]
    iterator = iter(data)
    list(itertools.islice(iterator, BATCHES))
    data.epoch = 0
    del iterator
    gc.collect()
    assert values(data) == expected[0]


@pytest.mark.parametrize("stop", range(2 * BATCHES + 1))
def test_a_loop_resumes_wherever_its_state_was_taken(stop: int) -> None:
    expected = list(itertools.chain(*epochs(3)))
    data, seen = make_data(), []
    for _ in range(2):
        for batch in data:
            if len(seen) == stop:
                break
            seen += values([batch])
            state = data.state()
        else:
            # After the loop it is the next epoch.
            if len(seen) == stop:
                break
            continue
        break
    other = make_data()
    other.set_state(data.state() if stop in (0, 2 * BATCHES) else state)
    if stop == 0:
        other.set_state(make_data().state())
    for _ in range(other.epoch, 3):
        seen += values(other)
    assert seen == expected
    assert other.epoch == 3


def test_replay_and_copies_do_not_move_on() -> None:
    expected, data = epochs(2), make_data()
    list(data)
    copied = copy.copy(data)
    assert values(copied) == expected[1]
    assert (data.epoch, copied.epoch) == (1, 2)
    (row,), _ = data.replay(0, 7)
    assert row[0, 0] in list(itertools.chain(*expected[0]))
    assert data.epoch == 1
    mg.profile(data)
    assert data.epoch == 1


def test_a_sequence_for_evaluation_has_no_epochs() -> None:
    data = make_data().for_evaluation()
    first = values(data)
    assert values(data) == first
    data.on_epoch_end()
    assert (data.epoch, data.state()["batch"]) == (0, 0)
    data.set_state(data.state())
    assert values(data) == first


def test_an_endless_pass_goes_on_by_itself_and_by_hand() -> None:
    expected, data = list(itertools.chain(*epochs(3))), make_data(endless=True)
    assert values(itertools.islice(data, 3 * BATCHES)) == expected
    assert data.epoch == 0
    data.on_epoch_end()
    assert values(itertools.islice(data, BATCHES)) == expected[BATCHES : 2 * BATCHES]


@pytest.mark.parametrize("endless", [False, True])
def test_a_position_that_was_set_does_not_outlive_a_fit(endless: bool) -> None:
    data = make_data(endless=endless)
    data.set_state({**data.state(), "batch": BATCHES - 1})
    model = make_model()
    model.fit(data, shuffle=False, verbose=0, steps_per_epoch=BATCHES if endless else None)
    assert data.state()["batch"] == 0
    assert values(itertools.islice(data, BATCHES)) == epochs(1)[0]


class Watch(keras.callbacks.Callback):
    """What `fit` reads, and a callback that reads whole passes of the same sequence and ends them
    meanwhile.
    """

    def __init__(self, data: mg.MultimodalSequence) -> None:
        super().__init__()
        self.data, self.epochs = data, []

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        self.data.watched = True
        list(self.data)
        self.data.on_epoch_end()
        self.data.watched = False
        self.epochs.append(self.data.epoch)


class Noted(mg.MultimodalSequence):
    """Notes what Keras is given, on tensorflow on another thread than that of callbacks."""

    noted: list[Any]
    watched = False

    def __getitem__(self, index: int) -> Any:
        batch = super().__getitem__(index)
        own = self.watched and threading.current_thread() is threading.main_thread()
        if hasattr(self, "noted") and not own:
            self.noted.append((self.epoch, int(index), values([batch])[0]))
        return batch


def make_model() -> keras.Model:
    tensor = keras.Input((1,))
    model = keras.Model([tensor], keras.layers.Dense(2, "softmax")(tensor))
    model.compile("sgd", loss="sparse_categorical_crossentropy")
    return model


def test_keras_keeps_its_own_epochs_after_and_during_loops_of_ones_own() -> None:
    plain = make_data()
    data = Noted(
        TABLE,
        plain.inputs,
        plain.target,
        batch_size=3,
        shuffle=True,
        seed=4,
        sample_augment=[jitter],
    )
    list(data)
    data.on_epoch_end()
    list(data)
    watch, expected = Watch(data), epochs(3)
    data.noted = []
    model = make_model()
    model.fit(data, epochs=3, shuffle=False, verbose=0, callbacks=[watch])
    assert watch.epochs == [epoch for epoch in range(3) for _ in range(BATCHES)]
    for epoch in range(3):
        # Before them may come some that are read for their shapes.
        found = [(index, batch) for at, index, batch in data.noted if at == epoch]
        assert found[-BATCHES:] == list(enumerate(expected[epoch]))
    assert data.epoch == 2
    model.evaluate(data, verbose=0)
    model.predict(data.for_evaluation(), verbose=0)
    assert data.epoch == 2
    # A generator around it has no epochs of Keras.
    data.epoch, data.noted = 0, []
    model.fit(
        (batch for _ in range(3) for batch in data),
        steps_per_epoch=BATCHES,
        epochs=2,
        shuffle=False,
        verbose=0,
    )
    assert [batch for *_, batch in data.noted][: 2 * BATCHES] == list(
        itertools.chain(*expected[:2])
    )
