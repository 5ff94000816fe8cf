"""What stands in a column that should hold numbers and does not, and what to do about it: said of the whole column.

A comma is a decimal sign in some tables and parts thousands in others, so no advice may turn one number into another.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.cells import is_missing
from multimodal_gen.errors import shown

# Different texts up to which they are categories, and above rather words.
_FEW = 100
_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ].*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}([T ].*)?|\d{1,2}:\d{2}(:\d{2}.*)?"
)
_PLAIN = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
# Ways to write a number: 0,5 or 12,50; 1,234.5 or 1,234,567; 1.234,5 or 1.234.567; and 1,234, which may be either.
_POINT_THOUSANDS = re.compile(r"[-+]?\d{1,3}((\.\d{3})+,\d*|(\.\d{3}){2,})")
_COMMA_THOUSANDS = re.compile(r"[-+]?\d{1,3}((,\d{3})+\.\d*|(,\d{3}){2,})")
_EITHER = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")
_DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+")


def advice_on(column: pd.Series) -> str:
    """What a column holds in place of numbers, and the way out, in sentences.

    Args:
        column: The column, of which at least one cell is not a number.
    """
    name = column.name
    cells = [cell for cell in column.array.tolist() if not is_missing(cell)]
    table = f"table[{name!r}]"
    if 2 * sum(map(_is_date, cells)) > len(cells):
        return (
            f"{name!r} holds dates or times. Make numbers of `dates = pd.to_datetime({table}, format='mixed')` (with "
            "`dayfirst=True` where days come before months), as the days `(dates - pd.Timestamp('2000-01-01')) / "
            "pd.Timedelta(days=1)` or the hours `dates.dt.hour`, in a column of their own. "
        )
    texts = [cell.strip() for cell in cells if isinstance(cell, str)]
    strange = [text for text in texts if not _PLAIN.fullmatch(text)]
    commas = [text for text in strange if _with_commas(text)]
    if commas and len(commas) == len(strange):
        return _on_commas(commas, texts, table)
    if 2 * len(strange) <= len(cells):
        return (
            f"{len(strange):,} of {len(cells):,} cells of {name!r} are not numbers: mend them, or read them as missing "
            f'with `{table} = pd.to_numeric({table}, errors="coerce")`. '
        )
    different = len(set(strange))
    if any(re.search(r"\d", text) for text in strange) and different > _FEW // 4:
        return (
            f"{name!r} holds texts with something beside a number: take it away first, or read them with "
            f"`TextLoader.from_texts({name!r}, ...)`. "
        )
    if different > _FEW:
        return f"{name!r} holds texts; read them with `TextLoader.from_texts({name!r}, ...)` (`--caption {name}`). "
    return (
        f"{name!r} holds categories, {different:,} different ones. Make a column of 0 and 1 for each with "
        f"`table = table.join(pd.get_dummies({table}, prefix={name!r}, dtype=float))` and give the names of these "
        "columns, or predict them with a ClassLabel. "
    )


def advice_on_cell(cell: Any) -> str:
    """What a single cell holds in place of a number, and the way out, in sentences, where its column is not at hand.

    Args:
        cell: The cell, which is not a number.
    """
    text = cell.strip() if isinstance(cell, str) else ""
    if _with_commas(text):
        return _on_commas([text], [text], "table[column]", all_seen=False)
    if _is_date(cell):
        return "It is a date or a time, of which `pd.to_datetime` and its `.dt` make numbers. "
    return (
        'Mend it, or read such cells as missing with `pd.to_numeric(table[column], errors="coerce")`. ' if text else ""
    )


def _is_date(cell: Any) -> bool:
    if isinstance(cell, str):
        return bool(_DATE.fullmatch(cell.strip()))
    return isinstance(cell, datetime.date | np.datetime64)


def _with_commas(text: str) -> bool:
    return any(way.fullmatch(text) for way in (_POINT_THOUSANDS, _COMMA_THOUSANDS, _DECIMAL_COMMA))


def _on_commas(commas: Sequence[str], texts: Sequence[str], table: str, *, all_seen: bool = True) -> str:
    either = [text for text in commas if _EITHER.fullmatch(text)]
    by_point = [text for text in commas if _POINT_THOUSANDS.fullmatch(text)]
    by_comma = [text for text in commas if _COMMA_THOUSANDS.fullmatch(text)]
    decimal = [text for text in commas if _DECIMAL_COMMA.fullmatch(text) and not _EITHER.fullmatch(text)]
    # What is a number as it stands says what a point is.
    points = [text for text in texts if "." in text and _PLAIN.fullmatch(text)]
    condition = "" if all_seen else "; if so in every row"
    if by_comma and not by_point and not decimal:
        what, mended = f"{shown(by_comma[0])} has commas between thousands", f"{table}.str.replace(',', '')"
    elif by_point and not by_comma and all(re.fullmatch(r"[-+]?\d{1,3}\.\d{3}", text) for text in points):
        what = f"{shown(by_point[0])} has points between thousands and a decimal comma"
        mended = f"{table}.str.replace('.', '').str.replace(',', '.')"
    elif decimal and not by_comma and not by_point and not points:
        what, mended = f"{shown(decimal[0])} has a decimal comma", f"{table}.str.replace(',', '.')"
    elif len(either) == len(commas):
        text = either[0]
        return (
            f"{shown(text)} is {text.replace(',', '')} where commas part thousands, and {text.replace(',', '.')} where "
            "they are decimal signs, which nothing here tells: write the numbers without commas. "
        )
    else:
        ways = (by_comma, by_point, decimal, either, points)
        found = " and ".join(shown(way[0]) for way in ways if way)
        return f"Commas and points mean one thing here and another there, as in {found}: mend them by hand. "
    return f"{what}{condition}: `{table} = pd.to_numeric({mended})`. "
