"""From logits to predictions, for one target and for several.

A fusion makes one tensor of logits, however many targets there are: those of several targets stand
side by side, and what they mean is told by an `Activation`. So a fusion, and whoever weighs its
heads, need not know about targets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import keras
from keras import layers

# The name of a Keras activation, or None; for several targets, name -> (units, such a name), in
# their order.
Activation = str | None | Mapping[str, tuple[int, str | None]]


class Target(Protocol):
    """What a model needs to know of its target."""

    @property
    def units(self) -> int:
        """Number of outputs."""

    @property
    def activation(self) -> str | None:
        """Activation of the outputs."""


def outputs_of(target: Target | Mapping[str, Target]) -> tuple[int, Activation]:
    """The number of logits, and their activation, that a target or a mapping of targets asks for.

    Raises:
        TypeError: If there is something else than a target.
        ValueError: If a mapping is empty or has a name that cannot be one, or a target is not for a
            dense head.
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
    if spec is not None and math.prod(spec.shape) not in (1, units):
        raise ValueError(
            "A head puts out `units` numbers a row, and this target needs some for each of its "
            f"positions; build a model of your own for it. Received: {name} of shape {spec.shape} "
            f"with units={units}"
        )
    return units


def slices(activation: Mapping[str, tuple[int, str | None]]) -> dict[str, slice]:
    """Target name -> where its logits stand in the last axis."""
    found, start = {}, 0
    for name, (units, _) in activation.items():
        found[name] = slice(start, start + units)
        start += units
    return found


def activate(logits: Any, activation: Activation) -> Any:
    """Predictions `(batch, units)`, or a dict of them by target name, from logits `(batch, units of
    all targets)`.
    """
    if not isinstance(activation, Mapping):
        return keras.activations.get(activation)(logits)
    return {
        name: keras.activations.get(activation[name][1])(logits[:, where])
        for name, where in slices(activation).items()
    }


def output_layers(logits: Any, activation: Activation) -> Any:
    """As `activate`, with symbolic tensors and a named layer for each output."""
    if not isinstance(activation, Mapping):
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
    """The one target that is a class: its name (None where there is but one target) and its number
    of outputs.

    Raises:
        ValueError: If there is none, or more than one.
    """
    named: Mapping[Any, Any] = (
        activation if isinstance(activation, Mapping) else {None: (units, activation)}
    )
    found = {name: one[0] for name, one in named.items() if is_class(*one)}
    if len(found) != 1:
        raise ValueError(
            "Fusion 'match' needs exactly one target that is a class, whose rows belong together "
            f"or do not; for other targets take 'joint'. Received: {len(found)} such targets"
        )
    return next(iter(found.items()))


def is_class(units: int, activation: str | None) -> bool:
    """Whether outputs are the probabilities of classes of which one is right."""
    return activation == "softmax" or (activation == "sigmoid" and units == 1)
