"""The model's file in a bundle, `model.keras`, looked through before Keras opens it.

The file is a zip of a description in JSON and of weights in HDF5, and may come from a stranger.
Keras itself refuses what it knows to run code, but each of its releases knows of more; so here only
what is known to be harmless passes: layers and functions of Keras, classes that are registered or
given, plain arrays, and no more weights than are there.
"""

from __future__ import annotations

import io
import json
import math
import re
import threading
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import keras
import numpy as np

from multimodal_gen.bundle.files import MOST_JSON, check_file, parse_json
from multimodal_gen.errors import BundleError
from multimodal_gen.sequence.keras_inside.graph import all_layers

# What Keras writes; the assets are vocabularies of its preprocessing layers.
_MEMBER = re.compile(
    r"config\.json|metadata\.json|model\.weights\.h5|assets(/[\w\- ]+(\.[\w\- ]+)*)+/?"
)
# Where Keras has what a model is made of; elsewhere, as in `keras.utils`, there are functions that
# load and download.
_PARTS = re.compile(
    r"keras\.(src\.)?(activations|constraints|dtype_policies|initializers|layers|losses|metrics|ops|optimizers|"
    r"quantizers|random|regularizers)(\.\w+)*"
)
_MODELS = re.compile(r"keras|keras\.(src\.)?models(\.\w+)*")
_MODEL_NAMES = ("DTypePolicy", "DTypePolicyMap", "Functional", "InputSpec", "Model", "Sequential")
# Layers that run code which their config holds, or that a file holds which their config names.
_CODE = (
    "Lambda",
    "__lambda__",
    "TorchModuleWrapper",
    "TFSMLayer",
    "JaxLayer",
    "FlaxLayer",
    "__typespec__",
)
_VALUES = ("__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__")
# Arguments of layers that may name a file to be read.
_FILES = ("vocabulary", "idf_weights")
# Weights that a model may have beyond those stored, such as the states of random generators.
_SPARE_WEIGHTS = 2**16
# Settings of Keras's layers that have at least as many weights.
_COUNTS = ("units", "filters", "input_dim", "output_dim", "key_dim")


def load_model(path: Path, custom_objects: Mapping[str, type] | None) -> keras.Model:
    """Load a model that `keras.Model.save` wrote, uncompiled, if all that its file holds is known
    to be harmless.

    Args:
        path: The file.
        custom_objects: Class name -> class, for those that are neither Keras's nor registered.

    Raises:
        BundleError: If the file is no model, is damaged, or holds anything else.
    """
    given = dict(custom_objects or {})
    try:
        check_file(path)
        with zipfile.ZipFile(path) as archive:
            _check_members(archive, path.stat().st_size)
            config = parse_json(archive.read("config.json"), "config.json in model.keras")
            stored = _check_weights(io.BytesIO(archive.read("model.weights.h5")))
        if isinstance(config, dict):
            # As `load_model(compile=False)` does.
            config["compile_config"] = None
        for value in _objects(config):
            _check_object(value, given)
            _check_numbers(value, stored)
        _check_size(config, given, stored)
        return keras.saving.load_model(path, custom_objects=given, compile=False, safe_mode=True)
    except BundleError:
        raise
    except Exception as error:
        reason = (str(error) or type(error).__name__).rstrip(".")
        raise BundleError(
            "model.keras is missing, damaged, or made of classes that were not given in "
            f"`custom_objects`: {reason}."
        ) from error


def check_model_config(model: keras.Model) -> None:
    """Make sure that the description of a model can be written, and warn if `load_bundle` would
    refuse it.

    Args:
        model: The model, uncompiled.

    Raises:
        TypeError: If a layer cannot be described, such as one with arguments and no `get_config`.
    """
    try:
        text = json.dumps(keras.saving.serialize_keras_object(model))
    except Exception as error:
        reason = " ".join(str(error).split())
        raise TypeError(
            "A bundle of this could not be saved, as the model cannot be described. Give its own "
            f"layers a `get_config`, and numbers and texts as arguments. {type(error).__name__}: "
            f"{reason.rstrip('.')}. Received: a model {model.name!r}"
        ) from error
    found = {value.get("class_name") for value in _objects(json.loads(text))}
    code = next((name for name in _CODE if name in found), None)
    if code is not None:
        warnings.warn(
            f"`load_bundle` will refuse this model, as a {code} runs code that comes with the "
            "file. Make it a layer class of its own before you train. Received: a model "
            f"{model.name!r}",
            stacklevel=3,
        )


