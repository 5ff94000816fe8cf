"""A trained model stays whole whatever ends a call of Keras: a bad cell, Ctrl-C, an error of
somebody else's.
"""

from __future__ import annotations

import _thread
import functools
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.loaders.base import ArraySpec
from multimodal_gen.sequence.keras_inside.whole_model import _Steps

ROWS, BATCH = 24, 4
# Of steps in one execution, torch takes one.
SEVERAL = 1 if keras.backend.backend() == "torch" else 4
METHODS = ["fit", "evaluate", "predict"]
# Python drops a Ctrl-C that arrives in a finalizer of an object, and says so; the tests then send
# another one.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def heed_control_c() -> Iterator[None]:
    # A shell lets commands in the background ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Vectors(mg.Loader):
    """Four times the cell; a cell of which a function is known calls it."""

    surprises: ClassVar[dict[float, Callable[[], None]]] = {}

    def __init__(self, column: str) -> None:
        self.column = column

    @property
    def spec(self) -> ArraySpec:
        return ArraySpec((4,), "float32", "vector")

    def read(self, cell: float) -> np.ndarray:
        self.surprises.get(float(cell), lambda: None)()
        return np.full(4, cell / ROWS, "float32")


class Interrupting(keras.Sequential):
    """Ctrl-C comes when a step is done, and nobody has its result yet."""

    def _wrap(self, name: str) -> None:
        inner = getattr(self, name)

        def step(*arguments: Any) -> Any:
            result = inner(*arguments)
            signal.raise_signal(signal.SIGINT)
            return result

        setattr(self, name, step)

    def make_train_function(self, force: bool = False) -> Any:
        if self.train_function is None:
            super().make_train_function(force)
            self._wrap("train_function")
        return self.train_function

    def make_test_function(self, force: bool = False) -> Any:
        if self.test_function is None:
            super().make_test_function(force)
            self._wrap("test_function")
        return self.test_function

    def make_predict_function(self, force: bool = False) -> Any:
        if self.predict_function is None:
            super().make_predict_function(force)
            self._wrap("predict_function")
        return self.predict_function


@pytest.fixture(autouse=True)
def no_surprises() -> Iterator[None]:
    yield
    Vectors.surprises.clear()


def make_table() -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(float(ROWS)), "y": list("abc") * (ROWS // 3)})


def make(table: pd.DataFrame | None = None, **arguments: Any) -> mg.MultimodalSequence:
    table = make_table() if table is None else table
    target = mg.ClassLabel("y", list("abc"))
    return mg.MultimodalSequence(
        table,
        {"x": Vectors("x")},
        target,
        batch_size=BATCH,
        inputs_as="array",
        max_queue_size=0,
        **arguments,
    )


def make_model(kind: type[keras.Sequential] = keras.Sequential, **compiling: Any) -> keras.Model:
    layers = [
        keras.Input((4,), name="x"),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.5, seed=7),
    ]
    layers += [keras.layers.Dense(3, activation="softmax")]
    model = kind(layers)
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"], **compiling)
    return model


@functools.cache
def trained() -> keras.Model:
    """One for all tests, as each leaves it whole."""
    model = make_model()
    model.fit(make(), verbose=0, shuffle=False)
    return model


def numbers(model: keras.Model) -> list[bytes]:
    """Weights, seeds and optimizer."""
    values = [*model.weights, *model.non_trainable_variables, *model.optimizer.variables]
    return [keras.ops.convert_to_numpy(value).tobytes() for value in values]


def call(model: keras.Model, method: str, data: mg.MultimodalSequence, **arguments: Any) -> Any:
    return getattr(model, method)(
        data, verbose=0, **({"shuffle": False} if method == "fit" else {}), **arguments
    )


def until_interrupted(function: Callable[[], Any]) -> None:
    # A signal of another thread may arrive a moment later.
    for _ in range(100):
        function()


def check_whole(model: keras.Model, folder: Path) -> None:
    """The model has every number that it needs to be saved, to go on, and to be used."""
    assert all(np.isfinite(keras.ops.convert_to_numpy(one)).all() for one in model.weights)
    bundle = mg.Bundle(model, {"x": Vectors("x")}, mg.ClassLabel("y", list("abc")))
    bundle.save(folder / "bundle")
    model.fit(make(), verbose=0, shuffle=False)
    assert len(bundle.predict(make_table())) == ROWS


def fail() -> None:
    raise ValueError("a bad cell")


@pytest.mark.parametrize("batch", [0, 2])
@pytest.mark.parametrize("method", METHODS)
def test_a_bad_cell_leaves_the_model_whole(method: str, batch: int, tmp_path: Path) -> None:
    model = trained()
    before, steps = numbers(model), int(model.optimizer.iterations)
    Vectors.surprises[batch * BATCH + 1.0] = fail
    with pytest.raises(mg.LoadError, match="a bad cell"):
        call(model, method, make())
    Vectors.surprises.clear()
    if method == "fit":
        # Keras 3.12 on jax takes a batch ahead of the step; on tensorflow, a step whose batch does
        # not come may count.
        assert batch - 1 <= int(model.optimizer.iterations) - steps <= batch + 1
    else:
        assert numbers(model) == before
    check_whole(model, tmp_path)


