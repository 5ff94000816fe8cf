"""What inputs and columns are worth: of tables whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers, ops

import multimodal_gen as mg
from multimodal_gen.bundle.explaining.permuting import donors_of
from multimodal_gen.bundle.folds.ensemble import ensemble_of
from multimodal_gen.bundle.folds.result import CrossValidation

KINDS = ["bowl", "lamp", "mug"]


def make_table(rows: int = 240, seed: int = 0) -> pd.DataFrame:
    """The label is in "code" for certain and in "hint" mostly; "noise" and "word" know nothing."""
    rng = np.random.default_rng(seed)
    place = rng.integers(0, 3, rows)
    hint = np.where(rng.random(rows) < 0.7, place, rng.integers(0, 3, rows))
    return pd.DataFrame(
        {
            "code": place.astype(float),
            "hint": hint.astype(float),
            "noise": rng.normal(size=rows),
            "word": rng.choice(["old", "red", "tin"], rows),
            "owner": [f"owner {row // 4}" for row in range(rows)],
            "label": np.array(KINDS)[place],
            "price": 10.0 + 5.0 * place,
        },
        index=[f"row-{row}" for row in range(rows)],
    )


class Sharp(layers.Layer):
    """Probabilities of the class whose number is nearest to the first of some numbers."""

    def call(self, numbers: Any) -> Any:
        return ops.softmax(-20.0 * ops.square(numbers[:, :1] - ops.arange(3.0)))


def number(*columns: str) -> mg.NumericLoader:
    """Numbers as they are."""
    width = len(columns)
    return mg.NumericLoader(list(columns), mean=[0.0] * width, scale=[1.0] * width)


TARGET = mg.ClassLabel("label", KINDS)


def known_bundle(own_call: bool = False) -> mg.Bundle:
    """A model that reads the class off "code", and an input of noise that moves no decision."""
    inputs = {"code": number("code"), "numbers": number("noise", "hint")}
    starts = [keras.Input((width,), name=name) for name, width in (("code", 1), ("numbers", 2))]
    joined = layers.Add()([starts[0], layers.Rescaling(0.01)(starts[1][:, :1])])
    model = keras.Model(starts, Sharp()(joined))
    if own_call:
        model = Own()
        model([np.zeros((1, 1), "float32"), np.zeros((1, 2), "float32")])
    return mg.Bundle(model, inputs, TARGET)


class Own(keras.Model):
    """The same with a `call` of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.sharp = Sharp()

    def call(self, inputs: Any) -> Any:
        return self.sharp(inputs[0] + 0.01 * inputs[1][:, :1])


def lines(found: mg.Importance, score: str = "accuracy") -> dict[Any, tuple[float, float, float]]:
    """Input, or input and column -> lost, low and high."""
    return {
        one.input if one.column is None else (one.input, one.column): (one.lost, one.low, one.high)
        for one in found.of(score).itertuples()
    }


@pytest.mark.parametrize("own_call", [False, True])
def test_a_column_that_tells_all_is_worth_all_and_noise_nothing(own_call: bool) -> None:
    table = make_table()
    found = known_bundle(own_call).importance(table)
    assert (found.rows, found.groups, found.repeats, found.left_out) == (240, 240, 10, 0)
    assert found.main == ("balanced_accuracy",)
    own = lines(found)
    lost, low, high = own["code"]
    # By chance a third of the rows is right.
    assert low < lost < high and lost == pytest.approx(2 / 3, abs=0.03) and high - low < 0.15
    for name in ("numbers", ("numbers", "noise"), ("numbers", "hint")):
        assert own[name] == pytest.approx((0, 0, 0), abs=1e-9)
    # More is worth more, of errors too.
    assert lines(found, "log_loss")["code"][1] > 1
    assert list(found.of("accuracy")["input"]) == ["code", "numbers", "numbers", "numbers"]


def test_noise_that_a_model_listens_to_has_nothing_in_its_interval() -> None:
    table = make_table(400, seed=1)
    start = keras.Input((2,), name="numbers")
    weights = np.array([[1.0], [0.6]], "float32")
    joined = layers.Dense(
        1, use_bias=False, kernel_initializer=keras.initializers.Constant(weights)
    )
    model = keras.Model(start, Sharp()(joined(start)))
    bundle = mg.Bundle(model, {"numbers": number("hint", "noise")}, TARGET)
    own = lines(bundle.importance(table), "balanced_accuracy")
    assert own["numbers", "noise"][1] < 0 < own["numbers", "noise"][2]
    assert own["numbers", "hint"][1] > 0.1
    # The model has nothing else.
    assert own["numbers"][0] == pytest.approx(own["numbers", "hint"][0], abs=0.05)


