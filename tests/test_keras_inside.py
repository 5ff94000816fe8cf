"""What leans on private parts of Keras says so where Keras lacks them, and leaves nothing on the
user's model.
"""

from __future__ import annotations

import ast
import copy
import importlib
import inspect
import pickle
import re
import sys
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd
import pytest
from test_fit import Recorder, expected, make_data, make_model

import multimodal_gen as mg
from multimodal_gen.rows.plan import Plan
from multimodal_gen.sequence.keras_inside import calls, graph, seeds
from multimodal_gen.sequence.keras_inside.epochs import FollowFit
from multimodal_gen.sequence.keras_inside.middle import check_started, running_fit
from multimodal_gen.sequence.keras_inside.sharing import check_shares
from multimodal_gen.sequence.keras_inside.wrapping import STEPS, Attendance, Wrapped

BACKEND = keras.backend.backend()
TELL = 'Set the sequence.s epoch in a callback: .*setattr\\(data, "epoch", epoch\\)'


def trainer_with(old: str, new: str) -> type:
    """The trainer of the running Keras, its `fit` written anew with one name changed."""
    owner = next(one for one in keras.Model.__mro__ if "fit" in vars(one))
    module = sys.modules[owner.__module__]
    source = textwrap.dedent(inspect.getsource(inspect.unwrap(vars(owner)["fit"])))
    changed = re.sub(rf"\b{old}\b", new, source)
    assert changed != source
    # `super()` and decorators are looked up where the class is.
    names = dict(vars(module))
    exec(compile(changed, module.__file__ or "", "exec"), names)
    return type("Changed", (), {"fit": names["fit"]})