def _check_members(archive: zipfile.ZipFile, size: int) -> None:
    members = archive.infolist()
    names = [member.filename for member in members]
    bad = next((name for name in names if not _MEMBER.fullmatch(name)), None)
    if bad is not None or len(set(names)) < len(names):
        raise BundleError(
            "model.keras must hold config.json, metadata.json, model.weights.h5 and assets, each "
            f"once. Received: {bad if bad is not None else 'one of them several times'!r}"
        )
    weights = sum(member.file_size for member in members if member.filename == "model.weights.h5")
    others = sum(member.file_size for member in members) - weights
    if weights > size or others > MOST_JSON:
        raise BundleError(
            "model.keras must hold its weights uncompressed, and besides them at most "
            f"{MOST_JSON:,} bytes. Received: {weights:,} bytes of weights and {others:,} others, "
            f"once unpacked, in a file of {size:,}"
        )


def _check_weights(file: io.BytesIO) -> int:
    """Look through weights in HDF5; how many numbers they are."""
    import h5py

    with h5py.File(file, "r") as root:
        groups, seen, stored = [root], set(), 0
        while groups:
            group = groups.pop()
            for name in group:
                link = group.get(name, getlink=True)
                if not isinstance(link, h5py.HardLink):
                    raise _bad_weights(f"{group.name}/{name} is a {type(link).__name__}")
                value = group[name]
                # Two names of one group, or of a group that holds itself.
                if h5py.h5o.get_info(value.id).addr in seen:
                    raise _bad_weights(f"{value.name} stands there twice")
                seen.add(h5py.h5o.get_info(value.id).addr)
                if isinstance(value, h5py.Group):
                    groups.append(value)
                    continue
                if (
                    not isinstance(value, h5py.Dataset)
                    or value.dtype.kind not in "biufV"
                    or value.dtype.names
                ):
                    raise _bad_weights(f"{value.name} is no array of numbers")
                needed = math.prod(value.shape) * value.dtype.itemsize
                if value.external or value.is_virtual or value.id.get_storage_size() < needed:
                    raise _bad_weights(
                        f"{value.name} is not stored in the file itself, uncompressed"
                    )
                stored += math.prod(value.shape)
        return stored


def _bad_weights(what: str) -> BundleError:
    return BundleError(
        "model.weights.h5 in model.keras must hold plain arrays of numbers, each once. Received: "
        f"{what}"
    )


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    # All mappings in a value, without recursion.
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _check_object(value: Mapping[str, Any], given: Mapping[str, type]) -> None:
    """Refuse a mapping of a model's description that could make Keras run code, import a module or
    open a file.
    """
    if "class_name" not in value:
        return
    name, module, config = value["class_name"], value.get("module"), value.get("config")
    known = config if name == "function" else value.get("registered_name") or name
    if name in _VALUES or (isinstance(known, str) and _registered(known, given)):
        return
    if name in _CODE:
        raise BundleError(
            f"model.keras holds a {name}, which runs code that comes with it. Make it a layer "
            f"class of its own, and pass that as `custom_objects`. Received: class_name={name!r}"
        )
    if not isinstance(name, str) or not (module is None or _is_keras(module, name)):
        raise BundleError(
            f"model.keras is made of classes that were not given in `custom_objects`: {name!r} of "
            f"{module!r} is none of Keras's layers, and not registered. Received: "
            f"class_name={name!r}, module={module!r}"
        )
    for argument in _FILES:
        if isinstance(config, dict) and isinstance(config.get(argument), str):
            raise BundleError(
                f"model.keras names a file that a {name} would read. Give the layer what is in it, "
                f"and save anew. Received: {argument}={config[argument]!r}"
            )