def test_what_is_lost_is_that_of_predictions_of_the_changed_table() -> None:
    table = make_table(60)
    bundle = known_bundle()
    bundle = mg.Bundle(
        bundle.model, {"code": number("hint"), "numbers": number("noise", "code")}, TARGET
    )
    found = bundle.importance(table, repeats=3, seed=5)
    donors = list(donors_of(np.arange(60), 3, 5))
    before = bundle.evaluate(table)
    for name, columns in {"code": ["hint"], ("numbers", "noise"): ["noise"]}.items():
        after = []
        for one in donors:
            changed = table.copy()
            changed[columns] = table[columns].to_numpy()[one]
            after.append(bundle.evaluate(changed))
        for score in ("accuracy", "log_loss"):
            sign = -1 if score == "log_loss" else 1
            expected = sign * (before[score] - np.mean([one[score] for one in after]))
            assert lines(found, score)[name][0] == pytest.approx(expected, abs=1e-5)


def test_recall_and_f1_of_each_class_are_lost_too() -> None:
    table = make_table()
    # Of "mug" the noise knows nothing, but hides all of it.
    frame = known_bundle().importance(table, repeats=5).to_frame()
    assert set(frame["score"]) == {
        "accuracy", "balanced_accuracy", "macro_f1", "log_loss", "recall", "f1",
    }  # fmt: skip
    own = frame[(frame["input"] == "code") & (frame["score"] == "recall")].set_index("class")
    assert list(own.index) == KINDS
    assert (own["value"] == 1).all() and own["lost"].between(0.5, 0.8).all()
    assert (own["low"] < own["lost"]).all() and (own["lost"] < own["high"]).all()
    assert own["lost"].mean() == pytest.approx(
        lines(known_bundle().importance(table, repeats=5), "balanced_accuracy")["code"][0]
    )


def test_cells_come_from_other_groups_and_intervals_are_of_groups() -> None:
    sizes = [1, 4, 2, 2, 3]
    groups = np.repeat(np.arange(5), sizes)[np.random.default_rng(0).permutation(12)]
    every = list(donors_of(groups, 40, 0))
    for donors in every:
        assert sorted(donors) == list(range(12))
        assert (groups[donors] != groups).all()
    # Every row of another group comes up.
    seen = {int(one[0]) for one in every}
    assert len(seen) > 0.7 * np.sum(groups != groups[0])
    # Where one group is most of the rows, they cannot all come from others.
    (donors,) = donors_of(np.array([0, 0, 0, 0, 1]), 1, 0)
    assert (donors != np.arange(5)).all()

    table = make_table(200).sort_values("code", kind="stable")
    table["owner"] = [f"owner {row // 10}" for row in range(200)]
    found = known_bundle().importance(table, group="owner", repeats=4)
    assert (found.rows, found.groups) == (200, 20)
    wide, narrow = (
        lines(one)["code"] for one in (found, known_bundle().importance(table, repeats=4))
    )
    assert wide[2] - wide[1] > 1.5 * (narrow[2] - narrow[1])


def test_rows_that_cannot_be_scored_are_an_error_or_left_out() -> None:
    table = make_table(80)
    broken = table.astype({"noise": object, "label": object})
    broken.loc["row-3", "noise"] = "much"
    broken.loc["row-5", "label"] = "vase"
    bundle = known_bundle()
    with pytest.raises(mg.LoadError, match="row-5"):
        bundle.importance(broken)
    found = bundle.importance(broken, on_error="skip", repeats=3)
    assert (found.rows, found.left_out) == (78, 2)
    alone = bundle.importance(table.drop(index=["row-3", "row-5"]), repeats=3)
    pd.testing.assert_frame_equal(found.to_frame(), alone.to_frame())
    with pytest.raises(mg.LoadError, match="row-0"):
        bundle.importance(table.assign(noise="much"), on_error="skip")
    with pytest.raises(ValueError, match="two rows or more. Received: a table of 1 row"):
        bundle.importance(table.iloc[:1])


class Odd(mg.Loader):
    """Two numbers that may not be far from each other."""

    def __init__(self, columns: tuple[str, str]) -> None:
        self.column, self.spec = columns, mg.ArraySpec((2,), "float32")

    def read(self, cell: Any) -> np.ndarray:
        if abs(cell[0] - cell[1]) > 1:
            raise ValueError(f"These do not go together: {cell}")
        return np.array(cell, "float32")


def test_cells_that_cannot_be_read_with_those_of_another_row_stay() -> None:
    table = make_table(90)
    table["same"] = table["code"]
    start = keras.Input((2,), name="pair")
    bundle = mg.Bundle(keras.Model(start, Sharp()(start)), {"pair": Odd(("code", "same"))}, TARGET)
    own = lines(bundle.importance(table, repeats=5))
    # What is two apart is not read, so less is lost.
    assert 0.2 < own["pair", "code"][0] < 0.6 < own["pair"][0]
    assert own["pair", "same"] == (0, 0, 0)


