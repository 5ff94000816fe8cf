"""What one cell says, whatever else its column or file holds: its text, and if it is missing."""

from __future__ import annotations

from collections.abc import Mapping, Set
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from multimodal_gen.errors import shown

# From here on not every whole number has a float, so printing the float may show other digits than
# the file had.
_WHOLE = 2.0**53
# How programs write truth values, in lower case.
_TRUTHS = {"true": True, "false": False}
_LONGEST_TRUTH = 20


class Unreadable(NamedTuple):
    """Stands for a cell that cannot be had, until its row is read.

    Args:
        cell: The table's cell, or None if it cannot be read from the table's own files.
        error: What was raised.
    """

    cell: Any
    error: Exception


def is_unreadable(cell: Any) -> bool:
    """Whether a cell cannot be had."""
    return isinstance(cell, Unreadable)


def is_missing(cell: Any) -> bool:
    """Whether a cell holds no value: None, NaN, NaT or pandas' NA."""
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(cell, float | np.floating | Decimal) and bool(cell != cell)


def is_blank(cell: Any) -> bool:
    """Whether a cell names nothing: it is missing, or a text of nothing but white space."""
    return not cell.strip() if isinstance(cell, str) else is_missing(cell)


def truth_of(text: str) -> bool | None:
    """The truth value that a text is, as "True", "true" and "TRUE" are; None for other texts."""
    return _TRUTHS.get(text.strip().lower()) if len(text) <= _LONGEST_TRUTH else None


def shown_name(name: Any) -> str:
    """A class as people are shown it: in quotes if blanks at its ends would not be seen."""
    text = str(name)
    return text if text == text.strip() else repr(text)


def cell_text(cell: Any) -> str:
    """The text of a cell, by which labels, groups, strata and ids are compared.

    A text is kept exactly, with all blanks and zeros. Equal numbers have the same text: 1, 1.0,
    `numpy.int8(1)` and `Decimal("1.00")` are "1", 0.5 and `numpy.float32(0.5)` are "0.5". A boolean
    is "True" or "False", as pandas writes it into a csv file. Any other single value, such as a
    date, is what `str` returns.

    Args:
        cell: The cell.

    Raises:
        TypeError: If the cell is missing, or is not one value: a list, an array, a mapping or
            bytes.
    """
    if isinstance(cell, str):
        # `np.str_` is a subclass of str; make it a plain one.
        return str(cell)
    if isinstance(cell, np.ndarray) and cell.ndim == 0:
        cell = cell[()]
    if is_missing(cell):
        raise TypeError("A missing cell has no text.")
    if isinstance(cell, float | np.floating):
        return str(int(cell)) if abs(float(cell)) <= _WHOLE and cell == int(cell) else str(cell)
    if isinstance(cell, Decimal) and cell.is_finite():
        return str(int(cell)) if cell == cell.to_integral_value() else format(cell.normalize(), "f")
    if isinstance(
        cell, bytes | bytearray | memoryview | Mapping | Set
    ) or pd.api.types.is_list_like(cell):
        raise TypeError(
            f"Only a single value, such as a text or a number, has a text. Received: {shown(cell)}"
        )
    return str(cell)


def column_texts(column: pd.Series) -> np.ndarray:
    """The texts of a column's cells, `(rows,) object`, by `cell_text`; None if a cell is missing.

    Args:
        column: The column; errors name a row by its index.

    Raises:
        TypeError: If a cell is not a single value; the message names the index and the column.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        texts = np.append(column_texts(pd.Series(column.cat.categories, name=column.name)), [None])
        return texts[column.cat.codes.to_numpy()]
    cells = column.array.tolist()
    texts = np.empty(len(cells), object)
    for row, cell in enumerate(cells):
        try:
            texts[row] = (
                cell if type(cell) is str else None if is_missing(cell) else cell_text(cell)
            )
        except TypeError as error:
            at = f"at index {column.index[[row]].tolist()[0]!r}, column {column.name!r}"
            raise TypeError(f"{error} {at}") from None
    return texts
