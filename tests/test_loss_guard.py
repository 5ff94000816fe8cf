"""`LossGuard` in `fit`: the rows behind a loss that is not a number, or that jumps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg

ROWS = 46
BAD = "row-17"


def make_table(**cells: float) -> pd.DataFrame:
    """Ordinary rows, but for some cells of one of them."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.uniform(1, 2, ROWS), "b": rng.uniform(1, 2, ROWS)})
    table["y"] = table.a - table.b
    table.index = [f"row-{number}" for number in range(ROWS)]
    for column, value in cells.items():
        table.loc[BAD, column] = value
    return table


def make_data(table: pd.DataFrame, **changes: Any) -> mg.MultimodalSequence:
    arguments: dict[str, Any] = {"batch_size": 8, "shuffle": True, "seed": 3} | changes
    inputs = {name: mg.NumericLoader(name, mean=0.0, scale=1.0) for name in ("a", "b")}
    target = mg.NumericTarget("y", mean=0.0, scale=1.0)
    return mg.MultimodalSequence(table, inputs, target, **arguments)


def make_model(first: Any, *, steps: int = 1, rate: float = 1e-3) -> keras.Model:
    """A regression on two numbers; `first` is applied to the first of them."""
    keras.utils.set_random_seed(0)
    a, b = keras.Input((1,), name="a"), keras.Input((1,), name="b")
    # Without a bias, so that zero stays zero.
    hidden = keras.layers.Dense(4, kernel_initializer="ones", use_bias=False)(a)
    hidden = keras.layers.concatenate([first(hidden), b])
    hidden = keras.layers.Dropout(0.2)(keras.layers.Dense(8)(hidden))
    # Not "relu", which makes zeros of NaN on tensorflow, in Dense and on some processors behind it
    # too (findings/relu_hides_nan.sh).
    hidden = keras.layers.Activation("softplus")(hidden)
    model = keras.Model([a, b], keras.layers.Dense(1)(hidden))
    if keras.backend.backend() == "torch":
        steps = 1
    # Not compiled, which would take longer than all the rest.
    settings = {"jit_compile": False, "steps_per_execution": steps}
    model.compile(keras.optimizers.Adam(rate), loss="mse", **settings)
    return model


def weights_are_finite(model: keras.Model) -> bool:
    return all(np.isfinite(one).all() for one in model.get_weights())


def place_of_bad(data: mg.MultimodalSequence, epoch: int) -> int:
    """The batch of an epoch that the bad row is in."""
    return next(i for i in range(data.plan.num_batches) if BAD in data.rows(i, epoch).index)


