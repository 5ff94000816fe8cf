"""The date in a cell, or in its text, as long as it can be read in one way only."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.errors import shown
from multimodal_gen.rows.cells import is_blank, is_missing

# The words for the order of day and month, besides the formats of `strptime`.
DAY_FIRST, MONTH_FIRST = "day first", "month first"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = r"(?P<month>jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec|january|february|march|"
_MONTH += r"april|august|september|october|november|december)\.?"
_TIME = r"(?:(?:T| +)(?P<time>\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?) ?(?P<half>[ap]m)?"
_TIME += r" ?(?P<zone>z|utc|[-+]\d{2}:?\d{2})?)?"
_YEAR_FIRST = re.compile(
    rf"(?P<year>\d{{4}})(?P<sign>[-/.])(?P<month>\d{{1,2}})(?P=sign)(?P<day>\d{{1,2}}){_TIME}", re.I
)
_NAMED = re.compile(
    rf"(?:(?P<day>\d{{1,2}})[- ]{_MONTH}|{_MONTH.replace('month', 'month2', 1)} "
    rf"(?P<day2>\d{{1,2}}),?)[- ](?P<year>\d{{4}}){_TIME}",
    re.I,
)
_YEAR_LAST = re.compile(
    rf"(?P<first>\d{{1,2}})(?P<sign>[-/.])(?P<second>\d{{1,2}})(?P=sign)(?P<year>\d{{4}}){_TIME}",
    re.I,
)
_LONGEST = 60


def cell_date(cell: Any, form: str | None = None) -> datetime.datetime | None:
    """The date in a cell or its text, with the time of day if there is one; None if it is missing.

    Texts may have the year first (2024-01-31, 2024/1/31, ISO 8601 with a time and an offset) or an
    English month (31 Jan 2024, January 31, 2024). With the year last (31/01/2024), `form` must say
    the order.

    Args:
        cell: A text, a date, a datetime, a pandas Timestamp or a `numpy.datetime64`.
        form: "day first" or "month first", for dates with the year last; or a format of `strptime`,
            which every text must have.

    Returns:
        The date; with a time zone if the cell has one.

    Raises:
        ValueError: If it is not such a date; the message says what to do.
    """
    if is_blank(cell):
        return None
    if isinstance(cell, str):
        return _date_of_text(cell.strip(), form)
    if isinstance(cell, np.datetime64):
        cell = pd.Timestamp(cell)
    if is_missing(cell):
        return None
    if isinstance(cell, pd.Timestamp):
        return cell.to_pydatetime(warn=False)
    if isinstance(cell, datetime.datetime):
        return cell
    if isinstance(cell, datetime.date):
        return datetime.datetime.combine(cell, datetime.time())
    advice = ""
    if isinstance(cell, int | float | np.number):
        advice = (
            "A number is a date only if its unit and origin are known: convert the column, as in "
            "`pd.to_datetime(table[column], unit='s')`. "
        )
    raise ValueError(f"Expected a date. {advice}Received: {shown(cell)}")


def is_date_form(form: Any) -> bool:
    """Whether this can be the `form` of `cell_date`."""
    return isinstance(form, str) and (form in (DAY_FIRST, MONTH_FIRST) or "%" in form)


def seems_date(cell: Any) -> bool:
    """Whether a cell is a date, or a text that is one in some order of day and month."""
    if isinstance(cell, str):
        return _is_date(cell, DAY_FIRST) or _is_date(cell, MONTH_FIRST)
    return isinstance(cell, datetime.date | np.datetime64)


def _is_date(text: str, order: str) -> bool:
    try:
        return cell_date(text, order) is not None
    except ValueError:
        return False


@dataclass(frozen=True)
class DayOrder:
    """What the texts with the year last say about their order.

    Args:
        day_first: A text whose first number can only be a day, if there is one.
        month_first: A text whose second number can only be a day, if there is one.
        either: A text that can be read both ways, if there is one.
    """

    day_first: str | None
    month_first: str | None
    either: str | None

    @classmethod
    def among(cls, cells: Iterable[Any]) -> DayOrder:
        """Look at all cells that are texts."""
        found: dict[str, str] = {}
        for cell in cells:
            parts = _YEAR_LAST.fullmatch(cell.strip()) if isinstance(cell, str) else None
            if parts is not None:
                first, second = int(parts["first"]), int(parts["second"])
                kind = "day" if first > 12 else "month" if second > 12 else "either"
                found.setdefault(kind, cell)
        return cls(found.get("day"), found.get("month"), found.get("either"))

    @property
    def form(self) -> str | None:
        """The `form` of `cell_date` that fits all texts; None if none needs one.

        Raises:
            ValueError: If nothing says the order, or the texts contradict each other.
        """
        if self.day_first and self.month_first:
            raise ValueError(
                f"Some dates have the day first, as {self.day_first!r}, and some the month, as "
                f"{self.month_first!r}, so others cannot be told apart: write all of them in one "
                "way, best as 2024-01-31"
            )
        if self.day_first:
            return DAY_FIRST
        if self.month_first:
            return MONTH_FIRST
        if self.either:
            raise ValueError(
                f"{self.either!r} and the others can be read with the day or the month first, and "
                "no date says which. Pass 'day first' or 'month first' as `date_format` "
                "(`--date-format`)"
            )
        return None


def _date_of_text(text: str, form: str | None) -> datetime.datetime:
    if form is not None and form not in (DAY_FIRST, MONTH_FIRST):
        try:
            return datetime.datetime.strptime(text, form)
        except ValueError:
            raise ValueError(
                f"The date does not have the format {form!r}. Received: {shown(text)}"
            ) from None
    found = None
    if len(text) <= _LONGEST:
        found = _YEAR_FIRST.fullmatch(text) or _NAMED.fullmatch(text) or _YEAR_LAST.fullmatch(text)
    if found is None:
        raise ValueError(
            "Expected a date such as 2024-01-31, 2024-01-31 18:30 or 31 Jan 2024; for another "
            "way of writing, pass its `date_format` (`--date-format`), as in '%d.%m.%y'. Received: "
            f"{shown(text)}"
        )
    parts = found.groupdict()
    if "first" in parts:
        if form is None:
            raise ValueError(
                "A date with the year last can be read in two ways: pass 'day first' or "
                f"'month first' as `date_format` (`--date-format`). Received: {shown(text)}"
            )
        order = ("first", "second") if form == DAY_FIRST else ("second", "first")
        day, month = (int(parts[one]) for one in order)
    else:
        day = int(parts["day"] or parts.get("day2") or 0)
        name = parts["month"] or parts.get("month2") or ""
        month = int(name) if name.isdigit() else _MONTHS.index(name[:3].lower()) + 1
    try:
        date = datetime.datetime(int(parts["year"]), month, day)
        return _with_time(date, parts["time"], parts["half"], parts["zone"])
    except ValueError as error:
        raise ValueError(f"There is no such date: {error}. Received: {shown(text)}") from None


def _with_time(
    date: datetime.datetime, time: str | None, half: str | None, zone: str | None
) -> datetime.datetime:
    if time is not None:
        hours, minutes, *rest = time.replace(",", ".").split(":")
        hour = int(hours)
        if half is not None:
            if not 1 <= hour <= 12:
                raise ValueError("hour must be in 1..12 with am or pm")
            hour = hour % 12 + 12 * (half.lower() == "pm")
        whole, _, fraction = (rest[0] if rest else "0").partition(".")
        micro = int(fraction[:6].ljust(6, "0")) if fraction else 0
        date = date.replace(hour=hour, minute=int(minutes), second=int(whole), microsecond=micro)
    if zone is None:
        return date
    sign, digits = zone[0], zone[1:].replace(":", "")
    offset = datetime.timedelta()
    if sign in "+-":
        offset = datetime.timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return date.replace(tzinfo=datetime.timezone(-offset if sign == "-" else offset))
