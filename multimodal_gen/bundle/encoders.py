"""The encoders of a bundle: their weights as files beside `bundle.json`.

In `bundle.json`, an encoder names a file of the bundle's own folder, which is checked as any file
of a stranger's before it is opened. A function is code, so a bundle has its name only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from multimodal_gen.bundle.files import check_file
from multimodal_gen.config import Configurable
from multimodal_gen.errors import BundleError
from multimodal_gen.loaders.encoded.encoder import Encoder
from multimodal_gen.loaders.encoded.onnx_file import check_onnx

FILES = ("encoder*.keras", "encoder*.onnx")
# The classes that have weights or code beside their settings.
ENCODERS = ("FunctionEncoder", "KerasEncoder", "OnnxTextEncoder")
# The only names that are opened.
_KERAS_FILE = re.compile(r"encoder(_\d+)?\.keras")
_ONNX_FILE = re.compile(r"encoder(_\d+)?\.onnx")


def encoders_in(value: Any) -> Iterator[Encoder]:
    """All encoders in loaders, targets, and what these are made of."""
    if isinstance(value, Encoder):
        yield value
    elif isinstance(value, Configurable):
        yield from encoders_in(value.get_config())
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from encoders_in(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from encoders_in(one)


def check_encoders(value: Any) -> None:
    """Warn about encoders whose model `load_bundle` would reject."""
    from multimodal_gen.bundle.model_config import check_model_config
    from multimodal_gen.models.keras_encoder import KerasEncoder

    for encoder in encoders_in(value):
        if isinstance(encoder, KerasEncoder):
            check_model_config(encoder.model)


def write_encoders(configs: Mapping[str, list[dict[str, Any]]], value: Any, folder: Path) -> None:
    """Write the models of encoders into a folder, and their files' names into their configs.

    Args:
        configs: Name of a class -> the configs of its encoders, which are changed.
        value: What has the encoders.
        folder: The folder.
    """
    known = list(encoders_in(value))
    files: dict[str, str] = {}
    for config in configs.get("KerasEncoder", []):
        digest = config.pop("digest")
        if digest not in files:
            files[digest] = f"encoder_{len(files)}.keras" if files else "encoder.keras"
            encoder: Any = next(one for one in known if one.digest == digest)
            encoder.save(folder / files[digest])
        config["file"] = files[digest]
    for config in configs.get("OnnxTextEncoder", []):
        path = config.pop("model")
        if path not in files:
            number = len(files)
            files[path] = f"encoder_{number}.onnx" if number else "encoder.onnx"
            onnx: Any = next(one for one in known if getattr(one, "path", None) == Path(path))
            onnx.save(folder / files[path])
        config["file"] = files[path]


def read_encoders(
    configs: Mapping[str, list[dict[str, Any]]],
    folder: Path,
    custom_objects: Mapping[str, Any] | None,
) -> None:
    """Put models and functions into the configs of encoders, instead of names.

    Args:
        configs: Name of a class -> the configs of its encoders, which are changed.
        folder: The folder of the bundle.
        custom_objects: Name -> class or function, as given by the user.

    Raises:
        BundleError: If a file is missing, damaged or not allowed, or a function was not given.
    """
    for config in configs.get("FunctionEncoder", []):
        name, given = config.get("name"), custom_objects or {}
        if not isinstance(name, str) or not callable(given.get(name)):
            raise BundleError(
                "This bundle needs a function that makes features of cells, which it does not "
                f"hold. Pass it as `custom_objects={{{name!r}: function}}`, in version "
                f"{config.get('version', '1')!r}. Received: {sorted(given)}"
            )
        config.pop("digest", None)
        config["function"] = given[name]
    models: dict[str, Any] = {}
    for config in configs.get("KerasEncoder", []):
        file = _file_of(config, _KERAS_FILE)
        if set(config) - {"batch_size"}:
            raise BundleError(
                f"An encoder of a bundle has a file and a batch size. Received: {sorted(config)}"
            )
        if file not in models:
            models[file] = _model(folder / file, custom_objects)
        config["model"] = models[file]
    for config in configs.get("OnnxTextEncoder", []):
        file = _file_of(config, _ONNX_FILE)
        check_file(folder / file)
        try:
            check_onnx(folder / file)
        except ValueError as error:
            raise BundleError(f"{file} cannot be used: {error}.") from error
        config["model"] = str(folder / file)


def _file_of(config: dict[str, Any], allowed: re.Pattern[str]) -> str:
    file = config.pop("file", None)
    if not isinstance(file, str) or not allowed.fullmatch(file) or "model" in config:
        example = "encoder.keras" if allowed is _KERAS_FILE else "encoder.onnx"
        raise BundleError(
            "The model of a bundle's encoder must be in its own folder, as "
            f'"{example}". Received: {file!r}'
        )
    return file


def _model(path: Path, custom_objects: Mapping[str, Any] | None) -> Any:
    # Importing the models registers their layers, which the file names.
    import multimodal_gen.models  # noqa: F401
    from multimodal_gen.bundle.model_file import load_model

    try:
        return load_model(path, custom_objects)
    except BundleError as error:
        raise BundleError(str(error).replace("model.keras", path.name)) from error