def test_several_targets_have_their_scores_each_or_one_is_chosen() -> None:
    table = make_table(150)
    table["tags"] = table["label"].map({"bowl": "round", "lamp": "tall", "mug": "round|warm"})
    known = known_bundle()
    joined = known.model.layers[-1].input
    outputs = {
        "kind": layers.Identity(name="kind")(Sharp()(joined)),
        "price": layers.Rescaling(1.0, name="price")(joined[:, :1]),
        "tags": layers.Activation("sigmoid", name="tags")(
            layers.Dense(3, kernel_initializer="ones", trainable=False)(joined)
        ),
    }
    targets = {
        "kind": TARGET,
        "price": mg.NumericTarget("price", mean=[10.0], scale=[5.0]),
        "tags": mg.MultiLabel("tags", ["round", "tall", "warm"], separator="|"),
    }
    bundle = mg.Bundle(keras.Model(known.model.inputs, outputs), known.inputs, targets)
    found = bundle.importance(table, repeats=3)
    assert found.main == ("kind.balanced_accuracy", "price.r2", "tags.mean_average_precision")
    for score, least in [
        ("kind.accuracy", 0.5),
        ("price.r2", 1.5),
        ("price.mean_absolute_error", 3),
    ]:
        assert lines(found, score)["code"][1] > least
        assert lines(found, score)["numbers"][0] == pytest.approx(0, abs=0.01)
    frame = found.to_frame()
    assert set(frame[frame["score"] == "tags.f1"]["class"]) == {"round", "tall", "warm"}
    one = bundle.importance(table, repeats=3, target="price")
    assert lines(one, "r2") == lines(found, "price.r2")
    with pytest.raises(ValueError, match=r"one of \['kind', 'price', 'tags'\]"):
        bundle.importance(table, target="colour")
    with pytest.raises(ValueError, match="several targets by name"):
        known.importance(table, target="label")
    with pytest.raises(ValueError, match="nothing to score"):
        mg.Bundle(known.model, known.inputs).importance(table)
    with pytest.raises(KeyError, match="no score of that name"):
        one.of("accuracy")


def test_copies_of_a_column_are_exchanged_together_also_in_an_ensemble() -> None:
    table = make_table(120)
    # The same number by two inputs: with one of them the model would get along.
    starts = [keras.Input((1,), name=name) for name in ("one", "two")]
    model = keras.Model(starts, Sharp()(layers.Maximum()(starts)))
    twice = mg.Bundle(model, {"one": number("code"), "two": number("code")}, TARGET)
    own = lines(twice.importance(table, repeats=3))
    assert list(own) == ["code"] and own["code"][1] > 0.5
    # Folds with loaders of their own; the other input is the same in both.
    other = known_bundle()
    scaled = mg.NumericLoader("code", mean=[0.0], scale=[1.0], missing="mean")
    folds = mg.Bundle(other.model, {**other.inputs, "code": scaled}, TARGET)
    bundle = ensemble_of([known_bundle(), folds])
    assert list(bundle.inputs) == ["code_1", "code_2", "numbers"]
    own = lines(bundle.importance(table, repeats=3))
    assert own["code"][1] > 0.5 and own["numbers"][0] == pytest.approx(0, abs=1e-9)
    assert bundle._in_parts().cut is not None


def test_rows_of_folds_are_judged_by_the_model_of_the_other_folds() -> None:
    table = make_table(120)
    fold = pd.DataFrame({"fold": np.arange(120) % 2 + 1}, table.index)
    known = known_bundle()
    # It says "bowl" of every row, whatever the code is.
    blind = keras.Model(known.model.inputs, Sharp()(layers.Rescaling(0.0)(known.model.inputs[0])))
    bundles = (known, mg.Bundle(blind, known.inputs, TARGET))
    judged = known.scores(table, resamples=10)
    assert not isinstance(judged, dict)
    sizes = fold["fold"].value_counts()
    result = CrossValidation(fold, fold, fold, judged, sizes, bundles, ensemble_of([*bundles]))
    found = result.importance(table, repeats=3, group="owner")
    assert (found.rows, found.groups, found.repeats) == (120, 30, 3)
    lost, low, high = lines(found)["code"]
    # Nothing is lost in the fold of the blind one.
    half = lines(known.importance(table[fold["fold"] == 1], repeats=3, group="owner"))["code"][0]
    assert lost == pytest.approx(half / 2) and 0.2 < low < lost < high < 0.5
    assert lines(result.importance(table[:40], repeats=2))["numbers"] == (0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match=r"index values \['new'\], which are in no fold"):
        result.importance(table[:3].set_axis(["row-0", "row-1", "new"]))


def test_a_bundle_is_saved_and_explained_after_its_importance_was_asked_for(tmp_path: Path) -> None:
    table = make_table(30)
    bundle = ensemble_of([known_bundle(), known_bundle()])
    # "code" goes into the head as it is.
    bundle.importance(table, repeats=1, resamples=10)
    bundle.explain(table)
    bundle.save(tmp_path)
    loaded = mg.load_bundle(tmp_path, custom_objects={"Sharp": Sharp})
    pd.testing.assert_frame_equal(loaded.predict(table), bundle.predict(table), rtol=1e-5)


def test_the_result_reads_well_and_is_drawn() -> None:
    found = known_bundle().importance(make_table(), repeats=2)
    words = f"{found}"
    assert words == repr(found)
    head, *table = words.splitlines()
    assert "balanced accuracy, 1.000 on 240 rows" in head and "2 repeats" in head
    assert [line.split()[0] for line in table] == ["lost", "code", "numbers", "noise", "hint"]
    figure = found.plot()
    assert "numbers" in [text.get_text() for text in figure.texts]
    assert len(figure.axes[0].patches) == 4
