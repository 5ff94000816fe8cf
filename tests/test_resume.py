"""`ResumeTraining` in `fit`: whatever interrupts a training, it ends as if nothing had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg

ROWS = 46


class BrokenOffError(Exception):
    """Stands for a kill."""


class Interrupt(keras.callbacks.Callback):
    """Breaks off after so many batches of this process, or when validation begins for the n-th
    time.
    """

    def __init__(self, batches: int = 0, validations: int = 0) -> None:
        super().__init__()
        self.batches, self.validations = batches, validations

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self.batches -= 1
        if self.batches == 0:
            raise BrokenOffError

    def on_test_begin(self, logs: object = None) -> None:
        self.validations -= 1
        if self.validations == 0:
            raise BrokenOffError


class Diary(keras.callbacks.Callback):
    """The steps of each epoch that `fit` tells of, carried through interruptions."""

    def __init__(self) -> None:
        super().__init__()
        self.pages: dict[int, list[int]] = {}
        self.begun: list[int] = []

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self.begun.append(epoch)
        self.pages.setdefault(epoch, [])

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        self.begun.append(batch)

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self.pages[max(self.pages)].append(batch)

    def get_state(self) -> dict[str, Any]:
        return {
            "pages": self.pages,
            "mean": np.float32(0.5),
            "shape": (1, 2),
            "weights": [np.arange(3.0)],
        }

    def set_state(self, state: dict[str, Any]) -> None:
        assert (
            state["mean"] == 0.5 and type(state["mean"]) is np.float32 and state["shape"] == (1, 2)
        )
        assert state["weights"][0].tolist() == [0, 1, 2]
        self.pages = state["pages"]


def make_data(**changes: Any) -> mg.MultimodalSequence:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"a": rng.normal(size=ROWS), "b": rng.normal(size=ROWS), "y": rng.integers(0, 3, ROWS)}
    )
    inputs = {"numbers": mg.NumericLoader(("a", "b"), mean=[0, 0], scale=[1, 1])}
    target = mg.ClassLabel.from_values("y", table["y"])
    settings = {"batch_size": 8, "shuffle": True, "seed": 2} | changes
    return mg.MultimodalSequence(table, inputs, target, **settings)


def make_model(units: int = 5, steps_per_execution: int = 1, noise: Any = None) -> keras.Model:
    keras.utils.set_random_seed(3)
    numbers = keras.Input((2,), name="numbers")
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(units, "relu")(numbers))
    hidden = keras.layers.Dropout(0.3)(hidden if noise is None else noise(hidden))
    model = keras.Model((numbers,), keras.layers.Dense(3, "softmax")(hidden))
    loss = keras.losses.SparseCategoricalCrossentropy()
    # Not compiled, which would take longer than all the rest; the runs of `kill_runs.py` are.
    settings = {"jit_compile": False, "steps_per_execution": steps_per_execution}
    model.compile(keras.optimizers.Adam(0.05), loss, metrics=["accuracy"], **settings)
    return model


def fit(
    folder: Path,
    *callbacks: Any,
    data: Any = None,
    model: Any = None,
    save_every: int = 2,
    validating: bool = False,
    **arguments: Any,
) -> tuple[Any, keras.callbacks.History]:
    data = make_data() if data is None else data
    model = make_model() if model is None else model
    resume = mg.ResumeTraining(folder, data, save_every=save_every)
    settings = {
        "epochs": 3,
        "shuffle": False,
        "verbose": 0,
        "validation_data": make_data().for_evaluation() if validating else None,
    }
    return model, model.fit(data, callbacks=[*callbacks, resume], **(settings | arguments))


def interrupted(folder: Path, *callbacks: Any, **arguments: Any) -> None:
    with pytest.raises(BrokenOffError):
        fit(folder, *callbacks, **arguments)


def outcome(result: tuple[Any, keras.callbacks.History]) -> tuple[bytes, Any, Any]:
    model, history = result
    variables = [
        *model.trainable_variables,
        *model.non_trainable_variables,
        *model.optimizer.variables,
    ]
    numbers = b"".join(keras.ops.convert_to_numpy(one).tobytes() for one in variables)
    return numbers, history.epoch, history.history


def test_a_training_goes_on_at_the_next_batch_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    expected = outcome(fit(tmp_path / "alone", validating=True))
    assert expected[1] == [0, 1, 2]
    # Six batches an epoch. Of states there are those at 2 and 4, before the last batch, and at the
    # end of the epoch.
    for batches in (3, 5, 1, 2):
        interrupted(tmp_path / "state", Diary(), Interrupt(batches), validating=True)
    diary = Diary()
    assert outcome(fit(tmp_path / "state", diary, validating=True)) == expected
    assert diary.begun == [1, 0, 1, 2, 3, 4, 5, 2, 0, 1, 2, 3, 4, 5]
    assert diary.pages == {epoch: list(range(6)) for epoch in range(3)}
    assert len(list((tmp_path / "state").iterdir())) == 2


def test_steps_go_on_with_their_numbers(tmp_path: Path) -> None:
    interrupted(tmp_path, Interrupt(10), save_every=3)
    diary = Diary()
    fit(tmp_path, diary)
    assert diary.begun == [1, 3, 4, 5, 2, *range(6)]


def test_a_training_that_has_ended_starts_nothing_and_more_epochs_go_on(tmp_path: Path) -> None:
    expected, longer = outcome(fit(tmp_path / "a")), outcome(fit(tmp_path / "b", epochs=5))
    diary = Diary()
    assert outcome(fit(tmp_path / "a", diary)) == expected
    assert outcome(fit(tmp_path / "a", diary, epochs=2)) == expected
    assert diary.begun == []
    assert outcome(fit(tmp_path / "a", diary, epochs=5)) == longer
    assert diary.begun[0] == 3


def test_validation_that_was_interrupted_costs_one_batch(tmp_path: Path) -> None:
    expected = outcome(fit(tmp_path / "alone", validating=True, save_every=100))
    interrupted(tmp_path / "state", Interrupt(validations=2), validating=True, save_every=100)
    diary = Diary()
    assert outcome(fit(tmp_path / "state", diary, validating=True, save_every=100)) == expected
    assert diary.begun[:3] == [1, 5, 2]


@pytest.mark.slow
def test_what_callbacks_of_keras_know_is_carried(tmp_path: Path) -> None:
    def callbacks() -> list[Any]:
        return [
            keras.callbacks.EarlyStopping(
                "val_loss", patience=3, min_delta=0.01, restore_best_weights=True
            ),
            keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1, min_delta=0.05),
            keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9),
            keras.callbacks.ModelCheckpoint(
                tmp_path / "best.keras", "val_loss", save_best_only=True
            ),
        ]

    expected = outcome(fit(tmp_path / "alone", *callbacks(), validating=True, epochs=30))
    epochs = len(expected[1])
    assert 3 < epochs < 30
    for batches in (14, 3, 8):
        interrupted(
            tmp_path / "state", *callbacks(), Interrupt(batches), validating=True, epochs=30
        )
    assert outcome(fit(tmp_path / "state", *callbacks(), validating=True, epochs=30)) == expected
    # Stopped is ended.
    diary = Diary()
    assert (
        outcome(fit(tmp_path / "state", *callbacks(), diary, validating=True, epochs=30))
        == expected
    )
    assert diary.begun == []
    fit(tmp_path / "state", diary, validating=True, epochs=31)
    assert diary.begun[0] == epochs


def test_who_stops_inside_of_an_epoch_goes_on_with_the_rest_of_it(tmp_path: Path) -> None:
    expected = outcome(fit(tmp_path / "alone"))
    stop = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: setattr(model, "stop_training", batch == 3)
    )
    model = make_model()
    fit(tmp_path / "state", stop, model=model)
    diary = Diary()
    assert outcome(fit(tmp_path / "state", diary)) == expected
    assert diary.begun[:3] == [0, 4, 5]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize(("endless", "steps"), [(True, 4), (True, 9), (False, 6)])
def test_epochs_of_any_number_of_steps_go_on(tmp_path: Path, endless: bool, steps: int) -> None:
    def arguments() -> dict[str, Any]:
        return {"data": make_data(endless=endless), "steps_per_epoch": steps}

    expected = outcome(fit(tmp_path / "alone", **arguments()))
    for batches in (3, steps, 5):
        interrupted(tmp_path / "state", Interrupt(batches), **arguments())
    assert outcome(fit(tmp_path / "state", **arguments())) == expected


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() == "torch", reason="torch executes one step at a time")
def test_several_steps_in_one_execution_go_on(tmp_path: Path) -> None:
    expected = outcome(fit(tmp_path / "alone", model=make_model(steps_per_execution=2)))
    interrupted(tmp_path / "state", Interrupt(5), model=make_model(steps_per_execution=2))
    with pytest.raises(ValueError, match="must divide 2.* Received: .*=3"):
        fit(tmp_path / "state", model=make_model(steps_per_execution=3))
    assert outcome(fit(tmp_path / "state", model=make_model(steps_per_execution=2))) == expected


@keras.saving.register_keras_serializable("multimodal_gen_tests")
class Noise(keras.layers.Layer):
    """Adds numbers from the generator that Keras keeps for those without a seed."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        return inputs + keras.random.normal(keras.ops.shape(inputs)) if training else inputs


