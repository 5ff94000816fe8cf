"""Batches of the next epoch that a `fit` has begun and never asks for leave no trace: neither in
memory, nor in `failures`, nor in a later `fit`.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from test_read_ahead import small_model

import multimodal_gen as mg
from multimodal_gen.batch.making import Batch


class Odd(mg.Loader):
    """Numbers; those that three divides cannot be read."""

    spec = mg.ArraySpec((1,), "float32", "vector")
    kept_by_row = False

    def __init__(self, column: str) -> None:
        self.column = column

    def read(self, cell: float) -> np.ndarray:
        if cell > 0 and cell % 3 == 0:
            raise OSError("unreadable")
        return np.array([cell], "float32")


class AtEpochs(keras.callbacks.Callback):
    """Calls functions with each epoch that begins and ends."""

    def __init__(self, end: object = None, begin: object = None) -> None:
        super().__init__()
        self.end, self.begin = end, begin

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        if self.begin is not None:
            self.begin(epoch)  # type: ignore[operator]

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        if self.end is not None:
            self.end(epoch)  # type: ignore[operator]


def numbers(rows: int, batch: int, **settings: object) -> mg.MultimodalSequence:
    values = np.arange(rows, dtype="float32")
    table = pd.DataFrame({"x": values, "y": 0.0 * values, "w": 0.05 + values / rows})
    target = mg.NumericTarget("y", mean=0.0, scale=1.0)
    settings = {"on_error": "blank", "max_error_rate": 1.0, "shuffle": True, **settings}
    return mg.MultimodalSequence(table, {"x": Odd("x")}, target, batch_size=batch, **settings)


def test_failures_are_those_of_batches_that_were_asked_for() -> None:
    data = numbers(60, 10, sampler=mg.WeightedSampler("w"), processes=0)
    model = small_model()

    def stop(epoch: int) -> None:
        # They have been read.
        for batch in data._ahead._pending.values():
            for future in batch._futures.values():
                future.result(60)
        began.append(len(data._ahead._pending))
        model.stop_training = True

    began: list[int] = []
    model.fit(data, epochs=5, verbose=0, shuffle=False, callbacks=[AtEpochs(stop)])
    assert began[0] > 0
    drawn = {int(row) for row in data.plan.order(0)}
    assert set(data.failures["index"]) == {row for row in drawn if row and row % 3 == 0}
    assert set(data.failures["epoch"]) == {0}


def test_epochs_in_another_order_leave_no_batches() -> None:
    data, kept = numbers(12, 2, max_queue_size=3), []

    def begin(epoch: int) -> None:
        data.epoch = 9 - epoch

    def end(epoch: int) -> None:
        kept.append(len(data._ahead._pending))

    small_model().fit(data, epochs=10, verbose=0, shuffle=False, callbacks=[AtEpochs(end, begin)])
    assert max(kept) == 3


class Holder:
    """Something that an error is kept on."""


def test_a_fit_that_is_collected_in_a_later_one_neither_waits_nor_ends_it() -> None:
    data, model = numbers(12, 2, processes=0), small_model()

    def fail(epoch: int) -> None:
        raise ValueError("no")

    def failed() -> None:
        try:
            model.fit(data, epochs=5, verbose=0, shuffle=False, callbacks=[AtEpochs(fail)])
        except ValueError as error:
            # A cycle keeps the variables of `fit` until it is collected.
            holder = Holder()
            holder.error, error.holder = error, holder

    gc.disable()
    try:
        failed()
        assert data._ahead._pending
        start, count = data._maker.start, []

        def starting(*arguments: object) -> Batch:
            count.append(arguments)
            if len(count) == 4:
                # It may come at any time, also when the lock of reading ahead is held.
                gc.collect()
            return start(*arguments)

        data._maker.start = starting
        model.fit(data, epochs=2, verbose=0, shuffle=False)
    finally:
        gc.enable()
    assert len(count) >= 12 and not data._ahead._pending


@pytest.mark.parametrize("kind", ["ValueError", "KeyboardInterrupt"])
def test_a_program_ends_by_an_error_that_nobody_catches(kind: str) -> None:
    script = f"""
from test_read_ahead_ends import AtEpochs, numbers, small_model

def fail(epoch):
    raise {kind}("no")

small_model().fit(numbers(12, 2), epochs=3, verbose=0, shuffle=False, callbacks=[AtEpochs(fail)])
"""
    tests = Path(__file__).parent
    path = os.pathsep.join([str(tests), str(tests.parent)])
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": path, "KERAS_BACKEND": keras.backend.backend()},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stderr.rstrip().endswith(f"{kind}: no")
    assert done.returncode == (1 if kind == "ValueError" else -signal.SIGINT)
