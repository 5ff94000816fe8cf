"""What one column holds: pictures, numbers, dates, texts, or nothing that a model can use.

Each test of a column answers None if the column does not pass it, or what it is taken for and why.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from multimodal_gen.errors import by_number
from multimodal_gen.loaders.columns import texts
from multimodal_gen.loaders.columns.cells import NEARLY_ALL, Cells, Verdict, short
from multimodal_gen.loaders.columns.pictures import pictures, sounds_or_videos
from multimodal_gen.loaders.columns.several import several
from multimodal_gen.loaders.dates import DateLoader
from multimodal_gen.rows.cell_dates import seems_date
from multimodal_gen.rows.cell_numbers import readable_numbers
from multimodal_gen.rows.cells import truth_of

# With a value in less than this share of the rows, a column says nothing about the others.
_HARDLY_ANY = 0.01
# Whole numbers that all differ are ids if they go up from row to row, follow each other nearly
# without a gap, or have many digits. Fewer rows than this may be all different by chance.
_DENSE, _DIGITS, _FEWEST = 0.5, 8, 20
# Digits after a zero are a code: as a number, it would lose the zero.
_CODE = re.compile(r"\s*0\d+\s*")
_FEW_CODES = 0.01


def verdict_on(column: pd.Series, directory: str | None, date_format: str | None) -> Verdict:
    """What a column is taken for, and why.

    Args:
        column: The column, or some of its rows.
        directory: The base folder of picture paths.
        date_format: As in `DateLoader.from_values`.
    """
    cells = Cells(column)
    verdict = (
        _nothing(cells)
        or several(cells, directory)
        or pictures(cells, directory)
        or sounds_or_videos(cells)
    )
    if verdict is not None:
        return verdict
    if cells.texts is None:
        return Verdict(
            "ignored",
            f"cells of several values, such as {cells.example}; a ManyLoader reads lists, and an "
            "ArrayLoader numbers",
        )
    return (
        _same(cells)
        or texts.parts_of_a_split(cells)
        or _truths(cells)
        or _numbers(cells)
        or _dates(cells, date_format)
        or texts.ids(cells)
        or texts.amounts(cells)
        or texts.categories(cells)
        or texts.texts_to_read(cells)
        or Verdict("ignored", f"values of several types, such as {cells.example}")
    )


def _nothing(cells: Cells) -> Verdict | None:
    there = len(cells.present)
    if not there:
        return Verdict("constant", "no row has a value")
    if there < _HARDLY_ANY * cells.rows:
        return Verdict("ignored", f"a value in only {there:,} of {cells.rows:,} rows")
    return None


def _same(cells: Cells) -> Verdict | None:
    # If some rows lack the only value, that is a category too.
    if len(cells.counts) > 1 or cells.missing:
        return None
    return Verdict("constant", f"{cells.example} in all {cells.rows:,} rows")


def _truths(cells: Cells) -> Verdict | None:
    truths = {text: truth_of(text) for text in cells.counts}
    if None in truths.values() and not set(cells.counts) <= {"0", "1"}:
        return None
    if len(cells.counts) == 1:
        # The other value is to be missing, which a category can be.
        return None
    true = sum(count for text, count in cells.counts.items() if truths[text] or text == "1")
    return Verdict("boolean", f"true in {true:,} of {len(cells.present):,} rows{cells.gaps()}")


def _numbers(cells: Cells) -> Verdict | None:
    numbers = readable_numbers(pd.Series(cells.present, dtype=object))
    good = np.isfinite(numbers)
    count, rows = int(good.sum()), len(numbers)
    codes = sum(
        isinstance(cell, str) and _CODE.fullmatch(cell) is not None for cell in cells.present
    )
    if count < NEARLY_ALL * rows or codes > _FEW_CODES * rows:
        return None
    found = numbers[good]
    if _are_ids(found):
        return Verdict(
            "id", f"a different whole number in each of {rows:,} rows, such as {cells.example}"
        )
    bad = "" if good.all() else _bad(cells, good, "a number", "numbers")
    return Verdict(
        "number",
        f"{len(np.unique(found)):,} different numbers in {rows:,} rows, from {found.min():.6g} to "
        f"{found.max():.6g}{bad}{cells.gaps()}",
    )


def _are_ids(numbers: np.ndarray) -> bool:
    rows = len(numbers)
    if rows < _FEWEST or len(np.unique(numbers)) < rows or (numbers != np.floor(numbers)).any():
        return False
    steps = np.diff(numbers)
    least, greatest = float(numbers.min()), float(numbers.max())
    return bool(
        (steps > 0).all()
        or (steps < 0).all()
        or rows > _DENSE * (greatest - least + 1)
        or least >= 10 ** (_DIGITS - 1)
    )


def _dates(cells: Cells, date_format: str | None) -> Verdict | None:
    given = date_format is not None and "%" in date_format
    good = np.array([seems_date(cell) for cell in cells.present])
    if not given and good.mean() < NEARLY_ALL:
        return None
    dates = [cell for cell, is_date in zip(cells.present, good, strict=True) if is_date]
    try:
        values = cells.present if given else dates
        loader = DateLoader.from_values(cells.name, values, date_format=date_format)
    except ValueError as error:
        if given:
            return None
        why = " ".join(str(error).partition(" Received: ")[0].split())
        return Verdict("ignored", f"dates that cannot be read: {why}")
    trends = np.array([loader.read(cell)[2 * len(loader.parts)] for cell in values])
    first, last = (values[int(place)] for place in (trends.argmin(), trends.argmax()))
    bad = "" if given or good.all() else _bad(cells, good, "a date", "dates")
    order = "" if loader.date_format is None else f", {loader.date_format}"
    return Verdict(
        "date",
        f"{len(values):,} dates from {short(first)} to {short(last)}{order}{bad}{cells.gaps()}",
    )


def _bad(cells: Cells, good: np.ndarray, one: str, several: str) -> str:
    place = int(np.flatnonzero(~good)[0])
    count = int((~good).sum())
    return (
        f"; {count:,} {by_number(count, f'is not {one}', f'are not {several}')}, such as "
        f"{short(cells.present[place])}"
    )
