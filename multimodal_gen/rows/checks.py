"""Argument checks that many functions share: positive integers, choices, switches, seeds, and
columns that are named once; and whether a column looks like ids.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

# From this many different cells on, and if this share of rows has one of its own, a column is
# probably one of ids.
_MANY, _NEARLY_ALL = 20, 0.9


def nearly_all_differ(different: int, rows: int) -> bool:
    """Whether a column has nearly as many different cells as rows, as a column of ids does."""
    return different >= _MANY and different > _NEARLY_ALL * rows


def check_share(**arguments: Any) -> None:
    """Raise a ValueError unless each argument is a number in [0, 1)."""
    for name, value in arguments.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 <= value < 1:
            raise ValueError(f"`{name}` must be a number in [0, 1). Received: {name}={value!r}")


def check_switches(**switches: Any) -> None:
    """Make sure that arguments are Python or NumPy booleans, because "no" would count as True.

    Raises:
        TypeError: If one is anything else.
    """
    for name, value in switches.items():
        if not isinstance(value, bool | np.bool_):
            raise TypeError(f"`{name}` must be True or False. Received: {name}={value!r}")


def check_seed(seed: Any) -> int:
    """A seed as a Python integer.

    Raises:
        ValueError: If it is not an integer in [0, 2**64).
    """
    try:
        found = operator.index(seed)
    except TypeError:
        found = -1
    if not 0 <= found < 2**64:
        raise ValueError(f"`seed` must be an integer in [0, 2**64). Received: seed={seed!r}")
    return found


def check_positive(**numbers: Any) -> None:
    """Make sure that arguments are Python or NumPy integers of at least 1.

    Raises:
        ValueError: If one is anything else.
    """
    for name, value in numbers.items():
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not whole or value < 1:
            raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value!r}")


def check_at_least(least: int, **numbers: Any) -> None:
    """Make sure that arguments, numbers or arrays of them, are not below a bound.

    Raises:
        ValueError: If one is, or is NaN.
    """
    for name, value in numbers.items():
        # Not `value < least`: every comparison with NaN is false, and NaN is to be refused.
        if not np.all(np.asarray(value) >= least):
            raise ValueError(f"`{name}` must be at least {least}. Received: {name}={value!r}")


def check_choice(name: str, value: Any, choices: Sequence[str], others: str = "") -> None:
    """Make sure that an argument is one of a few words.

    Args:
        name: The argument's name.
        value: Its value.
        choices: The words.
        others: What else the caller accepts, in words, for the message.

    Raises:
        ValueError: If it is not.
    """
    # The type first: a list is not hashable, and an array compares with every word.
    if not isinstance(value, str) or value not in choices:
        raise ValueError(
            f"`{name}` must be one of {list(choices)}{others}. Received: {name}={value!r}"
        )


def check_once(columns: Sequence[str], argument: str = "column") -> None:
    """Make sure that no column or input is named twice.

    Raises:
        ValueError: If one is.
    """
    twice = [name for position, name in enumerate(columns) if name in columns[:position]]
    if twice:
        what = "column" if argument == "column" else "input"
        raise ValueError(
            f"Each {what} must be named only once. {twice[0]!r} appears twice. Received: "
            f"{argument}={list(columns)}"
        )
