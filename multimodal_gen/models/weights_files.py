"""Loads a weights file only if it holds exactly the weights of a model, and says what differs."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import keras

# Differences named in an error.
_MOST = 6


def load_weights_whole(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Load all weights of a model from a file.

    Args:
        model: A built model.
        path: A `.weights.h5` file of Keras, or a `.h5` file of an older version.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a weights file, lacks weights of the model, or has others; the
            message lists them.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(
            "There is no such weights file. Nothing is downloaded unless it is named 'imagenet'. "
            f"Received: weights={path!r}"
        )
    try:
        found = _shapes_in(path)
    except OSError as error:
        raise ValueError(
            f"The weights file must be HDF5, as `model.save_weights` writes it: {error}. "
            f"Received: weights={path!r}"
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        own_path = Path(folder, "own.weights.h5")
        model.save_weights(own_path)
        own = _shapes_in(own_path)
    legacy = "layer_names" in found
    differences = [] if legacy else _differences(own, found)
    if not differences:
        try:
            model.load_weights(path)
        except Exception as error:
            differences = [str(error).partition("\n")[0]]
            if legacy:
                differences = _missing_layers(model, found["layer_names"]) or differences
    if differences:
        more = len(differences) - _MOST
        listed = "; ".join(differences[:_MOST]) + (f"; and {more} more" if more > 0 else "")
        raise ValueError(
            f"The weights file does not fit the model {model.name!r}: {listed}. "
            f"Received: weights={path!r}"
        )


def _differences(own: dict[str, Any], found: dict[str, Any]) -> list[str]:
    missing = [f"missing {name} {own[name]}" for name in own if name not in found]
    other = [
        f"{name} has shape {found[name]} instead of {own[name]}"
        for name in own
        if name in found and found[name] != own[name]
    ]
    extra = [f"{name} {found[name]} is not in the model" for name in found if name not in own]
    return missing + other + extra


def _missing_layers(model: keras.Model, names: list[str]) -> list[str]:
    return [
        f"missing layer {layer.name!r}"
        for layer in model.layers
        if layer.weights and layer.name not in names
    ]


def _shapes_in(path: str | os.PathLike[str]) -> dict[str, Any]:
    # Path in the file -> shape; in a file of Keras 2 also "layer_names".
    import h5py

    found: dict[str, Any] = {}

    def visit(name: str, value: Any) -> None:
        if isinstance(value, h5py.Dataset) and not name.startswith("optimizer"):
            found[name] = tuple(value.shape)

    with h5py.File(path, "r") as file:
        file.visititems(visit)
        if "layer_names" in file.attrs:
            found["layer_names"] = [
                one.decode() if isinstance(one, bytes) else str(one)
                for one in file.attrs["layer_names"]
            ]
    return found
