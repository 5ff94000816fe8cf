"""Scores with intervals and by class: they agree with `score`, and their intervals cover."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

import multimodal_gen as mg
from multimodal_gen.bundle.held_out import HeldOut, Rows
from multimodal_gen.bundle.judging.resamples import interval_of, resamples_of
from multimodal_gen.bundle.judging.scores import Scores, _sign_flips, scores_of_rows
from multimodal_gen.cli.compare import _check_alike, _differing, _tossed
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.loaders.targets.resampling import share_interval

CLASSES = mg.ClassLabel("kind", ["cup", "lamp", "mug"], ordered=True)
LABELS = mg.MultiLabel("tags", ["red", "round", "old"], thresholds=[0.5, 0.4, 0.2])
PRICE = mg.NumericTarget("price", mean=[50.0], scale=[20.0])
SIZES = mg.NumericTarget(["width", "height"], mean=[5.0, 2.0], scale=[2.0, 1.0])


class Coin(mg.Target):
    """A target of one's own, which has only what it must have."""

    column = "side"
    spec = mg.ArraySpec((), "int32", "label")
    units, activation, class_names = 2, "softmax", ("heads", "tails")
    loss = property(lambda self: keras.losses.SparseCategoricalCrossentropy())

    def read(self, cell: Any) -> np.ndarray:
        return np.array(self.class_names.index(cell), "int32")

    def score(self, truth: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
        return {"right": float((outputs.argmax(axis=1) == truth).mean())}

    def decode_outputs(self, outputs: np.ndarray) -> dict[Any, np.ndarray]:
        return {"side": np.array(self.class_names, object)[outputs.argmax(axis=1)]}


def classified(rows: int, seed: int, right: float = 0.8) -> tuple[np.ndarray, np.ndarray]:
    """Positions of `CLASSES`, and probabilities whose largest is right in this share of rows."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, rows, p=[0.6, 0.3, 0.1]).astype("int32")
    said = np.where(rng.random(rows) < right, truth, (truth + 1) % 3)
    outputs = rng.dirichlet([1.0] * 3, rows) + np.eye(3)[said]
    return truth, (outputs / 2).astype("float32")


def labelled(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = (rng.random((rows, 3)) < [0.5, 0.3, 0.05]).astype("float32")
    # Rounded, so that many rows have the same probability.
    logits = 2.5 * (truth - 0.5) + rng.normal(size=truth.shape)
    return truth, np.round(1 / (1 + np.exp(-logits)), 2).astype("float32")


def numbered(rows: int, seed: int, units: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(rows, units))
    return truth.astype("float32"), (truth + 0.5 * rng.normal(size=truth.shape)).astype("float32")


def tossed(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    truth, outputs = classified(rows, seed)
    return np.minimum(truth, 1), outputs[:, :2]


EVERY = [
    pytest.param(CLASSES, classified, id="classes"),
    pytest.param(LABELS, labelled, id="labels"),
    pytest.param(PRICE, numbered, id="a number"),
    pytest.param(SIZES, lambda rows, seed: numbered(rows, seed, 2), id="several numbers"),
    pytest.param(Coin(), tossed, id="a target of one's own"),
]


def scored(
    target: Target,
    truth: np.ndarray,
    outputs: np.ndarray,
    groups: np.ndarray | None = None,
    resamples: int = 1000,
) -> Scores:
    rows = np.arange(len(truth))
    held = HeldOut([("target", Rows(target, truth, outputs))], 0, rows)
    return scores_of_rows(held, rows if groups is None else groups, resamples, 0, several=False)


@pytest.mark.parametrize(("target", "draw"), EVERY)
def test_the_scores_of_a_resample_are_those_of_its_rows(target: Target, draw: Any) -> None:
    truth, outputs = draw(40, 3)
    counts = np.concatenate(list(resamples_of(np.arange(40), 60, seed=1)))
    found = target.resampled_scores(truth, outputs, counts)
    for place, one in enumerate(counts):
        rows = np.repeat(np.arange(40), one)
        expected = target.score(truth[rows], outputs[rows])
        assert {name: values[place] for name, values in found.items()} == pytest.approx(
            expected, rel=1e-6, nan_ok=True
        )


def test_labels_that_no_row_of_a_resample_has_are_scored_as_score_does() -> None:
    truth = np.array([[0, 0], [0, 0], [1, 0]], "float32")
    outputs = np.array([[0.1, 0.2], [0.3, 0.1], [0.9, 0.1]], "float32")
    target = mg.MultiLabel("tags", ["a", "b"])
    counts = np.array([[3, 0, 0], [1, 1, 1], [0, 0, 3]])
    found = target.resampled_scores(truth, outputs, counts)
    for place, one in enumerate(counts):
        rows = np.repeat(np.arange(3), one)
        expected = target.score(truth[rows], outputs[rows])
        assert {name: values[place] for name, values in found.items()} == pytest.approx(
            expected, nan_ok=True
        )


@pytest.mark.parametrize(
    ("target", "draw", "scores"),
    [
        (CLASSES, classified, ["balanced_accuracy", "macro_f1", "log_loss"]),
        (LABELS, labelled, ["micro_f1", "subset_accuracy"]),
        (PRICE, numbered, ["r2", "mean_absolute_error"]),
    ],
)
def test_intervals_hold_the_true_score_in_about_95_of_100_samples(
    target: Target, draw: Any, scores: list[str]
) -> None:
    true = pd.Series(target.score(*draw(100_000, 999)))[scores]
    held = []
    for seed in range(5000, 5120):
        found = scored(target, *draw(250, seed), resamples=200).overall.loc[scores]
        held.append((found["low"] <= true) & (true <= found["high"]))
    # 95 % of 120 samples, give or take three standard errors.
    share = np.mean(held, axis=0)
    assert ((share >= 0.89) & (share <= 1)).all(), dict(zip(scores, share, strict=True))


def test_rows_of_a_group_count_as_one_case() -> None:
    truth, outputs = classified(120, 0)
    alone = scored(CLASSES, truth, outputs)
    copies = np.repeat(np.arange(120), 9)
    grouped = scored(CLASSES, truth[copies], outputs[copies], groups=copies)
    careless = scored(CLASSES, truth[copies], outputs[copies])
    assert (grouped.groups, grouped.rows) == (120, 1080)
    assert grouped.overall.to_numpy() == pytest.approx(alone.overall.to_numpy())
    width = (careless.overall["high"] - careless.overall["low"]) / (
        alone.overall["high"] - alone.overall["low"]
    )
    assert width["accuracy"] == pytest.approx(1 / 3, rel=0.15)
    ends = ["recall_low", "recall_high", "f1_low", "precision_high"]
    assert isinstance(grouped.by_class, pd.DataFrame)
    assert isinstance(alone.by_class, pd.DataFrame)
    assert grouped.by_class[ends].to_numpy() == pytest.approx(alone.by_class[ends].to_numpy())


def test_each_class_has_its_rows_precision_recall_and_f1() -> None:
    truth, outputs = classified(300, 1)
    table = scored(CLASSES, truth, outputs).by_class
    assert isinstance(table, pd.DataFrame)
    precision, recall, f1, rows = metrics.precision_recall_fscore_support(
        truth, outputs.argmax(axis=1)
    )
    assert list(table.index) == ["cup", "lamp", "mug"]
    for name, values in (("rows", rows), ("precision", precision), ("recall", recall), ("f1", f1)):
        assert table[name].to_numpy() == pytest.approx(values), name
    for name in ("precision", "recall", "f1"):
        assert (table[f"{name}_low"] < table[name]).all()
        assert (table[name] < table[f"{name}_high"]).all()


def test_each_label_has_its_average_precision_too() -> None:
    truth, outputs = labelled(300, 1)
    table = scored(LABELS, truth, outputs).by_class
    assert isinstance(table, pd.DataFrame)
    expected = [metrics.average_precision_score(truth[:, one], outputs[:, one]) for one in range(3)]
    assert table["average_precision"].to_numpy() == pytest.approx(expected)
    by_label = LABELS.scores_by_label(truth, outputs)
    assert table[by_label.columns].to_numpy() == pytest.approx(by_label.to_numpy())
    assert (table["average_precision_low"] < table["average_precision"]).all()


def test_a_target_of_ones_own_with_classes_has_a_table_and_intervals_too() -> None:
    found = scored(Coin(), *tossed(50, 1), resamples=100)
    assert isinstance(found.by_class, pd.DataFrame)
    assert list(found.by_class.index) == ["heads", "tails"]
    low, value, high = found.overall.loc["right", ["low", "value", "high"]]
    assert low < value < high


def test_a_class_without_rows_and_one_that_is_never_said_have_no_value_and_no_interval() -> None:
    truth = np.array([0, 0, 1, 1], "int32")
    outputs = np.eye(3, dtype="float32")[[0, 0, 0, 0]]
    table = scored(CLASSES, truth, outputs, resamples=20).by_class
    assert isinstance(table, pd.DataFrame)
    assert table.loc["mug", "rows"] == 0
    assert table.loc["mug", ["precision", "recall", "recall_low", "f1", "f1_high"]].isna().all()
    assert np.isnan(table.loc["lamp", "precision"])
    assert table.loc["lamp", "recall"] == table.loc["lamp", "recall_low"] == 0
    assert 0 < table.loc["lamp", "recall_high"] < 1


def test_a_model_without_a_mistake_is_not_said_to_make_none_ever() -> None:
    truth = np.arange(100, dtype="int32") % 3
    outputs = (np.eye(3, dtype="float32")[truth] * 0.97 + 0.01).astype("float32")
    found = scored(CLASSES, truth, outputs, resamples=50).overall
    assert found.loc["accuracy", "high"] == 1
    # 100 rows without a mistake: up to 3.7 % may be wrong.
    assert found.loc["accuracy", "low"] == pytest.approx(0.963, abs=0.001)
    assert found.loc["macro_f1", "low"] == pytest.approx(0.963, abs=0.001)


def test_the_interval_of_a_share_is_wilsons() -> None:
    # 8 of 10: the worked example of Agresti and Coull has .49 and .94.
    low, high = share_interval(np.array([8, 0, 10, 0]), np.array([10, 10, 10, 0]))
    assert low == pytest.approx([0.490, 0.0, 0.722, np.nan], abs=5e-4, nan_ok=True)
    assert high == pytest.approx([0.943, 0.278, 1.0, np.nan], abs=5e-4, nan_ok=True)


def test_a_difference_that_is_the_same_in_most_rows_is_seen_though_intervals_overlap() -> None:
    truth, worse = classified(400, 2, right=0.7)
    # Right wherever the other is, and in one row of thirty besides.
    better = worse.copy()
    wrong = np.flatnonzero(worse.argmax(axis=1) != truth)[:14]
    better[wrong] = np.eye(3, dtype="float32")[truth[wrong]]
    one, other = scored(CLASSES, truth, better), scored(CLASSES, truth, worse)
    assert one.overall.loc["accuracy", "low"] < other.overall.loc["accuracy", "high"]
    found = one.minus(other).loc["accuracy"]
    assert found["difference"] == pytest.approx(14 / 400)
    assert 0 < found["low"] < found["difference"] < found["high"] < 0.06
    back = other.minus(one).loc["accuracy"]
    assert (back["low"], back["high"]) == pytest.approx((-found["high"], -found["low"]))


def test_two_models_that_are_equally_good_differ_in_about_5_of_100_samples() -> None:
    seen = []
    for seed in range(100):
        truth, first = classified(200, seed)
        # The same rows, judged by another model of the same quality.
        rng = np.random.default_rng(seed + 10_000)
        said = np.where(rng.random(200) < 0.8, truth, (truth + 1) % 3)
        second = np.eye(3, dtype="float32")[said] * 0.7 + 0.1
        difference = scored(CLASSES, truth, first, resamples=200).minus(
            scored(CLASSES, truth, second.astype("float32"), resamples=200)
        )
        low, high = difference.loc["accuracy", ["low", "high"]]
        seen.append(not low <= 0 <= high)
    assert 0.0 < np.mean(seen) <= 0.12


def test_scores_of_other_rows_or_of_other_resamples_are_not_compared() -> None:
    truth, outputs = classified(60, 2)
    one = scored(CLASSES, truth, outputs, resamples=20)
    others = [
        scored(CLASSES, truth[::-1], outputs, resamples=20),
        scored(CLASSES, truth[:50], outputs[:50], resamples=20),
        scored(CLASSES, truth, outputs, resamples=30),
        scored(CLASSES, truth, outputs, groups=np.arange(60) // 2, resamples=20),
    ]
    for other in others:
        with pytest.raises(ValueError, match=r"on the same rows only.* Received: 60 and \d+ rows"):
            one.minus(other)


def test_resamples_are_the_same_for_a_seed_however_many_rows_are_drawn_at_once() -> None:
    groups = np.arange(3000) // 2
    first = np.concatenate(list(resamples_of(groups, 900, seed=5)))
    assert first.shape == (900, 3000)
    assert (first.sum(axis=1) == 3000).all()
    assert (first[:, ::2] == first[:, 1::2]).all()
    assert (first == np.concatenate(list(resamples_of(groups, 900, seed=5)))).all()
    assert (first != np.concatenate(list(resamples_of(groups, 900, seed=6)))).any()
    assert interval_of(np.array([np.nan])) == pytest.approx((np.nan, np.nan), nan_ok=True)


@pytest.fixture(scope="module")
def bundle() -> mg.Bundle:
    """Two targets of one number: whether it is above 0, and three times the number."""
    inputs = {"x": mg.NumericLoader("x", mean=[0.0], scale=[1.0])}
    given = keras.Input((1,), name="x")
    kind = keras.layers.Dense(
        2, "softmax", kernel_initializer=keras.initializers.Constant([[-2.0, 2.0]]), name="kind"
    )(given)
    price = keras.layers.Dense(1, kernel_initializer=keras.initializers.Constant(3.0), name="price")
    model = keras.Model(given, {"kind": kind, "price": price(given)})
    targets = {"kind": mg.ClassLabel("kind", ["below", "above"]), "price": mg.NumericTarget("y")}
    return mg.Bundle(model, inputs, targets)


def table_of(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x = rng.normal(size=rows)
    kind = np.where(x + 0.5 * rng.normal(size=rows) > 0, "above", "below")
    return pd.DataFrame(
        {
            "x": x,
            "kind": kind,
            "y": 3 * x + rng.normal(size=rows),
            "shop": np.arange(rows) // 4,
        },
        index=[f"row {one}" for one in range(rows)],
    )


def test_the_scores_of_a_bundle_are_those_of_evaluate_for_all_targets(bundle: mg.Bundle) -> None:
    table = table_of(80)
    found = bundle.scores(table, resamples=200)
    assert found.values == pytest.approx(bundle.evaluate(table))
    assert (found.overall["low"] <= found.overall["value"]).all()
    assert (found.overall["value"] <= found.overall["high"]).all()
    assert isinstance(found.by_class, dict)
    assert list(found.by_class) == ["kind"]
    assert (
        found.by_class["kind"]["rows"].tolist()
        == table["kind"].value_counts()[["below", "above"]].tolist()
    )
    assert (found.rows, found.groups, found.left_out) == (80, 80, 0)
    assert "kind.accuracy" in str(found)
    assert bundle.scores(table, group="shop", resamples=200).groups == 20


def test_bad_rows_can_be_left_out_of_scores_and_bad_arguments_are_named(bundle: mg.Bundle) -> None:
    table = table_of(30)
    table["kind"] = table["kind"].astype(object)
    table.iloc[3, 1] = "sideways"
    with pytest.raises(mg.LoadError, match="sideways"):
        bundle.scores(table, resamples=20)
    found = bundle.scores(table, resamples=20, on_error="skip")
    assert (found.rows, found.left_out) == (29, 1)
    assert found.minus(bundle.scores(table, resamples=20, on_error="skip"))["low"].eq(0).all()
    with pytest.raises(mg.TableError, match="shopp"):
        bundle.scores(table, group="shopp")
    with pytest.raises(ValueError, match="Received: resamples=0"):
        bundle.scores(table, resamples=0)
    with pytest.raises(ValueError, match="Received: target=None"):
        mg.Bundle(bundle.model, bundle.inputs).scores(table)


def test_mcnemars_test_counts_the_rows_in_which_one_alone_is_right() -> None:
    truth = np.zeros(40, "int32")
    outputs = np.tile(np.float32([0.8, 0.1, 0.1]), (40, 1))
    # One is wrong in 2 rows and the other in 10 others; both in one more.
    one, other = outputs.copy(), outputs.copy()
    one[:3], other[2:13] = outputs[0, [1, 0, 2]], outputs[0, [1, 0, 2]]
    found = scored(CLASSES, truth, one).mcnemar(scored(CLASSES, truth, other))
    assert found.loc["target", ["better", "worse"]].tolist() == [10, 2]
    # Twice the probability of at most 2 heads in 12 tosses: (1 + 12 + 66) / 4096.
    assert found.loc["target", "p"] == pytest.approx(2 * 79 / 4096)
    same = scored(CLASSES, truth, one)
    assert same.mcnemar(same).loc["target"].tolist() == [0, 0, 1]
    with pytest.raises(ValueError, match="on the same rows only"):
        same.mcnemar(scored(CLASSES, truth[:20], one[:20]))
    assert scored(LABELS, *labelled(50, 0)).mcnemar(scored(LABELS, *labelled(50, 0))).empty


def test_with_groups_it_is_groups_that_are_tossed() -> None:
    rng = np.random.default_rng(1)
    for sizes in ([1] * 12, [3, 1, 2, 2, 5], [4, 4, 4], [0, 0], [7, 1, 1, 1, 1]):
        signed = np.array(sizes) * rng.choice([-1, 1], len(sizes))
        flips = np.array(list(itertools.product([-1, 1], repeat=len(sizes))))
        far = np.abs(flips @ np.abs(signed)) >= abs(signed.sum())
        assert _sign_flips(signed) == pytest.approx(far.mean())
    truth = np.zeros(40, "int32")
    outputs = np.tile(np.float32([0.8, 0.1, 0.1]), (40, 1))
    one, other = outputs.copy(), outputs.copy()
    # B is wrong in all ten rows of each of two groups, A in one row of two others.
    one[[0, 1, 10]], other[20:] = outputs[0, [1, 0, 2]], outputs[0, [1, 0, 2]]
    whole = [scored(CLASSES, truth, it, np.arange(40) // 10) for it in (one, other)]
    found = whole[0].mcnemar(whole[1]).loc["target"]
    assert found[["better", "worse"]].tolist() == [20, 3]
    # By 2, 1, 10 and 10 rows: of 16 sums the observed 17, 19, 21 and 23 are as far.
    assert found["p"] == pytest.approx(8 / 16)
    apart = scored(CLASSES, truth, one).mcnemar(scored(CLASSES, truth, other)).loc["target"]
    assert apart["p"] < 0.001


def test_runs_that_predict_different_things_are_not_compared() -> None:
    kind, price = mg.ClassLabel("kind", ["a", "b"]), PRICE
    told = r"A the class 'kind', B the number 'price'\..*Received: runs/a and runs/b"
    with pytest.raises(ValueError, match=told):
        _check_alike(Path("runs/a"), Path("runs/b"), kind, price)
    tags = mg.MultiLabel(["x", "y"])
    with pytest.raises(ValueError, match="A the labels 'x', 'y', B the class 'kind'"):
        _check_alike(Path("a"), Path("b"), tags, kind)
    with pytest.raises(ValueError, match="know different classes.* a with 2 and b with 3"):
        _check_alike(Path("a"), Path("b"), kind, mg.ClassLabel("kind", ["a", "b", "c"]))
    _check_alike(Path("a"), Path("b"), kind, mg.ClassLabel("kind", ["a", "b"]))


def test_compare_says_in_words_what_mcnemars_test_finds() -> None:
    assert _tossed(0, 0, 1.0) == "Both are right in the same rows."
    assert "A alone is right in 10 rows, B alone in 2" in _tossed(10, 2, 0.0386)
    assert "in 3.9 % of such tables" in _tossed(10, 2, 0.0386)
    assert "in less than 0.1 % of" in _tossed(40, 2, 1e-9)


def test_compare_says_which_options_give_two_runs_other_test_rows() -> None:
    same = {"seed": 0, "group": None, "fractions": [0.7, 0.1, 0.2]}
    assert _differing(same, same) == ""
    assert _differing(same, same | {"seed": 1}) == ": here --seed 0 and 1"
