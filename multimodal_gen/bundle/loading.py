"""Load a bundle: check its files, make its loaders, and load its model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from multimodal_gen.bundle.bundle import Bundle
from multimodal_gen.bundle.checks import call_once
from multimodal_gen.bundle.description import by_newer_keras, read_description
from multimodal_gen.bundle.exporting.manifest import MANIFEST
from multimodal_gen.bundle.files import placed
from multimodal_gen.bundle.model_file import load_model
from multimodal_gen.errors import BundleError


def load_bundle(
    path: str | os.PathLike[str],
    *,
    directory: str | os.PathLike[str] | None = None,
    custom_objects: Mapping[str, type] | None = None,
) -> Bundle:
    """Read a bundle that `Bundle.save` wrote.

    The model is not compiled: `predict` and `evaluate` of the bundle do not need it. To continue
    training, compile the model again.

    Args:
        path: The folder.
        directory: The new base folder of relative paths of pictures and arrays; by default the one
            used in training.
        custom_objects: Class name -> class, for loaders, layers and other classes that are neither
            this package's nor Keras's own, and not registered with
            `keras.saving.register_keras_serializable`; and name -> function of a
            `FunctionEncoder`.

    Raises:
        BundleError: If the folder is not a bundle, is damaged, or names an unknown class.
    """
    if custom_objects is not None and not isinstance(custom_objects, Mapping):
        raise TypeError(
            f"`custom_objects` must map class names to classes. Received: {custom_objects!r}"
        )
    folder = Path(path)
    inputs, target, inputs_as = read_description(folder, custom_objects, directory)
    if (folder / MANIFEST).is_file() and not (folder / "model.keras").exists():
        raise BundleError(
            "This folder is an export, without a model for Keras: `multimodal_gen.serving.load` "
            "reads it, and `multimodal-gen serve` answers with its predictions. Received: "
            f"path={os.fspath(path)!r}"
        )
    # Importing the models registers their layers, which the file names.
    import multimodal_gen.models

    try:
        model = load_model(folder / "model.keras", custom_objects)
    except BundleError as error:
        raise placed(by_newer_keras(error, folder), path) from error
    try:
        bundle = Bundle(model, inputs, target, inputs_as=inputs_as)
    except (TypeError, ValueError) as error:
        raise BundleError(
            f"bundle.json and model.keras do not match: {error}, path={os.fspath(path)!r}"
        ) from error
    if not isinstance(model, multimodal_gen.models.FusionModel):
        # `FusionModel` does so itself, and only when it is exported.
        call_once(model, inputs, bundle.inputs_as)
    return bundle
