"""How long a trial takes: its limit, what its epochs say of its end, and what settings cost.

Without a limit one slow trial may use up a search of half an hour.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial

from multimodal_gen.cli.tuning.space import Setting

# A budget is shared by so many trials besides the defaults, unless these alone take more. No trial
# takes many times as long as the defaults, and one that costs the same may be held up a little.
_SHARED_BY, _MOST_TIMES, _LEAST_TIMES = 16, 5.0, 1.25
# How much seconds of the same settings vary by what else a machine does, beside how much what is
# known of their work may be wrong: variances of logarithms.
_NOISE = 0.15
# What is kept of a trial, and how the reason of one that was stopped for it begins.
EXPECTED, TOO_SLOW = "expected_seconds", "too slow"


def limit_of(budget: float | None, default: float | None) -> float | None:
    """Seconds that a trial may take, or None without a budget.

    Args:
        budget: Seconds of the whole search.
        default: Seconds that all epochs of the defaults take; None if these have failed.
    """
    if budget is None:
        return None
    if default is None:
        return budget / _SHARED_BY
    share = (budget - default) / _SHARED_BY
    return max(min(share, _MOST_TIMES * default), _LEAST_TIMES * default)


class Pace:
    """Measures the epochs of a trial.

    Args:
        epochs: How many there are at most.
    """

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self.started = time.monotonic()
        self.ends: list[float] = []

    @property
    def elapsed(self) -> float:
        """Seconds since the trial began."""
        return time.monotonic() - self.started

    def epoch_ends(self) -> None:
        """Note that an epoch ends."""
        self.ends.append(self.elapsed)

    @property
    def expected(self) -> float | None:
        """Seconds of the whole trial if all epochs go on like those after the first, in which the
        model is compiled and pictures are decoded; None until two have ended.
        """
        if len(self.ends) < min(2, self.epochs):
            return None
        first, last = self.ends[0], self.ends[-1]
        return first + (self.epochs - 1) * (last - first) / max(len(self.ends) - 1, 1)

    @property
    def at_least(self) -> float:
        """Seconds of the whole trial if all other epochs are as fast as the fastest one after the
        first: a machine that was busy for a moment is no reason to stop it.
        """
        rest = self.epochs - len(self.ends)
        fastest = min((end - start for start, end in pairwise(self.ends)), default=0.0)
        return self.elapsed + rest * fastest


def work_of(space: Sequence[Setting], params: Mapping[str, Any]) -> float:
    """Work of a step with these settings as a multiple of that with the defaults, roughly.

    Args:
        space: The settings.
        params: Their values; those that do not matter are left out.
    """
    return math.prod(
        one.work.get(params[one.name], 1.0) / one.work.get(one.default, 1.0)
        for one in space
        if one.name in params
    )


def seconds_expected(
    space: Sequence[Setting], trials: Sequence[FrozenTrial], some: Sequence[Mapping[str, Any]]
) -> np.ndarray | None:
    """`(settings,)` seconds that trials will take, learned from those that were measured.

    The logarithm is that of the work of each value, and ridge regression corrects it for those that
    are not the defaults; so a value that was never tried costs what is known of it.

    Args:
        space: The settings.
        trials: Finished trials.
        some: Settings of other trials.

    Returns:
        The seconds; None if no trial was measured.
    """
    known = [trial for trial in trials if trial.user_attrs.get(EXPECTED)]
    if not known:
        return None
    seconds = np.log([trial.user_attrs[EXPECTED] for trial in known])
    x, new = (_values(space, params) for params in ([trial.params for trial in known], some))
    own, works = (
        np.log([work_of(space, params) for params in params_of])
        for params_of in ([trial.params for trial in known], some)
    )
    left = seconds - own
    # Trials that share values are off by as much; what all have in common is that of the defaults.
    kernel = x @ x.T + _NOISE * np.eye(len(known))
    inverse = np.linalg.inv(kernel)
    common = (inverse @ left).sum() / inverse.sum()
    corrected: np.ndarray = np.exp(works + common + new @ x.T @ inverse @ (left - common))
    return corrected


def _values(space: Sequence[Setting], some: Sequence[Mapping[str, Any]]) -> np.ndarray:
    # (settings, values of choices): which value each has, but for the defaults.
    return np.array(
        [
            [
                float(params.get(one.name) == value)
                for one in space
                if one.scale is None
                for value in one.values
                if value != one.default
            ]
            for params in some
        ]
    )
