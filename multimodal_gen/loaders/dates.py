"""Read dates as numbers that a model can learn from: the cycles of the calendar, and a trend."""

from __future__ import annotations

import datetime
import math
import re
import zoneinfo
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd

from multimodal_gen.errors import LoadError, shown
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.learning import series_of
from multimodal_gen.rows.cell_dates import DayOrder, cell_date, is_date_form
from multimodal_gen.rows.cells import is_blank
from multimodal_gen.rows.checks import check_choice
from multimodal_gen.rows.chunks import cells_of_series
from multimodal_gen.spec import ArraySpec

_EPOCH = datetime.datetime(1970, 1, 1)
_DAY = datetime.timedelta(days=1)
_OFFSET = re.compile(r"([-+])(\d{2}):(\d{2})")


def _clock(date: datetime.datetime) -> float:
    return (date - date.replace(hour=0, minute=0, second=0, microsecond=0)) / _DAY


# Part -> the share of its cycle that has passed at a date, in [0, 1).
_PARTS: dict[str, Callable[[datetime.datetime], float]] = {
    "hour": _clock,
    "weekday": lambda date: date.weekday() / 7,
    "day_of_month": lambda date: (date.day - 1) / 31,
    "day_of_year": lambda date: (date.timetuple().tm_yday - 1) / 366,
}


class DateLoader(Loader):
    """Reads dates as cycles of the calendar and a trend.

    Each part of the calendar is two numbers, the sine and the cosine of the share of its cycle that
    has passed, so that December is next to January and Sunday next to Monday. After them comes the
    trend, `(days - mean) / scale`, with days since 1970.

    A cell may be a date, a datetime, a pandas Timestamp, or a text with the year first
    (2024-01-31, 2024/1/31, ISO 8601 with a time) or an English month (31 Jan 2024, January 31,
    2024). Texts with the year last need a `date_format`.

    Yields `(2 * parts + 1,) float32`, kind "vector"; with `missing="flag"` one number more.

    Args:
        column: The column of dates.
        parts: "hour" (the time of day), "weekday", "day_of_month" and "day_of_year", or some of
            them.
        mean: What is subtracted from the days since 1970.
        scale: What they are divided by then, positive.
        date_format: How texts with the year last are read: "day first" (31/01/2024) or "month
            first" (01/31/2024); or a format of `strptime`, such as "%d.%m.%y", for all texts. By
            default they are refused.
        timezone: The time zone whose clock counts, for cells with one: a name such as
            "Europe/Berlin", "UTC", or an offset such as "+01:00". By default cells must not have
            one.
        missing: "error" refuses a missing date; "mean" reads it as zeros, the mean of the trend and
            the centre of all cycles; "flag" does the same, and a last number is 1 if the date was
            missing, and else 0.
    """

    accepts_missing = True
    cached = False
    kept_by_row = True

    def __init__(
        self,
        column: str,
        *,
        parts: Sequence[str],
        mean: float,
        scale: float,
        date_format: str | None = None,
        timezone: str | None = None,
        missing: str = "error",
    ) -> None:
        self.column, self.parts = column, tuple(parts)
        for part in self.parts:
            check_choice("parts", part, list(_PARTS))
        if len(set(self.parts)) < len(self.parts):
            raise ValueError(f"Each part must be named once. Received: parts={list(parts)}")
        self.mean, self.scale = float(mean), float(scale)
        if not math.isfinite(self.mean) or not 0 < self.scale < math.inf:
            raise ValueError(
                "`mean` must be finite, and `scale` finite and positive. Received: "
                f"mean={mean!r}, scale={scale!r}"
            )
        self.date_format, self.timezone = _checked_format(date_format), timezone
        self._zone = None if timezone is None else _zone_called(timezone)
        check_choice("missing", missing, ("error", "mean", "flag"))
        self.missing = missing
        self.spec = ArraySpec((2 * len(self.parts) + 1 + (missing == "flag"),), "float32", "vector")

    @classmethod
    def from_values(
        cls,
        column: str,
        values: Any,
        *,
        date_format: str | None = None,
        timezone: str | None = None,
        missing: str = "error",
    ) -> Self:
        """Learn from training rows which parts vary, the trend's scale, and the way of writing.

        Dates with the year last, such as 31/01/2024, are read with the day first if one of them can
        only be read so, or else with the month first.

        Args:
            column: The column of dates.
            values: Its training values, or the table that has it; missing ones are left out.
            date_format: As in the constructor; by default found as above.
            timezone: As in the constructor; by default the time zone that all dates have, or none.
            missing: As in the constructor.

        Raises:
            ValueError: If a value is not a date, it names the row; if texts can be read with the
                day or the month first, and none says which; if dates have several time zones and
                `timezone` is not given, or only some have one; or if there are none.
        """
        series = series_of(column, values).rename(column)
        if _checked_format(date_format) is None:
            try:
                date_format = DayOrder.among(cells_of_series(series)).form
            except ValueError as error:
                raise ValueError(f"{error}. Received: column={column!r}") from None
        # Dates are objects of 48 bytes, so they are made twice rather than kept.
        zones = Counter(map(_name_of, _dates_in(series, date_format)))
        if not zones:
            raise ValueError(
                f"There must be at least one date to learn from. Received: column={column!r}, "
                f"{len(series):,} missing values"
            )
        if timezone is None:
            timezone = _common_zone(column, zones)
        zone = None if timezone is None else _zone_called(timezone)
        first: dict[str, float] = {}
        varied: set[str] = set()
        numbers = array("d")
        for date in _dates_in(series, date_format):
            local = _on_clock(date, zone)
            numbers.append((local - _EPOCH) / _DAY)
            for name in _PARTS.keys() - varied:
                share = _PARTS[name](local)
                if first.setdefault(name, share) != share:
                    varied.add(name)
        parts = [name for name in _PARTS if name in varied]
        days = np.frombuffer(numbers)
        deviation = float(days.std())
        return cls(
            column,
            parts=parts,
            mean=float(days.mean()),
            scale=deviation if deviation > 0 else 1.0,
            date_format=date_format,
            timezone=timezone,
            missing=missing,
        )

    def read(self, cell: Any) -> np.ndarray:
        """The numbers of a date.

        Raises:
            LoadError: If it is not a date, or has a time zone where training dates had none or the
                other way round, or is missing if that is an error.
        """
        try:
            date = cell_date(cell, self.date_format)
            local = None if date is None else _on_clock(date, self._zone)
        except ValueError as error:
            raise LoadError(str(error)) from None
        if local is None:
            if self.missing == "error":
                raise LoadError(
                    "the date is missing. Fill it, drop the row, or read missing dates as the mean "
                    f'with `missing="mean"` (`--number-missing mean`). Received: {shown(cell)}'
                )
            numbers = [0.0] * (2 * len(self.parts) + 1)
        else:
            angles = [2 * math.pi * _PARTS[part](local) for part in self.parts]
            numbers = [wave(angle) for angle in angles for wave in (math.sin, math.cos)]
            numbers.append(((local - _EPOCH) / _DAY - self.mean) / self.scale)
        if self.missing == "flag":
            numbers.append(float(local is None))
        return np.array(numbers, "float32")

    def describe(self, array: np.ndarray, cell: Any = None) -> dict[str, str]:
        """The date that the trend says, with the time if it is among the parts."""
        words = "(missing)"
        gone = self.missing == "flag" and array[-1] == 1
        if not gone and not (cell is not None and is_blank(cell)):
            days = float(array[2 * len(self.parts)]) * self.scale + self.mean
            # A float32 holds seven digits of the trend.
            date = _EPOCH + datetime.timedelta(minutes=round(days * 24 * 60))
            if "hour" not in self.parts:
                date += datetime.timedelta(hours=12)
            words = date.strftime("%Y-%m-%d %H:%M" if "hour" in self.parts else "%Y-%m-%d")
        return {str(self.column): words}


