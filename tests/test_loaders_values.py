from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.loaders.learning import cells_of, numbers_of, read_numbers, series_of

TABLE = pd.DataFrame(
    {
        "price": [1.0, 3.0, 8.0],
        "height": [10.0, 50.0, 60.0],
        "caption": ["a red mug", "a chair", "a mug"],
        "tags": [["new"], ["sale"], ["new", "sale"]],
        "kind": ["mug", "chair", "mug"],
    },
    index=["r", "s", "t"],
)
LEARNERS: dict[str, Callable[[Any, Any], mg.Loader]] = {
    "caption": mg.TextLoader.from_texts,
    "tags": mg.MultiLabel.from_values,
    "kind": mg.ClassLabel.from_values,
    "price": mg.NumericLoader.from_values,
    "height": mg.NumericTarget.from_values,
}


@pytest.mark.parametrize("column", list(LEARNERS))
def test_whoever_hands_in_a_table_means_its_column(column: str) -> None:
    learn = LEARNERS[column]
    assert (
        learn(column, TABLE)
        == learn(column, TABLE[column])
        == learn(column, TABLE[column].tolist())
    )
    assert learn(column, TABLE[[column]]) == learn(column, TABLE)


def test_arrays_are_learned_from_a_table_too() -> None:
    table = mg.table_from_arrays(x=np.zeros((3, 4), "uint8"))
    assert mg.ArrayLoader.from_values("x", table) == mg.ArrayLoader.from_values("x", table["x"])
    assert mg.ClassLabel("kind", ["mug", "chair"]).class_weight(TABLE) == {0: 0.75, 1: 1.5}


@pytest.mark.parametrize("learn", [*LEARNERS.values(), mg.ArrayLoader.from_values])
def test_a_table_without_the_column_is_refused_with_those_it_has(
    learn: Callable[[Any, Any], mg.Loader],
) -> None:
    with pytest.raises(
        mg.TableError,
        match=r"no such column; it has \['price', .*Did you mean 'kind'.*column='kindd'",
    ):
        learn("kindd", TABLE)


@pytest.mark.parametrize("learn", [*LEARNERS.values(), mg.ArrayLoader.from_values])
@pytest.mark.parametrize(
    ("column", "values"),
    [(TABLE["kind"], "kind"), ("kind", "a b"), ("kind", {"kind": ["a", "b"]}), (3, [1, 2])],
)
def test_the_name_comes_first_and_then_values(
    learn: Callable[[Any, Any], mg.Loader], column: object, values: object
) -> None:
    with pytest.raises(
        TypeError, match="Pass the name of a column first, and then its values.*Received: column="
    ):
        learn(column, values)


