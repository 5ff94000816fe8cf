"""Rejects a model description that could run code, read files or take all memory.

The description is `config.json` in `model.keras` and may come from a stranger. Keras rejects what
it knows to be dangerous, and each release adds to that list. So here only what is known to be
harmless is allowed: layers and functions of Keras, and classes that are registered or passed in.
"""

from __future__ import annotations

import json
import math
import re
import sys
import threading
import warnings
import weakref
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import keras

from multimodal_gen.errors import BundleError

# Where Keras keeps the parts of models. Other modules, such as `keras.utils`, have functions that
# load and download.
_PARTS = re.compile(
    r"keras\.(src\.)?(activations|constraints|dtype_policies|initializers|layers|losses|metrics|ops|"
    r"optimizers|quantizers|random|regularizers)(\.\w+)*"
)
_MODELS = re.compile(r"keras|keras\.(src\.)?models(\.\w+)*")
_MODEL_NAMES = ("DTypePolicy", "DTypePolicyMap", "Functional", "InputSpec", "Model", "Sequential")
# Layers that run code from their config, or from a file that their config names.
_CODE = (
    "Lambda",
    "__lambda__",
    "TorchModuleWrapper",
    "TFSMLayer",
    "JaxLayer",
    "FlaxLayer",
    "__typespec__",
)
# Plain values that Keras writes as objects.
_VALUES = ("__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__")
# Arguments of layers that may name a file to be read.
_FILES = ("vocabulary", "idf_weights")
# Where keras-hub keeps layers and models.
_HUB = re.compile(r"keras_hub\.src\.(layers|models)(\.\w+)+")
# Packages that register more than layers.
_EXPORTERS = ("keras_hub", "keras_nlp", "keras_cv", "tensorflow_text")
# Weights that a model may have beyond those stored, such as the states of random generators.
_SPARE_WEIGHTS = 2**16
# Settings of layers of Keras and keras-hub that have at least as many weights.
_COUNTS = (
    "units",
    "filters",
    "input_dim",
    "output_dim",
    "key_dim",
    "vocabulary_size",
    "num_layers",
    "hidden_dim",
    "intermediate_dim",
)


# Models whose description was read.
_READ: weakref.WeakSet[keras.Model] = weakref.WeakSet()


def remember_config(model: keras.Model) -> None:
    """Note that a model was made from its description, so that it need not be tried again.

    Keras on jax and torch imports TensorFlow to write one, where it is installed: 3 seconds and 450
    MB for a program that only predicts.
    """
    _READ.add(model)


def check_model_config(model: keras.Model) -> None:
    """Make sure that a model's description can be written, unless it was made from one, and warn if
    `load_bundle` would reject it.

    Args:
        model: The model, uncompiled.

    Raises:
        TypeError: If a layer cannot be described, such as one with arguments but without
            `get_config`.
    """
    if model in _READ:
        return
    try:
        text = json.dumps(keras.saving.serialize_keras_object(model))
    except Exception as error:
        reason = " ".join(str(error).split())
        raise TypeError(
            "This bundle could not be saved, because the model cannot be described. Give your own "
            "layers a `get_config`, and pass only numbers and texts as their arguments. "
            f"{type(error).__name__}: {reason.rstrip('.')}. Received: a model {model.name!r}"
        ) from error
    found = {value.get("class_name") for value in objects(json.loads(text))}
    code = next((name for name in _CODE if name in found), None)
    if code is not None:
        warnings.warn(
            f"`load_bundle` will reject this model, because a {code} runs code from the file. "
            "Replace it with your own layer class before training. Received: a model "
            f"{model.name!r}",
            stacklevel=3,
        )


