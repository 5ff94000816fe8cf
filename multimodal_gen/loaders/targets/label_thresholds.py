"""Thresholds of labels that hold up on new rows: chosen, and tried by cross-validation.

The threshold with the largest F1 of a label that few rows have is chance: the labels' mean F1 grows
a little on new rows, and the F1 of all decisions falls a lot. So what held-out rows suggest is kept
only where it is also right of rows that had no part in it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_FOLDS = 5
# Sums of whole numbers that are equal may differ by rounding once they are divided.
_ROUNDING = 1e-9


def best_thresholds(truth: np.ndarray, outputs: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Thresholds by held-out rows, for a larger F1 of each label, and of all decisions together.

    First one threshold for all labels, with the largest F1 of all decisions. It replaces those of
    `before` if in cross-validation neither this F1 nor the mean F1 of the labels is lower. Then
    for each label the one with its own largest F1 (the strategy "SCut" of Yang, "A study of
    thresholding strategies for text categorization", 2001), if in cross-validation neither its own
    F1 nor that of all decisions is lower. Where Yang's "SCutFBR" leaves a label alone if its F1 is
    below a number that is set, the F1 of rows that were left out decides here (after Fan and Lin,
    "A study on threshold selection for multi-label classification", 2007).

    Args:
        truth: `(rows, labels)` of False and True.
        outputs: `(rows, labels)` probabilities.
        before: `(labels,)`, the thresholds to begin with.

    Returns:
        `(labels,) float64`, in (0, 1).
    """
    outputs = np.asarray(outputs, "float64")
    found = np.array(before, "float64")
    if not truth.any() or truth.all():
        return found
    tried = _Tried(truth, outputs, found)
    before_micro, before_macro = tried.f1(tried.before)
    micro, macro = tried.f1(tried.common)
    kept = tried.before
    if micro >= before_micro - _ROUNDING and macro >= before_macro - _ROUNDING:
        kept, found = tried.common, _common(truth, outputs, found)
    better = tried.better(tried.own, kept)
    return np.where(better, own_thresholds(truth, outputs, found), found)


class _Tried:
    # What is said of each row, `(rows, labels)`, by thresholds that the row had no part in.
    def __init__(self, truth: np.ndarray, outputs: np.ndarray, before: np.ndarray) -> None:
        self.truth = truth
        self.before = outputs > before
        self.common = _left_out(truth, outputs, before, _common)
        self.own = _left_out(truth, outputs, before, own_thresholds)

    def counts(self, said: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # For each label, the hits, and the rows that have it and that are said to, together.
        return (said & self.truth).sum(axis=0), said.sum(axis=0) + self.truth.sum(axis=0)

    def f1(self, said: np.ndarray) -> tuple[float, float]:
        # Of all decisions, and the mean of the labels that rows have.
        hits, both = self.counts(said)
        has = self.truth.any(axis=0)
        return 2 * hits.sum() / both.sum(), float((2 * hits[has] / both[has]).mean())

    def better(self, said: np.ndarray, than: np.ndarray) -> np.ndarray:
        # `(labels,)`, where neither F1 is lower.
        (hits, both), (others, all_others) = self.counts(said), self.counts(than)
        own = hits * all_others >= others * both
        # The F1 of all decisions grows with twice the hits less the F1 times the claims.
        gain = 2 * (hits - others) - self.f1(than)[0] * (both - all_others)
        return np.asarray(own & (gain >= -_ROUNDING))


def _left_out(
    truth: np.ndarray,
    outputs: np.ndarray,
    before: np.ndarray,
    rule: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
) -> np.ndarray:
    order = np.random.default_rng(0).permutation(len(truth))
    said = np.empty(truth.shape, bool)
    for fold in range(_FOLDS):
        out, rest = order[fold::_FOLDS], np.delete(order, np.s_[fold::_FOLDS])
        said[out] = outputs[out] > rule(truth[rest], outputs[rest], before)
    return said


def _common(truth: np.ndarray, outputs: np.ndarray, before: np.ndarray) -> np.ndarray:
    has = truth.ravel()
    if not has.any() or has.all():
        return before
    return np.full(len(before), _best_threshold(has, outputs.ravel()))


def own_thresholds(truth: np.ndarray, outputs: np.ndarray, before: np.ndarray) -> np.ndarray:
    """For each label the threshold with its largest F1; one that no row has, or every row, keeps
    the one before.

    Args:
        truth: `(rows, labels)` of False and True.
        outputs: `(rows, labels)` probabilities.
        before: `(labels,)`, the thresholds to begin with.
    """
    found = before.copy()
    for label in range(truth.shape[1]):
        has = truth[:, label]
        if has.any() and not has.all():
            found[label] = _best_threshold(has, outputs[:, label])
    return found


def _best_threshold(has: np.ndarray, scores: np.ndarray) -> float:
    # Halfway between neighbouring probabilities; of several with the same F1 the one nearest 0.5.
    order = np.argsort(-scores, kind="stable")
    scores, hits = scores[order], np.cumsum(has[order])
    said = np.arange(1, len(scores) + 1)
    f1 = 2 * hits / (said + has.sum())
    # A threshold lies between two probabilities that differ, or below all of them.
    ends = np.append(scores[:-1] > scores[1:], True)
    lower = np.append(scores[1:], 0.0)
    # float32 outputs are compared, so halfway must not be rounded to one of the two.
    middle = np.clip((scores + lower) / 2, 1e-6, 1 - 1e-6)
    best = np.flatnonzero(ends & (f1 >= f1[ends].max() - 1e-12))
    return float(middle[best][np.argmin(np.abs(middle[best] - 0.5))])
