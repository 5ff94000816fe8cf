"""`--balance` lets rare classes and labels count as much as frequent ones, in training alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

import multimodal_gen as mg
from multimodal_gen.cli.app import app
from multimodal_gen.cli.balancing import with_weights_of_labels
from multimodal_gen.cli.fitting import (
    Watch,
    fit_network,
    network_for,
    training_data,
    validation_data,
)
from multimodal_gen.cli.model_choice import choose
from multimodal_gen.cli.progress import ProgressReporter
from multimodal_gen.cli.settings import RunSettings
from multimodal_gen.cli.sureness import calibrated
from multimodal_gen.models.linear import linear_model

TABLE = pd.DataFrame({"n": np.arange(12.0), "kind": ["a"] * 9 + ["b"] * 3, "tags": ["x"] * 12})
TABLE.loc[[2, 5, 8], "tags"] = "x|y"


def settings(target: str, **more: Any) -> RunSettings:
    given: dict[str, Any] = {"image": (), "caption": ()}
    given |= {"missing": "error", "number_missing": "error", "separator": None, "directory": None}
    given |= {"split": None, "split_names": None, "fractions": (0.7, 0.1, 0.2), "group": None}
    given |= {"image_size": (8, 8), "text": "ngrams", "augment": "none", "batch_size": 4, "seed": 0}
    given |= {"folder": "", "fusion": "joint", "positive": None, "epochs": 1, "ablate": False}
    return RunSettings(table="", number=("n",), label=("kind",), target=target, **given, **more)


def test_classes_have_equal_sums_of_weights_also_if_one_has_no_training_row() -> None:
    target = mg.ClassLabel("kind", ["a", "b", "test rows alone"])
    inputs = {"n": mg.NumericLoader.from_values("n", TABLE)}
    sums = {"a": 0.0, "b": 0.0}
    for _, classes, weights in training_data(
        settings("class", balance=True), TABLE, inputs, target
    ):
        for one, weight in zip(classes, weights, strict=True):
            sums["ab"[int(one)]] += float(weight)
    assert sums == pytest.approx({"a": 6, "b": 6})
    plain = training_data(settings("class"), TABLE, inputs, target)
    assert len(plain[0]) == 2


def test_the_loss_of_validation_rows_weighs_classes_as_training_does() -> None:
    target = mg.ClassLabel("kind", ["a", "b"])
    inputs: dict[str, mg.Loader] = {"n": mg.NumericLoader.from_values("n", TABLE)}
    given = settings("class", balance=True)
    # Another share of classes, and a column that is called like the one of the weights.
    held = TABLE.iloc[[0, 1, 9, 10]].assign(weight=7.0)
    data = validation_data(given, training_data(given, TABLE, inputs, target), held, target)
    assert np.concatenate([batch[2] for batch in data]) == pytest.approx([2 / 3, 2 / 3, 2, 2])
    plain = settings("class")
    data = validation_data(plain, training_data(plain, TABLE, inputs, target), held, target)
    assert len(data[0]) == 2
    # The network is right about nearly all rows of the frequent class, and the probe about both.
    constant, probe = (linear_model(inputs, target) for _ in range(2))
    for model in (constant, probe):
        model.compile(loss=target.loss)
    constant.get_layer("offset").offset.assign([4.0, 0.0])
    rows = TABLE.assign(kind=["a"] * 11 + ["b"])
    kept = {
        one.balance: choose(
            constant,
            probe,
            validation_data(one, training_data(one, rows, inputs, target), rows, target),
        )
        for one in (given, plain)
    }
    losses = {balance: one["validation_loss"] for balance, one in kept.items()}
    assert losses[True]["network"] > losses[True]["linear probe"] == pytest.approx(np.log(2))
    assert losses[False]["network"] < losses[False]["linear probe"]


def test_labels_are_weighted_by_the_training_rows() -> None:
    target = mg.MultiLabel("tags", ["x", "y"], separator="|")
    found = with_weights_of_labels(settings("labels", balance=True), TABLE, target)
    assert isinstance(found, mg.MultiLabel) and found.positive_weight == (1.0, 3.0)
    assert with_weights_of_labels(settings("labels"), TABLE, target) is target
    kind = mg.ClassLabel("kind", ["a", "b"])
    assert with_weights_of_labels(settings("class", balance=True), TABLE, kind) is kind


def test_a_number_has_nothing_to_balance(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Received: --balance --target number"):
        settings("number", balance=True)
    TABLE.to_csv(tmp_path / "t.csv", index=False)
    for command in (["train"], ["tune", "--trials", "2"]):
        more = ["--label", "n", "--target", "number", "--balance", "--runs", str(tmp_path)]
        done = CliRunner().invoke(app, [*command, str(tmp_path / "t.csv"), *more])
        assert done.exit_code == 2 and "--balance weights classes or labels" in done.stderr


@pytest.mark.parametrize("rate", [float("inf"), 1e38])
def test_a_loss_that_is_not_finite_stops_training_with_an_error(rate: float) -> None:
    given = settings("class")
    kind = mg.ClassLabel("kind", ["a", "b"])
    inputs: dict[str, mg.Loader] = {"n": mg.NumericLoader.from_values("n", TABLE)}
    data = training_data(given, TABLE, inputs, kind)
    model, _ = network_for(given, inputs, kind, len(TABLE))
    watch = Watch(ProgressReporter(Console(quiet=True)), "n")
    with pytest.raises(ValueError, match=r"useless: use another --seed.*n: the loss of epoch \d"):
        fit_network(model, kind, data, data.for_evaluation(), 8, [watch], learning_rate=rate)


@pytest.mark.parametrize("loss", ["inf", "-inf", "nan"])
def test_a_loss_that_is_not_finite_stops_after_its_epoch(loss: str) -> None:
    watch = Watch(ProgressReporter(Console(quiet=True)), "n")
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    watch.set_model(model)
    watch.set_params({"epochs": 3, "steps": 1})
    watch.on_train_begin()
    watch.on_epoch_end(0, {"loss": 2.5})
    assert watch.broken is None
    watch.on_epoch_end(1, {"loss": float(loss)})
    assert model.stop_training
    assert watch.broken == f"the loss of epoch 2 is {loss}"


def test_balanced_classes_are_not_calibrated_back_but_keep_limits_of_sets() -> None:
    number = keras.Input((1,), name="n")
    model = keras.Model([number], keras.layers.Dense(2, activation="softmax")(number))
    inputs = {"n": mg.NumericLoader.from_values("n", TABLE)}
    bundle = mg.Bundle(model, inputs, mg.ClassLabel("kind", ["a", "b"]))
    rng = np.random.default_rng(0)
    truth = (rng.random(200) < 0.1).astype("int32")
    share = np.clip(0.5 + 0.2 * truth + 0.3 * rng.normal(size=200), 0.01, 0.99)
    outputs = np.stack([1 - share, share], axis=1).astype("float32")
    reporter = ProgressReporter(Console(quiet=True))
    kept = calibrated(bundle, truth, outputs, reporter, balance=True).target
    other = calibrated(bundle, truth, outputs, reporter).target
    assert isinstance(kept, mg.ClassLabel) and isinstance(other, mg.ClassLabel)
    assert kept.calibration is None and other.calibration is not None
    said = [one.decode_outputs(outputs)["label"] for one in (kept, other)]
    assert (said[0] == "b").mean() > 0.3 > (said[1] == "b").mean()
    assert kept.conformal_limits is not None and len(kept.conformal_limits) > 400
