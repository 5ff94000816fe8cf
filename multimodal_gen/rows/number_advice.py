"""What a column that should hold numbers holds instead, and what to do about it.

A comma is a decimal sign in some tables and a thousands separator in others, so no advice may turn
one number into another.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.errors import by_number, shown
from multimodal_gen.rows.cell_dates import seems_date
from multimodal_gen.rows.cells import is_missing, truth_of

# A column with at most this many distinct texts looks like categories, with more like free text.
_FEW = 100
_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ].*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}([T ].*)?"
    r"|\d{1,2}:\d{2}(:\d{2}.*)?"
)
_PLAIN = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
# Ways to write a number: 0,5 or 12,50; 1,234.5 or 1,234,567; 1.234,5 or 1.234.567; and 1,234, which
# may be either.
_POINT_THOUSANDS = re.compile(r"[-+]?\d{1,3}((\.\d{3})+,\d*|(\.\d{3}){2,})")
_COMMA_THOUSANDS = re.compile(r"[-+]?\d{1,3}((,\d{3})+\.\d*|(,\d{3}){2,})")
_EITHER = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")
_DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+")
# One number, possibly with blanks between thousands, and whatever is before and after it.
_BESIDE = re.compile(
    r"([-+]?)(\D*?)([-+]?(?:\d{1,3}(?:\s\d{3})+(?![\d\s])[.,]?\d*|\d[\d.,]*|[.,]\d+))(\D*)"
)
# Only names and signs of units and currencies can be removed safely: "<5", "5+" and "(5)" say more
# than 5.
_UNIT = re.compile(r"[^\W\d_]*\.?\s*[$\u00a2-\u00a5\u20a0-\u20cf%\u2030\u00b0]?\s*[^\W\d_]*\.?")


def advice_on(column: pd.Series) -> str:
    """What a column holds instead of numbers, and what to do, in sentences.

    Args:
        column: The column; at least one of its cells is not a number.
    """
    name = column.name
    cells = [cell for cell in column.array.tolist() if not is_missing(cell)]
    table = f"table[{name!r}]"
    # The majority decides what a column holds, as single cells may be broken.
    if 2 * sum(map(_is_date, cells)) > len(cells):
        return (
            f"{name!r} holds dates or times. {_by_loader(cells, name)}them with `dates = "
            f"pd.to_datetime({table}, "
            "format='mixed')` (add `dayfirst=True` if days come before months) into numbers in a "
            "new column, such as the days `(dates - pd.Timestamp('2000-01-01')) / "
            "pd.Timedelta(days=1)` or the hours `dates.dt.hour`. "
        )
    texts = [cell.strip() for cell in cells if isinstance(cell, str)]
    strange = [text for text in texts if not _PLAIN.fullmatch(text) and truth_of(text) is None]
    commas = [text for text in strange if _with_commas(text)]
    if commas and len(commas) == len(strange):
        return _on_commas(commas, texts, table, mixed=len(texts) < len(cells))
    odd = [text for text in strange if not _with_commas(text)]
    beside = _beside(odd)
    if 2 * sum(text in beside for text in odd) > len(odd) and (
        advice := _on_beside(beside, odd, cells, table, name)
    ):
        return advice
    if 2 * len(strange) <= len(cells):
        said = (
            f"{len(strange):,} of {len(cells):,} cells of {name!r} "
            f"{by_number(len(strange), 'is not a number', 'are not numbers')}: fix "
            f"{by_number(len(strange), 'it', 'them')}"
        )
        # `to_numeric` would turn the texts of truth values into missing cells, too.
        if any(truth_of(text) is not None for text in texts):
            return f"{said}, or empty such cells. "
        return (
            f"{said}, or read such cells as missing "
            f'with `{table} = pd.to_numeric({table}, errors="coerce")`. '
        )
    different = len(set(strange))
    if different > _FEW:
        return (
            f"{name!r} holds texts; read them with `TextLoader.from_texts({name!r}, ...)` "
            f"(`--caption {name}`). "
        )
    return (
        f"{name!r} holds categories, {different:,} different ones. As an input, read them with "
        f"`CategoryLoader.from_values({name!r}, ...)` (`--category {name}`), or make a column of 0 "
        "and 1 for each with "
        f"`table = table.join(pd.get_dummies({table}, prefix={name!r}, dtype=float))` "
        "and use these columns; or predict the categories with a ClassLabel. "
    )


def advice_on_cell(cell: Any) -> str:
    """What a single cell holds instead of a number, and what to do, without knowing its column.

    Args:
        cell: The cell, which is not a number.
    """
    text = cell.strip() if isinstance(cell, str) else ""
    if _with_commas(text):
        return _on_commas([text], [text], "table[column]", all_seen=False)
    if beside := _beside([text]):
        (what,) = beside.values()
        if _UNIT.fullmatch(what.before) and _UNIT.fullmatch(what.behind):
            taken = _taking([what])
            if _with_commas(what.number):
                return _on_commas(
                    [what.number], [what.number], "table[column]", all_seen=False, taken=taken
                )
            return (
                f"{shown(text)} has something next to a number; if every row does, remove it with "
                f"`table[column] = pd.to_numeric({_of_texts('table[column]', taken)})`. "
            )
    if _is_date(cell):
        return "It is a date or a time; convert it with `pd.to_datetime` and its `.dt`. "
    return (
        "Fix it, or read such cells as missing with `pd.to_numeric(table[column], "
        'errors="coerce")`. '
        if text
        else ""
    )


def _by_loader(cells: Sequence[Any], name: Any) -> str:
    # A DateLoader reads no times without a date, and no years of two digits.
    if 2 * sum(map(seems_date, cells)) <= len(cells):
        return "Convert "
    return (
        f"As an input, read them with `DateLoader.from_values({name!r}, ...)` (`--date {name}`); "
        "otherwise convert "
    )


def _is_date(cell: Any) -> bool:
    if isinstance(cell, str):
        return bool(_DATE.fullmatch(cell.strip()))
    return isinstance(cell, datetime.date | np.datetime64)


def _with_commas(text: str) -> bool:
    return any(way.fullmatch(text) for way in (_POINT_THOUSANDS, _COMMA_THOUSANDS, _DECIMAL_COMMA))


@dataclass(frozen=True)
class _Amount:
    """A number as it is written in a text, without blanks, and what is before and after it."""

    before: str
    number: str
    behind: str
    blanks: bool

    @property
    def rest(self) -> tuple[str, str]:
        return self.before, self.behind


def _beside(texts: Sequence[str]) -> dict[str, _Amount]:
    """The texts that hold one number and something else."""
    found = {}
    for text in texts:
        parts = _BESIDE.fullmatch(text)
        if parts is None:
            continue
        sign, before, number, behind = parts.groups()
        bare = sign + re.sub(r"\s", "", number)
        if bare != text and (_PLAIN.fullmatch(bare) or _with_commas(bare)):
            found[text] = _Amount(
                before.strip(), bare, behind.strip(), blanks=re.search(r"\s", number) is not None
            )
    return found


def _on_beside(
    beside: dict[str, _Amount], odd: Sequence[str], cells: Sequence[Any], table: str, name: Any
) -> str:
    amounts = list(beside.values())
    rests = list(dict.fromkeys(one.rest for one in amounts if any(one.rest)))
    # Where nearly every number has different letters next to it, as in "A1", "B2" and "C3", these
    # are names.
    if len(rests) > 1 and 2 * len(rests) > len(amounts) + 1:
        return ""
    which = "something next to them" if rests else "blanks between thousands"
    what = f"{name!r} holds numbers with {which}, as in {shown(next(iter(beside)))}"
    if not all(_UNIT.fullmatch(part) for rest in rests for part in rest):
        return f"{what}, which may change their meaning: write plain numbers. "
    if len(rests) > 1:
        units = " and ".join(shown(" ".join(filter(None, rest))) for rest in rests[:3])
        return (
            f"{what}, which differs between cells ({units}): convert them to one unit and remove "
            "it with `.str.replace`; or, if they are names, predict them with a ClassLabel. "
        )
    others = sum(text not in beside for text in odd)
    if others:
        return (
            f"{what}, and {others:,} of {len(cells):,} cells "
            f"{by_number(others, 'does', 'do')} not hold a number: fix "
            f"{by_number(others, 'it', 'them')}, and remove what is next to the others with "
            "`.str.replace`. "
        )
    texts = [cell.strip() for cell in cells if isinstance(cell, str)]
    taken, mixed = _taking(amounts), len(texts) < len(cells)
    numbers = [beside[text].number if text in beside else text for text in texts]
    commas = [number for number in numbers if _with_commas(number)]
    if commas:
        return f"{what}. {_on_commas(commas, numbers, table, taken=taken, mixed=mixed)}"
    same = ", if the cells without it have the same unit" if rests and len(odd) < len(cells) else ""
    mended = _of_texts(table, taken, mixed)
    return f"{what}: remove it{same}, with `{table} = pd.to_numeric({mended})`. "


def _of_texts(table: str, code: str, mixed: bool = True) -> str:
    # `.str` turns cells that are numbers already into NaN.
    return f"{table}.mask({table}.map(type) == str, {table}{code})" if mixed else f"{table}{code}"


def _taking(amounts: Sequence[_Amount]) -> str:
    """The methods of a column of texts that remove what is next to the numbers."""
    rests = dict.fromkeys(part for one in amounts for part in one.rest if part)
    # The longer first, because it may contain the shorter one.
    code = "".join(f".str.replace({rest!r}, '')" for rest in sorted(rests, key=len, reverse=True))
    # With the Arrow strings of pandas 3.0, `\s` matches ASCII blanks only.
    blanks = r".str.replace('[\\s\u00a0\u2009\u202f]', '', regex=True)"
    return code + (blanks if any(one.blanks for one in amounts) else "")


def _on_commas(
    commas: Sequence[str],
    texts: Sequence[str],
    table: str,
    *,
    all_seen: bool = True,
    taken: str = "",
    mixed: bool = True,
) -> str:
    either = [text for text in commas if _EITHER.fullmatch(text)]
    by_point = [text for text in commas if _POINT_THOUSANDS.fullmatch(text)]
    by_comma = [text for text in commas if _COMMA_THOUSANDS.fullmatch(text)]
    decimal = [
        text for text in commas if _DECIMAL_COMMA.fullmatch(text) and not _EITHER.fullmatch(text)
    ]
    # Numbers that need no change show what a point means in this column.
    points = [text for text in texts if "." in text and _PLAIN.fullmatch(text)]
    condition = "" if all_seen else "; if every row does"
    if by_comma and not by_point and not decimal:
        what, mended = (
            f"{shown(by_comma[0])} has commas as thousands separators",
            f"{taken}.str.replace(',', '')",
        )
    elif (
        by_point
        and not by_comma
        and all(re.fullmatch(r"[-+]?\d{1,3}\.\d{3}", text) for text in points)
    ):
        what = f"{shown(by_point[0])} has points as thousands separators and a decimal comma"
        mended = f"{taken}.str.replace('.', '').str.replace(',', '.')"
    elif decimal and not by_comma and not by_point and not points:
        what, mended = f"{shown(decimal[0])} has a decimal comma", f"{taken}.str.replace(',', '.')"
    elif len(either) == len(commas):
        text = either[0]
        return (
            f"{shown(text)} is {text.replace(',', '')} where commas separate thousands, and "
            f"{text.replace(',', '.')} where they are decimal signs. Nothing here says which: "
            "write the numbers without commas. "
        )
    else:
        ways = (by_comma, by_point, decimal, either, points)
        found = " and ".join(shown(way[0]) for way in ways if way)
        return f"Commas and points do not always mean the same, as in {found}: fix them by hand. "
    return f"{what}{condition}: `{table} = pd.to_numeric({_of_texts(table, mended, mixed)})`. "
