"""Numbers that are far outside of their column, and numbers that stand for a missing value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from multimodal_gen.errors import counted
from multimodal_gen.inspection.audit.findings import Finding
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.numbers import NumericLoader
from multimodal_gen.loaders.scaling import signed_log
from multimodal_gen.loaders.targets.numbers import NumericTarget
from multimodal_gen.rows.cell_numbers import readable_numbers

KIND = "extreme number"
# A gap in the sorted numbers of so many standard deviations sets the numbers beyond it apart, if it
# is as wide among the numbers as among their logarithms. Long tails have wide gaps among the
# numbers, but not among the logarithms; a normal distribution the other way round.
_GAP = 8.0
# Beyond a gap are at most this share of the rows, or one number that repeats.
_FEW, _PLACEHOLDERS = 0.01, 0.2
_FEWEST_ROWS, _FEWEST_VALUES = 20, 8
# The standard deviation of a normal distribution is .741 times its quartiles' distance.
_OF_QUARTILES = 0.741


def extreme_numbers(table: pd.DataFrame, loaders: Sequence[Loader]) -> list[Finding]:
    """The cells of columns of numbers that are far outside of the others.

    Args:
        table: The rows.
        loaders: The inputs and the target; those that read no numbers are passed over.
    """
    findings = []
    names = [
        name
        for loader in loaders
        if isinstance(loader, NumericLoader | NumericTarget)
        for name in ((loader.column,) if isinstance(loader.column, str) else loader.column)
    ]
    for name in dict.fromkeys(names):
        numbers = readable_numbers(table[name])
        strange = strange_values(numbers[np.isfinite(numbers)])
        if not len(strange):
            continue
        usual = numbers[np.isfinite(numbers) & ~np.isin(numbers, strange)]
        within = f"{_shown(usual.min())} to {_shown(usual.max())}"
        for value in strange.tolist():
            rows = np.flatnonzero(numbers == value).tolist()
            repeats = f", in {counted(len(rows), 'row')}" if len(rows) > 1 else ""
            message = f"{_shown(value)}{repeats}, where all other rows have {within}"
            if len(rows) > 1:
                message += "; does it stand for a missing value?"
            findings += [Finding(row, name, KIND, message) for row in rows]
    return findings


def strange_values(numbers: np.ndarray) -> np.ndarray:
    """The different numbers that are far outside of the others, or stand for a missing value.

    Numbers beyond a gap in the sorted ones, of `_GAP` standard deviations by the quartiles, both of
    the numbers and of their signed logarithms. Dixon (Analysis of Extreme Values, 1950) compares
    such a gap with the range, which a second bad number widens; the quartiles stay. Also a number
    such as -1, -99 or 9999 that repeats: the only one below 0, or more than twice all others.

    Args:
        numbers: `(rows,)`, finite.
    """
    values, counts = np.unique(numbers, return_counts=True)
    if len(numbers) < _FEWEST_ROWS or len(values) <= _FEWEST_VALUES:
        return values[:0]
    scales = [_gaps(values, numbers), _gaps(signed_log(values), signed_log(numbers))]
    wide = np.flatnonzero(np.minimum(*scales) > _GAP)
    far = np.zeros(len(values), bool)
    for place in wide.tolist():
        for beyond in (slice(0, place + 1), slice(place + 1, None)):
            rows, many = counts[beyond].sum(), len(values[beyond])
            share = _PLACEHOLDERS if many == 1 else _FEW
            if rows <= max(share * len(numbers), 1):
                far[beyond] = True
    rest = values[~far]
    for place in (0, -1):
        count = counts[~far][place]
        if 1 < count <= _PLACEHOLDERS * len(numbers) and _is_placeholder(rest, place):
            far |= values == rest[place]
    return values[far] if (~far).sum() >= _FEWEST_VALUES else values[:0]


def _gaps(values: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    # `(values - 1,)`: each gap in standard deviations of the numbers. Where most numbers are equal,
    # such as 0, in those of the different ones.
    for known in (numbers, values):
        low, high = np.quantile(known, (0.25, 0.75))
        if high > low:
            return np.asarray(np.diff(values) / (_OF_QUARTILES * (high - low)))
    return np.zeros(len(values) - 1)


def _is_placeholder(values: np.ndarray, place: int) -> bool:
    # As programs write "no value": -1, or nothing but nines, beyond what the others are.
    value, next_value = float(values[place]), float(values[1 if place == 0 else -2])
    digits = _shown(abs(value))
    nines = len(digits) > 1 and set(digits) == {"9"}
    if place == 0:
        return value < 0 <= next_value and (nines or value == -1)
    return nines and len(digits) > 2 and value > 2 * next_value > 0


def _shown(number: float) -> str:
    return f"{number:.15g}"
