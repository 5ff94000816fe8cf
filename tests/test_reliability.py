"""The expected calibration error: right on known probabilities, with an interval that covers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.bundle.judging.reliability import (
    Reliability,
    reliability_of_rows,
    said_and_right,
)


def drawn(rows: int, seed: int, exponent: float = 1.0, each: int = 1) -> tuple[Any, Any]:
    """Probabilities, and what happens with `probability ** exponent`."""
    rng = np.random.default_rng(seed)
    said = rng.uniform(0.3, 1.0, (rows, each))
    return said, (rng.random(said.shape) < said**exponent).astype("float64")


def measured(said: Any, right: Any, bins: int = 10, resamples: int = 400) -> Reliability:
    return reliability_of_rows(said, right, np.arange(len(said)), bins, resamples, 0)


@pytest.mark.parametrize("each", [1, 3])
def test_the_interval_covers_what_other_rows_would_give(each: int) -> None:
    found = [measured(*drawn(400, seed, 2.0, each)) for seed in range(200)]
    mean = np.mean([one.error for one in found])
    inside = np.mean([one.low <= mean <= one.high for one in found])
    assert 0.9 <= inside <= 0.99
    assert mean > 0.15


@pytest.mark.parametrize("each", [1, 3])
def test_perfect_probabilities_have_the_error_of_chance(each: int) -> None:
    found = [measured(*drawn(500, seed, 1.0, each), resamples=2) for seed in range(100)]
    mean = np.mean([one.error for one in found])
    assert mean == pytest.approx(np.mean([one.chance for one in found]), rel=0.06)


def test_the_error_is_the_mean_gap_of_the_bins() -> None:
    found = measured(*drawn(1000, 0, 2.0))
    bins = found.bins
    assert len(bins) == 10
    assert bins["rows"].sum() == 1000
    gaps = (bins["probability"] - bins["right"]).abs()
    assert found.error == pytest.approx((gaps * bins["rows"]).sum() / 1000)
    assert (bins["low"] <= bins["right"]).all()
    assert (bins["right"] <= bins["high"]).all()


def test_equal_probabilities_are_in_one_bin_whatever_the_order_of_rows() -> None:
    right = np.r_[np.ones(60), np.zeros(40)][:, None]
    found = measured(np.full((100, 1), 0.8), right)
    assert len(found.bins) == 1
    assert found.error == pytest.approx(0.2)
    said, right = np.repeat([[0.9], [0.6]], 50, axis=0), np.r_[np.ones(70), np.zeros(30)][:, None]
    order = np.random.default_rng(0).permutation(100)
    assert measured(said, right).bins.equals(measured(said[order], right[order]).bins)


def test_rows_of_a_group_are_drawn_together() -> None:
    said, right = drawn(100, 0, 2.0)
    said, right = np.repeat(said, 5, axis=0), np.repeat(right, 5, axis=0)
    alone = measured(said, right)
    grouped = reliability_of_rows(said, right, np.arange(500) // 5, 10, 400, 0)
    assert grouped.error == alone.error
    assert grouped.high - grouped.low > 1.5 * (alone.high - alone.low)


def bundle_of(targets: Any) -> mg.Bundle:
    """A model that puts the columns of probabilities out as they are."""
    units = {"kind": 2, "tags": 3, "price": 1}
    inputs = keras.Input((6,), name="x")
    places = {"kind": [0, 1], "tags": [2, 3, 4], "price": [5]}
    outputs = {}
    for name in targets:
        weights = np.eye(6, dtype="float32")[:, places[name]]
        layer = keras.layers.Dense(units[name], use_bias=False, name=name)
        outputs[name] = layer(inputs)
        layer.set_weights([weights])
    single = len(targets) == 1
    model = keras.Model({"x": inputs}, next(iter(outputs.values())) if single else outputs)
    target = next(iter(targets.values())) if single else targets
    return mg.Bundle(
        model, {"x": mg.NumericLoader(list("abcdef"), mean=[0] * 6, scale=[1] * 6)}, target
    )


def table_of(rows: int) -> pd.DataFrame:
    """What happens with a probability of 0.9 to the power of 3 is said to with 0.9."""
    rng = np.random.default_rng(0)
    said = rng.uniform(0.5, 1.0, rows)
    table = pd.DataFrame({"a": said, "b": 1 - said, "f": said})
    table["kind"] = np.where(rng.random(rows) < said**3, "cup", "mug")
    for name, tag in zip("cde", TARGETS["tags"].class_names, strict=True):
        table[name] = rng.uniform(0.0, 1.0, rows)
        table[tag] = rng.random(rows) < table[name]
    tags = TARGETS["tags"].class_names
    table["tags"] = [[tag for tag in tags if row[tag]] for _, row in table.iterrows()]
    table["price"] = said
    return table


TARGETS = {
    "kind": mg.ClassLabel("kind", ["cup", "mug"]),
    "tags": mg.MultiLabel("tags", ["red", "old", "big"]),
    "price": mg.NumericTarget("price"),
}


def test_what_was_said_and_is_right_comes_from_each_kind_of_target_and_is_drawn(
    tmp_path: Path,
) -> None:
    truth, outputs = np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
    said, right = said_and_right(TARGETS["kind"], truth, outputs)
    assert said[:, 0] == pytest.approx([0.9, 0.6, 0.8])
    assert right[:, 0].tolist() == [1, 0, 1]
    labels = np.array([[0.9, 0.2, 0.5]])
    said, right = said_and_right(TARGETS["tags"], np.array([[1.0, 0.0, 1.0]]), labels)
    assert said.shape == right.shape == (1, 3)
    assert right.tolist() == [[1, 0, 1]]
    figure = measured(*drawn(300, 0)).plot()
    figure.savefig(tmp_path / "reliability.png")
    assert len(figure.axes) == 2
    assert "calibration error" in " ".join(text.get_text() for text in figure.texts)


def test_a_bundle_measures_each_target_with_classes_and_calibration_halves_the_error() -> None:
    table = table_of(1200)
    bundle = bundle_of(TARGETS)
    found = bundle.reliability(table, resamples=200)
    assert isinstance(found, dict)
    assert list(found) == ["kind", "tags"]
    # Those of labels are right, those of classes far off.
    assert found["kind"].low > 2 * found["kind"].chance
    assert found["tags"].error < 2 * found["tags"].chance
    assert found["tags"].bins["rows"].sum() == 3 * len(table)
    one = bundle_of({"kind": TARGETS["kind"]})
    before = one.reliability(table[600:], bins=10)
    after = one.calibrate(table[:600]).reliability(table[600:], bins=10)
    assert isinstance(before, Reliability)
    assert isinstance(after, Reliability)
    assert after.error < before.error / 2


def test_a_target_without_classes_and_bad_arguments_are_refused() -> None:
    table = table_of(40)
    with pytest.raises(ValueError, match=r"target with classes.*Received: target=NumericTarget"):
        bundle_of({"price": TARGETS["price"]}).reliability(table)
    bundle = bundle_of({"kind": TARGETS["kind"]})
    with pytest.raises(ValueError, match="bins=0"):
        bundle.reliability(table, bins=0)
    with pytest.raises(mg.TableError, match="shop"):
        bundle.reliability(table, group="shop")
