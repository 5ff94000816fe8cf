"""What Keras really trains on: every row once an epoch, the same rows in the same epoch on every
backend.

The model's only weights are one number a row; the loss is that number and the step size is one, so
each time a row is trained on its number falls by exactly one. The weights are therefore a recording
of what the model was given, made by the backend's own compiled training step.
"""

from __future__ import annotations

import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg

ROWS = 22


class RowLoader(mg.Loader):
    """The number of the row as a token id."""

    def __init__(self, column: str) -> None:
        self.column = column
        self.spec = mg.ArraySpec((1,), "int32", "tokens", ROWS)

    def read(self, cell: int) -> np.ndarray:
        return np.array([cell], "int32")


class ZeroTarget(mg.NumericLoader):
    """A target that the loss does not look at."""


class Recorder(keras.callbacks.Callback):
    """Which rows each batch of each epoch had."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs: dict[int, list[list[int]]] = {}

    def _visits(self) -> np.ndarray:
        return -keras.ops.convert_to_numpy(self.model.get_layer("visits").embeddings)[:, 0]

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self.epochs[epoch] = []
        self.seen = self._visits()

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        now = self._visits()
        counts = np.rint(now - self.seen).astype(int)
        self.epochs[len(self.epochs) - 1 + min(self.epochs)].append(
            sorted(np.repeat(np.arange(ROWS), counts).tolist())
        )
        self.seen = now


def make_data(
    inputs_as: str = "tuple", batch_size: int = 5, seed: int = 3, endless: bool = False
) -> mg.MultimodalSequence:
    table = pd.DataFrame(
        {"row": np.arange(ROWS), "price": np.linspace(-1, 1, ROWS), "y": np.zeros(ROWS)}
    )
    inputs = {"row": RowLoader("row"), "price": mg.NumericLoader("price", mean=[0], scale=[1])}
    target = ZeroTarget("y", mean=[0], scale=[1])
    return mg.MultimodalSequence(
        table,
        inputs,
        target,
        batch_size=batch_size,
        shuffle=True,
        seed=seed,
        inputs_as=inputs_as,
        endless=endless,
    )


def make_model(inputs_as: str = "tuple") -> keras.Model:
    row = keras.Input((1,), dtype="int32", name="row")
    price = keras.Input((1,), name="price")
    visits = keras.layers.Embedding(ROWS, 1, embeddings_initializer="zeros", name="visits")(row)
    nothing = keras.layers.Dense(1, trainable=False, kernel_initializer="zeros")(price)
    output = keras.layers.Add()([keras.layers.Flatten()(visits), nothing])
    inputs = {"row": row, "price": price} if inputs_as == "dict" else (row, price)
    model = keras.Model(inputs, output)
    model.compile(
        keras.optimizers.SGD(1.0), loss=lambda truth, prediction: keras.ops.sum(prediction)
    )
    return model


def expected(data: mg.MultimodalSequence, epoch: int) -> list[list[int]]:
    return [sorted(data.rows(index, epoch).index.tolist()) for index in range(len(data))]


@pytest.mark.parametrize("inputs_as", ["tuple", "dict"])
def test_each_epoch_of_fit_trains_on_the_batches_of_that_epoch(inputs_as: str) -> None:
    data, model, recorder = make_data(inputs_as), make_model(inputs_as), Recorder()
    model.fit(data, epochs=4, shuffle=False, verbose=0, callbacks=[recorder])
    assert recorder.epochs == {epoch: expected(data, epoch) for epoch in range(4)}
    for batches in recorder.epochs.values():
        assert sorted(row for batch in batches for row in batch) == list(range(ROWS))
    assert recorder.epochs[0] != recorder.epochs[1]


def test_the_order_of_rows_in_epochs_is_the_same_on_every_backend_and_host() -> None:
    recorder = Recorder()
    make_model().fit(make_data(), epochs=2, shuffle=False, verbose=0, callbacks=[recorder])
    assert recorder.epochs[0][0] == [5, 14, 17, 18, 20]
    assert recorder.epochs[1][0] == [1, 7, 8, 14, 16]


def test_a_second_fit_and_initial_epoch_continue_where_keras_says() -> None:
    data, model, recorder = make_data(), make_model(), Recorder()
    model.fit(data, epochs=2, shuffle=False, verbose=0, callbacks=[recorder])
    model.fit(data, epochs=5, initial_epoch=2, shuffle=False, verbose=0, callbacks=[recorder])
    assert recorder.epochs == {epoch: expected(data, epoch) for epoch in range(5)}
    again = Recorder()
    model.fit(data, epochs=1, shuffle=False, verbose=0, callbacks=[again])
    assert again.epochs == {0: expected(data, 0)}


def test_a_table_of_one_batch_counts_epochs_right_too() -> None:
    data, model, recorder = make_data(batch_size=64), make_model(), Recorder()
    orders = []
    for epoch in range(3):
        data.epoch = epoch
        orders.append(data.rows(0).index.tolist())
    assert len({tuple(order) for order in orders}) == 3
    model.fit(data, epochs=3, shuffle=False, verbose=0, callbacks=[recorder])
    assert data.epoch == 2
    assert [len(batches) for batches in recorder.epochs.values()] == [1, 1, 1]


def test_every_row_comes_once_even_where_fit_is_left_to_shuffle_the_batches() -> None:
    data, model, recorder = make_data(), make_model(), Recorder()
    model.fit(data, epochs=3, verbose=0, callbacks=[recorder])
    for epoch, batches in recorder.epochs.items():
        assert sorted(batches) == sorted(expected(data, epoch))


def test_validation_between_epochs_does_not_disturb_training() -> None:
    data, model, recorder = make_data(), make_model(), Recorder()
    model.fit(
        data,
        validation_data=data.for_evaluation(),
        epochs=3,
        shuffle=False,
        verbose=0,
        callbacks=[recorder],
    )
    assert recorder.epochs == {epoch: expected(data, epoch) for epoch in range(3)}


def test_a_table_trains_the_same_weights_however_many_threads_and_batches_ahead() -> None:
    results = []
    for threads, ahead in ((1, 0), (4, 3)):
        table = make_data().table
        inputs = {"row": RowLoader("row"), "price": mg.NumericLoader("price", mean=[0], scale=[1])}
        target = ZeroTarget("y", mean=[0], scale=[1])
        data = mg.MultimodalSequence(
            table, inputs, target, batch_size=4, shuffle=True, threads=threads, max_queue_size=ahead
        )
        recorder = Recorder()
        make_model().fit(data, epochs=2, shuffle=False, verbose=0, callbacks=[recorder])
        results.append(recorder.epochs)
    assert results[0] == results[1]


def test_an_endless_sequence_trains_on_the_next_batches_however_many_steps_an_epoch_has() -> None:
    data, model, recorder = make_data(endless=True), make_model(), Recorder()
    model.fit(data, epochs=4, steps_per_epoch=3, shuffle=False, verbose=0, callbacks=[recorder])
    batches = [batch for epoch in recorder.epochs.values() for batch in epoch]
    plain = make_data()
    assert batches == [expected(plain, index // 5)[index % 5] for index in range(12)]


def test_an_endless_sequence_without_a_number_of_steps_is_refused() -> None:
    data, model = make_data(endless=True), make_model()
    for call, message in (
        (
            lambda: model.fit(data, shuffle=False, verbose=0),
            "`fit` needs `steps_per_epoch` for an endless sequence",
        ),
        (lambda: model.predict(data, verbose=0), "`predict` needs `steps`"),
        (lambda: model.evaluate(data, verbose=0), "`evaluate` needs `steps`"),
        (
            lambda: model.fit(make_data(), validation_data=data, verbose=0),
            "`evaluate` needs `steps`",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    assert np.isfinite(model.evaluate(data, steps=2, verbose=0))
    model.fit(make_data(), validation_data=data, validation_steps=2, verbose=0)


def test_steps_per_epoch_takes_several_epochs_of_keras_for_one_pass_over_the_table() -> None:
    data, model, recorder = make_data(batch_size=4), make_model(), Recorder()
    model.fit(data, epochs=6, steps_per_epoch=2, shuffle=False, verbose=0, callbacks=[recorder])
    batches = [batch for epoch in recorder.epochs.values() for batch in epoch]
    assert batches == [*expected(data, 0), *expected(data, 1)]


def test_evaluate_and_predict_take_the_sequence() -> None:
    data, model = make_data(), make_model()
    assert model.evaluate(data.for_evaluation(), verbose=0) == pytest.approx(0)
    model.get_layer("visits").set_weights([np.arange(ROWS, dtype="float32")[:, None]])
    assert model.predict(data.for_evaluation(), verbose=0)[:, 0].tolist() == list(range(ROWS))


def test_predicting_in_shuffled_order_is_warned_of() -> None:
    data, model = make_data(), make_model()
    with pytest.warns(
        UserWarning, match=r"shuffled order .* Give `predict` `sequence.for_evaluation\(\)` instead"
    ):
        model.predict(data, verbose=0)


def test_keras_is_left_with_one_worker_and_more_are_refused_with_the_reason() -> None:
    assert make_data().workers == 1
    for arguments in ({"workers": 2}, {"use_multiprocessing": True}):
        with pytest.raises(ValueError, match="replay stale batches.*Received: workers="):
            mg.MultimodalSequence(make_data().table, make_data().inputs, **arguments)


def test_outside_of_fit_no_epoch_is_running() -> None:
    from multimodal_gen.sequence.keras_inside.calls import keras_call

    def fit(self: keras.Model) -> int | None:
        epoch = 7  # a function of somebody else that happens to look alike
        assert epoch
        return keras_call().epoch(3)

    assert fit(make_model()) is None


@pytest.mark.slow
def test_a_process_that_was_training_ends_when_its_work_ends() -> None:
    code = (
        "import sys; sys.path.insert(0, 'tests'); import test_fit as t; data = t.make_data(); "
        "iterator = iter(data); next(iterator); t.make_model().fit(data, epochs=1, shuffle=False, "
        "verbose=0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], timeout=120, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
