"""Sets and intervals hold the truth as often as asked, and a saved bundle keeps what they need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from test_calibration import bundle_of, numbers_of, sigmoid, softmax, true_labels, true_logits

import multimodal_gen as mg
from multimodal_gen.loaders.targets.conformal import (
    check_coverage,
    checked_limits,
    limit_at,
    quantiles,
    risk_limits,
)


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("sureness", [1.0, 4.0])
def test_sets_hold_the_true_class_as_often_as_asked_also_of_a_model_that_is_too_sure(
    coverage: float, sureness: float
) -> None:
    held = []
    for split in range(20):
        logits, classes = true_logits(1500, 6, seed=split)
        own = softmax(sureness * logits)[np.arange(1500), classes]
        held.append((-own[500:] <= limit_at(quantiles(-own[:500]), coverage)).mean())
    assert np.mean(held) == pytest.approx(coverage, abs=0.015)


def test_the_coverage_of_single_splits_is_spread_as_the_theory_says() -> None:
    # Of n and m rows that come in any order, the hits are beta-binomial.
    n, m, coverage = 300, 400, 0.9
    scores = np.random.default_rng(0).normal(size=n + m) ** 2
    hits = []
    for split in range(2000):
        order = np.random.default_rng(split).permutation(n + m)
        limit = limit_at(quantiles(scores[order[:n]]), coverage)
        hits.append((scores[order[n:]] <= limit).sum())
    rank = -(-(n + 1) * 9 // 10)
    theory = stats.betabinom(m, rank, n + 1 - rank)
    assert np.mean(hits) == pytest.approx(theory.mean(), abs=4 * theory.std() / 2000**0.5)
    assert np.std(hits) == pytest.approx(theory.std(), rel=0.06)


def test_rows_that_calibrate_and_limit_keep_the_promise() -> None:
    # Factors of each class fit the rows that they are learned of better than others.
    factors, shifts = np.linspace(0.5, 2, 6), np.linspace(-1, 1, 6)
    target, held = mg.ClassLabel("kind", list("abcdef")), []
    for split in range(30):
        logits, classes = true_logits(1200, 6, seed=split)
        outputs = softmax(logits * factors + shifts).astype("float32")
        found = target.calibrated_by(classes[:200], outputs[:200])
        own = found.probabilities(outputs[200:])[np.arange(1000), classes[200:]]
        held.append((own >= limit_at(found.conformal_limits, 0.9)).mean())
    assert np.mean(held) == pytest.approx(0.9, abs=0.012)


def test_the_rank_is_that_of_one_more_row_and_too_few_rows_promise_nothing() -> None:
    scores = np.arange(1, 10.0)
    found = quantiles(scores)
    assert limit_at(found, 0.9) == 9
    assert limit_at(found, 0.5) == 5
    assert limit_at(found, 0.5001) == 6
    assert len(found) == 401
    with pytest.raises(ValueError, match=r"90.0% .*at least 9 .*most 88\.8%.*coverage=0.9"):
        limit_at(quantiles(scores[:8]), 0.9)
    # 999 rows are enough for everything that can be asked.
    assert len(quantiles(np.arange(999))) == 500
    for coverage in (0, 0.4, 1, 0.9999, True, "0.9", float("nan"), None):
        with pytest.raises(ValueError, match=r"from 0\.5 to 0\.999.*Received: coverage="):
            check_coverage(coverage)


@pytest.mark.parametrize("sureness", [1.0, 3.0])
def test_sets_of_labels_hold_as_much_of_the_labels_of_a_row_as_asked(sureness: float) -> None:
    lost = []
    for split in range(60):
        rng = np.random.default_rng(split)
        logits = 1.5 * rng.normal(size=(900, 5)) - 1
        truth = rng.random(logits.shape) < sigmoid(logits)
        shares = sigmoid(sureness * logits)
        limit = limit_at(risk_limits(truth[:300], shares[:300]), 0.9)
        own, new = truth[300:], shares[300:] >= limit
        lost.append(((own & ~new).sum(axis=1) / np.maximum(own.sum(axis=1), 1)).mean())
    # Not more than a tenth, and as near below it as steps of one row allow.
    assert np.mean(lost) == pytest.approx(0.1, abs=0.006)


def test_the_limit_of_labels_is_the_largest_that_keeps_the_risk() -> None:
    rng = np.random.default_rng(0)
    truth, shares = rng.random((40, 3)) < 0.4, rng.random((40, 3)).round(1)
    limits = risk_limits(truth, shares)
    for place, limit in enumerate(limits):
        risk = [
            ((truth & (shares < one)).sum(axis=1) / np.maximum(truth.sum(axis=1), 1)).sum() + 1
            for one in (limit, np.nextafter(limit, 2))
        ]
        allowed = 41 * (1 - (500 + place) / 1000) + 1e-9
        assert risk[0] <= allowed
        assert risk[1] > allowed or limit == shares[truth].max()
    assert len(limits) == len(quantiles(shares[:, 0]))
    # Nothing can be lost where there is nothing.
    assert (risk_limits(np.zeros((30, 2), bool), rng.random((30, 2))) == 1).all()


@pytest.mark.parametrize(
    "limits", [[], "no", [float("nan")], [[0.1], [0.2]], [0.1] * 501, [None], 0.5]
)
def test_limits_that_are_none_are_refused(limits: Any) -> None:
    for make in (mg.ClassLabel, mg.MultiLabel):
        with pytest.raises(ValueError, match=r"1 to 500 finite numbers.*Received: conformal_lim"):
            make("kind", ["a", "b"], conformal_limits=limits)


def test_limits_of_several_numbers_are_several() -> None:
    assert checked_limits([[1, 2], [3, 4]], 2) == ([1.0, 2.0], [3.0, 4.0])
    with pytest.raises(ValueError, match=r"1 to 500 lists of 2 finite numbers"):
        mg.NumericTarget(["a", "b"], conformal_limits=[1.0, 2.0])


def class_bundle(rows: int = 900) -> tuple[mg.Bundle, pd.DataFrame]:
    logits, classes = true_logits(rows, 3)
    table = pd.DataFrame({**numbers_of(logits), "kind": np.array(["a", "b", "c"])[classes]})
    table.index = pd.Index([f"row {one}" for one in range(rows)])
    return bundle_of(mg.ClassLabel("kind", ["a", "b", "c"]), 3, "softmax"), table


def test_a_bundle_gives_sets_and_says_which_rows_it_leaves_to_people() -> None:
    bundle, table = class_bundle()
    validation, test = table[:400], table[400:]
    found = bundle.sets(test, validation)
    assert list(found) == ["label", "set", "abstain"]
    assert found.index.equals(test.index)
    assert found["label"].equals(bundle.predict(test)["label"])
    held = np.mean([kind in one for kind, one in zip(test["kind"], found["set"], strict=True)])
    assert 0.86 < held < 0.94
    assert (found["abstain"] == (found["set"].map(len) != 1)).all()
    # Fewer promises, smaller sets.
    fewer = bundle.sets(test, validation, coverage=0.6)
    assert fewer["set"].map(len).mean() < found["set"].map(len).mean()
    bad = test.astype({"x0": object})
    bad.iloc[0, 0] = "none"
    with pytest.warns(UserWarning, match="1 of 500 rows"):
        lost = bundle.sets(bad, validation)
    assert list(lost) == ["label", "set", "abstain", "error"]
    assert lost["set"].iloc[0] == []
    assert lost["abstain"].iloc[0]
    assert "x0" in lost["error"].iloc[0]


def test_a_calibrated_bundle_keeps_what_sets_need_also_on_disk(tmp_path: Path) -> None:
    bundle, table = class_bundle()
    validation, test = table[:400], table[400:]
    with pytest.raises(ValueError, match=r"keeps no limits.*bundle\.calibrate\(validation\)"):
        bundle.sets(test)
    calibrated = bundle.calibrate(validation)
    calibrated.save(tmp_path / "bundle")
    loaded = mg.load_bundle(tmp_path / "bundle")
    found = loaded.sets(test)
    pd.testing.assert_frame_equal(found, calibrated.sets(test))
    # Those that are learned of the same rows again are nearly the same.
    assert (found["set"] == calibrated.sets(test, validation)["set"]).mean() > 0.9
    assert (tmp_path / "bundle" / "bundle.json").stat().st_size < 30_000
    with pytest.raises(ValueError, match="at least 999 validation rows"):
        loaded.sets(test, coverage=0.999)


def test_numbers_get_intervals_in_the_units_of_the_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1200, 2))
    # The bundle predicts 4 x, in units of 10 about 100.
    price, size = 100 + 40 * x[:, 0] + 5 * rng.normal(size=1200), 4 * x[:, 1]
    table = pd.DataFrame({**numbers_of(x), "price": price, "size": size + rng.normal(size=1200)})
    target = mg.NumericTarget(["price", "size"], mean=[100, 0], scale=[10, 1])
    layer = keras.layers.Dense(
        2, use_bias=False, kernel_initializer=keras.initializers.Constant(4 * np.eye(2))
    )
    given = keras.Input((2,), name="x")
    loader = mg.NumericLoader(["x0", "x1"], mean=[0.0, 0.0], scale=[1.0, 1.0])
    bundle = mg.Bundle(keras.Model(given, layer(given)), {"x": loader}, target)
    validation, test = table[:600], table[600:]
    calibrated = bundle.calibrate(validation)
    pd.testing.assert_frame_equal(calibrated.predict(test), bundle.predict(test))
    calibrated.save(tmp_path / "bundle")
    found = mg.load_bundle(tmp_path / "bundle").sets(test)
    assert list(found) == ["price", "size", "price_low", "price_high", "size_low", "size_high"]
    for name, sigma in (("price", 5), ("size", 1)):
        held = test[name].between(found[f"{name}_low"], found[f"{name}_high"]).mean()
        assert 0.86 < held < 0.94
        half = (found[f"{name}_high"] - found[f"{name}_low"]).to_numpy() / 2
        assert half == pytest.approx(np.full(600, 1.645 * sigma), rel=0.15)


@pytest.mark.parametrize("separator", [None, "|"])
def test_labels_get_sets_in_the_form_of_labels(separator: str | None) -> None:
    logits, truth = true_labels(900, 3)
    names = ["a", "b", "set"]
    lists = [[name for name, one in zip(names, row, strict=True) if one] for row in truth]
    tags = lists if separator is None else ["|".join(one) for one in lists]
    table = pd.DataFrame({**numbers_of(logits), "tags": tags})
    bundle = bundle_of(mg.MultiLabel("tags", names, separator=separator), 3, "sigmoid")
    found = bundle.calibrate(table[:400]).sets(table[400:])
    # A label has the name of the column.
    assert list(found) == ["labels", "prediction_set"]
    sets = found["prediction_set"]
    sets = sets if separator is None else sets.map(lambda one: one.split("|"))
    held = [
        len(set(one) & set(own)) / len(own)
        for one, own in zip(sets, lists[400:], strict=True)
        if own
    ]
    # Rows without labels count as held.
    assert np.sum(held) + 500 - len(held) > 0.87 * 500
    with pytest.warns(UserWarning, match="1 of 500 rows"):
        lost = bundle.sets(
            table[400:].astype({"x0": object}).replace({"x0": {logits[400, 0]: "?"}}), table[:400]
        )
    assert pd.isna(lost["prediction_set"].iloc[0])


def test_of_several_targets_each_has_its_own() -> None:
    logits, classes = true_logits(600, 2)
    table = pd.DataFrame({**numbers_of(logits), "kind": np.array(["a", "b"])[classes]})
    given = keras.Input((2,), name="x")
    eye = keras.initializers.Constant(np.eye(2))
    kind = keras.layers.Dense(2, "softmax", kernel_initializer=eye, name="kind")(given)
    one = keras.layers.Dense(1, name="size")(given)
    loader = mg.NumericLoader(["x0", "x1"], mean=[0.0, 0.0], scale=[1.0, 1.0])
    targets = {"kind": mg.ClassLabel("kind", ["a", "b"]), "size": mg.NumericTarget("x0")}
    bundle = mg.Bundle(keras.Model(given, {"kind": kind, "size": one}), {"x": loader}, targets)
    found = bundle.calibrate(table[:300]).sets(table[300:])
    assert list(found) == [
        "kind.label",
        "size.x0",
        "kind.set",
        "kind.abstain",
        "size.x0_low",
        "size.x0_high",
    ]
    held = table["x0"][300:].between(found["size.x0_low"], found["size.x0_high"]).mean()
    assert 0.84 < held < 0.96


def test_a_bundle_without_such_a_target_has_no_sets() -> None:
    bundle, table = class_bundle(30)
    other = mg.Bundle(bundle.model, bundle.inputs, mg.InputTarget(bundle.inputs["x"]))
    bare = mg.Bundle(bundle.model, bundle.inputs)
    for one in (other, bare):
        with pytest.raises(ValueError, match="needs such a target. Received: target="):
            one.sets(table, table)
    with pytest.raises(ValueError, match="keeps no limits"):
        bare.sets(table)


def test_rows_of_one_index_stay_rows_of_their_own() -> None:
    bundle, table = class_bundle(60)
    table.index = pd.Index([0] * 60)
    found = bundle.calibrate(table).sets(table)
    assert len(found) == 60
    assert list(found.index) == [0] * 60
    decided = bundle.decide(table, {"a": 1, "b": 1, "c": 2})
    assert decided["label"].tolist() == bundle.predict(table)["label"].tolist()