@pytest.mark.parametrize("batch", [0, 3])
@pytest.mark.parametrize("method", METHODS)
def test_control_c_while_a_batch_is_read_leaves_the_model_whole(
    method: str, batch: int, tmp_path: Path
) -> None:
    model = trained()
    before = numbers(model)
    # As the terminal does it; it is a thread of the loaders that reads.
    Vectors.surprises[batch * BATCH + 1.0] = _thread.interrupt_main
    with pytest.raises(KeyboardInterrupt):
        until_interrupted(lambda: call(model, method, make()))
    Vectors.surprises.clear()
    assert method == "fit" or numbers(model) == before
    check_whole(model, tmp_path)


@pytest.mark.parametrize(("method", "at_once"), [("fit", 1), ("evaluate", SEVERAL), ("predict", 1)])
def test_control_c_between_a_step_and_its_result_leaves_the_model_whole(
    method: str, at_once: int
) -> None:
    model = make_model(Interrupting, steps_per_execution=at_once)
    model.build()
    before = numbers(model)
    with pytest.raises(KeyboardInterrupt):
        call(model, method, make())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    after = [keras.ops.convert_to_numpy(one) for one in model.weights]
    assert all(np.isfinite(one).all() for one in after)
    if method != "fit":
        assert numbers(model)[: len(after)] == before[: len(after)]


def test_a_handler_of_ones_own_is_called_after_the_step_and_stays() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        mine = signal.getsignal(signal.SIGTERM)
        model = make_model(Interrupting)
        with pytest.raises(KeyboardInterrupt):
            call(model, "evaluate", make())
        Vectors.surprises[1.0] = lambda: signal.raise_signal(signal.SIGTERM)
        trained().evaluate(make(), verbose=0)
        assert set(seen) == {signal.SIGTERM}
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("surprise", [fail, _thread.interrupt_main], ids=["bad cell", "control c"])
@pytest.mark.parametrize("batch", [0, 2])
def test_what_ends_a_validation_inside_of_fit_leaves_the_model_whole(
    batch: int, surprise: Callable[[], None], tmp_path: Path
) -> None:
    model, data = trained(), make()
    validation = data.for_evaluation(make_table().assign(x=lambda table: table["x"] + 100))
    Vectors.surprises[100 + batch * BATCH + 1.0] = surprise
    steps = int(model.optimizer.iterations)
    with pytest.raises((mg.LoadError, KeyboardInterrupt)):
        model.fit(data, validation_data=validation, epochs=100, verbose=0, shuffle=False)
    assert int(model.optimizer.iterations) >= steps + len(data)
    Vectors.surprises.clear()
    check_whole(model, tmp_path)


@pytest.mark.parametrize("method", ["evaluate", "predict"])
def test_bundles_survive_control_c(method: str, tmp_path: Path) -> None:
    model = trained()
    bundle, before = (
        mg.Bundle(model, {"x": Vectors("x")}, mg.ClassLabel("y", list("abc"))),
        numbers(model),
    )
    Vectors.surprises[9.0] = _thread.interrupt_main
    with pytest.raises(KeyboardInterrupt):
        until_interrupted(lambda: getattr(bundle, method)(make_table(), batch_size=BATCH))
    Vectors.surprises.clear()
    assert numbers(model) == before
    check_whole(model, tmp_path)


class Failing(keras.callbacks.Callback):
    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == 2:
            raise RuntimeError("a callback failed")

    on_predict_batch_end = on_test_batch_end


@pytest.mark.parametrize("method", ["evaluate", "predict"])
def test_a_callback_that_fails_leaves_the_model_whole_and_undoes_nothing_later(
    method: str, tmp_path: Path
) -> None:
    model = trained()
    before = numbers(model)
    with pytest.raises(RuntimeError, match="a callback failed"):
        call(model, method, make(), callbacks=[Failing()])
    assert numbers(model) == before
    # What Keras had in hand when it was broken off is not put into what was loaded since.
    model.set_weights([np.full_like(one, 0.25) for one in model.get_weights()])
    seen: list[np.ndarray] = []
    look = keras.callbacks.LambdaCallback()
    look.on_train_begin = lambda logs=None: seen.extend(look.model.get_weights())
    call(model, "fit", make(), callbacks=[look])
    assert seen
    assert all((one == 0.25).all() for one in seen)
    check_whole(model, tmp_path)
    again = mg.load_bundle(tmp_path / "bundle", custom_objects={"Vectors": Vectors})
    assert len(again.model.get_weights()) == len(model.get_weights())


