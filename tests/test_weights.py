from __future__ import annotations

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import multimodal_gen as mg


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "number": np.arange(10.0),
            "kind": ["mug"] * 8 + ["vase"] * 2,
            "state": ["new", "old"] * 5,
            "trust": np.linspace(0.1, 1.0, 10),
            "doubt": np.linspace(1.0, 0.1, 10),
        },
        index=[f"row-{row}" for row in range(10)],
    )


def sequence(table: pd.DataFrame, several: bool = False, mode: str = "int", **arguments: object):
    inputs = {"number": mg.NumericLoader("number", mean=[0], scale=[1])}
    kind = mg.ClassLabel.from_values("kind", table["kind"], label_mode=mode)
    targets = (
        {"kind": kind, "state": mg.ClassLabel.from_values("state", table["state"])}
        if several
        else kind
    )
    return mg.MultimodalSequence(table, inputs, targets, batch_size=10, **arguments)


@pytest.mark.parametrize("mode", ["int", "categorical", "binary"])
def test_balanced_class_weights_make_the_sums_of_the_classes_equal(table, mode: str) -> None:
    weights = sequence(table, mode=mode, class_weight="balanced")[0][2]
    assert weights.dtype == np.float32
    assert weights.tolist() == [0.625] * 8 + [2.5] * 2


def test_class_weights_by_name_multiply_those_of_rows(table) -> None:
    data = sequence(table, class_weight={"mug": 1, "vase": 3}, sample_weight="trust")
    assert data[0][2] == pytest.approx([*np.linspace(0.1, 0.8, 8), 2.7, 3.0])
    assert data.for_evaluation()[0][2] == pytest.approx(np.linspace(0.1, 1, 10))
    assert "weighted by class" in repr(data)
    assert len(sequence(table, class_weight="balanced").for_evaluation()[0]) == 2


def test_several_targets_come_as_dicts_with_weights_of_their_own(table) -> None:
    _, targets = sequence(table, several=True)[0]
    assert list(targets) == ["kind", "state"]
    assert targets["state"].tolist() == [0, 1] * 5
    weights = sequence(table, several=True, sample_weight={"kind": "trust", "state": "doubt"})[0][2]
    assert weights["kind"] == pytest.approx(np.linspace(0.1, 1, 10))
    assert weights["state"] == pytest.approx(np.linspace(1, 0.1, 10))
    weights = sequence(
        table, several=True, sample_weight="trust", class_weight={"kind": "balanced"}
    )[0][2]
    assert weights["state"] == pytest.approx(np.linspace(0.1, 1, 10))
    assert weights["kind"][-1] == pytest.approx(2.5)


