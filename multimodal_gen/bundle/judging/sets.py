"""Columns of sets and intervals that hold the truth in as many rows as asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.bundle.held_out import held_out
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.loaders.targets.conformal import check_coverage, limit_at


def sets_of(
    bundle: Any,
    table: pd.DataFrame,
    validation: pd.DataFrame | None,
    *,
    coverage: float,
    batch_size: int,
    verbose: int,
) -> pd.DataFrame:
    """What `Bundle.sets` returns."""
    check_coverage(coverage)
    limits = (
        kept_limits(bundle.target, coverage)
        if validation is None
        else _limits_by(bundle, validation, coverage, batch_size, verbose)
    )
    predictions = bundle.predict(table, batch_size=batch_size, verbose=verbose)
    columns = columns_by_target(bundle.target, predictions)
    # Of classes, what is said without all probabilities.
    said = [
        column
        for name, target in by_name(bundle.target).items()
        if name in limits
        for column in columns[name][: 1 if target.class_names else None]
    ]
    sets = set_columns(bundle.target, limits, predictions)
    return beside(predictions[said], sets, predictions[columns[""]])


def by_name(target: Any) -> dict[str, Target]:
    """Name -> target; "target" for a single one."""
    if target is None:
        return {}
    return dict(target) if isinstance(target, Mapping) else {"target": target}


def kept_limits(target: Any, coverage: float) -> dict[str, Any]:
    """The limits for a coverage by the names of the targets that `Bundle.calibrate` has given some.

    Args:
        target: The bundle's target, or several by name.
        coverage: As in `check_coverage`.

    Raises:
        ValueError: If no target has any, or there were too few rows for this coverage.
    """
    kept = {name: one.conformal_limits for name, one in by_name(target).items()}
    found = {name: limit_at(one, coverage) for name, one in kept.items() if one is not None}
    if not found:
        raise ValueError(
            "The bundle keeps no limits of sets: let `bundle.calibrate(validation)` learn them from"
            f" validation rows, or give these to `sets`. Received: target={target!r} without any"
        )
    return found


def _limits_by(
    bundle: Any, validation: pd.DataFrame, coverage: float, batch_size: int, verbose: int
) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    if bundle.target is not None:
        rows = held_out(bundle, validation, batch_size, verbose, "raise").by_target
        limits = {name: one.target.limits_by(one.truth, one.outputs) for name, one in rows}
    found = {name: limit_at(one, coverage) for name, one in limits.items() if one is not None}
    if not found:
        raise ValueError(
            "Sets are of classes or labels, and intervals of numbers: the bundle needs such a "
            f"target. Received: target={bundle.target!r}"
        )
    return found


def columns_by_target(target: Any, predictions: pd.DataFrame) -> dict[str, list[Any]]:
    """Name of a target -> its columns in predictions; "" -> the others, which say what is wrong.

    Args:
        target: The bundle's target, or several by name.
        predictions: What `Bundle.predict` returned.
    """
    several, found = isinstance(target, Mapping), dict[str, list[Any]]()
    for name, one in by_name(target).items():
        own = one.decode_outputs(np.zeros((1, *one.output_shape), "float32"))
        found[name] = [f"{name}.{column}" if several else column for column in own]
    known = {column for own in found.values() for column in own}
    found[""] = [column for column in predictions if column not in known]
    return found


def set_columns(target: Any, limits: Mapping[str, Any], predictions: pd.DataFrame) -> pd.DataFrame:
    """The columns of sets and intervals.

    Args:
        target: The bundle's target, or several by name.
        limits: Name of a target -> the limit for the coverage that is asked for.
        predictions: What `Bundle.predict` returned.
    """
    columns, parts = columns_by_target(target, predictions), []
    for name, limit in limits.items():
        own = own_columns(target, name, predictions[columns[name]])
        sets = by_name(target)[name].sets_within(limit, own)
        parts.append(new_columns(target, name, sets, own))
    return beside(*parts)


def own_columns(target: Any, name: str, predictions: pd.DataFrame) -> pd.DataFrame:
    """Columns under the names that their target gives them.

    Args:
        target: The bundle's target, or several by name.
        name: The name of the columns' target.
        predictions: Its columns of what `Bundle.predict` returned.
    """
    if not isinstance(target, Mapping):
        return predictions
    return predictions.set_axis([str(one)[len(name) + 1 :] for one in predictions], axis=1)


def new_columns(
    target: Any, name: str, values: Mapping[str, Any], predictions: pd.DataFrame
) -> pd.DataFrame:
    """Columns to stand beside predictions: "prediction_set" if "set" is among those.

    Args:
        target: The bundle's target, or several by name.
        name: The name of the columns' target.
        values: Column -> values.
        predictions: What `own_columns` returned.
    """
    prefix = f"{name}." if isinstance(target, Mapping) else ""
    taken = set(predictions.columns)
    columns = []
    for column, one in values.items():
        # Lists of classes, and None among them, stay what they are.
        kind: Any = object if isinstance(one, list) or one.dtype == object else None
        new = f"{prefix}{'prediction_' if column in taken else ''}{column}"
        columns.append(pd.Series(one, predictions.index, name=new, dtype=kind))
    return pd.concat(columns, axis=1)


def beside(*tables: pd.DataFrame) -> pd.DataFrame:
    """Tables of the same rows side by side; unlike a join, also if rows have the same index."""
    return pd.concat(tables, axis=1)