def test_an_error_inside_of_a_step_leaves_the_model_whole() -> None:
    model = make_model(steps_per_execution=SEVERAL)
    model.build()
    before = model.get_weights()

    class Growing(mg.MultimodalSequence):
        def __getitem__(self, index: int) -> Any:
            inputs, labels = super().__getitem__(index)
            return (np.repeat(inputs, 2, 1), labels) if index == 4 else (inputs, labels)

    data = Growing(
        make_table(),
        {"x": Vectors("x")},
        mg.ClassLabel("y", list("abc")),
        batch_size=4,
        inputs_as="array",
    )
    with pytest.raises(Exception, match=r"(?i)shape|incompatible|size"):
        model.evaluate(data, verbose=0)
    assert all((one == two).all() for one, two in zip(before, model.get_weights(), strict=True))
    assert len(call(model, "predict", make())) == ROWS


def test_results_are_those_of_keras_alone() -> None:
    keras.utils.set_random_seed(1)
    plain = make_model(steps_per_execution=SEVERAL)
    keras.utils.set_random_seed(1)
    watched = make_model(steps_per_execution=SEVERAL)
    inputs = np.concatenate([inputs for inputs, _ in make()])
    labels = np.concatenate([labels for _, labels in make()])
    given = {"batch_size": BATCH, "verbose": 0}
    one = plain.fit(inputs, labels, shuffle=False, epochs=2, **given)
    two = watched.fit(make(), shuffle=False, epochs=2, verbose=0)
    np.testing.assert_allclose(one.history["loss"], two.history["loss"], rtol=1e-6)
    np.testing.assert_allclose(
        plain.predict(inputs, **given), watched.predict(make(), verbose=0), rtol=1e-6
    )
    np.testing.assert_allclose(
        plain.evaluate(inputs, labels, **given), watched.evaluate(make(), verbose=0), rtol=1e-6
    )


@pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="steps are run one by one for jax only"
)
@pytest.mark.parametrize("together", [False, True])
def test_an_execution_takes_a_batch_for_each_of_its_steps_or_one_that_holds_them_all(
    together: bool,
) -> None:
    """As Keras does up to 3.15, and since: there the iterator gives the batches of an execution as
    one.
    """
    model = make_model(steps_per_execution=3)
    model.build()
    seen: list[list[int]] = []

    def execute(state: Any, iterator: Any) -> tuple[Any, Any]:
        weights, others, metrics = state
        steps = next(iterator)
        if not together:
            steps = [steps, *itertools.islice(iterator, 2)]
        seen.append(list(steps))
        return sum(steps), ([one + len(steps) for one in weights], others, metrics)

    parts = (model.trainable_variables, model.non_trainable_variables, model.metrics_variables)
    state = tuple([variable.value for variable in part] for part in parts)
    before = [variable.numpy() for variable in model.trainable_variables]
    run = _Steps(model, "test_function")
    batches = iter([[0, 1, 2], [3, 4, 5], [6]] if together else range(7))
    results = []
    for _ in range(3):
        result, state = run(execute, state, batches)
        results.append(result)
    with pytest.raises(StopIteration):
        run(execute, state, batches)
    # An execution gives what its last step does, as Keras does.
    assert results == ([3, 12, 6] if together else [2, 5, 6])
    assert [one for steps in seen for one in steps] == list(range(7))
    assert len(seen) == (3 if together else 7)
    for variable, numbers in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_allclose(variable.numpy(), numbers + 7, rtol=1e-5)


def raise_at_line(line: int, names: set[str], function: Callable[[], Any]) -> bool:
    """Interrupt functions of Keras's trainer, by their names, at the n-th line that they run;
    whether there was one.
    """
    count = 0

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal count
        if frame.f_code.co_name not in names or "trainer.py" not in frame.f_code.co_filename:
            return None
        count += event == "line"
        if event == "line" and count == line:
            raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        function()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False


@pytest.mark.parametrize("method", METHODS)
def test_control_c_at_any_line_of_keras_leaves_the_model_whole(method: str) -> None:
    """Python handles signals between any two instructions, so each line of Keras gets one."""
    own = {
        method,
        "jax_state_sync",
        "_get_jax_state",
        "_purge_model_variables",
        "on_epoch_begin",
        "on_epoch_end",
    }
    model, data = trained(), make()
    call(model, method, data)
    before, line = numbers(model), 1
    while raise_at_line(line, own, lambda: call(model, method, data)):
        assert method == "fit" or numbers(model) == before
        assert all(np.isfinite(keras.ops.convert_to_numpy(one)).all() for one in model.weights)
        # Where nothing is taken out of the model, a few of them do.
        line += 1 if keras.backend.backend() == "jax" else 7
    assert line > 20
    call(model, "fit", data)


@pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="it is the devices of jax that rows are divided among"
)
def test_rows_that_devices_cannot_share_leave_the_model_whole(tmp_path: Path) -> None:
    code = """
import jax
jax.config.update("jax_num_cpu_devices", 2)
import keras, pytest
keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
from test_whole_model import *
model, odd = trained(), make(make_table()[:11])
before = numbers(model)
for method in METHODS:
    with pytest.raises(ValueError, match="evenly divide"):
        call(model, method, odd)
    assert method == "fit" or numbers(model) == before
    before = numbers(model)
check_whole(model, Path("."))
print("whole")
"""
    paths = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == "whole\n", done.stderr
