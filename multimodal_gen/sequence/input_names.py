"""Check that a model and a sequence or bundle have the same inputs, in the same order.

Keras matches a list of arrays to inputs by position and ignores names; on jax, `predict` does so
even for a dict. If two inputs of the same shape are swapped, the model trains or predicts on the
wrong ones without an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def check_order(model: Any, names: Sequence[str]) -> None:
    """Refuse inputs given by position if the model has one of their names at another position.

    Args:
        model: A Keras model. One without a graph of layers has no input names and passes; so does
            an input whose name is not in `names`, such as "input_layer".
        names: The names of the inputs, in the order in which they are given.

    Raises:
        ValueError: If the orders differ; it gives both.
    """
    taken = [tensor.name for tensor in _tensors(model)]
    # A name that the sequence does not have, such as "input_layer", says nothing about the order.
    if len(taken) == len(names) and any(
        one != other and one in names for one, other in zip(taken, names, strict=True)
    ):
        raise ValueError(
            f"The model takes its inputs in the order {taken}, and Keras goes by order alone. "
            'Use the same order, or `inputs_as="dict"`. Received: inputs in the order '
            f"{list(names)}"
        )


def check_call(method: str | None, model: Any, names: Sequence[str], inputs_as: str) -> None:
    """Compare the inputs of a sequence with those of the model that Keras is running.

    Args:
        method: "fit", "evaluate" or "predict"; None if none is running.
        model: The model whose method it is.
        names: The sequence's inputs, in order.
        inputs_as: The form in which the sequence gives them.

    Raises:
        ValueError: If the model takes other inputs, or another order.
    """
    if method is None or model is None or len(names) < 2:
        return
    if inputs_as != "dict":
        check_order(model, names)
    elif isinstance(getattr(model, "input", None), Mapping) and set(model.input) != set(names):
        # Keras would sort the names and silently use the first ones.
        raise ValueError(
            f"The inputs must be exactly those that the model takes, {sorted(model.input)}. "
            f"Received: inputs named {sorted(names)}"
        )


def _tensors(model: Any) -> list[Any]:
    found = getattr(model, "inputs", None) or ()
    structure = getattr(model, "input", None) if found else None
    # Keras flattens a dict of inputs in the order of the sorted names.
    return (
        [structure[name] for name in sorted(structure)]
        if isinstance(structure, Mapping)
        else list(found)
    )
