"""The training values that loaders and targets learn from, in every form they accept.

Anyone who hands in a whole table means the column that the loader reads; anyone who hands in a list
or an array means its rows. That rule, and what a number is, are said here once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.errors import LoadError, counted, shown
from multimodal_gen.rows.cell_numbers import cell_number, column_numbers
from multimodal_gen.rows.cells import is_missing
from multimodal_gen.rows.checks import check_once
from multimodal_gen.rows.table import check_columns, check_names


def cells_of(column: str, values: Any) -> Any:
    """Return the cells of one column: a table's column, or the values as given.

    Raises:
        TypeError: If `column` is not a name, or `values` are a single text or a mapping.
        TableError: If it is a table without that column; it lists those there are.
    """
    # Swapped arguments are the usual mistake; a text would otherwise be read letter by letter.
    if not isinstance(column, str) or isinstance(values, str | bytes | Mapping):
        raise wrong_order(column, values)
    if not isinstance(values, pd.DataFrame):
        return values
    check_columns(values, [column])
    return values[column]


def series_of(column: str, values: Any) -> pd.Series:
    """Return the cells as a Series whose index names the rows; rows of arrays become array cells.

    Raises:
        TypeError: As `cells_of`.
        TableError: As `cells_of`.
    """
    values = cells_of(column, values)
    if isinstance(values, np.ndarray) and values.ndim > 1:
        # pandas takes no array with several axes as a column, so its rows become cells.
        values = list(np.asarray(values))
    return values if isinstance(values, pd.Series) else pd.Series(values)


def numbers_of(column: str | Sequence[str], values: Any) -> pd.DataFrame:
    """Numbers to learn from, `(rows, numbers) float64`; NaN if one is missing.

    Args:
        column: A column name, or several.
        values: A table, from which the columns are taken by name; or a Series, a list or an array
            with one number, or one array or list of numbers, a row.

    Raises:
        TypeError: If `column` is not a name, or `values` are a single text or a mapping.
        ValueError: If a column is named twice, a value is not a number, rows hold different numbers
            of numbers, or not one for each of several columns; it names the row.
    """
    names = (
        [column]
        if isinstance(column, str)
        else list(column)
        if pd.api.types.is_list_like(column)
        else []
    )
    if not names or not all(isinstance(name, str) for name in names):
        raise wrong_order(column, values)
    if isinstance(column, list | tuple):
        check_once(column)
    if isinstance(values, pd.DataFrame) and len(names) > 1:
        check_columns(values, names)
        frame = values[names]
    elif isinstance(values, np.ndarray) and values.ndim == 2:
        frame = pd.DataFrame(values)
    else:
        series = series_of(names[0], values)
        frame = (
            series.to_frame()
            if pd.api.types.is_numeric_dtype(series.dtype)
            else _spread(names[0], series)
        )
    if not isinstance(column, str) and frame.shape[1] != len(names):
        raise ValueError(
            f"`values` must have one column for each name in `column`. "
            f"Received: column={column!r}, {counted(frame.shape[1], 'column')} of values"
        )
    numbers = {}
    for position in range(frame.shape[1]):
        own = frame.iloc[:, position].rename(names[position if len(names) > 1 else 0])
        try:
            numbers[position] = column_numbers(own)
        except ValueError as error:
            raise ValueError(f"The values of {own.name!r} must be numbers. {error}") from None
    return pd.DataFrame(numbers, index=frame.index).set_axis(frame.columns, axis=1)


def read_numbers(cell: Any, size: int) -> np.ndarray:
    """Numbers of a cell, `(size,) float64`; NaN if one is missing.

    Args:
        cell: A number, or a tuple or array of numbers.
        size: How many there must be.

    Raises:
        LoadError: If there is another number of them, or one is not a number.
    """
    several = isinstance(cell, tuple) or (isinstance(cell, np.ndarray) and cell.ndim == 1)
    # A single missing cell means that all its numbers are missing.
    cells = cell if several else (cell,) * (size if is_missing(cell) else 1)
    try:
        numbers = np.array([cell_number(one) for one in cells], "float64")
    except ValueError as error:
        raise LoadError(f"expected {count_in_words(size)}. {error}") from None
    if numbers.shape != (size,):
        raise LoadError(f"expected {count_in_words(size)}. Received: {shown(cell)}")
    return numbers


def count_in_words(size: int, kind: str = "") -> str:
    """How many numbers there must be: "one number", "3 numbers", "one finite number"."""
    noun = f"{kind} number" if kind else "number"
    return f"one {noun}" if size == 1 else counted(size, noun)


def wrong_order(column: Any, values: Any) -> TypeError:
    """The error for a name and values in the wrong order, or a column name that is not a string."""
    if isinstance(values, pd.DataFrame):
        names = column if isinstance(column, list | tuple) else [column]
        check_names([name for name in names if pd.api.types.is_number(name)])
    return TypeError(
        "Pass the name of a column first, and then its values: a Series, a list, an array or the "
        f"table itself. Received: column={type(column).__name__}, values={type(values).__name__}"
    )


def _spread(column: str, series: pd.Series) -> pd.DataFrame:
    # Turns cells of several numbers into columns.
    missing = series.isna().to_numpy()
    there = np.flatnonzero(~missing)
    # The first one shows whether cells hold several.
    if not any(
        isinstance(cell, list | tuple | np.ndarray)
        for cell in series.iloc[there[:1]].array.tolist()
    ):
        return series.to_frame()
    cells, present = list(series.array), there.tolist()
    shapes = dict(_shapes(cells, present))
    first = shapes[present[0]]
    for row, shape in shapes.items():
        if shape is None or len(shape) != 1 or not shape[0] or shape != first:
            raise ValueError(
                f"Every cell of {column!r} must hold the same number of numbers, on one axis. To "
                "predict arrays with more axes, use "
                f"`InputTarget(ArrayLoader.from_values({column!r}, ...))`; keep unrelated numbers "
                "in separate columns. Received: "
                f"{'lists of unequal lengths' if shape is None else f'shape {shape}'} at index "
                f"{series.index[[row]].tolist()[0]!r}, shape {first} in the first row"
            )
    empty = [np.nan] * len(cells[present[0]])
    rows = [empty if gone else list(cell) for cell, gone in zip(cells, missing, strict=True)]
    return pd.DataFrame(rows, index=series.index)


def _shapes(
    cells: Sequence[Any], rows: Sequence[int]
) -> Iterator[tuple[int, tuple[int, ...] | None]]:
    for row in rows:
        try:
            yield row, np.shape(cells[row])
        except ValueError:
            # Nested lists of unequal lengths have no shape.
            yield row, None


def standardised(numbers: np.ndarray, mean: np.ndarray, scale: np.ndarray, cell: Any) -> np.ndarray:
    """Standardise finite numbers for a model, `(numbers - mean) / scale`, float32.

    Args:
        numbers: `(size,) float64`, finite.
        mean: What is subtracted.
        scale: What is divided by.
        cell: Where they come from, to name in an error.

    Raises:
        LoadError: If one is too large for float32, in which it would be infinite.
    """
    with np.errstate(over="ignore"):
        result = ((numbers - mean) / scale).astype("float32")
    if not np.isfinite(result).all():
        raise LoadError(
            "a number is too large for float32, as some placeholders for missing values are. Make "
            f"it missing, or fix it. Received: {shown(cell)}"
        )
    return result
