"""Limits of sets and intervals that hold the truth in as many rows as asked for.

How badly the truth fits what a model says is measured for held-out rows; a new row is like one of
them, so a quantile of these scores is passed as often as asked for, however good or bad the model
is: split conformal prediction (Vovk, Gammerman and Shafer, "Algorithmic learning in a random
world", 2005; Lei and others, "Distribution-free predictive inference for regression", 2018). For
labels, which may be missed one by one, the mean share that is missed is held down instead
(Angelopoulos, Bates, Fisch, Lei and Schuster, "Conformal risk control", 2022).

A target keeps one limit for each thousandth of coverage, so no scores of rows are kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# Coverages, in thousandths.
LEAST, MOST = 500, 999


def check_coverage(coverage: Any) -> int:
    """The place of a coverage among the limits; between two thousandths, of the larger one.

    Raises:
        ValueError: If it is not a number from 0.5 to 0.999.
    """
    number = isinstance(coverage, int | float) and not isinstance(coverage, bool)
    if not number or not LEAST <= coverage * 1000 <= MOST:
        raise ValueError(
            "`coverage` must be a number from 0.5 to 0.999, the share of rows to hold in. Received:"
            f" coverage={coverage!r}"
        )
    return int(np.ceil(coverage * 1000 - 1e-6)) - LEAST


def limit_at(limits: Any, coverage: float) -> Any:
    """The limit for a coverage.

    Args:
        limits: A limit for each coverage from 0.5 on, as far as there were rows enough.
        coverage: As in `check_coverage`.

    Raises:
        ValueError: If there were too few rows for this coverage.
    """
    place = check_coverage(coverage)
    if place < len(limits):
        return limits[place]
    share = (LEAST + place) / 1000
    # With as many, one row may be out.
    needed = int(np.ceil(share / (1 - share) - 1e-6))
    most = (LEAST + len(limits) - 1) / 1000
    raise ValueError(
        f"To hold in {share:.1%} of the rows takes at least {needed:,} validation rows; these are "
        f"enough for at most {most:.1%}. Received: coverage={coverage!r}"
    )


def quantiles(scores: np.ndarray) -> np.ndarray:
    """What a score of a new row does not exceed, for each coverage.

    Args:
        scores: `(rows, ...)`, larger for rows that fit worse.

    Returns:
        `(coverages, ...)`, as far as there are rows enough.
    """
    ranks = (len(scores) + 1) * np.arange(LEAST, MOST + 1)
    # Rounded up. One more than rows, as the new row counts too.
    ranks = -(-ranks // 1000)
    return np.asarray(np.sort(scores, axis=0)[ranks[ranks <= len(scores)] - 1])


def risk_limits(truth: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The probability that a label needs so that sets hold a share of each row's labels on average.

    Args:
        truth: `(rows, labels)` of False and True. Nothing can be missed in a row without labels.
        shares: `(rows, labels)` probabilities.

    Returns:
        `(coverages,)`, as far as there are rows enough.
    """
    rows, owns = np.nonzero(truth)
    # Of each label that a row has, how much is lost without it.
    lost, own = 1 / truth.sum(axis=1)[rows], np.asarray(shares, "float64")[rows, owns]
    order = np.argsort(own, kind="stable")
    own, total = own[order], np.cumsum(lost[order])
    # The new row may lose all.
    left = (len(truth) + 1) * (1000 - np.arange(LEAST, MOST + 1)) / 1000 - 1
    left = left[left > -1e-9]
    if not len(own):
        return np.ones(len(left))
    # The first label for which there is nothing left must be in, and those that are as likely.
    first = np.searchsorted(total, left + 1e-9, side="right")
    return np.asarray(own[np.minimum(first, len(own) - 1)])


def checked_limits(limits: Any, units: int | None = None) -> tuple[Any, ...] | None:
    """Limits for coverages from 0.5 on.

    Args:
        limits: A number for each, or with `units` a list of as many; or None.
        units: How many numbers a limit has.

    Raises:
        ValueError: If they are something else.
    """
    if limits is None:
        return None
    try:
        numbers = np.asarray(limits, "float64")
    except (TypeError, ValueError):
        numbers = np.zeros(0)
    most, size = MOST - LEAST + 1, len(numbers) if numbers.ndim else 0
    shape = (size,) if units is None else (size, units)
    if numbers.shape != shape or not 0 < size <= most or not np.isfinite(numbers).all():
        each = "finite numbers" if units is None else f"lists of {units} finite numbers"
        raise ValueError(
            f"`conformal_limits` must be 1 to {most} {each}, one for each coverage. Received: "
            f"conformal_limits={np.asarray(limits, object).shape} of {type(limits).__name__}"
        )
    return tuple(numbers.tolist())
