"""How likely the two cells of a row belong to different rows, by the vectors of a pair of encoders.

Two estimates, of which the smaller counts.

By Bayes' rule: if a row's cells belong together, such a row is `r` times as frequent as two cells
drawn apart, and a softmax over the similarities estimates `r`: that of the own cell, divided by the
mean over the cells of other rows. With a share `s` of exchanged rows, one is exchanged with
probability `s / (s + (1 - s) * r)`. Two numbers are chosen that make the rows the most likely: `s`,
and the scale of the similarities, as encoders are surer of the rows that they were trained on than
of others. If `s = 0` explains the rows about as well, no row is exchanged.

By counting: cells of different rows show what `r` is of exchanged ones. Rows with so low an `r`
cannot be more often exchanged than they are there at all, so the share of exchanged rows is at most
the least ratio of the two frequencies, and a row is exchanged with that share divided by the ratio
at its own `r`, which grows with `r` (Grenander, 1956). Captions that say little of their picture
have a low `r` without any exchange, and this keeps them from being taken for exchanged ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

# Scales that are tried; 0 is that of encoders that know nothing.
_SCALES = np.concatenate([[0.0], np.geomspace(0.25, 256, 31)])
# Shares of exchanged rows that are tried, besides 0, from half a row up to this one.
_NUM_SHARES, _MOST = 50, 0.5
# What exchanged rows must add to the log-likelihood: that of one standard error of their share.
_GAIN = 0.5
# Other rows that a row is compared with, and rows at once.
_OTHERS, _ROWS_AT_ONCE = 1024, 1024


def probability_of_exchange(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The probability of each row that its cells belong to different rows.

    Args:
        pairs: For each pair of encoders the vectors of its rows, two arrays `(rows, size)` of
            length 1; NaN in rows that could not be read.

    Returns:
        `(rows,) float64` in [0, 1], of all pairs after each other; NaN in rows that could not be
            read.
    """
    good = [~(np.isnan(first) | np.isnan(second)).any(axis=1) for first, second in pairs]
    read = [(first[own], second[own]) for (first, second), own in zip(pairs, good, strict=True)]
    found = np.full(sum(map(len, good)), np.nan)
    found[np.concatenate(good)] = _probabilities([one for one in read if len(one[0])])
    return found


def _probabilities(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    if not pairs:
        return np.zeros(0)
    ratios = np.concatenate([_log_ratios(*one) for one in pairs], axis=1)
    rows = ratios.shape[1]
    shares = np.geomspace(min(0.5 / rows, _MOST), _MOST, _NUM_SHARES)
    likelihood = np.stack([_mixed(ratios, one).sum(axis=1) for one in shares])
    share, scale = np.unravel_index(likelihood.argmax(), likelihood.shape)
    if likelihood.max() - ratios.sum(axis=1).max() < _GAIN:
        return np.zeros(rows)
    by_rule = np.exp(np.log(shares[share]) - _mixed(ratios, shares[share])[scale])
    apart = np.sort(np.concatenate([_of_others(*one, _SCALES[scale]) for one in pairs]))
    places = np.searchsorted(apart, ratios[scale], side="right") / len(apart)
    return np.minimum(by_rule, _by_counting(places))


def _mixed(ratios: np.ndarray, share: float) -> np.ndarray:
    return np.asarray(np.logaddexp(np.log(share), np.log1p(-share) + ratios))


def _by_counting(places: np.ndarray) -> np.ndarray:
    # Of each row the share of cells of different rows that fit worse. The slopes of the greatest
    # convex function below the distribution of these shares are its increasing density, and the
    # first of them is that of exchanged rows.
    order = np.argsort(places, kind="stable")
    x = np.append(0.0, places[order])
    y = np.arange(len(x)) / len(places)
    corners = [0]
    for place in range(1, len(x)):
        while len(corners) > 1 and _slope(x, y, corners[-1], place) <= _slope(
            x, y, corners[-2], corners[-1]
        ):
            corners.pop()
        corners.append(place)
    slopes = np.repeat([_slope(x, y, *one) for one in pairwise(corners)], np.diff(corners))
    found = np.empty(len(places))
    found[order] = slopes[0] / slopes
    return found


def _slope(x: np.ndarray, y: np.ndarray, start: int, end: int) -> float:
    return float((y[end] - y[start]) / max(x[end] - x[start], 1e-12))


def _log_ratios(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    # `(scales, rows)`: the mean of both directions, as either cell may be what others share.
    own = (first * second).sum(axis=1, dtype="float64")
    return np.stack([scale * own - sum(_means(first, second, scale)) / 2 for scale in _SCALES])


def _of_others(first: np.ndarray, second: np.ndarray, scale: float) -> np.ndarray:
    # The same of cells of different rows, each of the one with some of the other.
    others = _others(len(first))
    of_first, of_second = _means(first, second, scale)
    found = scale * (first[others] @ second[others].T).astype("float64")
    found -= (of_first[others, None] + of_second[None, others]) / 2
    return np.asarray(found[~np.eye(len(others), dtype=bool)])


def _others(rows: int) -> np.ndarray:
    return np.random.default_rng(0).permutation(rows)[:_OTHERS]


def _means(first: np.ndarray, second: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    # For each cell the logarithm of the mean over the cells that it may belong to.
    found = []
    others = _others(len(first))
    for queries, candidates in ((first, second[others]), (second, first[others])):
        means = np.empty(len(queries))
        for start in range(0, len(queries), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            scaled = scale * (queries[part] @ candidates.T).astype("float64")
            largest = scaled.max(axis=1)
            means[part] = largest + np.log(np.exp(scaled - largest[:, None]).mean(axis=1))
        found.append(means)
    return found[0], found[1]
