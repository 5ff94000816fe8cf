"""The ways to scale numbers for a model other than mean and deviation: by logarithms, by quantiles.

Only arithmetic on arrays; `numbers.py` learns what it needs from training rows, and keeps it.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

_NORMAL = NormalDist()
# One knot for 30 rows, at least 10 and at most 1,000: Gorishniy et al., "Revisiting deep learning
# models for tabular data", 2021, section 4.2.
_ROWS_A_KNOT, _FEWEST, _MOST = 30, 10, 1000
# How close to the outermost knots a number counts as beyond them, as in scikit-learn.
_AT_THE_END = 1e-7


def signed_log(numbers: np.ndarray) -> np.ndarray:
    """`sign(x) log(1 + |x|)`, which has no gap at 0 and keeps the order of negative numbers."""
    result: np.ndarray = np.sign(numbers) * np.log1p(np.abs(numbers))
    return result


def undo_signed_log(logs: np.ndarray) -> np.ndarray:
    """The numbers that `signed_log` made these of."""
    result: np.ndarray = np.sign(logs) * np.expm1(np.abs(logs))
    return result


def learn_quantiles(numbers: np.ndarray) -> np.ndarray:
    """Quantiles of training numbers at equal steps, from the least to the greatest.

    Args:
        numbers: `(rows, columns) float64`, NaN where one is missing, with a number in each column.

    Returns:
        `(columns, knots) float64`: a knot for every 30 numbers of the fullest column, at least 10
        and at most 1,000, but no more than there are numbers.
    """
    counts = np.isfinite(numbers).sum(axis=0)
    fullest = int(counts.max())
    knots = max(min(max(fullest // _ROWS_A_KNOT, _FEWEST), _MOST, fullest), 2)
    found = np.nanpercentile(numbers, np.linspace(0, 1, knots) * 100, axis=0).T
    # Interpolation between equal numbers may be off by a rounding error.
    return np.asarray(np.maximum.accumulate(found, axis=1))


def normal_scores(numbers: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """The place of each number among the training numbers, as a number of the normal distribution.

    As `sklearn.preprocessing.QuantileTransformer(output_distribution="normal")`: the share of
    training numbers below, by linear interpolation between the quantiles and half way where several
    are equal. The ends of the range are where half a knot would be, instead of at -5.2 and 5.2.

    Args:
        numbers: `(columns,) float64`.
        quantiles: `(columns, knots) float64`, in ascending order.

    Returns:
        `(columns,) float64`; NaN for NaN, and 0 in a column whose quantiles are all equal.
    """
    knots = quantiles.shape[1]
    shares = np.linspace(0, 1, knots)
    result = np.full(len(numbers), np.nan)
    for place, (number, own) in enumerate(zip(numbers, quantiles, strict=True)):
        if np.isnan(number):
            continue
        if own[0] == own[-1]:
            result[place] = 0.0
            continue
        share = (np.interp(number, own, shares) - np.interp(-number, -own[::-1], -shares[::-1])) / 2
        if number + _AT_THE_END > own[-1]:
            share = 1.0
        if number - _AT_THE_END < own[0]:
            share = 0.0
        half = 0.5 / knots
        result[place] = _NORMAL.inv_cdf(min(max(float(share), half), 1 - half))
    return result


def undo_normal_scores(scores: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """The numbers at these places, `(columns,) float64`; those beyond the ends are the ends."""
    shares = np.linspace(0, 1, quantiles.shape[1])
    half = 0.5 / quantiles.shape[1]
    found = []
    for score, own in zip(scores.tolist(), quantiles, strict=True):
        share = _NORMAL.cdf(score)
        # What `normal_scores` cut off is at the ends.
        share = 0.0 if share <= half else 1.0 if share >= 1 - half else share
        found.append(float(np.interp(share, shares, own)))
    return np.array(found)