# (what the model does with the first number, a cell of the bad row, the words of what is wrong).
# A negative number has no logarithm, an exponential overflows, and a root has no gradient at zero.
FAULTS: dict[str, tuple[Any, float, str]] = {
    "nan": (keras.ops.log1p, -5.0, "its loss is nan"),
    "infinite": (keras.ops.exp, 60.0, "its loss is inf"),
    "gradient": (keras.ops.sqrt, 0.0, "its gradient is not finite"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_row_behind_a_loss_that_is_no_number_is_named_and_training_stops(fault: str) -> None:
    function, cell, words = FAULTS[fault]
    data = make_data(make_table(a=cell))
    model, guard = make_model(function), mg.LossGuard(data)
    with pytest.warns(UserWarning, match=rf"index '{BAD}': .*{words}.*Training stops"):
        history = model.fit(data, epochs=3, shuffle=False, verbose=0, callbacks=[guard])
    assert guard.rows["index"].tolist() == [BAD]
    assert guard.rows[["epoch", "batch"]].to_numpy().tolist() == [[0, place_of_bad(data, 0)]]
    assert words in guard.rows.why[0]
    assert len(history.epoch) == 1 and np.isfinite(history.history["loss"][0])
    assert weights_are_finite(model)
    assert BAD not in mg.leave_out(data.table, guard.rows).index


# Of a blank row, the root has no gradient either.
@pytest.mark.parametrize(
    ("fault", "policy"),
    [("nan", "skip"), ("nan", "blank"), ("infinite", "blank"), ("gradient", "skip")],
)
def test_the_row_is_left_out_and_training_continues(fault: str, policy: str) -> None:
    function, cell, words = FAULTS[fault]
    data = make_data(make_table(a=cell), on_error=policy)
    model, guard = make_model(function), mg.LossGuard(data, then="leave_out")
    with pytest.warns(UserWarning, match=f"{BAD}.*It is left out from now on") as told:
        history = model.fit(data, epochs=3, shuffle=False, verbose=0, callbacks=[guard])
    assert [one.category for one in told].count(UserWarning) == 1
    assert len(history.epoch) == 3 and np.isfinite(history.history["loss"]).all()
    assert weights_are_finite(model)
    found = data.failures
    assert found["index"].tolist() == [BAD] and found.column.isna().all()
    assert words in found.error[0]
    batch = data[place_of_bad(data, data.epoch)]
    assert all(np.isfinite(one).all() for one in batch[0])
    if policy == "blank":
        row = list(data.rows(place_of_bad(data, data.epoch)).index).index(BAD)
        assert batch[0][0][row] == 0 and batch[2][row] == 0


def test_operations_on_batches_and_masked_rows_do_not_hide_the_row() -> None:
    table = make_table(a=-5.0)
    data = make_data(table, batch_augment=[mg.augment.MixUp(1.0)])
    model, guard = make_model(keras.ops.log1p), mg.LossGuard(data)
    with pytest.warns(UserWarning, match="Training stops"):
        model.fit(data, epochs=3, shuffle=False, verbose=0, callbacks=[guard])
    assert guard.rows["index"].tolist() == [BAD]


@pytest.mark.parametrize("steps", [1, 4])
def test_a_jump_of_the_loss_names_its_row_and_leaves_it_out(steps: int) -> None:
    data = make_data(make_table(y=1e4), batch_size=4, on_error="skip")
    model = make_model(keras.ops.tanh, steps=steps)
    guard = mg.LossGuard(data, then="leave_out", jump=100.0)
    with pytest.warns(UserWarning, match=f"jumps to .*{BAD}") as told:
        history = model.fit(data, epochs=12, shuffle=False, verbose=0, callbacks=[guard])
    assert guard.rows["index"].tolist() == [BAD]
    assert [one.category for one in told].count(UserWarning) == 1
    assert history.history["loss"][-1] < 10
    # Not before there are losses to compare with.
    assert guard.rows.epoch[0] * data.plan.num_batches + guard.rows.batch[0] >= 10


class Late(keras.layers.Layer):
    """The logarithm from a batch of the run on; nothing before it."""

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.batch = batch

    def build(self, shape: Any) -> None:
        self.done = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x: Any, training: bool = False) -> Any:
        on = self.done >= self.batch
        if training:
            self.done.assign(self.done + 1)
        return keras.ops.where(on, keras.ops.log1p(x), keras.ops.tanh(x))


@pytest.mark.parametrize(
    ("steps", "endless"), [(None, False), (2, False), (4, True)], ids=["whole", "parts", "endless"]
)
def test_the_row_is_found_in_whatever_epoch_of_keras_its_batch_comes(
    steps: int | None, endless: bool
) -> None:
    data = make_data(make_table(a=-5.0), endless=endless)
    guard, batches = mg.LossGuard(data), data.plan.num_batches
    with pytest.warns(UserWarning, match=BAD):
        make_model(Late(2 * batches)).fit(
            data, epochs=99, steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[guard]
        )
    found = make_data(data.table)
    assert guard.rows[["epoch", "batch"]].to_numpy().tolist() == [[2, place_of_bad(found, 2)]]


def test_worker_processes_and_a_cache_leave_the_row_out_too(tmp_path: Path) -> None:
    for how in ({"processes": 2}, {"cache": tmp_path}):
        data = make_data(make_table(a=-5.0), on_error="blank", **how)
        error = mg.LoadError("its loss is nan", index=BAD)
        list(data)
        data.assembly.failures.add(17, error, 0)
        rows = {
            name: (batch[0][0][row], batch[2][row])
            for index in range(len(data))
            for batch in [data[index]]
            for row, name in enumerate(data.rows(index).index)
        }
        assert rows.pop(BAD) == (0, 0)
        assert all(a > 0 and weight == 1 for a, weight in rows.values())
        # What the model was given before can be looked at again.
        assert data.replay(0, BAD)[0][0] == -5


def test_a_resumed_run_leaves_the_same_rows_out(tmp_path: Path) -> None:
    def fit(data: mg.MultimodalSequence, epochs: int) -> mg.LossGuard:
        guard, resume = mg.LossGuard(data, then="leave_out"), mg.ResumeTraining(tmp_path, data)
        model = make_model(keras.ops.log1p)
        model.fit(data, epochs=epochs, shuffle=False, verbose=0, callbacks=[guard, resume])
        assert weights_are_finite(model)
        return guard

    table = make_table(a=-5.0)
    with pytest.warns(UserWarning, match=BAD):
        fit(make_data(table, on_error="skip"), 1)
    # Nothing is found, so nothing is warned of.
    again = make_data(table, on_error="skip")
    assert fit(again, 3).rows.empty
    assert again.failures["index"].tolist() == [BAD]


def test_without_a_row_to_blame_training_stops_and_says_what_may_help() -> None:
    data = make_data(make_table(), on_error="skip")
    model, guard = make_model(keras.ops.sin, rate=1e30), mg.LossGuard(data, then="leave_out")
    with pytest.warns(UserWarning, match="no single row is to blame.*learning rate"):
        history = model.fit(data, epochs=3, shuffle=False, verbose=0, callbacks=[guard])
    assert guard.rows.empty and len(history.epoch) == 1
    assert weights_are_finite(model)


def test_zeros_in_the_place_of_a_row_are_named_where_they_are_to_blame() -> None:
    data = make_data(make_table(a=-1.0), on_error="blank")
    model, guard = make_model(keras.ops.log), mg.LossGuard(data, then="leave_out")
    with pytest.warns(UserWarning, match="The loss is nan") as told:
        model.fit(data, epochs=3, shuffle=False, verbose=0, callbacks=[guard])
    last = [str(one.message) for one in told if one.category is UserWarning][-1]
    assert "The zeros that stand for others" in last and '`on_error="skip"`' in last
    assert guard.rows["index"].tolist() == [BAD] and weights_are_finite(model)


def test_a_good_training_is_not_changed() -> None:
    data, results = make_data(make_table()), []
    for callbacks in ([], [mg.LossGuard(data, jump=50.0)]):
        model = make_model(keras.ops.tanh)
        history = model.fit(data, epochs=3, shuffle=False, verbose=0, callbacks=callbacks)
        results.append((history.history, [one.tobytes() for one in model.get_weights()]))
    assert results[0] == results[1]


def test_a_validation_row_that_breaks_its_loss_is_told_from_training_at_the_line_of_fit() -> None:
    data, checked = make_data(make_table()), make_data(make_table(a=-5.0), shuffle=False)
    model = make_model(keras.ops.log1p)
    with pytest.warns(UserWarning, match="The validation loss is nan after epoch 0") as told:
        model.fit(
            data,
            epochs=2,
            validation_data=checked,
            shuffle=False,
            verbose=0,
            callbacks=[mg.LossGuard(data)],
        )
    # Once, and not at a line of Keras.
    (own,) = [one for one in told if "validation loss" in str(one.message)]
    assert own.filename == __file__


def test_arguments_are_checked() -> None:
    data = make_data(make_table())
    with pytest.raises(TypeError, match="`sequence` must be a MultimodalSequence"):
        mg.LossGuard([data])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`then` must be"):
        mg.LossGuard(data, then="warn")
    with pytest.raises(ValueError, match='must have `on_error="skip"` or "blank"'):
        mg.LossGuard(data, then="leave_out")
    for jump in (1.0, float("nan")):
        with pytest.raises(ValueError, match="`jump` must be greater than 1"):
            mg.LossGuard(data, jump=jump)
    with pytest.raises(ValueError, match="single process"):
        mg.LossGuard(data.shard(0, 2))


def test_the_rows_can_be_drawn_as_the_model_was_given_them() -> None:
    data = make_data(make_table(a=-5.0))
    guard_of_nothing = mg.LossGuard(data)
    figure = mg.show_rows(data, [BAD, "row-3"], epoch=1)
    words = " ".join(
        one.get_text() for one in figure.findobj(match=lambda one: hasattr(one, "get_text"))
    )
    assert "-5" in words and "2 rows, epoch 1, as in training" in words
    with pytest.raises(ValueError, match="There are no rows to draw"):
        mg.show_rows(data, guard_of_nothing.rows["index"])
    with pytest.raises(KeyError, match="no-such-row"):
        mg.show_rows(data, ["no-such-row"])