def objects(config: Any) -> Iterator[dict[str, Any]]:
    """All mappings in a value, without recursion, because an untrusted one may be nested very
    deeply.
    """
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def check_object(value: Mapping[str, Any], given: Mapping[str, type]) -> None:
    """Reject a mapping in a model's description that could make Keras run code, import a module or
    open a file.
    """
    if "class_name" not in value:
        return
    name, module, config = value["class_name"], value.get("module"), value.get("config")
    # Of a function, the config is its name.
    known = config if name == "function" else value.get("registered_name") or name
    # The objects inside the config of such a class are checked one by one, see `objects`.
    if name in _VALUES or (isinstance(known, str) and _registered(known, given)):
        return
    if _of_hub(module, name):
        return
    if name in _CODE:
        raise BundleError(
            f"model.keras contains a {name}, which runs code from the file. Replace it with your "
            f"own layer class, and pass that as `custom_objects`. Received: class_name={name!r}"
        )
    if not isinstance(name, str) or not (module is None or _is_keras(module, name)):
        raise BundleError(
            f"model.keras contains classes that are not in `custom_objects`: {name!r} of "
            f"{module!r} is not one of Keras's layers, and not registered. Received: "
            f"class_name={name!r}, module={module!r}"
        )
    for argument in _FILES:
        if isinstance(config, dict) and isinstance(config.get(argument), str):
            raise BundleError(
                f"model.keras names a file that a {name} would read. Pass the file's content to "
                f"the layer, and save again. Received: {argument}={config[argument]!r}"
            )


def _registered(name: str, given: Mapping[str, type]) -> bool:
    found = keras.saving.get_registered_object(name, custom_objects=given)
    return found is not None and (name in given or _computes(found))


def _of_hub(module: Any, name: Any) -> bool:
    # Not all layers of keras-hub are registered. Those that it has imported itself are looked at.
    if not isinstance(module, str) or not isinstance(name, str) or not _HUB.fullmatch(module):
        return False
    found = getattr(sys.modules.get(module), name, None)
    return getattr(found, "__module__", None) == module and _computes(found)


def _computes(found: Any) -> bool:
    """Whether a registered object does no more than compute.

    keras-hub and tensorflow-text register everything that they export: functions that upload
    files, and tokenizers that read them. Of those, layers and backbones are left.
    """
    package = str(getattr(found, "__module__", "")).partition(".")[0]
    if package not in _EXPORTERS:
        return True
    if package != "keras_hub" or not (
        isinstance(found, type) and issubclass(found, keras.layers.Layer)
    ):
        return False
    return not {one.__name__ for one in found.__mro__} & {"PreprocessingLayer", "Task"}


def _is_keras(module: Any, name: str) -> bool:
    if not isinstance(module, str):
        return False
    if module == "builtins":
        # Keras looks these up by name among its own activations, losses and the like.
        return name == "function"
    return _PARTS.fullmatch(module) is not None or (
        name in _MODEL_NAMES and _MODELS.fullmatch(module) is not None
    )


def check_numbers(value: Mapping[str, Any], stored: int) -> None:
    """Reject a layer that claims to have more weights than the file.

    A description that fails to build can still get as far as a layer that takes all memory.
    """
    config = value.get("config")
    for name in _COUNTS:
        number = config.get(name) if isinstance(config, Mapping) else None
        if isinstance(number, int | float) and number > stored + _SPARE_WEIGHTS:
            raise BundleError(
                f"config.json in model.keras describes a layer with {name}={number:,}, but the "
                f"file holds fewer weights. Received: {stored:,} weights"
            )


def check_size(config: Any, given: Mapping[str, type], stored: int) -> None:
    """Reject a description whose layers would take far more memory than the stored weights."""
    found: list[int] = []

    def count() -> None:
        # An error here is reported better when the model is really built.
        with suppress(Exception), keras.StatelessScope(initialize_variables=False):
            # In here, weights have shapes and no values.
            model = keras.saving.deserialize_keras_object(
                config, custom_objects=given, safe_mode=True
            )
            found.append(sum(math.prod(weight.shape) for weight in model.weights))

    # Keras keeps a list per thread of weights that still need values. It ends with this thread.
    thread = threading.Thread(target=count)
    thread.start()
    thread.join()
    if found and found[0] > stored + _SPARE_WEIGHTS:
        raise BundleError(
            f"config.json in model.keras describes {found[0]:,} weights, but the file holds "
            f"fewer. Received: {stored:,} weights"
        )
