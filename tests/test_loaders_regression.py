from __future__ import annotations

import keras
import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.loaders.targets.numbers import NumericTarget


def test_training_sees_standardised_numbers_and_predictions_are_in_the_tables_units() -> None:
    values = pd.Series([10.0, 20.0, 60.0])
    target = NumericTarget.from_values("price", values)
    rows = np.stack([target.read(value) for value in values])
    assert rows.mean() == pytest.approx(0, abs=1e-6)
    assert rows.std() == pytest.approx(1, abs=1e-6)
    columns = target.decode_outputs(rows)
    assert list(columns) == ["price"]
    assert columns["price"] == pytest.approx([10, 20, 60])
    assert target.unscale(rows) == pytest.approx(values.to_numpy()[:, None])


def test_without_standardising_numbers_are_left_as_they_are() -> None:
    target = NumericTarget.from_values("price", [3, 4], standardize=False)
    assert target == NumericTarget("price")
    assert target.read(3).tolist() == [3.0]
    constant = NumericTarget.from_values("price", [5, 5])
    assert (constant.mean.tolist(), constant.scale.tolist()) == ([5.0], [1.0])


def test_several_columns_are_one_target() -> None:
    frame = pd.DataFrame({"width": [1.0, 3.0], "height": [10.0, 50.0]})
    target = NumericTarget.from_values(["width", "height"], frame)
    assert target.spec == mg.ArraySpec((2,), "float32", "vector")
    assert (target.units, target.activation) == (2, None)
    assert target.read((3.0, 10.0)).tolist() == [1.0, -1.0]
    columns = target.decode_outputs(np.array([[1.0, -1.0]]))
    assert {name: column.tolist() for name, column in columns.items()} == {
        "width": [3.0],
        "height": [10.0],
    }
    mg.check_loader(target, [(1.0, 2.0), (np.float32(3), 4)])
    mg.check_loader(NumericTarget("price", mean=2.0, scale=3.0), [1, 2.5])


@pytest.mark.parametrize("cell", [None, float("nan"), float("inf"), pd.NA])
def test_a_missing_or_infinite_value_is_an_error_with_the_way_out(cell: object) -> None:
    with pytest.raises(
        mg.LoadError, match=r"missing or infinite.*`table.dropna\(subset=\['price'\]\)`.*Received: "
    ):
        NumericTarget("price").read(cell)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (
            "cheap",
            r"expected one number. .*`pd.to_numeric\(table\[column\], errors=\"coerce\"\)`.*"
            r"Received: 'cheap'",
        ),
        (
            "12,50",
            r"expected one number. .*a decimal comma; if every row does: .*pd.to_numeric\(.*"
            r"Received: '12,50'",
        ),
        ((1.0, 2.0), r"expected one number. Received: \(1.0, 2.0\)"),
        ([1.0, 2.0], r"expected one number. Received: "),
        (np.ones((1, 1)), r"expected one number. Received: array"),
        ({}, r"expected one number. Received: {}"),
    ],
)
def test_what_is_no_number_is_an_error(cell: object, message: str) -> None:
    with pytest.raises(mg.LoadError, match=message):
        NumericTarget("price").read(cell)


def test_columns_are_taken_by_name_whatever_their_order_in_the_table() -> None:
    table = pd.DataFrame({"price": [1.0, 3.0], "height": [10.0, 50.0], "kind": ["a", "b"]})
    target = NumericTarget.from_values(["height", "price"], table)
    assert (target.mean.tolist(), target.scale.tolist()) == ([30.0, 2.0], [20.0, 1.0])
    assert NumericTarget.from_values("price", table) == NumericTarget.from_values(
        "price", table["price"]
    )
    assert NumericTarget.from_values(["price"], table).mean.tolist() == [2.0]


@pytest.mark.parametrize("kind", ["series", "table", "array", "list", "lists"])
def test_cells_of_one_column_may_hold_several_numbers(kind: str) -> None:
    numbers = np.array([[0.0, 10.0], [4.0, 30.0]])
    table = mg.table_from_arrays(box=numbers)
    forms = {
        "series": table["box"],
        "table": table,
        "array": numbers,
        "list": list(numbers),
        "lists": pd.Series(numbers.tolist()),
    }
    target = NumericTarget.from_values("box", forms[kind])
    assert target == NumericTarget("box", mean=[2, 20], scale=[2, 10], units=2)
    assert (target.spec.shape, target.units) == ((2,), 2)
    columns = target.decode_outputs(np.array([[1.0, -1.0]]))
    assert {name: column.tolist() for name, column in columns.items()} == {
        "box_0": [4.0],
        "box_1": [10.0],
    }
    assert "box_1.r2" in target.score(np.eye(2), np.eye(2))
    mg.check_loader(target, [table["box"].iloc[0], [1, 2.5], (3, 4)])


