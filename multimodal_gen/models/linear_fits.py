"""Linear fits by scikit-learn for several penalties, of which held-out rows choose one."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from multimodal_gen.models.calibration import predicted

# Inverse strengths of the penalty, from the strongest penalty on. The path ends where two in a row
# were no better than the best: what follows takes longest, and overfits.
STRENGTHS = tuple(10.0 ** (step / 2) for step in range(-2, 9))
_PATIENCE, _STEPS = 2, 300
_LEAST = 1e-7
_NEARLY_SURE = 4.6


class Part(NamedTuple):
    """Rows to fit, or to choose by.

    Attributes:
        design: `(rows, columns)` array or sparse matrix.
        labels: `(rows, outputs)`: one-hot classes, zeros and ones, or numbers.
        weights: `(rows,)`.
    """

    design: Any
    labels: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Fit:
    """A linear model of one target.

    Args:
        coefficients: `(columns, outputs)`.
        intercept: `(outputs,)`.
        strength: The inverse strength of the penalty.
        loss: Mean loss of the validation rows.
    """

    coefficients: np.ndarray
    intercept: np.ndarray
    strength: float
    loss: float


def best_fit(train: Part, validation: Part, activation: str | None) -> Fit:
    """Fit with each penalty, and return the fit with the lowest loss on the validation rows.

    Multinomial or logistic regression, or linear regression if the outputs have no activation.
    """
    from threadpoolctl import threadpool_limits

    # Matrices as small as these are no faster on several threads, and 50 times as slow where other
    # programs use the cores: each of many short steps waits for the last thread.
    with threadpool_limits(1):
        return _best_fit(train, validation, activation)


def _best_fit(train: Part, validation: Part, activation: str | None) -> Fit:
    fit = {"softmax": _classes, "sigmoid": _labels}.get(activation or "", _numbers)(train)
    best: Fit | None = None
    worse = 0
    for strength in STRENGTHS:
        coefficients, intercept = fit(strength)
        outputs = predicted(validation.design @ coefficients + intercept, activation)
        loss = _loss(outputs, validation, activation)
        if best is None or loss < best.loss:
            best, worse = Fit(coefficients, intercept, strength, loss), 0
        else:
            worse += 1
        if worse == _PATIENCE:
            break
    assert best is not None
    return best


Fitted = tuple[np.ndarray, np.ndarray]


def _classes(train: Part) -> Callable[[float], Fitted]:
    found, positions = np.unique(train.labels.argmax(axis=1), return_inverse=True)
    outputs = train.labels.shape[1]
    solve = _Logistic(train.design, positions, train.weights)

    def fit(strength: float) -> Fitted:
        own, constant = solve(strength)
        if len(found) == 2:
            # One number for both classes, of which each gets a half.
            own, constant = np.hstack([-own, own]) / 2, np.array([-constant[0], constant[0]]) / 2
        coefficients = np.zeros((own.shape[0], outputs))
        # As good as impossible is a class that no row has.
        intercept = np.full(outputs, constant.min() - 5.0)
        coefficients[:, found], intercept[found] = own, constant
        return coefficients, intercept

    return fit


def _labels(train: Part) -> Callable[[float], Fitted]:
    solvers = [
        _Logistic(train.design, column.astype(int), train.weights) for column in train.labels.T
    ]

    def fit(strength: float) -> Fitted:
        fits = [solve(strength) for solve in solvers]
        return np.hstack([one for one, _ in fits]), np.concatenate([one for _, one in fits])

    return fit


class _Logistic:
    # Logistic regression, which goes on from one penalty to the next with the weights it has.
    def __init__(self, design: Any, labels: np.ndarray, weights: np.ndarray) -> None:
        from sklearn.linear_model import LogisticRegression

        self.rows = (design, labels, weights)
        self.model = LogisticRegression(max_iter=_STEPS, warm_start=True)

    def __call__(self, strength: float) -> Fitted:
        from sklearn.exceptions import ConvergenceWarning

        design, labels, weights = self.rows
        if len(np.unique(labels)) == 1:
            # Nothing to tell apart: the label that all rows have, with 99 %.
            constant = np.array([_NEARLY_SURE if labels[0] else -_NEARLY_SURE])
            return np.zeros((design.shape[1], 1)), constant
        self.model.set_params(C=strength)
        with warnings.catch_warnings():
            # Weights that are not quite the best are chosen by validation rows like all others.
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.model.fit(design, labels, sample_weight=weights)
        return self.model.coef_.T.copy(), self.model.intercept_.copy()


def _numbers(train: Part) -> Callable[[float], Fitted]:
    from sklearn.linear_model import Ridge

    def fit(strength: float) -> Fitted:
        model = Ridge(alpha=1 / strength)
        model.fit(train.design, train.labels, sample_weight=train.weights)
        outputs = train.labels.shape[1]
        coefficients = np.reshape(model.coef_, (outputs, -1)).T
        return coefficients, np.broadcast_to(model.intercept_, (outputs,)).copy()

    return fit


def _loss(outputs: np.ndarray, part: Part, activation: str | None) -> float:
    if activation is None:
        rows = np.square(outputs - part.labels).mean(axis=1)
    else:
        kept = np.clip(outputs, _LEAST, 1 - _LEAST)
        rows = -(part.labels * np.log(kept)).sum(axis=1)
        if activation == "sigmoid":
            rows = rows - ((1 - part.labels) * np.log(1 - kept)).sum(axis=1)
    return float(np.average(rows, weights=part.weights))