def _checked_format(form: Any) -> str | None:
    if form is not None and not is_date_form(form):
        raise ValueError(
            '`date_format` must be "day first", "month first" or a format of `strptime`, such as '
            f"'%d.%m.%y'. Received: date_format={form!r}"
        )
    return form if form is None else str(form)


def _zone_called(name: Any) -> datetime.tzinfo:
    if name == "UTC":
        return datetime.UTC
    offset = _OFFSET.fullmatch(name) if isinstance(name, str) else None
    if offset is not None:
        ahead = datetime.timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        return datetime.timezone(-ahead if offset[1] == "-" else ahead)
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise ValueError(
            "`timezone` must be a time zone that this system knows, such as 'Europe/Berlin', "
            f"'UTC' or '+01:00'. Received: timezone={name!r}"
        ) from None


def _name_of(date: datetime.datetime) -> str | None:
    # The name of a zone, or of its offset for those that have none.
    zone = date.tzinfo
    if zone is None:
        return None
    name = getattr(zone, "key", None) or getattr(zone, "zone", None)
    if name is None:
        offset = date.utcoffset() or datetime.timedelta()
        sign, minutes = (
            "-" if offset.days < 0 else "+",
            abs(offset) // datetime.timedelta(minutes=1),
        )
        name = f"{sign}{minutes // 60:02}:{minutes % 60:02}"
    return "UTC" if name in ("+00:00", "Etc/UTC", "Zulu") else str(name)


def _dates_in(series: pd.Series, form: str | None) -> Iterator[datetime.datetime]:
    # Those that are not missing.
    for label, cell in zip(series.index, cells_of_series(series), strict=True):
        try:
            date = cell_date(cell, form)
        except ValueError as error:
            raise ValueError(
                f"The values of {series.name!r} must be dates. {error} at index {label!r}"
            ) from None
        if date is not None:
            yield date


def _common_zone(column: str, counts: Counter[str | None]) -> str | None:
    zones = sorted(counts, key=str)
    if None in zones and len(zones) > 1:
        raise ValueError(
            f"{counts[None]:,} of {counts.total():,} dates of {column!r} have no time zone, and "
            "the others do, so they cannot be compared. Give all of them one, or none, as with "
            f"`pd.to_datetime(table[{column!r}], utc=True, format='mixed')` if those without are "
            f"in UTC. Received: column={column!r}"
        )
    if len(zones) > 1:
        shown_zones = ", ".join(map(str, zones[:4])) + (", ..." if len(zones) > 4 else "")
        raise ValueError(
            f"The dates of {column!r} have several time zones ({shown_zones}), as those on both "
            "sides of a change of clocks do. Write all of them in one, such as UTC; or in Python "
            'pass the one whose clock counts, as in `timezone="Europe/Berlin"`. Received: '
            f"column={column!r}"
        )
    return zones[0]


def _on_clock(date: datetime.datetime, zone: datetime.tzinfo | None) -> datetime.datetime:
    # The date on the clock of the zone, without its zone.
    if (date.tzinfo is None) != (zone is None):
        has = "a time zone, and the training dates had none" if zone is None else "no time zone"
        raise ValueError(
            f"The date has {has}: write all dates in one way. Received: {date.isoformat()}"
        )
    return date if zone is None else date.astimezone(zone).replace(tzinfo=None)