@pytest.fixture
def renamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Keras whose `fit` has another name for its local `epoch`."""
    owner = next(one for one in keras.Model.__mro__ if "fit" in vars(one))
    monkeypatch.setattr(owner, "fit", trainer_with("epoch", "epoch_index").fit)


@pytest.mark.usefixtures("renamed")
def test_a_keras_whose_fit_has_another_name_for_the_epoch_is_an_error_that_says_what_to_do() -> (
    None
):
    with pytest.raises(
        RuntimeError, match=rf"Keras {keras.__version__} has no variable `epoch` in `fit`.*{TELL}"
    ):
        make_model().fit(make_data(), epochs=2, shuffle=False, verbose=0)


@pytest.mark.usefixtures("renamed")
def test_what_the_error_says_to_do_works() -> None:
    data, model, recorder = make_data(), make_model(), Recorder()
    tell = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: setattr(data, "epoch", epoch)
    )
    model.fit(data, epochs=5, initial_epoch=2, shuffle=False, verbose=0, callbacks=[recorder, tell])
    assert recorder.epochs == {epoch: expected(data, epoch) for epoch in (2, 3, 4)}


@pytest.mark.usefixtures("renamed")
def test_the_recipe_and_resume_training_need_no_frame_for_the_epoch(tmp_path: Path) -> None:
    table = pd.DataFrame({"x": np.linspace(-1, 1, 24), "y": list("ab") * 12})
    inputs, target = (
        {"x": mg.NumericLoader.from_values("x", table["x"])},
        mg.ClassLabel("y", ["a", "b"]),
    )
    data = mg.MultimodalSequence(table, inputs, target, batch_size=8, shuffle=True)
    model = mg.build_fusion_classifier(data.inputs, data.target)
    history = mg.fit_with_recipe(model, target, data, epochs=3, verbose=0)
    assert (data.epoch, history.epoch) == (2, [0, 1, 2])
    data, model, recorder = make_data(), make_model(), Recorder()
    resume = mg.ResumeTraining(tmp_path, data)
    model.fit(data, epochs=2, shuffle=False, verbose=0, callbacks=[recorder, resume])
    assert recorder.epochs == {epoch: expected(data, epoch) for epoch in range(2)}


def test_an_argument_with_another_name_is_an_error_too(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = next(one for one in keras.Model.__mro__ if "fit" in vars(one))
    monkeypatch.setattr(owner, "fit", trainer_with("initial_epoch", "first_epoch").fit)
    with pytest.raises(RuntimeError, match="has no variable `initial_epoch` in `fit`"):
        make_model().fit(make_data(), shuffle=False, verbose=0)


def test_data_adapters_at_another_place_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_ADAPTERS", "keras.src.trainers.where_they_were.")
    with pytest.raises(RuntimeError, match=rf"reads data outside its data adapters.*{TELL}"):
        make_model().fit(make_data(), shuffle=False, verbose=0)


def test_a_method_of_keras_that_is_not_known_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_METHODS", ())
    with pytest.raises(
        RuntimeError, match="reads data in another method than `fit`, `evaluate` and `predict`"
    ):
        make_model().fit(make_data(), shuffle=False, verbose=0)


def test_an_epoch_that_was_set_before_fit_does_not_hold_in_it() -> None:
    data, model, recorder = make_data(), make_model(), Recorder()
    for _ in range(2):
        data.epoch = 7
        model.fit(data, epochs=1, shuffle=False, verbose=0, callbacks=[recorder])
        assert recorder.epochs[0] == expected(data, 0)


def test_a_callback_that_follows_fit_counts_passes_as_the_stack_does() -> None:
    orders = []
    for following in (False, True):
        data, model, recorder = make_data(batch_size=4), make_model(), Recorder()
        callbacks = [recorder, FollowFit(data)] if following else [recorder]
        model.fit(data, epochs=6, steps_per_epoch=2, shuffle=False, verbose=0, callbacks=callbacks)
        orders.append((recorder.epochs, data.epoch))
    assert orders[0] == orders[1]


def test_a_training_that_is_resumed_must_begin_where_it_was_told() -> None:
    check_started(3, 3)
    with pytest.raises(
        RuntimeError, match=r"began with epoch 0 instead of 3.*`sequence.set_state\(state\)`"
    ):
        check_started(0, 3)


def test_what_resuming_needs_is_looked_for_before_anything_is_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from keras.src.trainers.epoch_iterator import EpochIterator

    class Look(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            monkeypatch.delattr(EpochIterator, "_enumerate_iterator")
            running_fit()

    with pytest.raises(
        RuntimeError,
        match=r"has no `\w*EpochIterator._enumerate_iterator`, which is needed to resume",
    ):
        make_model().fit(make_data(), shuffle=False, verbose=0, callbacks=[Look()])


def renamed_function(function: types.FunctionType, name: str) -> types.FunctionType:
    """The same function as it would stand on the stack under another name."""
    code = function.__code__.replace(co_name=name)
    return types.FunctionType(
        code, function.__globals__, name, function.__defaults__, function.__closure__
    )


@pytest.mark.skipif(
    BACKEND != "tensorflow", reason="batches are read for their shapes on tensorflow only"
)
@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_another_name_of_what_reads_batches_for_their_shapes_is_an_error(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    function = renamed_function(PyDatasetAdapter.get_tf_dataset, "make_dataset")
    monkeypatch.setattr(PyDatasetAdapter, "get_tf_dataset", function)
    words = ["a red mug", "a blue mug with a handle"] * 8
    table = pd.DataFrame({"text": words, "y": list("ab") * 8})
    inputs = {"text": mg.TextLoader.from_texts("text", words, sequence_length=8)}
    data = mg.MultimodalSequence(
        table,
        inputs,
        mg.ClassLabel("y", ["a", "b"]),
        batch_size=4,
        shuffle=True,
        bucket_by_length="text",
    )
    model = mg.build_fusion_classifier(
        inputs, data.target, branches={"text": mg.models.TokenBranch(embedding_size=4)}
    )
    model.compile("sgd", data.target.loss)
    wanted = r"reads batches outside `get_tf_dataset`.*Remove `bucket_by_length`"
    with pytest.raises(RuntimeError, match=rf"Keras {keras.__version__} {wanted}"):
        getattr(model, method)(data, verbose=0, **({"shuffle": False} if method == "fit" else {}))


@pytest.mark.parametrize("make", [False, True])
@pytest.mark.parametrize("gone", ["module", "name"])
def test_a_seed_generator_at_another_place_is_an_error(
    gone: str, make: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keras.src.backend.common import global_state

    if gone == "module":
        monkeypatch.setitem(sys.modules, "keras.src.random.seed_generator", None)
    else:
        monkeypatch.delattr(global_state, "get_global_attribute")
    with pytest.raises(
        RuntimeError,
        match=r"keeps its seed generator elsewhere \(.*Give layers such as `Dropout` a",
    ):
        seeds.global_seed(make=make)


def test_a_training_that_is_to_be_resumed_looks_for_the_seed_generator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "keras.src.random.seed_generator", None)
    data, model = make_data(), make_model()
    with pytest.raises(RuntimeError, match=r"keeps its seed generator elsewhere"):
        model.fit(data, shuffle=False, verbose=0, callbacks=[mg.ResumeTraining(tmp_path, data)])


def test_a_tensor_that_does_not_tell_what_made_it_is_an_error() -> None:
    class Tensor:
        """As of a Keras that keeps where a tensor comes from under another name."""

    tensor = Tensor()
    with pytest.raises(
        RuntimeError, match=r"has no `Tensor._keras_history`, .*Compile and fit the model yourself"
    ):
        graph.made_by(tensor)
    tensor._keras_history = types.SimpleNamespace(node_index=0)  # type: ignore[attr-defined]
    with pytest.raises(
        RuntimeError,
        match=r"has no `SimpleNamespace.operation`, .*Compile and fit the model yourself",
    ):
        graph.made_by(tensor)


def test_a_recipe_and_a_bundle_say_what_they_miss_in_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pd.DataFrame({"x": np.linspace(-1, 1, 24), "y": list("ab") * 12})
    inputs, target = (
        {"x": mg.NumericLoader.from_values("x", table["x"])},
        mg.ClassLabel("y", ["a", "b"]),
    )
    data = mg.MultimodalSequence(table, inputs, target)
    model = mg.build_fusion_classifier(inputs, target)
    model.compile("sgd", target.loss)
    with monkeypatch.context() as changed:
        owner = next(one for one in keras.Model.__mro__ if "_flatten_layers" in vars(one))
        changed.delattr(owner, "_flatten_layers")
        with pytest.raises(
            RuntimeError, match=r"has no `FusionModel._flatten_layers`.*`model.save`"
        ):
            mg.Bundle(model, inputs, target).save(tmp_path / "bundle")
    with monkeypatch.context() as changed:
        for tensor in keras.tree.flatten(model.output):
            changed.delattr(tensor, "_keras_history")
        with pytest.raises(
            RuntimeError, match=r"has no `KerasTensor._keras_history`.*Compile and fit"
        ):
            model.fit(data, shuffle=False, verbose=0, class_weight={0: 1.0, 1: 2.0})


# What is put around the model, and taken off.


def wrapped(model: keras.Model) -> list[str]:
    return [name for name, value in vars(model).items() if isinstance(value, Wrapped)]


class Looking(keras.callbacks.Callback):
    """What is around the model while a method runs."""

    def __init__(self, fails: bool = False) -> None:
        super().__init__()
        self.fails, self.seen = fails, set[str]()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen.update(wrapped(self.model))
        if self.fails:
            raise ZeroDivisionError

    on_test_batch_end = on_predict_batch_end = on_train_batch_end


def call(model: keras.Model, method: str, data: Any, look: Looking) -> None:
    getattr(model, method)(
        data, verbose=0, callbacks=[look], **({"shuffle": False} if method == "fit" else {})
    )


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_what_is_around_the_model_comes_off_however_the_method_ends(
    method: str, fails: bool
) -> None:
    model, data, look = make_model(), make_data().for_evaluation(), Looking(fails)
    before = {name: value for name, value in vars(model).items() if callable(value)}
    try:
        call(model, method, data, look)
    except ZeroDivisionError:
        assert fails
    assert (look.seen == set()) == (BACKEND == "torch")
    assert wrapped(model) == []
    after = {name: value for name, value in vars(model).items() if callable(value)}
    assert set(after) - set(before) <= set(STEPS)
    # And the model is usable.
    call(model, method, data, Looking())


def test_an_error_in_a_batch_takes_everything_off_before_it_is_handled() -> None:
    table = pd.DataFrame({"x": ["1", "2", "3", "four"], "y": list("abab")})
    inputs, target = (
        {"x": mg.NumericLoader("x", mean=[0], scale=[1])},
        mg.ClassLabel("y", ["a", "b"]),
    )
    data = mg.MultimodalSequence(table, inputs, target, batch_size=1, inputs_as="array")
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    try:
        model.fit(data, shuffle=False, verbose=0)
    except mg.LoadError:
        assert wrapped(model) == []
    else:
        pytest.fail("the last batch cannot be read")


def test_an_evaluation_inside_of_fit_leaves_what_fit_needs() -> None:
    class Evaluate(Looking):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            before = set(wrapped(self.model))
            self.model.evaluate(validation, verbose=0)
            assert set(wrapped(self.model)) >= before
            super().on_train_batch_end(batch)

        on_test_batch_end = on_predict_batch_end = keras.callbacks.Callback.on_test_batch_end

    model, data = make_model(), make_data()
    validation, look = data.for_evaluation(), Evaluate()
    model.fit(data, epochs=2, shuffle=False, verbose=0, callbacks=[look])
    assert (look.seen == set()) == (BACKEND == "torch")
    assert wrapped(model) == []


def double(number: int) -> int:
    return 2 * number


def test_what_is_wrapped_is_copied_and_pickled_as_the_function_that_it_is() -> None:
    attendance = Attendance(make_model(), None)
    around = Wrapped(double, lambda function, number: function(number) + 1, attendance)
    assert around(4) == 9
    assert around.__call__(4) == 9
    for one in (copy.copy(around), copy.deepcopy(around), pickle.loads(pickle.dumps(around))):
        assert one is double
    with pytest.raises(AttributeError):
        _ = Wrapped.__new__(Wrapped).anything


def test_a_model_is_copied_in_a_callback_while_it_is_wrapped() -> None:
    class Copy(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            function = vars(self.model).get("train_function")
            assert copy.copy(function) is getattr(function, "function", function)
            copies.append(copy.copy(self.model))

    copies: list[keras.Model] = []
    data, model = make_data(), make_plain_model()
    model.fit(data, shuffle=False, verbose=0, callbacks=[Copy()])
    assert len(copies) == 1


def make_plain_model() -> keras.Model:
    """As `make_model`, with a loss that can be saved."""
    model = make_model()
    model.compile("sgd", loss="mean_squared_error")
    return model


# Keras's own sharing of batches.


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A distribution of Keras over four processes, as Keras 3.16 describes it."""

    class Four(keras.distribution.DataParallel):
        num_data_shards = 4
        data_shard_id = 0

        def __init__(self) -> None:
            pass

        auto_shard_dataset = True

    before = keras.distribution.distribution()
    keras.distribution.set_distribution(Four())
    yield
    keras.distribution.set_distribution(before)


