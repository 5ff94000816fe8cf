"""Checks the archive and the weights of `model.keras`, then lets Keras load it.

The file is a zip archive with a description in JSON and weights in HDF5, and may come from a
stranger. This file checks the archive's members and the weights: plain arrays, not larger than the
file. `model_config.py` checks the description, where code could hide.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np

from multimodal_gen.bundle.files import MOST_JSON, check_file, parse_json
from multimodal_gen.bundle.model_config import (
    check_numbers,
    check_object,
    check_size,
    objects,
    remember_config,
)
from multimodal_gen.errors import BundleError
from multimodal_gen.sequence.keras_inside.graph import all_layers

# What Keras writes; the assets are vocabularies of its preprocessing layers.
_MEMBER = re.compile(
    r"config\.json|metadata\.json|model\.weights\.h5|assets(/[\w\- ]+(\.[\w\- ]+)*)+/?"
)


def load_model(path: Path, custom_objects: Mapping[str, type] | None) -> keras.Model:
    """Load a model that `keras.Model.save` wrote, uncompiled, if everything in its file is known to
    be harmless.

    Args:
        path: The file.
        custom_objects: Class name -> class, for classes that are neither Keras's nor registered.

    Raises:
        BundleError: If the file is not a model, is damaged, or contains anything else.
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
        _import_hub(config)
        for value in objects(config):
            check_object(value, given)
            check_numbers(value, stored)
        check_size(config, given, stored)
        model = keras.saving.load_model(path, custom_objects=given, compile=False, safe_mode=True)
        remember_config(model)
        return model
    except BundleError:
        raise
    except Exception as error:
        reason = (str(error) or type(error).__name__).rstrip(".")
        raise BundleError(
            "model.keras is missing, damaged, or contains classes that are not in "
            f"`custom_objects`: {reason}."
        ) from error


def _import_hub(config: Any) -> None:
    # Whether it is imported depends on a fixed word in the file, and its name does not come from
    # there.
    if any(str(value.get("module")).startswith("keras_hub.") for value in objects(config)):
        try:
            import keras_hub  # noqa: F401
        except ImportError as error:
            raise BundleError(
                f"The model has layers of keras-hub: pip install 'multimodal_gen[hub]' ({error})."
            ) from error


def _check_members(archive: zipfile.ZipFile, size: int) -> None:
    members = archive.infolist()
    names = [member.filename for member in members]
    bad = next((name for name in names if not _MEMBER.fullmatch(name)), None)
    # If two members have one name, some readers take the first and others the last.
    if bad is not None or len(set(names)) < len(names):
        raise BundleError(
            "model.keras must hold config.json, metadata.json, model.weights.h5 and assets, each "
            f"once. Received: {bad if bad is not None else 'one of them several times'!r}"
        )
    weights = sum(member.file_size for member in members if member.filename == "model.weights.h5")
    others = sum(member.file_size for member in members) - weights
    # Keras stores members uncompressed, so weights larger than the file are a zip bomb.
    if weights > size or others > MOST_JSON:
        raise BundleError(
            f"model.keras must hold its weights uncompressed, and at most {MOST_JSON:,} other "
            f"bytes. Received: {weights:,} bytes of weights and {others:,} others, when unpacked, "
            f"in a file of {size:,}"
        )


def _check_weights(file: io.BytesIO) -> int:
    """Check weights in HDF5, and return how many numbers they have."""
    import h5py

    with h5py.File(file, "r") as root:
        groups, seen, stored = [root], set(), 0
        while groups:
            group = groups.pop()
            for name in group:
                link = group.get(name, getlink=True)
                # Soft and external links lead elsewhere.
                if not isinstance(link, h5py.HardLink):
                    raise _bad_weights(f"{group.name}/{name} is a {type(link).__name__}")
                value = group[name]
                # A group with two names, or one that contains itself.
                if h5py.h5o.get_info(value.id).addr in seen:
                    raise _bad_weights(f"{value.name} appears twice")
                seen.add(h5py.h5o.get_info(value.id).addr)
                if isinstance(value, h5py.Group):
                    groups.append(value)
                    continue
                if (
                    not isinstance(value, h5py.Dataset)
                    # V is bfloat16, for which HDF5 has no type. Records with named fields are V
                    # too.
                    or value.dtype.kind not in "biufV"
                    or value.dtype.names
                ):
                    raise _bad_weights(f"{value.name} is not an array of numbers")
                needed = math.prod(value.shape) * value.dtype.itemsize
                # Fewer bytes than the shape needs: compressed, or never written and read as zeros.
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


def check_quantized(model: keras.Model, path: Path) -> None:
    """Check that a file to which a quantised model was just saved loads as the same model.

    Keras saves every such model, but cannot load all of them: for attention it writes numbers that
    it cannot read back. A model without quantised layers is not read.

    Args:
        model: The model.
        path: The file, just written.

    Raises:
        ValueError: If it cannot be loaded, or has other weights.
    """
    quantized = [layer for layer in all_layers(model) if getattr(layer, "quantization_mode", None)]
    if not quantized:
        return
    # Without those of Keras, whose layers share names with its operations.
    types = {
        type(layer)
        for layer in all_layers(model)
        if type(layer).__module__.partition(".")[0] != "keras"
    }
    classes = {one.__name__: one for one in types}
    try:
        loaded = load_model(path, classes)
        # Loading without an error is not enough: weights may have been left at their first values.
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
            "Keras can save this quantised model, but not load it. Save the bundle before "
            "`quantize`, and quantise after loading, as in "
            "`load_bundle(path).model.quantize('int8')`; or export the quantised model with "
            f"`model.export`. Received: {model.name!r} with quantised layers of types {blocks}; "
            f"{reason}"
        ) from error


@contextmanager
def uncompiled(model: keras.Model) -> Iterator[None]:
    """Save a model without its optimizer, whose state is twice the size of the weights and not
    needed to predict; and likewise the models inside it.

    The state of one inside could not even be loaded again.
    """
    every = [one for one in all_layers(model) if isinstance(one, keras.Model)]
    compiled = [(one, one.optimizer) for one in every if one.compiled]
    for one, _ in compiled:
        one.optimizer, one.compiled = None, False
    try:
        yield
    finally:
        for one, optimizer in compiled:
            one.optimizer, one.compiled = optimizer, True
