"""What is said of a column that should hold numbers and does not: the advice works, and makes no
number another one.
"""

from __future__ import annotations

import datetime
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.rows.number_advice import advice_on


def refused(cells: Any) -> str:
    with pytest.raises(ValueError, match="The values of 'n' must be numbers") as caught:
        mg.NumericLoader.from_values("n", pd.DataFrame({"n": cells}))
    with pytest.raises(ValueError, match="The values of 'n' must be numbers"):
        mg.NumericTarget.from_values("n", pd.DataFrame({"n": cells}))
    return str(caught.value)


def follow(message: str, table: pd.DataFrame) -> pd.DataFrame:
    """The table once the first line of code in a message has been run."""
    code = re.findall("`(table.*?)`", message)[0]
    scope = {"table": table.copy(), "pd": pd}
    exec(code, scope)
    return scope["table"]


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["0,5", "12,50", None, "7"], [0.5, 12.5, np.nan, 7.0]),
        (["1,234.50", "1,234", "12.25"], [1234.5, 1234.0, 12.25]),
        (["1,234,567", "-1,000"], [1234567.0, -1000.0]),
        (["1.234,50", "12,5", "1.234"], [1234.5, 12.5, 1234.0]),
        (["1.234.567", "2"], [1234567.0, 2.0]),
        (["1", "2", "3", "dear"], [1.0, 2.0, 3.0, np.nan]),
        (["$9.99", "$19.99", "$29.99"] * 20, [9.99, 19.99, 29.99] * 20),
        (["US$5", "-US$7.5", None], [5.0, -7.5, np.nan]),
        (["1.5 kg", "2 kg", "1.5 kg"], [1.5, 2.0, 1.5]),
        (["10%", "12.5%"], [10.0, 12.5]),
        (["1 234,50", "12,5"], [1234.5, 12.5]),
        (["1\u202f234,50 €", "7 €"], [1234.5, 7.0]),
        (["$1,234.50", "$3"], [1234.5, 3.0]),
        (["$5", "7", "8"], [5.0, 7.0, 8.0]),
        (["$5", 7, 8.5, None], [5.0, 7.0, 8.5, np.nan]),
        (["12,50", 9.75, 7, None], [12.5, 9.75, 7.0, np.nan]),
        (["1.234,50", 1299.5, 7], [1234.5, 1299.5, 7.0]),
        (["1 234,50 \u20ac", 12.5], [1234.5, 12.5]),
    ],
)
def test_advice_on_how_numbers_are_written_gives_those_that_were_meant(
    cells: list[Any], numbers: list[float]
) -> None:
    table = pd.DataFrame({"n": cells})
    message = refused(cells)
    np.testing.assert_array_equal(follow(message, table)["n"].astype("float64"), numbers)
    assert ("coerce" in message) == ("dear" in cells)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (
            ["1,234", "12"],
            r"'1,234' is 1234 where commas separate thousands, and 1.234 where they are decimal",
        ),
        (["1,234", "2.5"], r"'1,234' is 1234 where"),
        (
            ["0,5", "12.5"],
            r"do not always mean the same, as in '0,5' and '12.5': fix them by hand",
        ),
        (["1.234,50", "12.5"], r"'1.234,50' and '12.5'"),
        (["1,234.5", "12,5"], r"'1,234.5' and '12,5'"),
    ],
)
def test_where_a_comma_may_mean_either_no_line_is_advised_that_settles_it(
    cells: list[str], message: str
) -> None:
    said = refused(cells)
    assert re.search(message, said)
    assert "replace" not in said and "coerce" not in said


def test_categories_become_columns_of_zeros_and_ones() -> None:
    table = pd.DataFrame({"n": ["red", "blue", "red"]})
    message = refused(table["n"])
    assert "'n' holds categories, 2 different ones" in message and "coerce" not in message
    assert "`CategoryLoader.from_values('n', ...)` (`--category n`)" in message
    made = follow(message, table)
    loader = mg.NumericLoader.from_values(["n_blue", "n_red"], made)
    assert loader.mean.tolist() == pytest.approx([1 / 3, 2 / 3])