def test_a_table_of_arrays_is_predicted_in_a_column_for_each_number() -> None:
    table = mg.table_from_arrays(
        x=np.arange(6.0), box=np.arange(12.0).reshape(6, 2), one=np.arange(6.0)[:, None]
    )
    inputs = {"x": mg.NumericLoader.from_values("x", table["x"])}
    for column, names in (("box", ["box_0", "box_1"]), ("one", ["one"])):
        target = NumericTarget.from_values(column, table[column])
        _, truth = mg.MultimodalSequence(table, inputs, target, batch_size=6)[0]
        assert target.unscale(truth) == pytest.approx(np.stack(table[column]), abs=1e-5)
        bundle = mg.Bundle(mg.build_fusion_classifier(inputs, target), inputs, target)
        assert list(bundle.predict(table)) == names
    assert NumericTarget.from_values("box", table, standardize=False) == NumericTarget(
        "box", units=2
    )


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: NumericTarget([]), r"one or more different names. Received: column=\[\]"),
        (lambda: NumericTarget(["a", "a"]), "one or more different names"),
        (
            lambda: NumericTarget("a", mean=[1, 2]),
            r"`mean` must be one finite number. Received: mean=\[1, 2\]",
        ),
        (
            lambda: NumericTarget("a", scale=0),
            r"`scale` must be one finite number above 0. Received: scale=0",
        ),
        (lambda: NumericTarget("a", scale=float("nan")), "`scale` must be"),
        (
            lambda: NumericTarget.from_values("price", pd.Series([1.0, None], index=[7, 8])),
            r"drop such rows with `table.dropna\(subset=\['price'\]\)`.*missing value at index 8 "
            r"of 'price'",
        ),
        (
            lambda: NumericTarget.from_values("price", pd.Series([1.0, np.inf], index=[7, 8])),
            "must be finite.*Received: an infinite value at index 8 of 'price'",
        ),
        (
            lambda: NumericTarget.from_values(
                ["a", "b"], pd.DataFrame({"a": [1.0, 2.0], "b": [None, None]})
            ),
            "is 'b' the right column.*Received: all of 2 values are missing in 'b'",
        ),
        (
            lambda: NumericTarget.from_values("price", pd.Series([], dtype="float64")),
            "Received: no values in 'price'",
        ),
        (
            lambda: NumericTarget.from_values("price", ["cheap"]),
            r"values of 'price' must be numbers\. .*Received: 'cheap'",
        ),
        (
            lambda: NumericTarget.from_values(["a", "b"], np.ones((3, 3))),
            r"\['a', 'b'\], 3 columns of values",
        ),
        (
            lambda: NumericTarget.from_values(["a"], [[1, 2], [3, 4]]),
            r"\['a'\], 2 columns of values",
        ),
        (
            lambda: NumericTarget.from_values(["a", "c"], pd.DataFrame({"a": [1], "b": [2]})),
            r"no such column; it has \['a', 'b'\]. Received: column='c'",
        ),
        (
            lambda: NumericTarget.from_values("y", pd.Series([[1, 2], [3]], index=[7, 8])),
            r"use `InputTarget\(ArrayLoader.*separate columns. Received: shape \(1,\) at "
            r"index 8",
        ),
        (
            lambda: NumericTarget.from_values("y", np.ones((3, 2, 2))),
            r"`InputTarget\(.*Received: shape \(2, 2\) at in",
        ),
        (
            lambda: NumericTarget.from_values("y", [[1, 2], [[1], [2, 3]]]),
            "Received: lists of unequal lengths at index 1",
        ),
        (
            lambda: NumericTarget.from_values("y", [[1, 2], None]),
            "drop such rows.*missing value at index 1 of 'y'",
        ),
        (
            lambda: NumericTarget.from_values("y", [[1, 2], [3, np.nan]]),
            "must be finite.*NaN at index 1 of 'y'",
        ),
        (
            lambda: NumericTarget.from_values("y", [[1, 2], [3, "x"]]),
            r"values of 'y' must be numbers\. .*Received: 'x' at index 1",
        ),
        (
            lambda: NumericTarget("a", units=0),
            "`units` must be a positive integer. Received: units=0",
        ),
        (
            lambda: NumericTarget(["a", "b"], units=3),
            "With several columns, each holds one number.*units=3",
        ),
    ],
)
def test_targets_that_make_no_sense_are_refused(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_rows_of_weight_zero_do_not_count_in_the_loss() -> None:
    truth = np.array([[1.0, 2.0], [3.0, 5.0]], "float32")
    loss = NumericTarget(["a", "b"]).loss(
        truth, np.zeros((2, 2), "float32"), sample_weight=np.array([1.0, 0.0])
    )
    assert float(keras.ops.convert_to_numpy(loss)) == pytest.approx(2.5)


def test_metrics_are_the_two_errors() -> None:
    values = {}
    for metric in NumericTarget("price").metrics:
        metric.update_state(np.array([[0.0], [0.0]]), np.array([[3.0], [-1.0]]))
        values[metric.name] = float(keras.ops.convert_to_numpy(metric.result()))
    assert values == pytest.approx({"mean_absolute_error": 2.0, "root_mean_squared_error": 5**0.5})


def test_scores_are_those_of_scikit_learn_in_the_tables_units() -> None:
    from sklearn import metrics

    rng = np.random.default_rng(0)
    values = 100 + 30 * rng.normal(size=(40, 2))
    target = NumericTarget.from_values(["a", "b"], values)
    truth = np.stack([target.read(tuple(row)) for row in values])
    outputs = (0.8 * truth + 0.1 * rng.normal(size=truth.shape)).astype("float32")
    predicted = target.unscale(outputs)
    scores = target.score(truth, outputs)
    assert len(scores) == 6
    for position, name in enumerate("ab"):
        pair = values[:, position], predicted[:, position]
        assert scores[f"{name}.mean_absolute_error"] == pytest.approx(
            metrics.mean_absolute_error(*pair), rel=1e-5
        )
        assert scores[f"{name}.root_mean_squared_error"] == pytest.approx(
            metrics.root_mean_squared_error(*pair), rel=1e-5
        )
        assert scores[f"{name}.r2"] == pytest.approx(metrics.r2_score(*pair), rel=1e-5)
    single = NumericTarget("a").score(np.array([[1.0], [1.0]]), np.array([[1.0], [2.0]]))
    assert list(single) == ["mean_absolute_error", "root_mean_squared_error", "r2"]
    assert single["mean_absolute_error"] == 0.5
    assert np.isnan(single["r2"])
