"""The labels that training cells hold, and whether the separator between them is the right one."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.errors import LoadError, shown
from multimodal_gen.loaders.learning import series_of
from multimodal_gen.loaders.targets.label_cells import (
    columns_from,
    refuse_prints,
    split_labels,
)
from multimodal_gen.loaders.targets.names import refuse_missing, sorted_names
from multimodal_gen.loaders.targets.variants import LabelWarning, warn_of_variants
from multimodal_gen.rows.cells import cell_text, is_missing
from multimodal_gen.rows.chunks import cells_of_series

# The usual separators, and the share of cells from which on one is not there by chance.
_SEPARATORS, _MANY_CELLS = ("|", ";", ",", "/", "\t", "\n", "+", "&"), 0.1


@dataclass(frozen=True)
class AbsentSeparator:
    """A separator that is in no cell.

    Args:
        given: The separator.
        counts: How many cells contain each of the usual separators, if any do; the most frequent
            first.
        certain: Whether the first of them splits many cells into repeated names.
    """

    given: str
    counts: dict[str, int]
    certain: bool

    @classmethod
    def among(cls, cells: Iterable[Any], given: str) -> AbsentSeparator | None:
        """Check the cells that are texts; None if one contains the separator, or there are none."""
        texts: Counter[str] = Counter()
        for cell in cells:
            if isinstance(cell, str) and cell.strip():
                if given in cell:
                    return None
                texts[cell] += 1
        if not texts:
            return None
        found = Counter(
            {one: sum(texts[text] for text in texts if one in text) for one in _SEPARATORS}
        )
        counts = {one: count for one, count in found.most_common() if count}
        if not counts:
            return cls(given, {}, certain=False)
        other, count = next(iter(counts.items()))
        names = {name.strip() for text in texts for name in text.split(other)}
        # Names such as "hats, caps" have a comma without being lists; splitting them gives more
        # names than there are texts.
        certain = count >= _MANY_CELLS * texts.total() and len(names) <= len(texts)
        return cls(given, counts, certain)

    def in_words(self, column: str) -> str:
        """What the cells contain, without a full stop."""
        said = f"{self.given!r} is in no cell of {column!r}"
        others = [f"{one!r} is in {count:,} of them" for one, count in self.counts.items()]
        return "; ".join([said, ", ".join(others)] if others else [said])


def learned_labels(column: str, values: Any, separator: str | None) -> list[Any]:
    """The different labels in training cells of one column, sorted.

    Args:
        column: The column.
        values: Its training cells, or the table that has it.
        separator: What separates labels in a text, or None.

    Raises:
        ValueError: If a value is missing or is not labels, the cells hold 0 and 1 for each class,
            no row has a label, or the labels have another separator than the given one.

    Warns:
        LabelWarning: If the separator is in no cell, or several labels look like one.
    """
    series = series_of(column, values)
    missing = np.fromiter(map(is_missing, cells_of_series(series)), bool, len(series))
    # A few missing cells may be rows without labels; a column of nothing else is a mistake.
    if missing.all():
        refuse_missing(missing, series.index, column, "Labels")
    _refuse_zeros_and_ones(series, missing, column, separator)
    found: dict[str, Any] = {}
    counts: Counter[str] = Counter()
    for label, row in zip(series.index, cells_of_series(series), strict=True):
        try:
            names = {cell_text(name): name for name in split_labels(row, separator)}
        except LoadError as error:
            raise error.at(label, column) from None
        counts.update(names.keys())
        for text, name in names.items():
            found.setdefault(text, name)
    try:
        refuse_prints(cells_of_series(series))
    except LoadError as error:
        raise error.at(series.index[[0]].tolist()[0], column) from None
    if not found:
        raise ValueError(
            f"At least one row must have a label. Received: {len(series)} rows without any in "
            f"{column!r}"
        )
    given = "" if separator is None else f", separator={separator!r}"
    named = f"MultiLabel({column!r}, names{given})"
    if separator is not None:
        _check_separator_stands(series, separator, column, named)
    warn_of_variants(column, counts, named, several=True, separator=separator, stacklevel=4)
    return sorted_names(found.values(), column)


def zeros_and_ones(rows: Iterable[Any], separator: str | None) -> bool:
    """Whether all rows hold 0 or 1 per class; read as names, all would have the same labels."""
    length = kind = None
    for row in rows:
        parts = row
        if isinstance(row, str):
            if separator is None and not re.fullmatch("[01]{2,}", row):
                return False
            parts = list(row) if separator is None else row.split(separator)
        elif not isinstance(row, list | tuple) and not (isinstance(row, np.ndarray) and row.ndim):
            return False
        # Without a separator, texts beside lists are names.
        same = separator is not None or kind in (None, isinstance(row, str))
        length, kind = length or len(parts), isinstance(row, str)
        if not same or length < 2 or len(parts) != length or not all(map(_is_zero_or_one, parts)):
            return False
    return length is not None


def _is_zero_or_one(label: Any) -> bool:
    if isinstance(label, str):
        return label.strip() in ("0", "1")
    kinds = int | float | np.integer | np.floating | np.bool_
    return isinstance(label, kinds) and bool(label in (0, 1))


def _refuse_zeros_and_ones(
    series: pd.Series, missing: np.ndarray, column: str, separator: str | None
) -> None:
    cells = zip(cells_of_series(series), missing.tolist(), strict=True)
    if zeros_and_ones((cell for cell, gone in cells if not gone), separator):
        first = int(np.argmin(missing))
        (cell,) = series.iloc[first : first + 1].array.tolist()
        raise ValueError(
            "Labels must be names, but these rows hold 0 or 1 for each class. Make a column for "
            "each, with `names` in the order of the zeros and ones: "
            f"`{columns_from(cell, column, separator)}`, and use `MultiLabel(names)`. "
            f"Received: {shown(cell)} at index {series.index[[first]].tolist()[0]!r} of {column!r}"
        )


def _check_separator_stands(series: pd.Series, separator: str, column: str, named: str) -> None:
    if any(separator in cell for cell in cells_of_series(series) if isinstance(cell, str)):
        return
    absent = AbsentSeparator.among(cells_of_series(series), separator)
    if absent is None:
        return
    said = absent.in_words(column)
    if absent.certain:
        other = next(iter(absent.counts))
        raise ValueError(
            f"The separator must be between the labels, but {said}: use `separator={other!r}`. If "
            f"each cell is still one label, name the labels, as in `{named}`. Received: "
            f"separator={separator!r}"
        )
    warnings.warn(
        f"{said[0].upper()}{said[1:]}, so every row has at most one label. If that is intended, "
        f"name the labels, as in `{named}`, or use a ClassLabel.",
        LabelWarning,
        stacklevel=4,
    )
