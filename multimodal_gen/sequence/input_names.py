"""Whether the inputs of a model and those of a sequence or bundle are the same ones, by name and by
place.

Keras takes arrays by place where it is given a list, and looks at no names; `predict` on jax not
even where it is given a dict. Two inputs of one shape that are exchanged are then learned from, or
predicted with, in silence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def check_order(model: Any, names: Sequence[str]) -> None:
    """Refuse inputs that are given by place, where the model knows one of them by name at another
    place.

    Args:
        model: A Keras model. One without a graph of layers says no names, and passes; so does an
            input whose name is not among those given, such as "input_layer".
        names: The names of the inputs, in the order in which they are given.

    Raises:
        ValueError: It says both orders.
    """
    taken = [tensor.name for tensor in _tensors(model)]
    if len(taken) == len(names) and any(
        one != other and one in names for one, other in zip(taken, names, strict=True)
    ):
        raise ValueError(
            f"The model takes its inputs in the order {taken}, and Keras goes by the order alone: "
            "bring them into the "
            f'same, or take `inputs_as="dict"`. Received: inputs in the order {list(names)}'
        )


def check_call(method: str | None, model: Any, names: Sequence[str], inputs_as: str) -> None:
    """Compare the inputs of a sequence with those of the model of a running method of Keras.

    Args:
        method: "fit", "evaluate" or "predict"; None if none is running.
        model: Whose it is.
        names: The sequence's inputs, in order.
        inputs_as: How it gives them.

    Raises:
        ValueError: If the model takes others, or in another order.
    """
    if method is None or model is None or len(names) < 2:
        return
    if inputs_as != "dict":
        check_order(model, names)
    elif isinstance(getattr(model, "input", None), Mapping) and set(model.input) != set(names):
        # Keras would sort the names and take as many as it needs, from the front.
        raise ValueError(
            f"The model takes inputs named {sorted(model.input)}, and all of them must be given, "
            f"and no others. Received: inputs named {sorted(names)}"
        )


def _tensors(model: Any) -> list[Any]:
    found = getattr(model, "inputs", None) or ()
    structure = getattr(model, "input", None) if found else None
    # By place, those of a dict are sorted by name.
    return (
        [structure[name] for name in sorted(structure)]
        if isinstance(structure, Mapping)
        else list(found)
    )
