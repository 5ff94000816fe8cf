"""A digest of a model: its layers and weights, whatever names Keras has given them."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any

import keras
import numpy as np


def digest_of_model(model: keras.Model) -> str:
    """Return 32 hexadecimal digits, the same for models that compute the same.

    Args:
        model: A built model that can be serialised.
    """
    config = keras.saving.serialize_keras_object(model)
    config.pop("compile_config", None)
    names: dict[str, str] = {}
    _number_names(config, names)
    text = json.dumps(_renamed(config, names), sort_keys=True)
    digest = blake2b(text.encode(), digest_size=16)
    for weight in model.weights:
        array = np.asarray(keras.ops.convert_to_numpy(weight))
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _number_names(value: Any, names: dict[str, str]) -> None:
    # Keras counts layers of a class over the whole process, so that a model that is built twice has
    # other names. They are numbered in the order in which they are found.
    if isinstance(value, dict):
        name = value.get("name")
        if isinstance(name, str):
            names.setdefault(name, f"layer {len(names)}")
        for one in value.values():
            _number_names(one, names)
    elif isinstance(value, list | tuple):
        for one in value:
            _number_names(one, names)


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        # Whether a layer is trained makes no difference to what it computes.
        return {str(key): _renamed(one, names) for key, one in value.items() if key != "trainable"}
    if isinstance(value, list | tuple):
        return [_renamed(one, names) for one in value]
    return names.get(value, value) if isinstance(value, str) else value
