"""What targets with class names share: which cells are names, their order, and what is not one."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.errors import LoadError, shown
from multimodal_gen.loaders.learning import series_of
from multimodal_gen.rows.cells import cell_text
from multimodal_gen.rows.chunks import chunks_of

_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)")
# Numbers, also as they are written in prices.
_AMOUNT = re.compile(
    r"[-+]?[$€£¥]? ?(\d+|\d{1,3}([ ,.']\d{3})+)?([.,]\d+)?([eE][-+]?\d+)? ?[$€£¥%]?"
)
# Numbers with a unit before or after: "52.61 EUR", "$9.99", "12kg". Letters before the number need
# a space, otherwise it is a code.
_MEASURE = re.compile(
    r"([^\W\d_]{1,4} |[^\w\s+.,-] ?)?"
    r"[-+]?(?:(?:\d{1,3}(?:[ ,.']\d{3})+|\d*)[.,]\d+|\d+)"
    r"( ?[^\d\s,.]{1,6})?"
)
_MOST_UNITS = 3
# A class number may be written as 3.0 if a column of whole numbers had a gap.
_WHOLE = re.compile(r"[-+]?\d+([.,]0*)?")
# With this many different numbers, a column is more likely measured than classes.
_MANY = 20


def checked_names(names: Iterable[Any], column: str | Sequence[str], least: int) -> tuple[Any, ...]:
    """Class names as plain Python values.

    Args:
        names: The names.
        column: The column they are for, to name in errors.
        least: How many there must be.

    Raises:
        ValueError: If there are too few, two have the same text, or one is neither a string nor a
            number nor a boolean, or is blank.
    """
    plain = tuple(plain_name(name) for name in names)
    for name in plain:
        if not isinstance(name, str | int):
            raise ValueError(
                "A class must be a string, a number or a boolean; convert the column with "
                f"`.astype('string')`. Received: {name!r} of type {type(name).__name__} in "
                f"{column!r}"
            )
        if isinstance(name, str) and not name.strip():
            raise ValueError(
                "A class must not be empty or blank: a blank cell is a missing label. "
                f"Received: class_names={plain!r} for column {column!r}"
            )
    if len(set(map(cell_text, plain))) != len(plain) or len(plain) < least:
        number = "two" if least == 2 else "one"
        raise ValueError(
            f"`class_names` must be {number} or more different classes. "
            f"Received: class_names={plain!r} for column {column!r}"
        )
    return plain


def plain_name(name: Any) -> Any:
    """Return a NumPy scalar as a Python value, and a float or decimal as an integer or its text."""
    name = name.item() if isinstance(name, np.generic) else name
    if isinstance(name, float | Decimal) and math.isfinite(name):
        text = cell_text(name)
        return int(text) if text.removeprefix("-").isdigit() else text
    return name


def sorted_names(cells: Iterable[Any], column: str | Sequence[str]) -> list[Any]:
    """The distinct class names among cells, by text, sorted: numbers by size, texts by letters.

    Where cells are of several types, such as numbers and texts, the names are their texts.

    Args:
        cells: Cells that are not missing.
        column: The column they are from, to name in errors.

    Raises:
        ValueError: If a cell is not a single value.
    """
    found: dict[str, Any] = {}
    for cell in cells:
        try:
            found.setdefault(cell_text(cell), plain_name(cell))
        except TypeError as error:
            raise ValueError(f"{error} in {column!r}") from None
    kinds = set(map(type, found.values()))
    # Python cannot sort texts together with numbers.
    if len(kinds) > 1 and kinds <= {str, int, bool}:
        found = {text: text for text in found}
    if all(map(_NUMBER.fullmatch, found)):
        # Exactly, where floats would take numbers of many digits for equal.
        return [found[text] for text in sorted(found, key=lambda text: (Decimal(text), text))]
    return [found[text] for text in sorted(found)]


def different_cells(series: pd.Series) -> list[Any]:
    """One cell per distinct text of a column; for a categorical, only those in use."""
    found: dict[str, Any] = {}
    for part in chunks_of(series):
        # Not by equality, by which 1 and True are the same, where cells are of several types.
        several = isinstance(part.dtype, pd.CategoricalDtype) or (
            part.dtype == object and pd.api.types.infer_dtype(part, skipna=True) != "string"
        )
        for cell in part.tolist() if several else part.unique().tolist():
            found.setdefault(cell_text(cell), cell)
    return list(found.values())


def hold_amounts(texts: Sequence[str]) -> bool:
    """Whether all texts are numbers, some with unit or decimal comma: "52.61 EUR", "3,99"."""
    found = [_MEASURE.fullmatch(text.strip()) for text in texts]
    if not found or not all(found):
        return False
    units = {((one[1] or "").strip(), (one[2] or "").strip()) for one in found if one is not None}
    commas = any("," in text for text in texts)
    return len(units) <= _MOST_UNITS and (commas or units != {("", "")})


def refuse_numbers(names: Sequence[Any], rows: int, column: str) -> None:
    """Refuse class names that look like numbers to predict, such as prices.

    Args:
        names: What would be the classes.
        rows: How many rows there are.
        column: Their column.

    Raises:
        ValueError: If all are numbers, some of them not whole or with a unit, and there are
            more than 20, or more than half as many as rows.
    """
    texts = list(map(str, names))
    if len(texts) <= _MANY and 2 * len(texts) <= rows:
        return
    if all(map(_AMOUNT.fullmatch, texts)) and not all(map(_WHOLE.fullmatch, texts)):
        raise ValueError(
            f"{column!r} holds {len(texts):,} different numbers in {rows:,} rows: numbers to "
            f"predict, not classes. Use `NumericTarget.from_values({column!r}, ...)` (`--target "
            f"number`). If each is still a class, name the classes, as in `ClassLabel({column!r}, "
            f"class_names)`. Received: {', '.join(texts[:3])}, ..."
        )
    if hold_amounts(texts) and any(re.search(r"\d[.,]\d", text) for text in texts):
        raise ValueError(
            f"{column!r} holds {len(texts):,} different numbers with a unit or a comma in {rows:,} "
            "rows: numbers to predict, not classes. Write plain numbers, as in 3.99, and use "
            f"`NumericTarget.from_values({column!r}, ...)` (`--target number`). If each is still a "
            f"class, name the classes, as in `ClassLabel({column!r}, class_names)`. Received: "
            f"{', '.join(texts[:3])}, ..."
        )


def refuse_missing(
    missing: np.ndarray, index: pd.Index, column: str | tuple[str, ...], what: str
) -> None:
    """Refuse training values of a target if some are missing.

    Args:
        missing: `(rows,) bool`.
        index: The rows' labels.
        column: The column, or several.
        what: What the values are, in the plural, such as "Labels".

    Raises:
        ValueError: If there is no value at all, or one is missing; it names the column, and the
            row.
    """
    if missing.all():
        found = f"all of {len(missing)} values are missing" if len(missing) else "no values"
        raise ValueError(
            f"A target needs values to learn from: is {column!r} the right column, and does it "
            f"have values? Received: {found} in {column!r}"
        )
    if missing.any():
        columns = [column] if isinstance(column, str) else list(column)
        raise ValueError(
            f"{what} must not be missing; drop such rows with `table.dropna(subset={columns})`. "
            f"Received: a missing value at index {index[missing].tolist()[0]!r} of {column!r}"
        )


# How many characters of a label are compared; the time grows with their square.
_COMPARED = 200


def unknown_label(cell: Any, class_names: Sequence[Any]) -> LoadError:
    """The error for an unknown label; it lists the known ones and names the closest."""
    names = [str(name) for name in class_names]
    text = (
        cell
        if isinstance(cell, str)
        else shown(cell.item() if isinstance(cell, np.generic) else cell)
    )
    # A spelling mistake is the likeliest reason for an unknown class.
    close = difflib.get_close_matches(text[:_COMPARED], names, n=1)
    known = ", ".join(repr(name) for name in class_names[:20]) + (
        ", ..." if len(names) > 20 else ""
    )
    hint = f" Did you mean {close[0]!r}?" if close else ""
    reason = f"the label {shown(cell)} is not one of the {len(names)} known classes: {known}.{hint}"
    return LoadError(reason, unknown_label=True)


def labels_of(column: str, values: Any) -> pd.Series:
    """The cells of a column of classes, one class each.

    Raises:
        ValueError: If one is missing, blank, a list or bytes; it names the row.
    """
    series = series_of(column, values)
    refuse_missing(series.isna().to_numpy(), series.index, column, "Labels")
    for label, cell in () if series.dtype.kind in "biuf" else series.items():
        if pd.api.types.is_list_like(cell):
            raise ValueError(
                "Each cell must hold one class, not a list or array. Flatten one-element cells "
                f"with `table[{column!r}] = np.stack(table[{column!r}]).ravel()`, one-hot cells "
                "with `.argmax(axis=1)` instead; if a row has any number of classes, use "
                f"MultiLabel. Received: {cell!r} at index {label!r} of {column!r}"
            )
        if isinstance(cell, str) and not cell.strip():
            raise ValueError(
                "Labels must not be missing, and a blank text is a missing label; drop such rows "
                f"with `table = table[table[{column!r}].str.strip() != '']`, or replace them with "
                f"a name. Received: {cell!r} at index {label!r} of {column!r}"
            )
        if isinstance(cell, bytes):
            raise ValueError(
                "A class must be a text, a number or a boolean, not bytes. Decode them, "
                f"as in `table[{column!r}] = [cell.decode() if isinstance(cell, bytes) else cell "
                f"for cell in table[{column!r}]]`. Received: {shown(cell)} at index {label!r} of "
                f"{column!r}"
            )
    return series
