"""From logits to predictions, for one target or several.

A fusion makes one tensor of logits, with the logits of several targets side by side, and an
`Activation` says what they mean. So fusions and calibration need not know about targets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import keras
from keras import layers

# The name of a Keras activation, or None; for several targets, name -> (units, activation), in the
# order of their logits.
Activation = str | None | Mapping[str, tuple[int, str | None]]


class Target(Protocol):
    """What a model needs to know about its target."""

    @property
    def units(self) -> int:
        """Number of outputs."""

    @property
    def activation(self) -> str | None:
        """Activation of the outputs."""


def outputs_of(target: Target | Mapping[str, Target]) -> tuple[int, Activation]:
    """Return the number of logits, and their activation, for a target or a mapping of targets.

    Raises:
        TypeError: If something is not a target.
        ValueError: If a mapping is empty or has an invalid name, or a target does not fit a dense
            head.
    """
    if not isinstance(target, Mapping):
        return _units(target, "target"), target.activation
    if not target:
        raise ValueError("`target` must name at least one target. Received: target={}")
    for name in target:
        if not isinstance(name, str) or not name or "/" in name:
            raise ValueError(
                f"`target` must map names without '/' to targets. Received: target[{name!r}]"
            )
    activation = {
        name: (_units(one, f"target[{name!r}]"), one.activation) for name, one in target.items()
    }
    return sum(units for units, _ in activation.values()), activation


def _units(target: Any, name: str) -> int:
    units = getattr(target, "units", None)
    if (
        isinstance(target, type)
        or not isinstance(units, int)
        or units < 1
        or not hasattr(target, "activation")
    ):
        raise TypeError(
            "`target` must be a target such as ClassLabel, or a mapping of names to targets: "
            "objects with `units`, a positive integer, and `activation`. Received: "
            f"{name}={target!r}"
        )
    spec = getattr(target, "spec", None)
    # A class is one number and `units` outputs; other targets have `units` numbers.
    if spec is not None and math.prod(spec.shape) not in (1, units):
        raise ValueError(
            "A target must need `units` outputs per row. This one needs outputs for each "
            f"position, so build your own model for it. Received: {name} of shape {spec.shape} "
            f"with units={units}"
        )
    return units


def slices(activation: Mapping[str, tuple[int, str | None]]) -> dict[str, slice]:
    """Return target name -> slice of its logits in the last axis."""
    found, start = {}, 0
    for name, (units, _) in activation.items():
        found[name] = slice(start, start + units)
        start += units
    return found


def activate(logits: Any, activation: Activation) -> Any:
    """Turn logits `(batch, units of all targets)` into predictions.

    Returns:
        `(batch, units)`, or for several targets a dict of these by target name.
    """
    if not isinstance(activation, Mapping):
        return keras.activations.get(activation)(logits)
    return {
        name: keras.activations.get(activation[name][1])(logits[:, where])
        for name, where in slices(activation).items()
    }


def output_layers(logits: Any, activation: Activation) -> Any:
    """Like `activate`, with symbolic tensors and a named layer per output."""
    if not isinstance(activation, Mapping):
        # Probabilities near 0 and 1 need more digits than half precision has.
        return layers.Activation(activation or "linear", dtype="float32", name="predictions")(
            logits
        )
    return {
        name: layers.Activation(
            activation[name][1] or "linear", dtype="float32", name=f"{name}_predictions"
        )(logits[:, where])
        for name, where in slices(activation).items()
    }


def class_target(activation: Activation, units: int) -> tuple[str | None, int]:
    """Return name and number of outputs of the only target that is a class.

    The name is None for a single target.

    Raises:
        ValueError: If there is none, or more than one.
    """
    named: Mapping[Any, Any] = (
        activation if isinstance(activation, Mapping) else {None: (units, activation)}
    )
    found = {name: one[0] for name, one in named.items() if is_class(*one)}
    if len(found) != 1:
        raise ValueError(
            "Fusion 'match' needs exactly one target that is a class; for other targets use "
            f"'joint'. Received: {len(found)} such targets"
        )
    return next(iter(found.items()))


def is_class(units: int, activation: str | None) -> bool:
    """Return whether outputs are the probabilities of exclusive classes."""
    return activation == "softmax" or (activation == "sigmoid" and units == 1)