def test_several_columns_are_taken_by_name_and_nothing_else_by_its_order() -> None:
    loader = mg.NumericLoader.from_values(["height", "price"], TABLE[["price", "height"]])
    assert (loader.mean.tolist(), loader.column) == ([40.0, 4.0], ("height", "price"))
    with pytest.raises(mg.TableError, match="no such column.*Received: column='width'"):
        mg.NumericLoader.from_values(["height", "width"], TABLE)
    with pytest.raises(TypeError, match="Pass the name of a column first.*values=dict"):
        mg.NumericLoader.from_values(["a", "b"], {"b": [1.0], "a": [2.0]})
    with pytest.raises(ValueError, match=r"one column for each name.*\['a', 'b'\], 1 column"):
        mg.NumericLoader.from_values(["a", "b"], TABLE["price"])
    with pytest.raises(TypeError, match="Pass the name of a column first"):
        numbers_of([], TABLE)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2.5], [[1.0], [2.5]]),
        (pd.Series(["1", "2.5"]), [[1.0], [2.5]]),
        (pd.Series([1, None], dtype="Int64"), [[1.0], [np.nan]]),
        (pd.Series([1, pd.NA], dtype=object), [[1.0], [np.nan]]),
        ([True, False], [[1.0], [0.0]]),
        ([(1, 2), (3, 4)], [[1.0, 2.0], [3.0, 4.0]]),
        ([[1, None], None], [[1.0, np.nan], [np.nan, np.nan]]),
        (np.array([[1], [2]]), [[1.0], [2.0]]),
    ],
)
def test_numbers_come_in_many_forms(values: object, expected: list[list[float]]) -> None:
    numbers = numbers_of("price", values)
    assert numbers.dtypes.tolist() == ["float64"] * len(expected[0])
    np.testing.assert_array_equal(numbers.to_numpy(), expected)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            ["1", "12,50"],
            r"'12,50' has a decimal comma: `.*\.str\.replace\(',', '.'\)\)`. Received: '12,50' at "
            r"index 1,",
        ),
        (
            ["1", "1,234"],
            r"'1,234' is 1234 where .* and 1.234 where .*Received: '1,234' at index 1, column "
            r"'price'",
        ),
        (
            ["1", "-1,234,567.5"],
            r"commas as thousands separators: .*replace\(',', ''\).*Received: '-1,234,567.5' at",
        ),
        (["1", "1_000"], r"errors=\"coerce\"\)`.*Received: '1_000' at index 1"),
        (
            pd.Series(["1", "2", "dear"], index=["q", "r", "s"]),
            "must be numbers. 1 of 3 cells of 'price' is not a number: fix .*Received: 'dear' at "
            "index 's'",
        ),
        (pd.to_datetime(["2020", "2021"]), r"'price' holds dates or times.*Received: Timestamp\("),
    ],
)
def test_what_is_no_number_is_named_by_its_row_with_the_way_out(
    values: object, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        numbers_of("price", values)
    with pytest.raises(
        ValueError, match=r"The values of 'b' must be numbers\. .*Received: 'x' at index 0"
    ):
        numbers_of(["a", "b"], [(1, "x")])


def test_a_loader_of_numbers_sends_arrays_to_the_loader_of_arrays() -> None:
    table = mg.table_from_arrays(y=np.ones((3, 2)), one=np.ones((3, 1)))
    with pytest.raises(
        ValueError,
        match=r"read by `ArrayLoader.from_values\('y', ...\)`. Received: 2 numbers per row for",
    ):
        mg.NumericLoader.from_values("y", table)
    one = mg.NumericLoader.from_values("one", table)
    assert one.read(table["one"].iloc[0]).tolist() == [0.0]
    with pytest.raises(
        mg.LoadError,
        match=r"expected one number. .*a decimal comma; if every row does.*Received: '1,5'",
    ):
        one.read("1,5")


def test_cells_of_numbers_are_read_one_by_one() -> None:
    assert read_numbers((1, "2.5", True), 3).tolist() == [1.0, 2.5, 1.0]
    assert read_numbers(np.array([1.0, 2.0]), 2).tolist() == [1.0, 2.0]
    assert np.isnan(read_numbers(None, 2)).all()
    assert np.isnan(read_numbers((1, pd.NA), 2)).tolist() == [False, True]


def test_an_array_with_several_axes_is_a_series_of_arrays_and_a_series_stays_what_it_is() -> None:
    rows = np.arange(6).reshape(3, 2)
    assert [cell.tolist() for cell in series_of("y", rows)] == rows.tolist()
    kind = TABLE["kind"]
    assert series_of("kind", kind) is kind
    assert cells_of("y", rows) is rows
    assert cells_of("kind", TABLE).index.tolist() == ["r", "s", "t"]


@pytest.mark.parametrize("cell", [1e60, -1e60, "1.7976931348623157e308", np.float64(3.5e38)])
def test_numbers_that_float32_does_not_hold_are_errors_and_not_infinite(cell: Any) -> None:
    for loader in (mg.NumericLoader("price", mean=[0.0], scale=[1.0]), mg.NumericTarget("price")):
        with pytest.raises(
            mg.LoadError, match="too large for float32, as some placeholders for missing values are"
        ):
            loader.read(cell)
    assert mg.NumericLoader("price", mean=[0.0], scale=[1e38]).read(3.5e38) == np.float32(3.5)
    table = pd.DataFrame({"price": [1.0], "weight": [cell]})
    inputs = {"price": mg.NumericLoader("price", mean=[0.0], scale=[1.0])}
    sequence = mg.MultimodalSequence(
        table, inputs, mg.NumericTarget("price"), batch_size=1, sample_weight="weight"
    )
    with pytest.raises(
        mg.LoadError, match="index 0, column 'weight'.*finite float32 number of at least 0"
    ):
        sequence[0]


def test_a_column_named_twice_is_refused_by_all_that_learn_from_several() -> None:
    table = pd.DataFrame({"x": [0, 1], "y": [1, 0]})
    for learn in (
        mg.MultiLabel.from_values,
        mg.NumericLoader.from_values,
        mg.NumericTarget.from_values,
    ):
        for values in (table, table.to_numpy()):
            with pytest.raises(
                ValueError, match=r"'x' appears twice\. Received: column=\['x', 'x'\]"
            ):
                learn(["x", "x"], values)


@pytest.mark.parametrize("cells", [[b"a", "a", "b"], ["a", "b", b"b"]])
def test_a_class_that_is_bytes_is_refused_with_its_row_and_a_line_that_decodes_it(
    cells: list[object],
) -> None:
    table = pd.DataFrame({"y": cells}, index=["r", "s", "t"])
    row = next(label for label, cell in table["y"].items() if isinstance(cell, bytes))
    with pytest.raises(ValueError, match=f"not bytes.* at index {row!r} of 'y'") as caught:
        mg.ClassLabel.from_values("y", table)
    exec(str(caught.value).split("`")[1], {"table": table})
    assert mg.ClassLabel.from_values("y", table).class_names == ("a", "b")


@pytest.mark.parametrize("texts", [["True", "False", "True"], ["true", "false", "TRUE"]])
def test_the_text_of_a_truth_value_is_its_number(texts: list[str]) -> None:
    # A csv file read as text and as pandas reads it.
    for learn in (mg.NumericLoader.from_values, mg.NumericTarget.from_values):
        learned = learn("flag", pd.Series(texts))
        assert learned == learn("flag", pd.Series([True, False, True]))
        assert learned.read(texts[0]) == learned.read(True) == learned.read("1")
        assert learned.read((texts[1],)) == learned.read(False) != learned.read(texts[2])
    table = pd.DataFrame({"flag": texts, "x": [1.0, 2.0, 3.0]})
    assert mg.WeightedSampler("flag").weights(table).tolist() == [1, 0, 1]
    number = mg.NumericLoader("x", mean=0.0, scale=1.0)
    data = mg.MultimodalSequence(
        table,
        {"x": number},
        mg.NumericTarget("x"),
        batch_size=3,
        sample_weight="flag",
    )
    assert data[0][2].tolist() == [1, 0, 1]
    assert mg.ArrayLoader("flag", shape=(), dtype="bool").read(texts[0]).tolist() is True


def test_a_column_of_truth_values_and_words_is_told_by_its_words() -> None:
    with pytest.raises(ValueError, match="1 of 4 cells of 'flag' is not a number"):
        mg.NumericLoader.from_values("flag", ["True", "False", "perhaps", "0.5"])
