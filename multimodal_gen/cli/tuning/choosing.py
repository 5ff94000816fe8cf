"""Which trial is kept: not always the one with the least loss, which of many trials on few rows is
often the luckiest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Candidate:
    """A trial that came to its end.

    Attributes:
        losses: `(rows,)` loss of each validation row.
        parameters: Numbers that its model has learned.
    """

    losses: np.ndarray
    parameters: int

    @property
    def loss(self) -> float:
        """The mean loss."""
        return float(self.losses.mean())


def worse_by(one: Candidate, best: Candidate, groups: Any = None) -> tuple[float, float]:
    """By how much a loss is higher, and the standard error of this difference over the rows.

    Args:
        one: A trial.
        best: The one with the least loss.
        groups: `(rows,)` numbers of groups, whose rows are one case; or None.
    """
    differences = one.losses - best.losses
    mean, cases = float(differences.mean()), differences - differences.mean()
    if groups is not None:
        cases = np.bincount(groups, weights=cases)
    if len(cases) < 2:
        return mean, math.nan
    error = math.sqrt(len(cases) / (len(cases) - 1) * float(np.square(cases).sum()))
    return mean, error / len(differences)


def loss_interval(one: Candidate, groups: Any = None) -> tuple[float, float]:
    """The 95 % interval of a loss, by its standard error over the rows.

    Args:
        one: A trial.
        groups: As for `worse_by`.
    """
    nothing = Candidate(np.zeros_like(one.losses), 0)
    mean, error = worse_by(one, nothing, groups)
    return mean - 1.96 * error, mean + 1.96 * error


def in_reach(candidates: Mapping[int, Candidate], groups: Any = None) -> dict[int, Candidate]:
    """The trials within one standard error of the best, by number."""
    best = min(candidates.values(), key=lambda one: one.loss)
    found = {}
    for number, one in candidates.items():
        mean, error = worse_by(one, best, groups)
        # Of a single row there is no error.
        if not mean > error:
            found[number] = one
    return found


def chosen(candidates: Mapping[int, Candidate], groups: Any = None) -> int:
    """The number of the trial to keep: within one standard error of the best the defaults, trial 0,
    or else the model with the fewest parameters (Breiman et al., 1984, section 3.4.3).
    """
    near = in_reach(candidates, groups)
    return (
        0
        if 0 in near
        else min(near, key=lambda number: (near[number].parameters, near[number].loss))
    )


def worth_keeping(candidates: Mapping[int, Candidate], groups: Any = None) -> list[int]:
    """The trials of which one may still be chosen: the defaults, and those in reach to which none
    is better with as few parameters.
    """
    near = in_reach(candidates, groups)
    return [
        number
        for number, one in candidates.items()
        if number == 0
        or (
            number in near
            and not any(
                other.loss < one.loss and other.parameters <= one.parameters
                for other in near.values()
            )
        )
    ]
