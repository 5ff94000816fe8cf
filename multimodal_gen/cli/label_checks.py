"""Check before training that the cells of --label match --target."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.cli.settings import DataSettings
from multimodal_gen.errors import LoadError, TableError, by_number, counted, shown
from multimodal_gen.loaders.targets.label_cells import is_printed, parsing_of, split_labels
from multimodal_gen.loaders.targets.label_learning import AbsentSeparator
from multimodal_gen.loaders.targets.names import hold_amounts
from multimodal_gen.loaders.targets.unlikely import printed_lists_note
from multimodal_gen.loaders.targets.variants import Variants
from multimodal_gen.rows.cells import cell_text, is_blank, is_missing
from multimodal_gen.rows.checks import nearly_all_differ
from multimodal_gen.rows.chunks import cells_in

# More different whole numbers than _MANY_NUMBERS are noted in a column of classes; with fewer than
# _FEWEST_ROWS rows each, they cannot be split into three parts.
_MANY_NUMBERS, _FEWEST_ROWS = 20, 3
# Whole numbers from here on are more likely ids than amounts.
_LARGE = 1e9


def check_classes(table: pd.DataFrame, settings: DataSettings) -> list[str]:
    """Make sure that a column of classes does not hold numbers to predict, or a different class in
    nearly every row; and that labels in texts can be separated.

    Returns:
        Notes, a sentence each: if whole numbers are used as classes, but may be meant as numbers;
        if every row has one label; and if several classes look like one.

    Raises:
        TableError: If some numbers have a fraction, or there are nearly as many classes as rows; or
            if another separator is between the labels.
        LoadError: If labels are texts without a separator, or printed lists.
    """
    if settings.target == "number" or len(settings.label) > 1:
        return []
    if settings.target == "class":
        notes = _check_one_class(table, settings.label[0])
    else:
        check_text_labels(table, settings)
        notes = [] if settings.separator is None else check_separator(table, settings)
    return [*notes, *variants_note(table, settings)]


def check_text_labels(table: pd.DataFrame, settings: DataSettings) -> None:
    """Reject cells with several labels that are printed lists, or texts without a --separator.

    Raises:
        LoadError: If there is one; the message names the row and says what to do.
    """
    (column,) = settings.label
    for label, cell in zip(table.index, cells_in(table, column), strict=True):
        if isinstance(cell, str) and is_printed(cell, settings.separator):
            raise LoadError(_way_out_of_printed(cell), index=label, column=column)
        if isinstance(cell, str) and cell.strip() and settings.separator is None:
            # No cell contains a NUL, so this counts the usual separators.
            found = AbsentSeparator.among(cells_in(table, column), "\0")
            usual = next(iter(found.counts), "|") if found is not None else "|"
            raise LoadError(
                f"the cell holds labels as text: say what separates them, as in --separator "
                f"{usual!r}. Received: {cell!r}",
                index=label,
                column=column,
            )


def _way_out_of_printed(cell: str) -> str:
    said = "the cell is a list as programs print it, and its labels cannot be told apart."
    if re.fullmatch(r"[\W01]+|[\W\d.]*(True|False|true|false)[\W\dA-Za-z.]*", cell):
        return (
            f"{said} Where it holds 0 or 1 for each class, write a column of 0 and 1 for each, and "
            f"name all of them: --label first --label second. Received: {shown(cell)}"
        )
    return (
        f"{said} Write the labels with a sign between them, as in a|b, and name it with "
        f"--separator '|' (in Python, `{parsing_of(cell, 'column')}.str.join('|')` makes "
        "such texts of lists of texts); or store the table as jsonl or parquet, whose cells can be "
        f"lists, and leave --separator out. Received: {shown(cell)}"
    )


def _check_one_class(table: pd.DataFrame, column: str) -> list[str]:
    rows = Counter(cell for cell in map(_hashable, cells_in(table, column)) if not is_blank(cell))
    different, total = set(rows), rows.total()
    numbers = {_number(cell) for cell in different}
    # Some cells are names, so the column does not hold numbers.
    if not numbers or None in numbers:
        _refuse_amounts(rows, column)
        _refuse_ids(len(different), total, column)
        return printed_lists_note(column, different)
    # Not of `numbers`: as floats, neighbouring ids of many digits are equal.
    count = len(set(map(cell_text, different)))
    fractions = any(not one.is_integer() for one in numbers if one is not None)
    predicted = " For numbers to predict, use --target number."
    if max(abs(one) for one in numbers if one is not None) >= _LARGE:
        _refuse_ids(count, total, column, predicted)
    if count > _MANY_NUMBERS and (fractions or count * _FEWEST_ROWS > len(table)):
        raise TableError(
            f"The cells of {column!r} are numbers to predict, not classes: {count:,} different "
            f"numbers in {len(table):,} rows. Use --target number. Received: --label {column} "
            "--target class"
        )
    _refuse_ids(count, total, column, predicted)
    if count > _MANY_NUMBERS:
        return [
            f"{column}: {count:,} different numbers are used as classes; --target number predicts "
            "them as numbers"
        ]
    return []


def _refuse_amounts(rows_of: Mapping[Any, int], column: str) -> None:
    # Before the split, whose note on rare classes would name them all.
    count, rows = len(rows_of), sum(rows_of.values())
    texts = [cell for cell in rows_of if isinstance(cell, str)]
    many = nearly_all_differ(count, rows) or count > _MANY_NUMBERS
    if not many or len(texts) < count or not hold_amounts(texts):
        return
    fractions = any(re.search(r"\d[.,]\d", text) for text in texts)
    if fractions or count * _FEWEST_ROWS > rows:
        raise TableError(
            f"The cells of {column!r} are numbers with a unit or a comma, as in {shown(texts[0])}: "
            f"numbers to predict, not classes: {count:,} different ones in {rows:,} rows. Write "
            "plain numbers, as in 3.99. Use --target number. Received: --label "
            f"{column} --target class"
        )


def _refuse_ids(count: int, rows: int, column: str, more: str = "") -> None:
    # In a small table too: if no class comes twice, no test row has a class that was learned.
    if count == rows > 1 or nearly_all_differ(count, rows):
        raise TableError(
            f"{column!r} holds {count:,} different classes in {rows:,} rows, like a column of ids: "
            "too few rows of each to learn from. Name a column with repeated classes, as in "
            f"--label CLASS.{more} Received: --label {column} --target class"
        )


def check_separator(table: pd.DataFrame, settings: DataSettings) -> list[str]:
    """Make sure that --separator is the one between the labels.

    Returns:
        A note if it is in no cell, or if labels contain another one.

    Raises:
        TableError: If it is in no cell, and another one is in many, and splits them into repeated
            names.
    """
    (column,), given = settings.label, settings.separator
    assert given is not None
    absent = AbsentSeparator.among(cells_in(table, column), given)
    if absent is None:
        return _second_separator(cells_in(table, column), given, column)
    found, other = absent.in_words(column), next(iter(absent.counts), None)
    if absent.certain:
        raise TableError(f"{found}: use --separator {other!r}. Received: --separator {given!r}")
    if other is None:
        return [f"{found}, so every row has at most one label"]
    return [f"{found}, which would need --separator {other!r}; now every row has at most one label"]


def _second_separator(cells: Iterable[Any], given: str, column: str) -> list[str]:
    # A note if labels hold another usual separator, as if it were between labels.
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    for cell in cells:
        for other in {",", ";", "|"} - {given}:
            if not isinstance(cell, str) or other not in cell:
                continue
            counts[other] += 1
            name = next((one for one in cell.split(given) if other in one), None)
            if name is not None:
                first.setdefault(other, name.strip())
    return sorted(
        f"{column}: {counted(counts[other], 'cell')} "
        f"{by_number(counts[other], 'contains', 'contain')} {other!r}, which is part of "
        f"a label, as in {shown(name)}; only --separator {given!r} separates labels"
        for other, name in first.items()
    )


def variants_note(table: pd.DataFrame, settings: DataSettings) -> list[str]:
    """A note if classes differ only in spelling, with their numbers of rows."""
    if settings.target == "number" or len(settings.label) > 1:
        return []
    (column,) = settings.label
    rows: Counter[str] = Counter()
    for cell in cells_in(table, column):
        # Cells that are no class or labels raise an error where the target is made.
        with suppress(LoadError, TypeError, ValueError):
            if settings.target == "class":
                rows.update([] if is_blank(cell) else [cell_text(cell)])
            else:
                rows.update(set(map(cell_text, split_labels(cell, settings.separator))))
    found = Variants.among(rows)
    return [f"{column}: {found.note(rows)}"] if found else []


def _hashable(cell: Any) -> Any:
    return (
        # A list is not hashable, and its text is enough to count it.
        cell if isinstance(cell, str | int | float | np.generic) or is_missing(cell) else repr(cell)
    )


def _number(cell: Any) -> float | None:
    # Python treats True as the number 1; in a column of labels it is a class.
    if isinstance(cell, bool | np.bool_):
        return None
    try:
        number = float(cell)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
