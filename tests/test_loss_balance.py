"""Balanced losses of several targets: the weights, what they depend on, and what they are for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.models import balanced_loss_weights, build_fusion_classifier, fit_with_recipe

JIT = False if keras.backend.backend() == "tensorflow" else "auto"
INPUTS = {"x": mg.NumericLoader("x", mean=[0.0], scale=[1.0])}


def table(rows: int = 40, unit: float = 1.0) -> pd.DataFrame:
    """A class and a number that both follow from one number."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=rows)
    return pd.DataFrame(
        {
            "x": x,
            "label": np.where(x > 0.5, "high", np.where(x > -0.3, "middle", "low")),
            "price": unit * (x + 0.1 * rng.normal(size=rows)),
            "tags": [["rare"] if row % 10 == 0 else [] for row in range(rows)],
        }
    )


def targets_of(*names: str) -> dict[str, Any]:
    every = {
        "kind": mg.ClassLabel("label", ["low", "middle", "high"]),
        "price": mg.NumericTarget("price"),
        "tags": mg.MultiLabel("tags", ["rare", "never"]),
    }
    return {name: every[name] for name in names}


def sequence(rows: pd.DataFrame, targets: Any, **options: Any) -> mg.MultimodalSequence:
    return mg.MultimodalSequence(rows, INPUTS, targets, batch_size=20, **options)


def test_a_weight_is_one_over_the_loss_of_the_best_constant() -> None:
    rows, targets = table(), targets_of("kind", "price", "tags")
    found = balanced_loss_weights(targets, sequence(rows, targets))
    shares = rows["label"].value_counts(normalize=True).to_numpy()
    rare = -(0.1 * np.log(0.1) + 0.9 * np.log(0.9)) / 2
    want = {
        "kind": -1 / (shares * np.log(shares)).sum(),
        "price": 1 / rows["price"].var(ddof=0),
        "tags": 1 / rare,
    }
    assert found == pytest.approx(want, rel=1e-4)
    # In cents a price has ten thousand times the loss.
    cents = table(unit=100.0)
    assert balanced_loss_weights(targets, sequence(cents, targets))["price"] == pytest.approx(
        want["price"] / 1e4, rel=1e-4
    )


@pytest.mark.parametrize(
    ("target", "loss"),
    [
        (mg.ClassLabel("label", ["low", "middle", "high"], label_mode="categorical"), None),
        (mg.ClassLabel("label", ["low", "middle", "high"], label_smoothing=0.1), None),
        (mg.InputTarget(mg.NumericLoader("x", mean=[0.0], scale=[2.0])), 0.25),
    ],
)
def test_targets_of_other_forms_are_weighed_too(target: Any, loss: float | None) -> None:
    rows = table()
    targets = {"one": target, "price": mg.NumericTarget("price")}
    weight = balanced_loss_weights(targets, sequence(rows, targets))["one"]
    if loss is None:
        plain = targets_of("kind", "price")
        usual = balanced_loss_weights(plain, sequence(rows, plain))["kind"]
        assert weight == pytest.approx(usual, rel=0.1)
    else:
        assert weight == pytest.approx(1 / (loss * rows["x"].var(ddof=0)), rel=1e-4)


def test_weights_of_rows_count_and_rows_that_are_skipped_do_not() -> None:
    rows, targets = table(), targets_of("kind", "price")
    rows["known"] = (np.arange(len(rows)) < 30).astype("float32")
    # What an unlabelled row has instead of a price.
    rows.loc[30:, "price"] = 1e6
    weighed = sequence(rows, targets, sample_weight={"price": "known"})
    want = 1 / rows["price"][:30].var(ddof=0)
    assert balanced_loss_weights(targets, weighed)["price"] == pytest.approx(want, rel=1e-4)
    bad = table()
    bad["price"] = bad["price"].astype(object)
    bad.loc[3, "price"] = "dear"
    with pytest.raises(mg.LoadError, match=r"index 3, column 'price'.*'dear'"):
        balanced_loss_weights(targets, sequence(bad, targets))
    skipped = sequence(bad, targets, on_error="skip")
    want = 1 / bad["price"].drop(3).astype(float).var(ddof=0)
    assert balanced_loss_weights(targets, skipped)["price"] == pytest.approx(want, rel=1e-4)


def test_a_target_with_one_value_keeps_the_weight_one() -> None:
    rows, targets = table().assign(price=3.0, label="low"), targets_of("kind", "price")
    found = balanced_loss_weights(targets, sequence(rows, targets))
    assert found["price"] == 1.0 and np.isfinite(found["kind"]) and found["kind"] > 0


def test_what_cannot_be_balanced_is_refused() -> None:
    rows, targets = table(), targets_of("kind", "price")
    with pytest.raises(TypeError, match=r"between several targets.*Received: target="):
        balanced_loss_weights(targets["kind"], sequence(rows, targets))
    with pytest.raises(TypeError, match=r"must be the MultimodalSequence.*Received: DataFrame"):
        balanced_loss_weights(targets, rows)
    with pytest.raises(ValueError, match=r"it has \['kind', 'price'\].*\['tags'\]"):
        balanced_loss_weights(targets_of("tags"), sequence(rows, targets))


@pytest.mark.parametrize(
    ("given", "error"),
    [("equal", TypeError), ({"kind": 1.0}, ValueError), ({"kind": 1.0, "price": -1}, ValueError)],
)
def test_the_recipe_refuses_other_weights(given: Any, error: type[Exception]) -> None:
    rows, targets = table(), targets_of("kind", "price")
    model = build_fusion_classifier(INPUTS, targets)
    with pytest.raises(error, match=r"`loss_weights` must .* Received: loss_weights="):
        fit_with_recipe(model, targets, sequence(rows, targets), loss_weights=given)
    single = sequence(rows, targets["kind"])
    with pytest.raises(TypeError, match="several targets"):
        fit_with_recipe(model, targets["kind"], single, loss_weights="balanced")


def test_the_recipe_prints_balanced_weights_and_they_are_saved_with_the_model(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows, targets = table(unit=100.0), targets_of("kind", "price")
    keras.utils.set_random_seed(0)
    model = build_fusion_classifier(INPUTS, targets)
    data = sequence(rows, targets, shuffle=True)
    fit_with_recipe(model, targets, data, epochs=1, loss_weights="balanced", verbose=2)
    want = balanced_loss_weights(targets, data)
    said = capsys.readouterr().out
    assert f"Weights of the losses: kind {want['kind']:.3g}, price {want['price']:.3g}\n" in said
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_compile_config()["loss_weights"] == pytest.approx(want)
    batch = data.for_evaluation()[0]
    # Keras 3.12 adds a batch to what the metrics have counted in training.
    model.reset_metrics()
    losses = [np.ravel(one.test_on_batch(*batch[:2])) for one in (loaded, model)]
    np.testing.assert_allclose(*losses, rtol=1e-5)
