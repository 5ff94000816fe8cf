"""Focal, smoothed and ordinal losses of classes, weights of rare labels, and their thresholds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.models import ClassCrossentropy, LabelCrossentropy

RNG = np.random.default_rng(0)
PROBABILITIES = RNG.dirichlet(np.ones(4), 6).astype("float32")
POSITIONS = np.array([0, 1, 2, 3, 1, 0], "int32")
ONE_HOT = np.eye(4, dtype="float32")[POSITIONS]
RATINGS = ["1", "2", "3", "4"]


def each(loss: keras.losses.Loss, truth: Any, outputs: Any) -> np.ndarray:
    """The loss of each row."""
    return keras.ops.convert_to_numpy(loss.call(keras.ops.convert_to_tensor(truth), outputs))


def labels(**options: Any) -> mg.ClassLabel:
    return mg.ClassLabel("label", RATINGS, **options)


def test_without_arguments_the_losses_are_those_of_keras() -> None:
    assert type(labels().loss) is keras.losses.SparseCategoricalCrossentropy
    assert type(mg.MultiLabel("tags", ["a", "b"]).loss) is keras.losses.BinaryCrossentropy


def test_a_smoothed_loss_is_that_of_keras_for_each_form_of_label() -> None:
    expected = each(
        keras.losses.CategoricalCrossentropy(label_smoothing=0.2), ONE_HOT, PROBABILITIES
    )
    for mode, truth in (("int", POSITIONS), ("int", POSITIONS[:, None]), ("categorical", ONE_HOT)):
        loss = labels(label_mode=mode, label_smoothing=0.2).loss
        assert np.allclose(each(loss, truth, PROBABILITIES), expected, atol=1e-5)
    two = mg.ClassLabel("label", ["x", "y"], label_mode="binary", label_smoothing=0.2)
    truth, outputs = np.array([[0], [1]], "float32"), np.array([[0.1], [0.7]], "float32")
    expected = each(keras.losses.BinaryCrossentropy(label_smoothing=0.2), truth, outputs)
    assert np.allclose(each(two.loss, truth, outputs), expected, atol=1e-5)


def test_a_focal_loss_is_the_formula_for_each_form_of_label() -> None:
    right = PROBABILITIES[np.arange(6), POSITIONS].astype("float64")
    expected = -((1 - right) ** 2) * np.log(right)
    for mode, truth in (("int", POSITIONS), ("categorical", ONE_HOT)):
        loss = labels(label_mode=mode, focal=2).loss
        assert np.allclose(each(loss, truth, PROBABILITIES), expected, rtol=1e-4)
    tags = mg.MultiLabel("tags", ["a", "b"], focal=2.0, label_smoothing=0.1)
    truth = RNG.integers(0, 2, (5, 2)).astype("float32")
    outputs = RNG.uniform(0.05, 0.95, (5, 2)).astype("float32")
    keras_loss = keras.losses.BinaryFocalCrossentropy(gamma=2.0)
    sharp = tags.replace(label_smoothing=0.0)
    assert np.allclose(
        each(sharp.loss, truth, outputs), each(keras_loss, truth, outputs), rtol=1e-4
    )
    assert not np.allclose(each(tags.loss, truth, outputs), each(sharp.loss, truth, outputs))


def test_a_focal_loss_leaves_more_of_the_gradient_to_rows_that_are_wrong() -> None:
    easy, hard = np.float64(0.95), np.float64(0.2)

    def slope(gamma: float, p: np.float64) -> float:
        step = 1e-3
        outputs = np.array([[p + step, 1 - p - step], [p - step, step + 1 - p]], "float64")
        loss = ClassCrossentropy(focal=gamma, dtype="float64")
        up, down = each(loss, np.array([0, 0]), outputs)
        return abs(float(up - down)) / (2 * step)

    assert slope(0, hard) / slope(0, easy) < 6
    assert slope(2, hard) / slope(2, easy) > 100


def test_an_ordinal_loss_costs_more_the_farther_off() -> None:
    def cost(*shares: float) -> float:
        outputs = np.array([shares], "float32")
        return float(each(labels(ordered=True).loss, np.array([0]), outputs)[0])

    costs = [
        cost(*row) for row in ((0.4, 0.4, 0.1, 0.1), (0.4, 0.1, 0.4, 0.1), (0.4, 0.1, 0.1, 0.4))
    ]
    assert costs[0] < costs[1] < costs[2]
    plain = each(labels().loss, np.array([0, 0]), np.array([[0.4, 0.6, 0, 0], [0.4, 0, 0, 0.6]]))
    assert plain[0] == pytest.approx(plain[1], rel=1e-4)
    # By hand: the weights of the classes are exp(-2), exp(-1), 1 and exp(-1).
    outputs, truth = np.array([[0.1, 0.2, 0.3, 0.4]], "float32"), np.array([2])
    weights = np.exp([-2.0, -1.0, 0.0, -1.0])
    expected = -(weights * np.log(outputs[0])).sum() / weights.sum()
    assert each(labels(ordered=True).loss, truth, outputs)[0] == pytest.approx(expected, rel=1e-5)
    one_hot = labels(ordered=True, label_mode="categorical").loss
    assert each(one_hot, np.eye(4)[truth], outputs)[0] == pytest.approx(expected, rel=1e-5)


def test_losses_are_finite_where_probabilities_are_0_or_1() -> None:
    outputs = keras.Variable(np.eye(4, dtype="float32")[[0, 0, 3]])
    for loss in (labels(focal=2).loss, labels(ordered=True).loss, labels(label_smoothing=0.1).loss):
        assert np.isfinite(each(loss, np.array([0, 3, 3]), outputs)).all()
    sure = np.array([[0.0, 1.0]], "float32")
    loss = mg.MultiLabel("t", ["a", "b"], focal=1, positive_weight=3.0).loss
    assert np.isfinite(each(loss, np.array([[1.0, 0.0]]), sure)).all()


@pytest.mark.parametrize(
    ("target", "cells"),
    [
        (labels(label_smoothing=0.1), RATINGS),
        (labels(focal=2), RATINGS),
        (labels(ordered=True), RATINGS),
        (labels(ordered=True, label_mode="categorical"), RATINGS),
        (mg.MultiLabel("tags", ["a", "b"], positive_weight=[3, 1], focal=1), [["a"], []]),
        (mg.MultiLabel("tags", ["a", "b"], thresholds={"a": 0.2, "b": 0.7}), [["a"], []]),
        (mg.MultiLabel("tags", [1, 2], thresholds={1: 0.2, 2: 0.7}, separator=","), ["1", "1,2"]),
    ],
)
def test_targets_with_these_arguments_keep_their_contract(
    target: mg.Target, cells: list[Any]
) -> None:
    mg.check_target(target, cells)
    loss = target.loss
    again = type(loss).from_config(loss.get_config())
    truth = np.stack([target.read(cell) for cell in cells])
    outputs = RNG.dirichlet(np.ones(target.units), len(cells)).astype("float32")
    assert np.array_equal(each(loss, truth, outputs), each(again, truth, outputs))
    # Rows of weight 0 do not count in the mean.
    weights = np.array([1.0] + [0.0] * (len(cells) - 1), "float32")
    assert float(loss(truth, outputs, weights)) == pytest.approx(
        float(each(loss, truth, outputs)[0]), rel=1e-5
    )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: labels(label_smoothing=1.0), "label_smoothing"),
        (lambda: labels(focal=-1), "focal"),
        (lambda: labels(focal=float("nan")), "focal"),
        (lambda: labels(ordered=True, focal=2), "neither focal nor smoothed"),
        (lambda: mg.ClassLabel("x", ["a", "b"], ordered=True), "Two classes have no order"),
        (lambda: mg.MultiLabel("t", ["a"], positive_weight=[1, 2]), "each of the 1 labels"),
        (lambda: mg.MultiLabel("t", ["a"], positive_weight="balanced"), "positive_weight"),
        (lambda: mg.MultiLabel("t", ["a"], thresholds=1.0), "below 1"),
        (lambda: mg.MultiLabel("t", ["a"], thresholds={"b": 0.5}), "each of the labels"),
        (lambda: mg.MultiLabel.from_values("t", [["a"]], positive_weight="equal"), "balanced"),
    ],
)
def test_arguments_out_of_range_are_refused(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_the_order_of_a_scale_is_that_of_numbers_or_of_an_ordered_column() -> None:
    learned = mg.ClassLabel.from_values("stars", ["10", "9", "2"], ordered=True)
    assert learned.class_names == ("2", "9", "10")
    sizes = pd.Categorical(["small", "large", "medium"], ["small", "medium", "large"], ordered=True)
    learned = mg.ClassLabel.from_values("size", pd.DataFrame({"size": sizes}), ordered=True)
    assert learned.class_names == ("small", "medium", "large")
    with pytest.raises(ValueError, match="Letters do not tell the order"):
        mg.ClassLabel.from_values("size", ["small", "large", "medium"], ordered=True)


def test_classes_on_a_scale_are_scored_by_their_distance() -> None:
    outputs = np.eye(4)[[0, 3, 2, 2]]
    scores = labels(ordered=True).score(np.array([0, 0, 2, 3]), outputs)
    assert scores["mean_steps_off"] == 1.0
    assert "mean_steps_off" not in labels().score(np.array([0, 0, 2, 3]), outputs)


def test_an_ordinal_loss_errs_by_fewer_steps_on_a_scale_learned_from_few_rows() -> None:
    rng = np.random.default_rng(1)

    def rows(number: int) -> tuple[np.ndarray, np.ndarray]:
        steps = rng.integers(0, 8, number)
        seen = steps + rng.normal(0, 1.0, number)
        noise = rng.normal(size=(number, 20))
        return np.column_stack([(seen - 3.5) / 2, noise]).astype("float32"), steps

    (x, truth), (others, expected) = rows(60), rows(1000)
    off = {}
    for ordered in (False, True):
        target = mg.ClassLabel("step", list(range(8)), ordered=ordered)
        model = keras.Sequential(
            [keras.Input((21,)), keras.layers.Dense(8, "softmax", kernel_initializer="zeros")]
        )
        model.compile(keras.optimizers.Adam(0.2), loss=target.loss)
        model.fit(x, truth, epochs=25, batch_size=60, verbose=0)
        guesses = model.predict(others, batch_size=1000, verbose=0).argmax(axis=1)
        off[ordered] = np.abs(guesses - expected).mean()
    assert off[True] < 0.8 * off[False]


def test_balanced_positives_count_as_much_as_the_rows_without_the_label() -> None:
    cells = [["rare"]] + [["often"]] * 60 + [[]] * 39
    target = mg.MultiLabel.from_values("tags", cells, positive_weight="balanced")
    assert target.class_names == ("often", "rare")
    assert target.positive_weight == pytest.approx((40 / 60, 99.0))
    columns = pd.DataFrame({"a": [1, 0, 0, 0], "b": [1, 1, 1, 1]})
    of_columns = mg.MultiLabel.from_values(["a", "b"], columns, positive_weight="balanced")
    assert of_columns.positive_weight == (3.0, 1.0)
    many = mg.MultiLabel.from_values("t", [["a"], *[["b"]] * 500], positive_weight="balanced")
    assert many.positive_weight[0] == 100.0
    # What a constant output costs is then least at one half.
    truth = np.stack([target.read(cell) for cell in cells])
    costs = {
        share: each(target.loss, truth, np.full(truth.shape, share, "float32")).mean()
        for share in (0.3, 0.5, 0.7)
    }
    assert costs[0.5] < min(costs[0.3], costs[0.7])


def test_thresholds_are_those_with_the_largest_f1_where_there_are_rows_enough() -> None:
    rng = np.random.default_rng(2)
    truth = (rng.random((300, 3)) < [0.05, 0.5, 0.0]).astype("float32")
    outputs = np.clip(truth * [0.15, 0.3, 0] + rng.random((300, 3)) * [0.2, 0.6, 1], 0, 1)
    outputs = outputs.astype("float32")
    target = mg.MultiLabel("tags", ["rare", "common", "absent"])
    decided = target.decided_by(truth, outputs)
    # A label that no row has gets the threshold of all.
    assert 0.2 < decided.thresholds[2] < 0.4
    for label in range(2):
        tried = [
            mg.MultiLabel("t", ["x"], thresholds=float(value)).score(
                truth[:, [label]], outputs[:, [label]]
            )["micro_f1"]
            for value in np.linspace(0.01, 0.99, 99)
        ]
        best = mg.MultiLabel("t", ["x"]).decided_by(truth[:, [label]], outputs[:, [label]])
        assert best.score(truth[:, [label]], outputs[:, [label]])["micro_f1"] >= max(tried)
    before, after = target.score(truth, outputs), decided.score(truth, outputs)
    assert after["macro_f1"] > before["macro_f1"] + 0.2
    assert after["mean_average_precision"] == before["mean_average_precision"]


def test_a_threshold_by_chance_is_not_taken() -> None:
    """Many labels of few rows, of which the outputs say nothing, beside two that are learned."""
    rng = np.random.default_rng(5)

    def rows(count: int) -> tuple[np.ndarray, np.ndarray]:
        truth = rng.random((count, 42)) < np.r_[0.4, 0.3, np.full(40, 0.02)]
        outputs = rng.random((count, 42)) * np.r_[0.7, 0.7, np.full(40, 0.1)]
        outputs[:, :2] += 0.3 * truth[:, :2]
        return truth.astype("float32"), outputs.astype("float32")

    target = mg.MultiLabel("t", [f"l{place}" for place in range(42)])
    decided, new = target.decided_by(*rows(200)), rows(4000)
    before, after = target.score(*new), decided.score(*new)
    assert after["micro_f1"] > before["micro_f1"] - 0.01
    few = rows(200)
    own = [best_of(few[0][:, place], few[1][:, place]) for place in range(42)]
    by_chance = target.replace(thresholds=own).score(*new)
    assert by_chance["micro_f1"] < before["micro_f1"] - 0.05
    # Thresholds that are far too high for all are replaced, whatever they were before.
    high = target.replace(thresholds=0.99).decided_by(*rows(200))
    assert high.score(*new)["micro_f1"] > before["micro_f1"] - 0.02
    # Nothing to learn from: what there was before stays.
    nothing = np.zeros((5, 42), "float32")
    assert target.decided_by(nothing, nothing).thresholds.tolist() == [0.5] * 42


def best_of(truth: np.ndarray, outputs: np.ndarray) -> float:
    """Of one label, the threshold with the largest F1 on these rows."""
    tried = np.linspace(0.01, 0.99, 99)
    said = outputs[:, None] > tried
    hits = (said & (truth[:, None] > 0.5)).sum(axis=0)
    return float(tried[np.argmax(hits / (said.sum(axis=0) + truth.sum()))])


def test_a_threshold_lies_in_the_middle_of_what_it_parts() -> None:
    truth = np.array([[1], [1], [0], [0]], "float32")
    outputs = np.array([[0.3], [0.2], [0.1], [0.05]], "float32")
    target = mg.MultiLabel("t", ["x"]).decided_by(truth, outputs)
    assert target.thresholds[0] == pytest.approx(0.15)
    # Equal probabilities cannot be parted.
    same = mg.MultiLabel("t", ["x"]).decided_by(truth, np.full((4, 1), 0.3, "float32"))
    assert same.thresholds[0] == pytest.approx(0.15)
    assert (outputs > target.thresholds).ravel().tolist() == [True, True, False, False]


def test_decisions_and_scores_of_each_label_follow_its_threshold() -> None:
    target = mg.MultiLabel("tags", ["a", "b"], thresholds={"b": 0.7, "a": 0.2})
    outputs = np.array([[0.3, 0.6], [0.1, 0.8]], "float32")
    assert target.decode_outputs(outputs)["labels"].tolist() == [["a"], ["b"]]
    truth = np.array([[1, 0], [1, 0]], "float32")
    by_label = target.scores_by_label(truth, outputs)
    assert by_label.index.tolist() == ["a", "b"]
    assert by_label.loc["a"].tolist() == [2, 0.2, 1.0, 0.5, pytest.approx(2 / 3), 1.0]
    assert by_label.loc["b", ["rows", "precision"]].tolist() == [0, 0.0]
    assert np.isnan(by_label.loc["b", "average_precision"])
    frame = pd.DataFrame(target.decode_outputs(outputs))
    assert target.judge([["a"], ["a"]], frame).right.tolist() == [True, False]


def test_thresholds_chosen_on_validation_rows_are_kept_in_the_bundle(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(200, 2))
    tags = [[name for name, value in zip("ab", row, strict=True) if value > 1.2] for row in x]
    table = pd.DataFrame({"one": x[:, 0], "two": x[:, 1], "tags": tags})
    loader = mg.NumericLoader.from_values(["one", "two"], table)
    targets = {
        "tags": mg.MultiLabel.from_values("tags", table),
        "sum": mg.NumericTarget.from_values("one", table),
    }
    # Far too low for 0.5, but in the right order.
    inputs = keras.Input((2,), name="x")
    tag = keras.layers.Dense(2, "sigmoid", name="tags")
    outputs = {"tags": tag(inputs), "sum": keras.layers.Dense(1, name="sum")(inputs)}
    model = keras.Model([inputs], outputs)
    tag.set_weights([np.eye(2), np.full(2, -4.0)])
    bundle = mg.Bundle(model, {"x": loader}, targets)
    assert bundle.evaluate(table)["tags.macro_f1"] < 0.1
    spoilt = table.astype({"one": object})
    spoilt.loc[3, "one"] = "no number"
    with pytest.raises(mg.LoadError, match="index 3"):
        mg.choose_thresholds(bundle, spoilt)
    decided = mg.choose_thresholds(bundle, spoilt, on_error="skip")
    assert decided.evaluate(table)["tags.macro_f1"] > 0.95
    assert bundle.evaluate(table)["tags.macro_f1"] < 0.1
    decided.save(tmp_path / "bundle")
    loaded = mg.load_bundle(tmp_path / "bundle")
    assert loaded.target["tags"].thresholds.tolist() == decided.target["tags"].thresholds.tolist()
    assert (
        loaded.predict(table)["tags.labels"].tolist()
        == decided.predict(table)["tags.labels"].tolist()
    )
    with pytest.raises(ValueError, match="decides nothing"):
        mg.choose_thresholds(mg.Bundle(model, {"x": loader}), table)


def test_a_compiled_model_with_these_losses_is_saved_and_loaded(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2, "sigmoid")])
    model.compile("sgd", loss=LabelCrossentropy([2.0, 3.0], 1.0, 0.1))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.loss.get_config() == model.loss.get_config()
