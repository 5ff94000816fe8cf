"""Decisions that cost least, from the probabilities of classes and what mistakes cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.bundle.judging.sets import (
    beside,
    by_name,
    columns_by_target,
    new_columns,
    own_columns,
)
from multimodal_gen.errors import shown
from multimodal_gen.loaders.targets.class_shares import shares_in
from multimodal_gen.loaders.targets.known_classes import KnownClasses


@dataclass(frozen=True, eq=False)
class Costs:
    """What decisions about one target cost.

    Args:
        name: The name of the target.
        names: The classes.
        matrix: `(classes, classes) float64`: rows are true classes, columns those that are said.
        abstain: What it costs to decide nothing; infinite if every row needs a class.
    """

    name: str
    names: tuple[Any, ...]
    matrix: np.ndarray
    abstain: float

    @classmethod
    def of(cls, targets: Any, name: str | None, costs: Any, abstain: Any) -> Costs:
        """Check the arguments of `Bundle.decide`.

        Args:
            targets: The bundle's target, or several by name.
            name: The name of one of several.
            costs: The costs.
            abstain: The cost of deciding nothing, or None.

        Raises:
            ValueError: As `Bundle.decide`.
        """
        known = by_name(targets)
        several = isinstance(targets, Mapping)
        if name not in (known if several else (None,)):
            which = f"must be one of {list(known)}" if several else "is for several targets by name"
            raise ValueError(f"`target` {which}. Received: target={name!r}")
        name = next(iter(known), "") if name is None else name
        target = known.get(name)
        if target is None or not target.one_class:
            raise ValueError(
                "Decisions are between classes: the target must have one class per row. (Of labels,"
                " say each from the threshold cost of a false one / (cost of a false one + cost of "
                f"a missed one): `MultiLabel(thresholds=...)`.) Received: target={target!r}"
            )
        if abstain is not None and not _is_cost(abstain):
            raise ValueError(f"`abstain` must be a cost or None. Received: abstain={abstain!r}")
        matrix = _matrix(costs, target.class_names)
        return cls(name, target.class_names, matrix, np.inf if abstain is None else abstain)

    def columns(self, targets: Any, predictions: pd.DataFrame) -> pd.DataFrame:
        """The columns "decision" and "expected_cost".

        Args:
            targets: The bundle's target, or several by name.
            predictions: What `Bundle.predict` returned.
        """
        own = predictions[columns_by_target(targets, predictions)[self.name]]
        shares = shares_in(self.names, own)
        # Those of float32 do not quite sum to 1.
        expected = shares / shares.sum(axis=1, keepdims=True) @ self.matrix
        lost = np.isnan(expected).any(axis=1)
        expected[lost] = 0
        best, least = expected.argmin(axis=1), expected.min(axis=1)
        decisions = [
            None if away else self.names[one]
            for one, away in zip(best, lost | (least > self.abstain), strict=True)
        ]
        least = np.where(lost, np.nan, np.minimum(least, self.abstain))
        values = {"decision": decisions, "expected_cost": least}
        return new_columns(targets, self.name, values, own_columns(targets, self.name, own))


def decided(
    bundle: Any,
    table: pd.DataFrame,
    costs: Any,
    *,
    abstain: Any,
    target: str | None,
    batch_size: int,
    verbose: int,
) -> pd.DataFrame:
    """What `Bundle.decide` returns."""
    rules = Costs.of(bundle.target, target, costs, abstain)
    predictions = bundle.predict(table, batch_size=batch_size, verbose=verbose)
    columns = columns_by_target(bundle.target, predictions)
    decisions = rules.columns(bundle.target, predictions)
    return beside(predictions[columns[rules.name][:1]], decisions, predictions[columns[""]])


def _is_cost(value: Any) -> bool:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return number and bool(np.isfinite(value))


def _matrix(costs: Any, names: tuple[Any, ...]) -> np.ndarray:
    if isinstance(costs, pd.DataFrame):
        costs = costs.to_dict("index")
    if not isinstance(costs, Mapping):
        try:
            matrix = np.asarray(costs, "float64")
        except (TypeError, ValueError):
            matrix = np.zeros(0)
        if matrix.shape != (len(names), len(names)) or not np.isfinite(matrix).all():
            raise ValueError(
                f"`costs` must map each class to a cost, or be {len(names)} rows of as many finite "
                f"numbers. Received: costs={shown(costs)}"
            )
        return matrix
    matrix = np.zeros((len(names), len(names)))
    for place, cost in enumerate(_in_order(costs, names)):
        if isinstance(cost, Mapping):
            matrix[place] = [_checked(one) for one in _in_order(cost, names, place)]
        else:
            matrix[place] = _checked(cost)
            matrix[place, place] = 0
    return matrix


def _in_order(
    costs: Mapping[Any, Any], names: tuple[Any, ...], right: int | None = None
) -> list[Any]:
    # What a mapping has for each class; 0 for the right one if it is not named.
    known = KnownClasses(names)
    found = {known.find(name): cost for name, cost in costs.items()}
    needed = set(range(len(names))) - {right}
    absent = [names[one] for one in sorted(needed - found.keys())]
    unknown = [name for name in costs if known.find(name) is None]
    if absent or unknown:
        of = "true class" if right is None else f"class that may be said of {names[right]!r}"
        received = f"no cost for {absent}" if absent else ""
        if unknown:
            received += f"{' and ' if absent else ''}one for {unknown}, which is no class"
        raise ValueError(
            f"`costs` must have a cost for each {of}, of {list(names)}. Received: {received}"
        )
    return [found.get(place, 0.0) for place in range(len(names))]


def _checked(cost: Any) -> float:
    if not _is_cost(cost):
        raise ValueError(f"Costs must be finite numbers. Received: {shown(cost)} in `costs`")
    return float(cost)
