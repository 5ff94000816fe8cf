"""A model's outputs as readable columns: by target, and by class or number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multimodal_gen.loaders.targets.base import Target


def columns_of(outputs: Any, target: Target | Mapping[str, Target] | None) -> Any:
    """Column -> values of the outputs, decoded by their target; without one, raw numbers."""
    if isinstance(target, Target):
        return target.decode_outputs(outputs)
    if target is not None:
        return flat({name: one.decode_outputs(outputs[name]) for name, one in target.items()})
    if isinstance(outputs, Mapping):
        raw = {name: one.reshape(len(one), -1).T for name, one in outputs.items()}
        return flat({name: dict(enumerate(numbers)) for name, numbers in raw.items()})
    return outputs.reshape(len(outputs), -1)


def flat(tables: Mapping[str, Mapping[Any, Any]]) -> dict[str, Any]:
    """The columns of several targets, named "{target}.{column}"."""
    return {
        f"{name}.{column}": values
        for name, table in tables.items()
        for column, values in table.items()
    }
