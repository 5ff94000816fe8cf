"""The training cells that a loader can learn from, in a table that may have others.

A loader's own `from_values` and `from_texts` refuse such cells. The command line and `loaders_for`
learn from the others, so that the rows with bad cells can be listed, or left out, like those whose
pictures are broken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.categories import CategoryLoader
from multimodal_gen.loaders.dates import DateLoader
from multimodal_gen.loaders.many_cells import items_of
from multimodal_gen.loaders.numbers import NumericLoader
from multimodal_gen.loaders.text.cells import text_of
from multimodal_gen.rows.cell_dates import DayOrder, cell_date, seems_date
from multimodal_gen.rows.cell_numbers import readable_numbers
from multimodal_gen.rows.cells import cell_text
from multimodal_gen.rows.chunks import cells_of_series


def readable_texts(column: pd.Series) -> pd.Series:
    """The texts; if there are none, all cells, of which learning says what is wrong."""
    return _readable(column, text_of)


def readable_items(column: pd.Series, separator: str | None) -> pd.Series:
    """The texts of cells that hold several, as lists; all cells if there are none.

    Args:
        column: The cells.
        separator: What stands between texts, or None for lists.
    """
    items = [_texts_in(cell, separator) for cell in column.array.tolist()]
    there = [bool(own) for own in items]
    if not any(there):
        return column
    found = np.empty(len(items), object)
    found[:] = items
    return pd.Series(found, column.index, name=column.name)[there]


def numeric_loader(
    columns: Sequence[str], train: pd.DataFrame, *, missing: str, scaling: str = "standard"
) -> NumericLoader:
    """A loader of numbers that learns from the cells that are numbers.

    Args:
        columns: The columns.
        train: The training rows.
        missing: As in `NumericLoader`.
        scaling: As in `NumericLoader`.

    Raises:
        ValueError: If a column has no finite number; it says what it holds instead.
    """
    numbers = pd.DataFrame({name: readable_numbers(train[name]) for name in columns})
    for name in columns:
        if not np.isfinite(numbers[name]).any():
            NumericLoader.from_values(name, train, missing=missing, scaling=scaling)
    column = columns[0] if len(columns) == 1 else list(columns)
    return NumericLoader.from_values(column, numbers, missing=missing, scaling=scaling)


def category_loader(column: pd.Series) -> CategoryLoader:
    """A loader of categories that learns from the cells that are single values."""
    return CategoryLoader.from_values(str(column.name), _readable(column, cell_text))


def date_loader(column: pd.Series, date_format: str | None, missing: str) -> DateLoader:
    """A loader of dates that learns from the cells that are dates.

    If some of them have a time zone and some do not, it learns from the more frequent kind.

    Args:
        column: The training cells.
        date_format: As in `DateLoader.from_values`.
        missing: As in `DateLoader`.
    """
    return DateLoader.from_values(
        str(column.name),
        _readable_dates(column, date_format),
        date_format=date_format,
        missing=missing,
    )


def _readable_dates(column: pd.Series, form: str | None) -> pd.Series:
    if form is None:
        seeming = column[_which(column, seems_date)]
        try:
            form = DayOrder.among(cells_of_series(seeming)).form
        except ValueError:
            # Learning from them raises the same error.
            return seeming
    bare = _which(column, lambda cell: _is_date(cell, form, zoned=False))
    zoned = _which(column, lambda cell: _is_date(cell, form, zoned=True))
    if bare.sum() == zoned.sum():
        return column
    return column[bare if bare.sum() > zoned.sum() else zoned]


def _texts_in(cell: Any, separator: str | None) -> list[Any]:
    try:
        items = items_of(cell, separator, "blank")
    except LoadError:
        return []
    return [item for item in items if _can_be_read(item, text_of)]


def _is_date(cell: Any, form: str | None, *, zoned: bool) -> bool:
    try:
        date = cell_date(cell, form)
    except ValueError:
        return False
    return date is not None and (date.tzinfo is not None) == zoned


def _which(column: pd.Series, test: Callable[[Any], bool]) -> np.ndarray:
    # `(rows,) bool`: which cells pass a test.
    return np.fromiter(map(test, cells_of_series(column)), bool, len(column))


def _readable(column: pd.Series, read: Callable[[Any], Any]) -> pd.Series:
    kept = _which(column, lambda cell: _can_be_read(cell, read))
    return column[kept] if kept.any() else column


def _can_be_read(cell: Any, read: Callable[[Any], Any]) -> bool:
    try:
        read(cell)
    except (LoadError, TypeError, ValueError):
        return False
    return True
