"""The role of each array of a batch: an input, a target, or the weights of a target.

Keras wants a bare array for a single target, and a mapping for several. While a batch is made,
every array is stored under its `Slot` in both cases.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from multimodal_gen.augment.batch import Batch
from multimodal_gen.spec import ArraySpec, bare, by_name


class Slot(NamedTuple):
    """The place of an array in a batch.

    Args:
        role: "input", "target" or "weights".
        name: Name of the input or target; None for a single target.
    """

    role: str
    name: str | None

    def __str__(self) -> str:
        return f"the {self.role}" if self.name is None else f"{self.role} {self.name!r}"


def by_slot(
    inputs: Mapping[str, Any], target: Any = None, sample_weight: Any = None
) -> dict[Slot, Any]:
    """Return the arrays of a `Batch` or a `Sample` by slot."""
    arrays = {Slot("input", name): array for name, array in inputs.items()}
    for role, values in (("target", target), ("weights", sample_weight)):
        arrays |= {Slot(role, name): array for name, array in by_name(values).items()}
    return arrays


def arrays_of(batch: Batch) -> dict[Slot, np.ndarray]:
    """Return the arrays of a batch by slot."""
    return by_slot(batch.inputs, batch.target, batch.sample_weight)


def batch_of(arrays: Mapping[Slot, np.ndarray], specs: Mapping[str, ArraySpec]) -> Batch:
    """Build a batch from arrays, in their order."""
    inputs = {slot.name: array for slot, array in arrays.items() if slot.role == "input"}
    target, weights = named(arrays, "target"), named(arrays, "weights")
    return Batch(inputs, target, weights, specs)  # type: ignore[arg-type]


def named(arrays: Mapping[Slot, np.ndarray], role: str) -> Any:
    """Return the arrays of one role as Keras wants them: by name, or bare if unnamed."""
    return bare({slot.name: array for slot, array in arrays.items() if slot.role == role})