def test_a_padded_row_has_no_weight_whatever_its_class(table) -> None:
    weights = sequence(table[:9], several=True, class_weight={"kind": "balanced"}).shard(1, 2)[0][2]
    assert weights["kind"][-1] == weights["state"][-1] == 0
    assert weights["kind"][0] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"class_weight": {"mug": 1}},
            r"a weight for each class of \['mug', 'vase'\]. Received: {'mug': 1}",
        ),
        (
            {"class_weight": {"mug": 1, "vase": -1}},
            "a class weight must be a finite number of at least 0"[2:],
        ),
        ({"class_weight": {"mug": 1, "vase": float("nan")}}, "finite number"),
        ({"class_weight": "even"}, "must be \"balanced\" or give a weight.*Received: 'even'"),
        (
            {"several": True, "class_weight": "balanced"},
            "must map target names to weights, as in {'kind': 'balanced'}. "
            "Received: class_weight='balanced'",
        ),
        (
            {"several": True, "class_weight": {"sort": "balanced"}},
            r"must name existing targets.*Received: \['sort'\]",
        ),
        (
            {"several": True, "sample_weight": {"sort": "trust"}},
            r"`sample_weight` must name existing targets.*'sort'",
        ),
        (
            {"sample_weight": {"kind": "trust"}},
            "must be a column of the table or, for several targets",
        ),
        (
            {"sample_weight": np.ones(10)},
            "must be a column of the table.*Received: sample_weight of type ndarray",
        ),
        ({"sample_weight": "thrust"}, "no such column.*'thrust'"),
    ],
)
def test_wrong_weights_are_named(table, arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sequence(table, **arguments)


def test_class_weights_are_given_by_the_text_of_a_class() -> None:
    table = pd.DataFrame({"n": [1.0, 2.0], "y": [1, 2]})
    inputs, target = (
        {"n": mg.NumericLoader("n", mean=[0], scale=[1])},
        mg.ClassLabel.from_values("y", table),
    )
    for weights in ({1: 2.0, 2: 3.0}, {"1": 2.0, "2": 3.0}, {1.0: 2.0, np.int8(2): 3.0}):
        assert mg.MultimodalSequence(table, inputs, target, class_weight=weights)[0][
            2
        ].tolist() == [2.0, 3.0]
    with pytest.raises(
        ValueError,
        match=r"a weight for each class of \[1, 2\]. Received: \{1: 2.0, None: 3.0\}",
    ):
        mg.MultimodalSequence(table, inputs, target, class_weight={1: 2.0, None: 3.0})


def test_class_weights_need_a_class(table) -> None:
    inputs = {"number": mg.NumericLoader("number", mean=[0], scale=[1])}
    with pytest.raises(
        ValueError, match="needs a target with one class per row.*Received: NumericLoader"
    ):
        mg.MultimodalSequence(table, inputs, inputs["number"], class_weight="balanced")


@pytest.mark.parametrize("weights", [{0: 1.0, 1: 2.0}, {"kind": {0: 1.0, 1: 2.0}}])
def test_class_weights_of_keras_are_refused_for_several_targets_in_a_model_of_ones_own(
    table, weights: dict
) -> None:
    data = sequence(table, several=True, inputs_as="array")
    number = keras.Input((1,), name="number")
    hidden = keras.layers.Dense(2)(number)
    outputs = {name: keras.layers.Dense(2, "softmax", name=name)(hidden) for name in data.target}
    model = keras.Model(number, outputs)
    model.compile(
        "sgd", loss={name: one.loss for name, one in data.target.items()}, jit_compile=False
    )
    message = (
        r"works for a single target only.*class_weight={target: weights}.*"
        r"\['kind', 'state'\]. Received: class_weight="
    )
    with pytest.raises(ValueError, match=message):
        model.fit(data, class_weight=weights, shuffle=False, verbose=0)
    # What the error says to do works.
    data = sequence(table, several=True, inputs_as="array", class_weight={"kind": "balanced"})
    assert len(model.fit(data, shuffle=False, verbose=0).epoch) == 1


def test_weights_of_a_column_in_many_pieces_are_those_of_its_rows() -> None:
    pieces = pa.chunked_array([[str(number)] for number in range(1, 1001)], pa.large_string())
    table = pd.DataFrame({"w": pd.arrays.ArrowExtensionArray(pieces), "x": 0.0, "label": "a"})
    target = mg.ClassLabel("label", ["a", "b"])
    loader = mg.NumericLoader("x", mean=0.0, scale=1.0)
    data = mg.MultimodalSequence(table, {"x": loader}, target, batch_size=4, sample_weight="w")
    for index in (0, 249):
        assert data[index][2].tolist() == [4 * index + one for one in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"sampler": "balanced"}, r"all classes equally often.*Take one of the two. Received: sam"),
        (
            {"sampler": mg.BalancedSampler("kind")},
            r"sampler=BalancedSampler\(.*, class_weight",
        ),
        (
            {"sampler": "balanced", "class_weight": {"mug": 1, "vase": 4}},
            "class_weight for 'kind'",
        ),
    ],
)
def test_classes_that_are_balanced_twice_are_warned_of(table, more: dict, message: str) -> None:
    with pytest.warns(UserWarning, match=message):
        sequence(table, **{"class_weight": "balanced", **more})


def test_rows_drawn_by_their_sample_weight_are_warned_of(table) -> None:
    with pytest.warns(UserWarning, match="drawn by 'trust' and weighted by it too.*Received: "):
        sequence(table, sampler=mg.WeightedSampler("trust"), sample_weight="trust")


def test_a_sampler_beside_other_weights_is_nothing_to_warn_of(table) -> None:
    sequence(table, sampler="balanced", class_weight={"mug": 1, "vase": 2})
    sequence(table, sampler=mg.BalancedSampler("state"), class_weight="balanced")
    sequence(table, sampler=mg.WeightedSampler("trust"), sample_weight="doubt")
    even = table.assign(kind=["mug", "vase"] * 5)
    sequence(even, sampler="balanced", class_weight="balanced")


def test_class_weights_of_fit_over_a_balanced_sampler_are_warned_of(table) -> None:
    data = sequence(table, sampler="balanced", inputs_as="array")
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2, "softmax")])
    model.compile("sgd", loss=data.target.loss)
    weights = data.target.class_weight(table)
    with pytest.warns(UserWarning, match="the `class_weight` of `fit` makes rare ones count more"):
        model.fit(data, class_weight=weights, verbose=0)
    # Weights that say something else than the numbers of rows are one's own affair.
    model.fit(data, class_weight={0: 1.0, 1: 2.0}, verbose=0)
    model.fit(sequence(table, inputs_as="array"), class_weight=weights, verbose=0)
