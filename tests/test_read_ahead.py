"""Batches that are started before they are requested: in order, up to the last epoch of a `fit`,
and given up when nobody will request them.
"""

from __future__ import annotations

import threading
import time
from typing import ClassVar

import keras
import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.errors import LoadError
from multimodal_gen.sequence.read_ahead import ReadAhead

ROWS, BATCH = 12, 4


class Batch:
    """A batch that knows whether it was given up."""

    def __init__(self, place: tuple[int, int]) -> None:
        self.place, self.cancelled = place, False

    def result(self) -> tuple[int, int]:
        return self.place

    def cancel(self) -> None:
        self.cancelled = True


class Started:
    """Batches in the order in which they were started."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def __call__(self, epoch: int, position: int) -> Batch:
        self.batches.append(Batch((epoch, position)))
        return self.batches[-1]

    @property
    def places(self) -> list[tuple[int, int]]:
        return [one.place for one in self.batches]

    @property
    def cancelled(self) -> list[tuple[int, int]]:
        return [one.place for one in self.batches if one.cancelled]


def test_the_next_epochs_follow_up_to_the_last() -> None:
    started = Started()
    ahead = ReadAhead(started, 3)
    ahead.begin(last=2)
    assert ahead.take(1, 0, 2).result() == (1, 0)
    # Three ahead, in whatever epochs, but none of the fourth.
    assert started.places == [(1, 0), (1, 1), (2, 0), (2, 1)]
    ahead.take(1, 1, 2)
    ahead.end(but_after=1)
    assert started.cancelled == []
    ahead.begin(last=2)
    assert [ahead.take(2, place, 2).result() for place in (0, 1)] == [(2, 0), (2, 1)]
    assert started.places == [(1, 0), (1, 1), (2, 0), (2, 1)]


def test_what_is_not_wanted_is_given_up() -> None:
    started = Started()
    ahead = ReadAhead(started, 4)
    ahead.begin(last=2)
    ahead.take(0, 0, 2)
    assert started.places == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]
    # The end of an epoch, of which a batch was left.
    ahead.end(but_after=0)
    assert started.cancelled == [(0, 1)]
    # Another epoch than the next.
    ahead.give_up(but_after=1)
    assert started.cancelled == [(0, 1), (1, 0), (1, 1)]
    ahead.end()
    assert started.cancelled == [(0, 1), (1, 0), (1, 1), (2, 0)]
    # Without a last epoch it is the one that is read.
    ahead.begin()
    ahead.take(5, 0, 2)
    assert started.places[5:] == [(5, 0), (5, 1)]


class Counting(mg.Loader):
    """Numbers, of which it counts the reads."""

    spec = mg.ArraySpec((1,), "float32", "vector")
    reads: ClassVar[dict[str, int]] = {}
    lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, column: str, name: str) -> None:
        self.column, self.name = column, name

    # Else each row is kept after its first read.
    kept_by_row = False

    def read(self, cell: float) -> np.ndarray:
        with self.lock:
            self.reads[self.name] = self.reads.get(self.name, 0) + 1
        return np.array([cell], "float32")


def counting(name: str, **settings: object) -> mg.MultimodalSequence:
    Counting.reads.pop(name, None)
    table = pd.DataFrame({"x": np.arange(ROWS, dtype="float32"), "y": np.zeros(ROWS)})
    settings = {"shuffle": True, "threads": 1, **settings}
    target = mg.NumericTarget("y", mean=0.0, scale=1.0)
    return mg.MultimodalSequence(
        table, {"x": Counting("x", name)}, target, batch_size=BATCH, **settings
    )


def small_model() -> keras.Model:
    given = keras.Input((1,), name="x")
    model = keras.Model([given], keras.layers.Dense(1)(given))
    model.compile("sgd", "mse")
    return model


class AtEpochEnd(keras.callbacks.Callback):
    """Calls a function with each epoch that ends, after its validation."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        self.function(epoch)  # type: ignore[operator]


def test_the_next_epoch_is_read_while_this_one_ends() -> None:
    data, seen = counting("epochs"), dict[int, int]()

    def wait(epoch: int) -> None:
        # Until it is read, or no longer; it is no matter of time whether it is.
        end = time.monotonic() + (20 if epoch < 2 else 0.2)
        while Counting.reads["epochs"] < first + (epoch + 2) * ROWS and time.monotonic() < end:
            time.sleep(0.01)
        seen[epoch] = Counting.reads["epochs"]

    model = small_model()
    # Keras reads a batch or two to build a model.
    model.fit(data, epochs=1, verbose=0, shuffle=False)
    first = Counting.reads["epochs"] - ROWS
    Counting.reads["epochs"] = first
    model.fit(data, epochs=3, verbose=0, shuffle=False, callbacks=[AtEpochEnd(wait)])
    # All three batches of the next one; none beyond the last one.
    assert seen[0] >= first + 2 * ROWS and seen[1] >= first + 3 * ROWS
    assert Counting.reads["epochs"] < first + 4 * ROWS
    assert not data._ahead._pending


@pytest.mark.parametrize("how", ["stop", "error"])
def test_a_fit_that_ends_early_gives_up_what_it_began(how: str) -> None:
    data, model = counting(how), small_model()

    def end(epoch: int) -> None:
        assert data._ahead._pending
        if how == "error":
            raise KeyboardInterrupt
        model.stop_training = True

    def fit() -> None:
        model.fit(data, epochs=5, verbose=0, shuffle=False, callbacks=[AtEpochEnd(end)])

    if how == "stop":
        fit()
    else:
        try:
            fit()
        except KeyboardInterrupt:
            pass
        else:
            pytest.fail("it did not end early")
    assert not data._ahead._pending


class Recording(mg.MultimodalSequence):
    """Keeps the inputs and weights of each batch, by epoch."""

    def __getitem__(self, index: int) -> tuple[object, ...]:
        batch = super().__getitem__(index)
        self.seen.setdefault(self.epoch, []).append((batch[0][0][:, 0], batch[2]))
        return batch


def test_rows_left_out_meanwhile_are_not_in_the_next_epoch() -> None:
    table = pd.DataFrame({"x": np.arange(ROWS, dtype="float32"), "y": np.zeros(ROWS)})
    target = mg.NumericTarget("y", mean=0.0, scale=1.0)
    data = Recording(
        table,
        {"x": Counting("x", "out")},
        target,
        batch_size=BATCH,
        shuffle=True,
        on_error="blank",
        max_error_rate=1.0,
    )
    data.seen = {}

    def leave_out(epoch: int) -> None:
        if epoch == 0:
            # The first row of the next epoch, whose batch was begun.
            assert data._ahead._pending
            row = int(data.rows(0, epoch=1).index[0])
            error = LoadError("it is no good", index=row)
            data.assembly.failures.add(row, error, epoch)
            left_out.append(row)

    left_out: list[int] = []
    small_model().fit(data, epochs=2, verbose=0, shuffle=False, callbacks=[AtEpochEnd(leave_out)])
    inputs, weights = data.seen[1][-3]
    assert float(weights[0]) == 0 and float(inputs[0]) == 0
    assert float(np.asarray(weights)[1:].min()) == 1
