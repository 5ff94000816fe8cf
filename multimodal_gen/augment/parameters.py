"""Ranges of random parameters: how they are written, checked and drawn.

A range is a number `f`, short for [-f, f] (or [0, f] for what cannot be negative), or a pair `(low,
high)`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np

Factor = float | Sequence[float]


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a finite Python or NumPy number, and not a bool."""
    # True would otherwise stand for the range [-1, 1].
    kinds = int | float | np.integer | np.floating
    return isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)


def span(factor: Factor, *, signed: bool = True) -> tuple[float, float]:
    """The two ends of a range: for a number `f`, [-|f|, |f|] or, if not `signed`, [0, f]."""
    if isinstance(factor, Sequence):
        low, high = factor
        return float(low), float(high)
    return (-abs(float(factor)), abs(float(factor))) if signed else (0.0, float(factor))


def draw(factor: Factor, rng: np.random.Generator, *, signed: bool = True) -> float:
    """Draw uniformly from a range."""
    low, high = span(factor, signed=signed)
    # One draw even if both ends are equal, so that narrowing a range does not change later draws.
    return low + (high - low) * rng.random()


def check_span(
    name: str,
    factor: Factor,
    *,
    above: float = -math.inf,
    least: float = -math.inf,
    most: float = math.inf,
    signed: bool = True,
    rule: str = "",
) -> None:
    """Make sure that a range is valid, and within its bounds.

    Args:
        name: The argument's name.
        factor: Its value.
        above: A bound that every value must exceed.
        least: The smallest value allowed.
        most: The largest value allowed.
        signed: Whether a number `f` means [-f, f] instead of [0, f].
        rule: The bounds in words, for the message.

    Raises:
        ValueError: If it is neither a number nor a pair, is not in order, or is out of bounds.
    """
    if is_number(factor) or (
        isinstance(factor, list | tuple) and len(factor) == 2 and all(map(is_number, factor))
    ):
        low, high = span(factor, signed=signed)
        if above < low <= high and least <= low and high <= most:
            return
    raise ValueError(
        f"`{name}` must be a number, or a pair (low, high){rule}. Received: {name}={factor!r}"
    )


def check_probability(name: str, value: Any, hint: str = "") -> None:
    """Make sure that an argument is a probability.

    Raises:
        ValueError: If it is not a number in [0, 1]; `hint` is added to the rule.
    """
    if not is_number(value) or not 0 <= value <= 1:
        raise ValueError(
            f"`{name}` must be a probability in [0, 1]{hint}. Received: {name}={value!r}"
        )
