"""The parts of a model that Keras does not make public."""

from __future__ import annotations

from typing import Any

import keras

from multimodal_gen.sequence.keras_inside.errors import need


def made_by(tensor: Any) -> Any:
    """Return the layer or operation that made a symbolic tensor.

    `layer.output` is public, but does not exist if a layer was called twice.

    Raises:
        RuntimeError: If this version of Keras does not store it.
    """
    why = "to find the layer that makes an output", "Compile and fit the model yourself."
    need(tensor, "_keras_history", *why)
    need(tensor._keras_history, "operation", *why)
    return tensor._keras_history.operation


def made_from(tensor: Any) -> list[Any]:
    """Return the symbolic tensors that the call which made this one took; none for an input.

    Raises:
        RuntimeError: If this version of Keras does not store them.
    """
    why = "to find where the inputs of a model meet", "Use `Bundle.predict` on changed rows."
    operation = made_by(tensor)
    need(tensor._keras_history, "node_index", *why)
    need(operation, "_inbound_nodes", *why)
    node = operation._inbound_nodes[tensor._keras_history.node_index]
    need(node, "input_tensors", *why)
    return list(node.input_tensors)


def all_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers of a model, including nested ones.

    Raises:
        RuntimeError: If this version of Keras does not list them.
    """
    need(
        model, "_flatten_layers", "to look through all layers", "Save the model with `model.save`."
    )
    return list(model._flatten_layers())


def was_called(model: keras.Model) -> bool:
    """Return whether a model has been called on arrays since it was built or loaded.

    Raises:
        RuntimeError: If this version of Keras does not record it.
    """
    need(
        model,
        "_called",
        "to export a model to ONNX",
        "Call the model on a batch before you export it.",
    )
    return bool(model._called)
