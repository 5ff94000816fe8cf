from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from multimodal_gen.rows.cell_numbers import (
    cell_number,
    column_numbers,
    number_or_cell,
    readable_numbers,
)
from multimodal_gen.rows.cells import cell_text, column_texts, is_blank, is_missing


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("00012", "00012"),
        (" 1.0 ", " 1.0 "),
        ("", ""),
        (np.str_("a"), "a"),
        (0, "0"),
        (1.0, "1"),
        (-0.0, "0"),
        (np.float32(0.1), "0.1"),
        (0.1, "0.1"),
        (np.int8(-3), "-3"),
        (1234567890123456789, "1234567890123456789"),
        (np.uint64(2**64 - 1), "18446744073709551615"),
        (1e300, "1e+300"),
        (float("inf"), "inf"),
        (Decimal("1.00"), "1"),
        (Decimal("0.50"), "0.5"),
        (Decimal("1E+3"), "1000"),
        (True, "True"),
        (np.False_, "False"),
        (np.array(7), "7"),
        (datetime.date(2020, 1, 2), "2020-01-02"),
    ],
)
def test_a_cell_has_one_text(cell: Any, text: str) -> None:
    assert cell_text(cell) == text
    assert type(cell_text(cell)) is str
    assert column_texts(pd.Series([cell], dtype=object)).tolist() == [text]


@pytest.mark.parametrize(
    "cell", [["a"], ("a", "b"), {"a": 1}, {"a"}, np.array([1]), b"a", bytearray(b"a")]
)
def test_what_is_not_one_value_has_no_text(cell: Any) -> None:
    with pytest.raises(
        TypeError, match=r"Only a single value, such as a text or a number, has a text. Received: "
    ):
        cell_text(cell)
    column = pd.Series(["a", cell], index=["first", "second"], name="label")
    with pytest.raises(TypeError, match="at index 'second', column 'label'"):
        column_texts(column)


@pytest.mark.parametrize(
    "cell", [None, float("nan"), np.float32("nan"), pd.NA, pd.NaT, Decimal("nan")]
)
def test_a_missing_cell_has_no_text(cell: Any) -> None:
    assert is_missing(cell)
    with pytest.raises(TypeError, match="missing cell has no text"):
        cell_text(cell)
    assert column_texts(pd.Series(["a", cell], dtype=object)).tolist() == ["a", None]


LONG = 1234567890123456789


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pd.Series([1, 2]), ["1", "2"]),
        (pd.Series([1, None]), ["1", None]),
        (pd.Series([LONG, None, LONG + 1], dtype="Int64"), [str(LONG), None, str(LONG + 1)]),
        (pd.Series([LONG, None], dtype=pd.ArrowDtype(pa.int64())), [str(LONG), None]),
        (pd.Series(["1", None], dtype="string"), ["1", None]),
        (pd.Series(["1", None], dtype=pd.ArrowDtype(pa.string())), ["1", None]),
        (pd.Series([True, None], dtype="boolean"), ["True", None]),
        (pd.Series([1.0, None, 2.0]).astype("category"), ["1", None, "2"]),
        (pd.Series(["b", "a", None]).astype("category"), ["b", "a", None]),
        (pd.Series([1, True, "1", 1.0, 0.5], dtype=object), ["1", "True", "1", "1", "0.5"]),
        (pd.Series([], dtype=object), []),
    ],
)
def test_the_texts_of_a_column_do_not_depend_on_its_type(
    column: pd.Series, texts: list[str | None]
) -> None:
    assert column_texts(column).tolist() == texts
    assert [None if is_missing(cell) else cell_text(cell) for cell in column] == texts


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("0.50", 0.5),
        (" -3 ", -3.0),
        ("1e3", 1000.0),
        ("0.1", 0.1),
        (3, 3.0),
        (np.float32(0.5), 0.5),
        (Decimal("1.25"), 1.25),
        (True, 1.0),
        ("True", 1.0),
        ("FALSE", 0.0),
        (" false", 0.0),
    ],
)
def test_a_number_is_read_from_its_text(cell: Any, number: float) -> None:
    assert cell_number(cell) == number
    assert column_numbers(pd.Series([cell, None], dtype=object)).tolist()[0] == number


@pytest.mark.parametrize(
    "cell", ["1,234", "1,5", "dear", "", "1_000", b"1", [1], pd.Timestamp("2020-01-01")]
)
def test_what_is_not_a_number_is_named_by_row_and_column(cell: Any) -> None:
    with pytest.raises(ValueError, match="Received: "):
        cell_number(cell)
    with pytest.raises(ValueError, match="Received: .* at index 'b', column 'price'"):
        column_numbers(pd.Series(["1", cell], index=["a", "b"], name="price", dtype=object))


@pytest.mark.parametrize("cell", ["1,234", "12,345,678", "-1,234.50"])
def test_a_comma_before_three_digits_is_never_taken_for_a_decimal_sign(cell: str) -> None:
    with pytest.raises(
        ValueError, match="commas as thousands separators|where commas separate thousands"
    ) as refused:
        cell_number(cell)
    assert "'.'" not in str(refused.value)


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([1, 2, None]),
        pd.Series([1, 2, None], dtype="Int64"),
        pd.Series(["1", "2.0", None]),
        pd.Series(["1", "2", None], dtype=pd.ArrowDtype(pa.string())),
        pd.Series([1, 2, None], dtype=pd.ArrowDtype(pa.int64())),
    ],
)
def test_numbers_of_a_column_do_not_depend_on_its_type(column: pd.Series) -> None:
    np.testing.assert_array_equal(column_numbers(column), [1.0, 2.0, np.nan])


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("12", 12),
        (" -3 ", -3),
        ("0.5", 0.5),
        ("1e3", 1000.0),
        ("1.npy", "1.npy"),
        ("nan", "nan"),
        ("True", True),
    ],
)
def test_a_text_that_is_a_number_is_told_from_a_path(cell: str, number: Any) -> None:
    assert number_or_cell(cell) == number and type(number_or_cell(cell)) is type(number)
    assert number_or_cell("9" * 5000) == "9" * 5000


def test_numbers_that_can_be_read_stand_beside_those_that_cannot() -> None:
    column = pd.Series(["True", "0.5", "dear", None, [1]], index=list("abcde"), name="price")
    np.testing.assert_array_equal(
        readable_numbers(column), [1.0, 0.5, np.nan, np.nan, np.nan], strict=True
    )


@pytest.mark.parametrize("cell", ["", "  ", "\t\n", "\u00a0", None, float("nan")])
def test_a_cell_without_a_sign_names_nothing(cell: Any) -> None:
    assert is_blank(cell) and not is_blank("-") and not is_blank(0) and not is_blank([])
