"""What a Keras model must be to make features, and how its output becomes them."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers


def check_model(model: Any) -> None:
    """Refuse what is not a built model with one input and one output.

    Raises:
        TypeError: If it is not a Keras model.
        ValueError: If it is not built, or has several inputs or outputs.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            "`model` must be a Keras model; for a function of keras.applications use "
            f"KerasEncoder.from_application. Received: model={model!r}"
        )
    inputs, outputs = (getattr(model, name, None) or [] for name in ("inputs", "outputs"))
    if len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(
            "`model` must be built, as a functional or sequential model with one input and one "
            f"output. Received: {len(inputs)} inputs and {len(outputs)} outputs of {model.name!r}"
        )


def features_of(x: Any, sequence: bool, model: keras.Model) -> Any:
    """Make features of what a model gives: one vector for each row, or a sequence of them.

    Args:
        x: The symbolic output.
        sequence: Whether it is a sequence.
        model: The model, which errors are about.

    Raises:
        ValueError: If the output is something else.
    """
    wanted = "(batch, size) features or (batch, height, width, channels) feature maps"
    if sequence:
        wanted = "feature maps or (batch, length, size) sequences"
        if len(x.shape) == 4 and None not in x.shape[1:]:
            x = layers.Reshape((x.shape[1] * x.shape[2], x.shape[3]))(x)
    elif len(x.shape) == 4:
        pooled = [layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)]
        x = layers.Concatenate()(pooled)
    if len(x.shape) != 2 + sequence or None in x.shape[1:]:
        hint = ""
        if not sequence and len(x.shape) == 3:
            hint = " With `sequence=True` it may also give (batch, length, size)."
        raise ValueError(
            f"`model` must give {wanted} of known size.{hint} Received: an output of shape "
            f"{tuple(model.outputs[0].shape)}, sequence={sequence}"
        )
    return x
