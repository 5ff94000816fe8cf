"""The number in a cell, or in its text, whatever else its column or file holds."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.errors import shown
from multimodal_gen.rows.cells import is_missing, truth_of
from multimodal_gen.rows.chunks import cells_of_series, chunks_of
from multimodal_gen.rows.number_advice import advice_on, advice_on_cell


def cell_number(cell: Any) -> float:
    """The number in a cell, or in its text: "0.50" is 0.5 as in Python, with or without blanks
    around it. A truth value is 1 or 0, and so is its text: "True", "false".

    Args:
        cell: The cell.

    Returns:
        The number, or NaN if the cell is missing.

    Raises:
        ValueError: If it is not a number; the message suggests what to do.
    """
    if is_missing(cell):
        return float("nan")
    if isinstance(cell, str) and (truth := truth_of(cell)) is not None:
        return float(truth)
    try:
        # Python reads "1_000" as a number, but in a table it is none. NumPy before 2.5 converts an
        # array of one number.
        if (
            not isinstance(cell, bytes | bytearray)
            and not getattr(cell, "ndim", 0)
            and not (isinstance(cell, str) and "_" in cell)
        ):
            number = float(cell)
            # Python reads the text "nan" as a number; in a table only an empty cell is missing.
            if not (isinstance(cell, str) and math.isnan(number)):
                return number
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"{advice_on_cell(cell)}Received: {shown(cell)}")


# A whole number, a decimal one, and as many characters as one needs.
_INTEGER = re.compile(r"\s*[-+]?\d+\s*")
_DECIMAL = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")
_LONGEST = 40


def number_or_cell(cell: Any) -> Any:
    """The number or truth value in a text, as in a csv file; any other cell, such as a path,
    unchanged.

    Args:
        cell: The cell.
    """
    if not isinstance(cell, str) or len(cell) > _LONGEST:
        return cell
    if (truth := truth_of(cell)) is not None:
        return truth
    if not _DECIMAL.fullmatch(cell):
        return cell
    return int(cell) if _INTEGER.fullmatch(cell) else float(cell)


def column_numbers(column: pd.Series) -> np.ndarray:
    """The numbers of a column's cells, `(rows,) float64`, by `cell_number`; NaN if a cell is
    missing.

    Args:
        column: The column; errors name a row by its index.

    Raises:
        ValueError: If a cell is not a number; the message names the index and the column, and says
            what the column holds.
    """
    return np.concatenate([_numbers_of(part, column) for part in chunks_of(column)])


def _numbers_of(part: pd.Series, column: pd.Series) -> np.ndarray:
    if part.dtype.kind in "iufb":
        return np.asarray(part.to_numpy("float64", na_value=np.nan))
    numbers = np.empty(len(part))
    for row, cell in enumerate(part.array.tolist()):
        try:
            numbers[row] = cell_number(cell)
        except ValueError:
            at = f"at index {part.index[[row]].tolist()[0]!r}, column {column.name!r}"
            raise ValueError(f"{advice_on(column)}Received: {shown(cell)} {at}") from None
    return numbers


def readable_numbers(column: pd.Series) -> np.ndarray:
    """As `column_numbers`, with NaN also where a cell is not a number."""
    numbers = np.full(len(column), np.nan)
    for row, cell in enumerate(cells_of_series(column)):
        with suppress(ValueError):
            numbers[row] = cell_number(cell)
    return numbers
