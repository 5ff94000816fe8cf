"""Cuts the branch of one input out of a trained fusion model, up to the features it ends in."""

from __future__ import annotations

from typing import Any

import keras


def branch_features(model: Any, name: str) -> keras.Model:
    """Return the model from one input to what the last layer of its branch reads.

    The layers are those of the given model, so training it changes the result too.

    Args:
        model: The result of `build_fusion_classifier`.
        name: Name of the input.

    Raises:
        TypeError: If it is not a Keras model.
        ValueError: If it has no such input, or its branch does not end in a layer of this package.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            "`model` must be a trained Keras model, such as `load_bundle(...).model`. Received: "
            f"model={model!r}"
        )
    inputs = {tensor.name: tensor for tensor in getattr(model, "inputs", None) or []}
    if name not in inputs:
        raise ValueError(
            f"The model has no such input; its inputs are {list(inputs)}. Received: name={name!r}"
        )
    last = [layer for layer in model.layers if layer.name == f"{name}_embedding"]
    if not last or not isinstance(last[0], keras.layers.Dense):
        raise ValueError(
            "The branch does not end in a dense layer of this package, so only you know where its "
            "features are: give KerasEncoder a model of your own, as in `keras.Model("
            f"model.inputs[0], model.get_layer(...).output)`. Received: name={name!r}"
        )
    # Of several items in a cell, what is made of each of them.
    items = [layer.output for layer in model.layers if layer.name == f"{name}_as_rows"]
    return keras.Model(items[0] if items else inputs[name], last[0].input)
