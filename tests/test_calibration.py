"""Probabilities are right as often as they say once a bundle is calibrated, and stay so on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.loaders.targets.calibration import fit_scaling, scaled


def softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-logits)))


def true_logits(rows: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and one class a row that is drawn by their softmax."""
    rng = np.random.default_rng(seed)
    logits = 1.5 * rng.normal(size=(rows, classes))
    return logits, (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)


def true_labels(rows: int, labels: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    logits = 1.5 * rng.normal(size=(rows, labels))
    return logits, (rng.random(logits.shape) < sigmoid(logits)).astype("float32")


def expected_error(confidence: np.ndarray, right: np.ndarray) -> float:
    bins = np.array_split(np.argsort(confidence), 10)
    gaps = [abs(confidence[one].mean() - right[one].mean()) * len(one) for one in bins]
    return float(np.sum(gaps) / len(confidence))


@pytest.mark.parametrize("temperature", [0.4, 2.0, 5.0])
def test_the_temperature_that_logits_were_multiplied_by_is_found(temperature: float) -> None:
    logits, classes = true_logits(3000, 4)
    truth = np.eye(4)[classes]
    found = fit_scaling(truth, softmax(logits * temperature), exclusive=True)
    assert found is not None
    assert found[0] == pytest.approx([1 / temperature] * 4, rel=0.1)
    assert found[1] == (0, 0, 0, 0)


def test_the_factor_and_shift_of_each_label_is_found_where_there_are_rows_enough() -> None:
    logits, truth = true_labels(4000, 3)
    factors, shifts = np.array([3.0, 0.5, 1.0]), np.array([1.0, 0.0, -1.0])
    found = fit_scaling(truth, sigmoid(logits * factors + shifts), exclusive=False)
    assert found is not None
    assert found[0] == pytest.approx(1 / factors, rel=0.15)
    assert found[1] == pytest.approx(-shifts / factors, abs=0.15)


def test_probabilities_that_are_right_are_left_nearly_as_they_are() -> None:
    logits, classes = true_logits(2000, 3)
    target = mg.ClassLabel("kind", ["a", "b", "c"])
    found = target.calibrated_by(classes, softmax(logits))
    assert found.calibration is None or found.calibration[0] == pytest.approx([1] * 3, rel=0.1)


def test_few_rows_get_one_factor_instead_of_one_for_each_of_many_classes() -> None:
    logits, classes = true_logits(120, 20)
    found = fit_scaling(np.eye(20)[classes], softmax(3 * logits), exclusive=True)
    assert found is not None
    assert len(set(found[0])) == 1
    assert found[1] == (0,) * 20


@pytest.mark.parametrize("mode", ["int", "categorical"])
def test_classes_that_a_model_is_too_sure_of_get_half_the_calibration_error(mode: str) -> None:
    logits, classes = true_logits(4000, 5)
    target = mg.ClassLabel("kind", list("abcde"), label_mode=mode)
    truth = classes if mode == "int" else np.eye(5, dtype="float32")[classes]
    outputs = softmax(3 * logits).astype("float32")
    first, rest = slice(0, 800), slice(800, None)
    found = target.calibrated_by(truth[first], outputs[first])
    before, after = (one.probabilities(outputs[rest]) for one in (target, found))
    right = before.argmax(axis=1) == classes[rest]
    assert after.sum(axis=1) == pytest.approx(np.ones(len(after)), abs=1e-5)
    assert (after.argmax(axis=1) == before.argmax(axis=1)).all()
    errors = [expected_error(one.max(axis=1), right) for one in (before, after)]
    assert errors[1] < errors[0] / 2
    scores = [one.score(truth[rest], outputs[rest]) for one in (target, found)]
    assert scores[1]["log_loss"] < scores[0]["log_loss"]
    assert scores[1]["accuracy"] == scores[0]["accuracy"]
    # What it has learned before does not count twice.
    assert found.calibrated_by(truth[first], outputs[first]) == found
    # A row of mixed classes is described as it is.
    if mode == "categorical":
        assert found.describe(np.array([0.5, 0.5, 0, 0, 0], "float32")) == target.describe(
            np.array([0.5, 0.5, 0, 0, 0], "float32")
        )


def test_a_binary_class_is_calibrated_too() -> None:
    rng = np.random.default_rng(0)
    logits = 1.5 * rng.normal(size=(2000, 1))
    truth = (rng.random((2000, 1)) < sigmoid(logits)).astype("float32")
    target = mg.ClassLabel("kind", ["no", "yes"], label_mode="binary")
    found = target.calibrated_by(truth, sigmoid(3 * logits).astype("float32"))
    probabilities = found.probabilities(sigmoid(3 * logits))
    assert probabilities[:, 1] == pytest.approx(sigmoid(logits)[:, 0], abs=0.06)
    decoded = found.decode_outputs(sigmoid(3 * logits))
    assert decoded["yes"] == pytest.approx(probabilities[:, 1])


def test_labels_keep_their_decisions_and_get_half_the_calibration_error() -> None:
    logits, truth = true_labels(4000, 3)
    outputs = sigmoid(4 * logits).astype("float32")
    target = mg.MultiLabel("tags", ["a", "b", "c"], thresholds=[0.9, 0.5, 0.2])
    found = target.calibrated_by(truth[:800], outputs[:800])
    said = [one.decode_outputs(outputs[800:]) for one in (target, found)]
    assert found.thresholds[1] == 0.5
    # Those of a moved threshold; 0.5 stays, also if the probabilities are shifted.
    has = [np.array([["a" in one, "c" in one] for one in each["labels"]]) for each in said]
    assert (has[0] == has[1]).mean() > 0.999
    errors = [expected_error(each["a"], truth[800:, 0]) for each in said]
    assert errors[1] < errors[0] / 2
    assert found.score(truth, outputs)["mean_average_precision"] == pytest.approx(
        target.score(truth, outputs)["mean_average_precision"], abs=1e-3
    )
    again = found.calibrated_by(truth[:800], outputs[:800])
    assert again.calibration == found.calibration
    assert again.thresholds == pytest.approx(found.thresholds)
    # Thresholds that are chosen afterwards are those of the new probabilities.
    chosen = found.decided_by(truth, outputs)
    f1 = chosen.score(truth, outputs)["macro_f1"]
    assert f1 >= found.score(truth, outputs)["macro_f1"]


@pytest.mark.parametrize(
    "calibration",
    [[[1.0, 1.0]], [[1, 1, 1], [0, 0, 0]], [[0, 1], [0, 0]], "no", [[1, None], [0, 0]]],
)
def test_a_calibration_that_is_none_is_refused(calibration: Any) -> None:
    for make in (mg.ClassLabel, mg.MultiLabel):
        with pytest.raises(ValueError, match=r"two lists of 2 finite numbers.*Received: calib"):
            make("kind", ["a", "b"], calibration=calibration)


def test_the_surest_probabilities_stay_numbers() -> None:
    sure = np.array([[1.0, 0.0], [0.0, 1.0]], "float32")
    for exclusive in (True, False):
        found = scaled(sure, ((5.0, 5.0), (0.0, 0.0)), exclusive=exclusive)
        assert np.isfinite(found).all()
        assert found.dtype == np.float32
        assert found[0, 0] > 0.999


def bundle_of(target: Any, units: int, activation: str) -> mg.Bundle:
    """A model that is much too sure: it multiplies the numbers of a row by 4."""
    given = keras.Input((units,), name="x")
    layer = keras.layers.Dense(
        units,
        activation,
        use_bias=False,
        kernel_initializer=keras.initializers.Constant(4 * np.eye(units)),
    )
    loader = mg.NumericLoader(
        [f"x{one}" for one in range(units)], mean=[0.0] * units, scale=[1.0] * units
    )
    return mg.Bundle(keras.Model(given, layer(given)), {"x": loader}, target)


def numbers_of(logits: np.ndarray) -> dict[str, np.ndarray]:
    return {f"x{one}": logits[:, one] for one in range(logits.shape[1])}


@pytest.mark.parametrize("kind", ["class", "labels"])
def test_a_bundle_predicts_scores_and_saves_what_it_was_calibrated_to(
    kind: str, tmp_path: Path
) -> None:
    if kind == "class":
        logits, classes = true_logits(600, 3)
        table = pd.DataFrame({**numbers_of(logits), "kind": np.array(["a", "b", "c"])[classes]})
        target: Any = mg.ClassLabel("kind", ["a", "b", "c"])
        bundle, expected = bundle_of(target, 3, "softmax"), softmax(logits)
    else:
        logits, truth = true_labels(600, 3)
        tags = [[name for name, one in zip("abc", row, strict=True) if one] for row in truth]
        table = pd.DataFrame({**numbers_of(logits), "tags": tags})
        bundle = bundle_of(mg.MultiLabel("tags", ["a", "b", "c"]), 3, "sigmoid")
        expected = sigmoid(logits)
    found = bundle.calibrate(table[:300])
    assert found.model is bundle.model
    assert isinstance(bundle.target, mg.ClassLabel | mg.MultiLabel)
    assert bundle.target.calibration is None
    shares = found.predict(table[300:])[["a", "b", "c"]].to_numpy("float64")
    assert np.abs(shares - expected[300:]).mean() < 0.03
    before, after = (one.evaluate(table[300:]) for one in (bundle, found))
    if kind == "class":
        assert after["log_loss"] < before["log_loss"] - 0.1
        assert found.scores(table[300:]).values == pytest.approx(after)
    found.save(tmp_path / "bundle")
    loaded = mg.load_bundle(tmp_path / "bundle")
    assert loaded.target == found.target
    pd.testing.assert_frame_equal(loaded.predict(table[300:]), found.predict(table[300:]))


def test_of_several_targets_each_is_calibrated_and_numbers_stay_as_they_are() -> None:
    logits, classes = true_logits(200, 2)
    table = pd.DataFrame({**numbers_of(logits), "kind": np.array(["a", "b"])[classes]})
    given = keras.Input((2,), name="x")
    sure = keras.layers.Dense(
        2, "softmax", kernel_initializer=keras.initializers.Constant(4 * np.eye(2)), name="kind"
    )(given)
    model = keras.Model(given, {"kind": sure, "x0": keras.layers.Dense(1, name="x0")(given)})
    loader = mg.NumericLoader(["x0", "x1"], mean=[0.0, 0.0], scale=[1.0, 1.0])
    targets = {"kind": mg.ClassLabel("kind", ["a", "b"]), "x0": mg.NumericTarget("x0")}
    bundle = mg.Bundle(model, {"x": loader}, targets)
    found = bundle.calibrate(table)
    assert isinstance(found.target, dict)
    assert found.target["x0"].replace(conformal_limits=None) == targets["x0"].replace(
        conformal_limits=None
    )
    kind = found.target["kind"]
    assert isinstance(kind, mg.ClassLabel)
    assert kind.calibration is not None
    with pytest.raises(ValueError, match="at least 20 rows.* Received: 19 rows"):
        bundle.calibrate(table[:19])
    with pytest.raises(ValueError, match="Received: target=None"):
        mg.Bundle(model, {"x": loader}).calibrate(table)
    with pytest.raises(ValueError, match="Received: on_error='ignore'"):
        bundle.calibrate(table, on_error="ignore")