def _registered(name: str, given: Mapping[str, type]) -> bool:
    return keras.saving.get_registered_object(name, custom_objects=given) is not None


def _is_keras(module: Any, name: str) -> bool:
    if not isinstance(module, str):
        return False
    if module == "builtins":
        return name == "function"
    return _PARTS.fullmatch(module) is not None or (
        name in _MODEL_NAMES and _MODELS.fullmatch(module) is not None
    )


def _check_numbers(value: Mapping[str, Any], stored: int) -> None:
    # A description that cannot be built to its end can still be built as far as a layer that takes
    # all memory.
    config = value.get("config")
    for name in _COUNTS:
        number = config.get(name) if isinstance(config, Mapping) else None
        if isinstance(number, int | float) and number > stored + _SPARE_WEIGHTS:
            raise BundleError(
                f"config.json in model.keras describes a layer with {name}={number:,}, and there "
                f"are not so many weights in the file. Received: {stored:,} weights"
            )


def _check_size(config: Any, given: Mapping[str, type], stored: int) -> None:
    """Refuse a description of layers that would take far more memory than the weights that come
    with them.
    """
    found: list[int] = []

    def count() -> None:
        # What fails here fails with a better error when the model is built in earnest.
        with suppress(Exception), keras.StatelessScope(initialize_variables=False):
            # In here, weights have shapes and no values.
            model = keras.saving.deserialize_keras_object(
                config, custom_objects=given, safe_mode=True
            )
            found.append(sum(math.prod(weight.shape) for weight in model.weights))

    # Keras keeps by thread which weights are still to be given values; with this thread they are
    # forgotten.
    thread = threading.Thread(target=count)
    thread.start()
    thread.join()
    if found and found[0] > stored + _SPARE_WEIGHTS:
        raise BundleError(
            f"config.json in model.keras describes {found[0]:,} weights, and there are not so many "
            f"in the file. Received: {stored:,} weights"
        )


def check_quantized(model: keras.Model, path: Path) -> None:
    """Try whether a file that a quantised model was just saved to gives the same model back.

    Keras saves every such model, and cannot load all of them: of attention it keeps numbers that it
    has no place for when it reads them. A model without quantised layers passes unread.

    Args:
        model: The model.
        path: The file, written a moment ago.

    Raises:
        ValueError: If it cannot be loaded, or has other weights.
    """
    quantized = [layer for layer in all_layers(model) if getattr(layer, "quantization_mode", None)]
    if not quantized:
        return
    # Not those of Keras, whose layers share names with its operations.
    types = {
        type(layer)
        for layer in all_layers(model)
        if type(layer).__module__.partition(".")[0] != "keras"
    }
    classes = {one.__name__: one for one in types}
    try:
        loaded = load_model(path, classes)
        kept, read = (
            {weight.path: keras.ops.convert_to_numpy(weight) for weight in one.weights}
            for one in (model, loaded)
        )
        if kept.keys() != read.keys() or not all(
            np.array_equal(kept[path], read[path]) for path in kept
        ):
            raise ValueError("The weights differ")
    except ValueError as error:
        blocks = sorted({type(layer).__name__ for layer in quantized})
        reason = str(error.__cause__ or error).partition("\n")[0]
        raise ValueError(
            "Keras can save this quantised model, but not load it again. Save the bundle before "
            "`quantize`, and quantise after loading, as in "
            "`load_bundle(path).model.quantize('int8')`; or export the quantised model with "
            f"`model.export`. Received: {model.name!r} with quantised layers of the types "
            f"{blocks}; {reason}"
        ) from error


@contextmanager
def uncompiled(model: keras.Model) -> Iterator[None]:
    """Have a model save without its optimizer, whose state is twice the size of the weights and
    predicts nothing.
    """
    if not model.compiled:
        yield
        return
    optimizer = model.optimizer
    model.optimizer, model.compiled = None, False
    try:
        yield
    finally:
        model.optimizer, model.compiled = optimizer, True