@pytest.mark.slow
@pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="jax refuses random numbers without a seed"
)
def test_random_numbers_without_a_seed_go_on(tmp_path: Path) -> None:
    from keras.src.backend.common import global_state

    def noisy() -> keras.Model:
        # As in a new process; older versions of Keras do not make the generator anew where a seed
        # is set.
        global_state.set_global_attribute("global_seed_generator", None)
        return make_model(noise=Noise())

    expected = outcome(fit(tmp_path / "alone", model=noisy()))
    for batches in (3, 7):
        interrupted(tmp_path / "state", Interrupt(batches), model=noisy())
    assert outcome(fit(tmp_path / "state", model=noisy())) == expected


@pytest.mark.slow
def test_the_recipe_goes_on_too(tmp_path: Path) -> None:
    def train(folder: Path, *callbacks: Any) -> tuple[Any, Any]:
        data, model = make_data(), make_model()
        history = mg.fit_with_recipe(
            model,
            data.target,
            data,
            data.for_evaluation(),
            epochs=6,
            verbose=0,
            callbacks=[*callbacks, mg.ResumeTraining(folder, data, save_every=2)],
        )
        return model, history

    model, history = train(tmp_path / "alone")
    for batches in (9, 15):
        with pytest.raises(BrokenOffError):
            train(tmp_path / "state", Interrupt(batches))
    for _ in range(2):
        again = train(tmp_path / "state")
        assert outcome(again) == outcome((model, history))
        assert again[1].best_epoch == history.best_epoch