@pytest.mark.parametrize(
    "cells",
    [
        pd.date_range("2024-01-01", periods=3),
        pd.date_range("2024-01-01", periods=3).astype(str),
        ["01.02.2024", "2.3.24", None],
        ["2024-01-01T12:30:00", "2024-01-02 13:00", "2024/1/3"],
        ["12:30", "7:45:10"],
        [datetime.date(2024, 1, 1), None],
    ],
)
def test_dates_become_days_and_hours(cells: Any) -> None:
    table = pd.DataFrame({"n": cells})
    message = refused(table["n"])
    assert "'n' holds dates or times" in message and "coerce" not in message
    # It reads no times without a date, and no years of two digits.
    advised = "`DateLoader.from_values('n', ...)` (`--date n`)" in message
    assert advised == (not {"12:30", "2.3.24"} & set(map(str, cells)))
    scope = {"table": table, "pd": pd}
    exec(re.findall("`(dates = .*?)`", message)[0], scope)
    for code in re.findall(r"`([^`]*dates[^`=]*)`", message):
        assert np.isfinite(eval(code, scope).dropna().astype("float64")).all()


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["(5)", "(7)"], r"as in '\(5\)', which may change their meaning: write plain numbers"),
        (["<5", "<7"], "which may change their meaning"),
        (
            ["1.5 kg", "200 g", "3 kg"],
            "which differs between cells \\('kg' and 'g'\\): convert them to one unit",
        ),
        (
            ["$5", "unknown", "$7"],
            "as in '\\$5', and 1 of 3 cells does not hold a number: fix it, and",
        ),
        (["A1", "B2", "C3"], "holds categories, 3 different ones"),
        (["3rd", "1st", "2nd"], "holds categories, 3 different ones"),
        (
            [f"{chr(97 + one % 26)} word {'x' * one}" for one in range(200)],
            r"`TextLoader.from_texts\('n', \.\.\.\)`",
        ),
        (
            ["Riva Carpets"] + ["3.5"] * 9,
            r"^1 of 10 cells of 'n' is not a number: fix it, or read such cells as missing",
        ),
    ],
)
def test_texts_are_named_as_such(cells: list[str], message: str) -> None:
    assert re.search(message, advice_on(pd.Series(cells, name="n")))


def test_a_single_cell_is_named_by_what_stands_there() -> None:
    loader = mg.NumericLoader("n", mean=[0], scale=[1])
    for cell, message in (
        ("1,234", "is 1234 where"),
        ("$5", r"if every row does, remove it with .*str\.replace\('\$', ''\)"),
        ("1 234,50", "has a decimal comma; if every row does"),
        ("1.234,50", "has points as thousands separators and a decimal comma; if every row does"),
        ("2024-01-01", "It is a date or a time"),
        ("dear", 'read such cells as missing with `pd.to_numeric.table.column., errors="coerce".`'),
    ):
        with pytest.raises(
            mg.LoadError,
            match=rf"expected one number\. .*{message}.*Received: '{re.escape(cell)}'",
        ):
            loader.read(cell)


@pytest.mark.parametrize("cell", ["nan", "NaN", "-nan", " NAN "])
def test_the_text_nan_is_not_a_missing_number(cell: str) -> None:
    table = pd.DataFrame({"n": ["1", cell, "2"]})
    with pytest.raises(ValueError, match=rf"1 of 3 cells .*Received: {cell!r} at index 1"):
        mg.NumericLoader.from_values("n", table, missing="mean")
    loader = mg.NumericLoader.from_values("n", table.loc[[0, 2]], missing="mean")
    with pytest.raises(mg.LoadError, match=f"Received: {cell!r}"):
        loader.read(cell)
    assert loader.read(None).tolist() == [0.0]


@pytest.mark.parametrize(("cell", "number"), [("1.299,00 \u20ac", 1299.0), ("12,50", 12.5)])
def test_advice_on_one_cell_leaves_cells_that_are_numbers_already(cell: str, number: float) -> None:
    table = pd.DataFrame({"column": [cell, 9.75]}, dtype=object)
    with pytest.raises(ValueError, match="pd.to_numeric") as caught:
        mg.NumericTarget("column").read(cell)
    code = re.findall("`(table.*?)`", str(caught.value))[0]
    scope = {"table": table, "pd": pd, "column": "column"}
    exec(code, scope)
    assert table["column"].tolist() == [number, 9.75]


def test_advice_on_few_bad_cells_makes_no_truth_value_missing() -> None:
    message = refused(["True", "false", "1", "dear"])
    assert "fix it, or empty such cells" in message and "coerce" not in message