WAY_OUT = r"Set `auto_shard_dataset=False`.*sequence.shard\(rank, world_size\).*num_data_shards=4"


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize(
    ("plan", "uneven", "message"),
    [
        (Plan(40, 4), False, "shares the 10 batches of an epoch among 4 processes as 3, 3, 2, 2,"),
        (Plan(15, 4), False, "the last batch, which is shorter"),
        (Plan(16, 4), True, "batches of different shapes at the same time"),
        (Plan(16, 4).shard(1, 4), False, "already one process's shard"),
    ],
)
def test_keras_may_not_share_batches_unequally_or_twice(
    plan: Plan, uneven: bool, message: str
) -> None:
    with pytest.raises(ValueError, match=f"{message}.*{WAY_OUT}"):
        check_shares(plan, plan.num_batches, uneven=uneven)


@pytest.mark.usefixtures("shared")
def test_batches_that_come_out_equal_may_be_shared_by_keras() -> None:
    check_shares(Plan(16, 4), 4, uneven=False)
    check_shares(Plan(19, 4, drop_remainder=True), 4, uneven=False)
    check_shares(Plan(40, 4), None, uneven=False)


def test_without_a_distribution_batches_are_nobodys_but_this_process() -> None:
    check_shares(Plan(15, 4).shard(1, 4), 4, uneven=True)


