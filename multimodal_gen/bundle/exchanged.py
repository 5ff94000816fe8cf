"""How likely the two cells of a row belong to different rows, by the vectors of a pair of encoders.

By Bayes' rule. If a row's cells belong together, such a row is `r` times as frequent as two cells
drawn apart, and a softmax over the similarities estimates `r`: that of the own cell, divided by the
mean over the cells of other rows. With a share `s` of exchanged rows, one is exchanged with
probability `s / (s + (1 - s) * r)`. Two numbers are chosen that make the rows the most likely: `s`,
and the scale of the similarities, as encoders are surer of the rows that they were trained on than
of others. If `s = 0` explains the rows about as well, no row is exchanged.
"""

from __future__ import annotations

from collections.abc import Sequence

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
    ratios = np.concatenate(
        [
            _log_ratios(first[own], second[own])
            for (first, second), own in zip(pairs, good, strict=True)
        ],
        axis=1,
    )
    found = np.full(sum(map(len, good)), np.nan)
    found[np.concatenate(good)] = _probabilities(ratios)
    return found


def _probabilities(ratios: np.ndarray) -> np.ndarray:
    # Of `(scales, rows)` logarithms of `r`.
    rows = ratios.shape[1]
    if not rows:
        return np.zeros(0)
    shares = np.geomspace(min(0.5 / rows, _MOST), _MOST, _NUM_SHARES)
    likelihood = np.stack([_mixed(ratios, one).sum(axis=1) for one in shares])
    share, scale = np.unravel_index(likelihood.argmax(), likelihood.shape)
    if likelihood.max() - ratios.sum(axis=1).max() < _GAIN:
        return np.zeros(rows)
    return np.asarray(np.exp(np.log(shares[share]) - _mixed(ratios, shares[share])[scale]))


def _mixed(ratios: np.ndarray, share: float) -> np.ndarray:
    return np.asarray(np.logaddexp(np.log(share), np.log1p(-share) + ratios))


def _log_ratios(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    # `(scales, rows)`: the mean of both directions, as either cell may be what others share.
    rows = len(first)
    others = np.random.default_rng(0).permutation(rows)[:_OTHERS]
    own = (first * second).sum(axis=1, dtype="float64")
    means = np.zeros((len(_SCALES), rows))
    for queries, found in ((first, second[others]), (second, first[others])):
        for start in range(0, rows, _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            similar = queries[part] @ found.T
            # Relative to the own cell, so that nothing overflows by more than a scale times two.
            apart = similar.astype("float64") - own[part, None]
            for place, scale in enumerate(_SCALES):
                largest = scale * apart.max(axis=1, keepdims=True)
                mean = np.exp(scale * apart - largest).mean(axis=1)
                means[place, part] += 0.5 * (np.log(mean) + largest[:, 0])
    return -means
