"""Classes that would be balanced twice: by a sampler, and by weights too."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.batch.assembly import Assembly
from multimodal_gen.loaders.targets.balance import ClassSampler
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.rows.sampling import BalancedSampler, Sampler, WeightedSampler

_ADVICE = "Rare classes then count too much. Take one of the two."


def warn_of_double_weights(
    sampler: Sampler | None,
    targets: Mapping[str | None, Any],
    by_class: Mapping[str | None, np.ndarray],
    by_column: Mapping[str | None, str],
    table: pd.DataFrame,
) -> None:
    """Warn where a sampler and weights both do the same to the same rows.

    Args:
        sampler: The sampler of a sequence, or None.
        targets: Target name -> target; None is the name of a single one.
        by_class: Target name -> a weight for each class.
        by_column: Target name -> the column of sample weights.
        table: The training rows.

    Warns:
        UserWarning: If classes are drawn equally often and also weighted by their numbers, or rows
            are drawn by a column that is also their sample weight.
    """
    for name, weights in by_class.items():
        if _balances(sampler, targets[name]) and _are_balanced(weights, targets[name], table):
            warnings.warn(
                "The sampler draws all classes equally often, and balanced class weights make rare "
                f"ones count more again. {_ADVICE} Received: sampler={sampler!r}, class_weight for "
                f"{targets[name].column!r}",
                stacklevel=3,
            )
    if isinstance(sampler, WeightedSampler) and sampler.column in by_column.values():
        warnings.warn(
            f"Rows are drawn by {sampler.column!r} and weighted by it too, so that it counts "
            f"twice. Take one of the two. Received: sampler={sampler!r}, "
            f"sample_weight={sampler.column!r}",
            stacklevel=3,
        )


def warn_of_weights_of_fit(class_weight: Any, assembly: Assembly, sampler: Sampler | None) -> None:
    """Warn where `fit(class_weight=)` balances classes that the sampler balances already.

    Keras itself refuses it beside sample weights, which the class weights of a sequence are.

    Args:
        class_weight: The argument of `fit`: class position -> weight, or None.
        assembly: The settings of the data.
        sampler: Its sampler, or None.

    Warns:
        UserWarning: If so.
    """
    target = assembly.targets.get(None)
    if not class_weight or not isinstance(target, Target) or not target.one_class:
        return
    weights = np.array([class_weight.get(place, 1.0) for place in range(len(target.class_names))])
    if _balances(sampler, target) and _are_balanced(weights, target, assembly.table):
        warnings.warn(
            "The sampler of the data draws all classes equally often, and the `class_weight` of "
            f"`fit` makes rare ones count more again. {_ADVICE} Received: "
            f"class_weight={class_weight!r}, sampler={sampler!r}",
            stacklevel=3,
        )


def _balances(sampler: Sampler | None, target: Any) -> bool:
    if isinstance(sampler, BalancedSampler):
        return bool(sampler.column == target.column)
    return isinstance(sampler, ClassSampler) and bool(sampler.target == target)


def _are_balanced(weights: np.ndarray, target: Target, table: pd.DataFrame) -> bool:
    # Up to a factor, which only changes the learning rate.
    try:
        balanced = np.array(list(target.class_weight(table).values()))
    except ValueError:
        # A class without rows, or a row without a class, has no such weight.
        return False
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.asarray(weights, "float64") / balanced
    # Equally many rows of each class are balanced as they are, and need no weights.
    return bool(np.allclose(ratios, ratios[0]) and not np.allclose(balanced, balanced[0]))