# Where private parts may stand.

PACKAGE = Path(inspect.getfile(mg)).parent
FRAMES = {"_getframe", "currentframe", "f_back", "f_locals"}
BY_NAME = {"getattr", "hasattr", "setattr", "delattr"}
PRIVATE = re.compile(r"(?<!\w)_[a-z]\w*")


class Plain(NamedTuple):
    """Any named tuple."""


def names_in(path: Path) -> tuple[set[str], set[str]]:
    """Private names that a file uses (attributes, also by `getattr`), and those that it defines."""
    used, defined = set[str](), set[str]()
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            (defined if own and isinstance(node.ctx, ast.Store) else used).add(node.attr)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
            "getattr",
            "hasattr",
            "setattr",
            "delattr",
        ):
            used.update(
                one.value
                for one in node.args
                if isinstance(one, ast.Constant) and isinstance(one.value, str)
            )
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            defined.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            used.update([getattr(node, "module", None) or "", *(name.name for name in node.names)])
    return used, defined


def test_private_parts_of_keras_stand_in_one_folder_and_nowhere_else() -> None:
    """A private name that the package uses and does not define is somebody else's; Keras's own
    sources say whose.
    """
    files = [path for path in PACKAGE.rglob("*.py") if "keras_inside" not in path.parts]
    found = {path: names_in(path) for path in files}
    defined = set().union(*(own for _, own in found.values()))
    sources = Path(inspect.getfile(keras)).parent.rglob("*.py")
    known = set().union(*(PRIVATE.findall(path.read_text(errors="replace")) for path in sources))
    for path, (used, _) in found.items():
        # Named tuples have private names that are Python's own, and public.
        foreign = {name for name in used if PRIVATE.fullmatch(name)} - defined - set(dir(Plain))
        assert not foreign & known, path
        assert not used & FRAMES, path
        assert not any("keras.src" in name for name in used), path
    # The rule finds what it is made for.
    used, _ = names_in(PACKAGE / "sequence" / "keras_inside" / "middle.py")
    assert {"_enumerate_iterator", "_initial_epoch", "_symbolic_build"} <= used & known - defined


def test_classes_derived_from_those_of_keras_take_none_of_their_private_names() -> None:
    classes = set()
    for path in PACKAGE.rglob("*.py"):
        if "__main__" not in path.name:
            name = ".".join(
                (PACKAGE.name, *path.relative_to(PACKAGE).with_suffix("").parts)
            ).removesuffix(".__init__")
            classes.update(
                one for one in vars(importlib.import_module(name)).values() if isinstance(one, type)
            )
    for one in classes:
        theirs = [base for base in one.__mro__ if base.__module__.startswith("keras.")]
        if one.__module__.startswith(PACKAGE.name) and theirs:
            functions = {
                name for name, value in vars(one).items() if isinstance(value, types.FunctionType)
            }
            own = {name for name in functions if PRIVATE.fullmatch(name)}
            assert not own & set().union(*(vars(base) for base in theirs)), one
