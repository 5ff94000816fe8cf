"""Rows drawn with replacement, one by one or by groups, and intervals of what comes of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

# Counts that are held at once.
_MOST = 2_000_000


def resamples_of(groups: np.ndarray, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each row is in each resample, in chunks of `(some resamples, rows) int64`.

    Args:
        groups: `(rows,) int64`, the group of each row, from 0 on. As many groups as there are are
            drawn with replacement, each with all its rows.
        resamples: How many resamples.
        seed: Draws the same groups each time.
    """
    rng = np.random.Generator(np.random.Philox(seed))
    number = int(groups.max()) + 1
    # Not `np.array_equal` with a range: most tables have no groups.
    alone = number == len(groups)
    at_once = max(1, _MOST // len(groups))
    for start in range(0, resamples, at_once):
        drawn = np.stack(
            [
                np.bincount(rng.integers(0, number, number), minlength=number)
                for _ in range(min(at_once, resamples - start))
            ]
        )
        yield drawn if alone else drawn[:, groups]


def interval_of(values: np.ndarray, share: float = 0.95) -> tuple[float, float]:
    """The ends between which the middle share of values lies; NaN if there are none.

    Args:
        values: `(resamples,)`; NaN counts as no value.
        share: The share of values inside.
    """
    values = values[~np.isnan(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)
