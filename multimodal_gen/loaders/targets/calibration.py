"""Probabilities that are right as often as they say: scaled logits, fitted on held-out rows.

A network that fits its training rows well says 99 % where 90 % are right. Dividing all logits by
one number, the temperature, mends most of that and changes no decision (Guo, Pleiss, Sun and
Weinberger, "On calibration of modern neural networks", 2017). A factor and a shift for each class
mend more, but also fit the chance of few rows; cross-validation within the rows says which helps.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_FOLDS = 5
LEAST_ROWS = 20
# Rows that say "as it was": without them, few rows that are all right would make a model certain.
_STRENGTH = 1.0
_SMALLEST = 1e-7
# Factors stay positive, so that a larger probability stays the larger one.
_RANGE = (0.02, 50.0)

Scaling = tuple[tuple[float, ...], tuple[float, ...]]


def checked_scaling(calibration: Any, classes: int) -> Scaling | None:
    """Factors and shifts of the logits, one each for every class.

    Raises:
        ValueError: If they are not two lists of as many finite numbers, or a factor is not
            positive.
    """
    if calibration is None:
        return None
    try:
        numbers = np.asarray(calibration, "float64")
    except (TypeError, ValueError):
        numbers = np.zeros(0)
    if (
        numbers.shape != (2, classes)
        or not np.isfinite(numbers).all()
        or not (numbers[0] > 0).all()
    ):
        raise ValueError(
            f"`calibration` must be two lists of {classes} finite numbers, positive factors and "
            f"shifts of the logits. Received: calibration={calibration!r}"
        )
    return tuple(numbers[0].tolist()), tuple(numbers[1].tolist())


def scaled(
    probabilities: np.ndarray, calibration: Scaling | None, *, exclusive: bool
) -> np.ndarray:
    """Probabilities whose logits are multiplied and shifted.

    Args:
        probabilities: `(rows, classes)`.
        calibration: Factors and shifts, or None to change nothing.
        exclusive: Whether a row has exactly one class, so that probabilities sum to 1.

    Returns:
        `(rows, classes)`, of the dtype of `probabilities`.
    """
    if calibration is None:
        return probabilities
    factors, shifts = (np.asarray(one) for one in calibration)
    found = _probabilities(_logits(probabilities, exclusive) * factors + shifts, exclusive)
    return found.astype(probabilities.dtype)


def moved_thresholds(
    thresholds: np.ndarray, before: Scaling | None, after: Scaling | None
) -> np.ndarray:
    """Thresholds that decide as before, except those of 0.5, which say "more likely than not".

    Args:
        thresholds: `(labels,)`, for probabilities that are scaled by `before`.
        before: Factors and shifts, or None.
        after: Those by which probabilities will be scaled.
    """
    logits = _logits(thresholds, False)
    if before is not None:
        logits = (logits - np.asarray(before[1])) / np.asarray(before[0])
    if after is not None:
        logits = logits * np.asarray(after[0]) + np.asarray(after[1])
    moved = np.clip(_probabilities(logits, False), 1e-6, 1 - 1e-6)
    return np.where(thresholds == 0.5, 0.5, moved)


def fit_scaling(truth: np.ndarray, probabilities: np.ndarray, *, exclusive: bool) -> Scaling | None:
    """Fit factors and shifts that make held-out rows most likely.

    Nothing, one factor for all classes, and a factor and a shift for each are compared by the log
    loss of rows that were left out of the fit in turn. One factor is used if its loss is lower than
    that of nothing, the others only if theirs is lower by more than one standard error.

    Args:
        truth: `(rows, classes)` of 0 and 1.
        probabilities: `(rows, classes)`.
        exclusive: Whether a row has exactly one class.

    Returns:
        Factors and shifts, or None if the probabilities are best as they are.

    Raises:
        ValueError: If there are fewer than 20 rows.
    """
    return fit_by_folds(truth, probabilities, exclusive=exclusive)[0]


def fit_by_folds(
    truth: np.ndarray, probabilities: np.ndarray, *, exclusive: bool
) -> tuple[Scaling | None, np.ndarray]:
    """What `fit_scaling` finds, and probabilities that their own rows had no part in.

    Args:
        truth: As there.
        probabilities: As there.
        exclusive: As there.

    Returns:
        Factors and shifts, or None; and the probabilities of each row by the factors that were
        fitted without it, `(rows, classes)`: limits of sets from those of rows that did the fitting
        would promise too much.

    Raises:
        ValueError: As `fit_scaling`.
    """
    if len(truth) < LEAST_ROWS:
        raise ValueError(
            f"Calibration needs at least {LEAST_ROWS} rows that were not trained on. Received: "
            f"{len(truth)} rows"
        )
    logits = _logits(np.asarray(probabilities, "float64"), exclusive)
    truth = np.asarray(truth, "float64")
    order = np.random.default_rng(0).permutation(len(truth))
    moved = {each: np.empty_like(logits) for each in (False, True)}
    for fold in range(_FOLDS):
        out = order[fold::_FOLDS]
        rest = np.setdiff1d(order, out)
        for each, found in moved.items():
            numbers = _fit(logits[rest], truth[rest], each, exclusive)
            found[out] = logits[out] * numbers[0] + numbers[1]
    losses = {each: _losses(found, truth, exclusive) for each, found in moved.items()}
    before = _losses(logits, truth, exclusive)
    gain = losses[False] - losses[True]
    each = bool(gain.mean() > gain.std(ddof=1) / len(gain) ** 0.5)
    if losses[each].mean() >= before.mean():
        return None, np.asarray(probabilities, "float64")
    factors, shifts = _fit(logits, truth, each, exclusive)
    scaling = tuple(factors.tolist()), tuple(shifts.tolist())
    return scaling, _probabilities(moved[each], exclusive)


def _logits(probabilities: np.ndarray, exclusive: bool) -> np.ndarray:
    # float32 rounds the surest ones to 0 and 1.
    clipped = np.clip(np.asarray(probabilities, "float64"), _SMALLEST, 1 - _SMALLEST)
    found = np.log(clipped)
    if exclusive:
        # About their mean, so that a factor of one class does not hang on how many there are.
        return np.asarray(found - found.mean(axis=1, keepdims=True))
    return np.asarray(found - np.log1p(-clipped))


def _probabilities(logits: np.ndarray, exclusive: bool) -> np.ndarray:
    if not exclusive:
        return np.asarray(1 / (1 + np.exp(-np.clip(logits, -60, 60))))
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def _losses(logits: np.ndarray, truth: np.ndarray, exclusive: bool) -> np.ndarray:
    if exclusive:
        largest = logits.max(axis=1)
        total = np.log(np.exp(logits - largest[:, None]).sum(axis=1)) + largest
        return np.asarray(total - (logits * truth).sum(axis=1))
    return np.asarray((np.logaddexp(0, logits) - logits * truth).mean(axis=1))


def _fit(
    logits: np.ndarray, truth: np.ndarray, each: bool, exclusive: bool
) -> tuple[np.ndarray, np.ndarray]:
    from scipy.optimize import minimize

    classes = truth.shape[1]
    start = np.r_[np.ones(classes), np.zeros(classes)] if each else np.ones(1)
    bounds: list[tuple[float | None, float | None]] = [_RANGE] * (classes if each else 1)
    bounds += [(None, None)] * (classes if each else 0)
    given = (start, logits, truth, exclusive)
    found = minimize(_loss, start, given, jac=True, method="L-BFGS-B", bounds=bounds)
    return _parts(found.x, classes)


def _loss(
    numbers: np.ndarray, start: np.ndarray, logits: np.ndarray, truth: np.ndarray, exclusive: bool
) -> tuple[float, np.ndarray]:
    # The loss of all rows, and its gradient.
    classes = truth.shape[1]
    factors, shifts = _parts(numbers, classes)
    moved = logits * factors + shifts
    # The loss of a row is a mean over labels that may be there together.
    off = (_probabilities(moved, exclusive) - truth) / (1 if exclusive else classes)
    gradient: Any = (off * logits).sum(axis=0)
    gradient = np.r_[gradient, off.sum(axis=0)] if len(numbers) > 1 else gradient.sum(keepdims=True)
    away = numbers - start
    total = _losses(moved, truth, exclusive).sum() + _STRENGTH / 2 * (away**2).sum()
    return float(total), gradient + _STRENGTH * away


def _parts(numbers: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    if len(numbers) == 1:
        return np.full(classes, numbers[0]), np.zeros(classes)
    return numbers[:classes], numbers[classes:]
