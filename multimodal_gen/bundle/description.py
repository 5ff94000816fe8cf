"""The parts of a bundle other than the model: tokenizer files, and `bundle.json`, which describes
loaders and targets.

These files contain names and numbers only. Reading them builds only objects of this package's
classes, of classes registered with Keras, and of classes that the caller passes in.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from multimodal_gen.bundle.encoders import ENCODERS, read_encoders, write_encoders
from multimodal_gen.bundle.files import parse_json, placed, read_text, why_missing
from multimodal_gen.bundle.versions import running_version
from multimodal_gen.config import deserialize, serialize
from multimodal_gen.errors import BundleError
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.targets.base import Target

_FORMAT = 1
# A version from a file is shown in an error, so it must look like one.
_VERSION = re.compile(r"\d{1,4}(\.\w{1,20}){1,4}")
# The only names that are opened, so that a description cannot name a file elsewhere.
_TOKENIZER = re.compile(r"tokenizer(_\d+)?\.json")
# The classes whose tokenizer is a file of its own.
_WITH_TOKENIZER = ("TokenEncoder", "OnnxTextEncoder", "PresetTokenizer")

Targets = Target | dict[str, Target] | None


def check_description(inputs: Mapping[str, Loader], target: Targets) -> None:
    """Make sure that loaders and targets can be written.

    Raises:
        TypeError: If one has an argument that is not JSON, such as a function; the message names
            it.
    """
    named: dict[str, Any] = {f"inputs[{name!r}]": loader for name, loader in inputs.items()}
    if isinstance(target, Mapping):
        named |= {f"target[{name!r}]": one for name, one in target.items()}
    else:
        named["target"] = target
    for name, one in named.items():
        try:
            # NaN is not JSON, though Python would write it.
            json.dumps(serialize(one), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise TypeError(f"This bundle could not be saved. {error}, in {name}") from error


def write_description(
    folder: Path, inputs: Mapping[str, Loader], target: Targets, inputs_as: str
) -> None:
    """Write `bundle.json` and the tokenizers into a folder.

    Args:
        folder: The folder, which exists.
        inputs: Input name -> loader.
        target: The target, several by name, or None.
        inputs_as: How the model takes its inputs.
    """
    several = isinstance(target, Mapping)
    description: dict[str, Any] = {
        "format": _FORMAT,
        "multimodal_gen": running_version("multimodal_gen"),
        "keras": running_version("keras"),
        "inputs_as": inputs_as,
        "inputs": {name: serialize(loader) for name, loader in inputs.items()},
        "target": None if several else serialize(target),
        "targets": {name: serialize(one) for name, one in target.items()}
        if isinstance(target, Mapping)
        else None,
    }
    _move_out_tokenizers(description, folder)
    write_encoders(_encoder_configs(description), [inputs, target], folder)
    text = json.dumps(description, indent=1, ensure_ascii=False, allow_nan=False)
    # Names of files may hold bytes that are not UTF-8, which Python keeps as lone surrogates.
    (folder / "bundle.json").write_text(text, "utf-8", "surrogatepass")


def read_description(
    folder: Path,
    custom_objects: Mapping[str, type] | None,
    directory: str | os.PathLike[str] | None = None,
) -> tuple[dict[str, Loader], Targets, str]:
    """Read what `write_description` wrote: inputs, target and `inputs_as`.

    Args:
        folder: The folder.
        custom_objects: Class name -> class, for those that are not this package's or registered
            with Keras.
        directory: The new base folder of relative paths; by default the old one.

    Raises:
        BundleError: If the folder is not a bundle, is damaged, or names an unknown class.
    """
    received = f"path={os.fspath(folder)!r}"
    try:
        description = parse_json(read_text(folder / "bundle.json"), "bundle.json")
    except (FileNotFoundError, NotADirectoryError):
        missing = why_missing(folder, "bundle.json")
        raise BundleError(f"{missing}. Received: {received}") from None
    except BundleError as error:
        raise placed(error, folder) from error
    except (OSError, ValueError) as error:
        raise BundleError(f"bundle.json cannot be read: {error}. Received: {received}") from error
    if not isinstance(description, dict) or description.get("format") != _FORMAT:
        found = description.get("format") if isinstance(description, dict) else None
        raise BundleError(
            f"This version reads bundles of format {_FORMAT}; this one was written by another "
            f"version. Received: format={found!r}, {received}"
        )
    try:
        _move_in_tokenizers(description, folder)
        read_encoders(_encoder_configs(description), folder, custom_objects)
        _take_no_permissions(description, directory)
        inputs = _built(description["inputs"], Loader, custom_objects)
        target: Any = deserialize(description["target"], custom_objects)
        # Bundles with a single target may be older than the key "targets".
        if description.get("targets") is not None:
            target = _built(description["targets"], Target, custom_objects)
        if directory is not None:
            inputs = {name: loader.moved(directory) for name, loader in inputs.items()}
            if isinstance(target, dict):
                target = {name: one.moved(directory) for name, one in target.items()}
            elif target is not None:
                target = target.moved(directory)
        return inputs, target, description["inputs_as"]
    except BundleError as error:
        raise placed(error, folder) from error
    except FileNotFoundError as error:
        raise BundleError(
            f"The bundle is incomplete: {error.filename!r} is missing. Received: {received}"
        ) from None
    except ImportError as error:
        raise BundleError(
            f"This bundle needs another package. {error} Received: {received}"
        ) from error
    except Exception as error:
        # Any error of a constructor or of the tokenizers library.
        raise BundleError(f"bundle.json is damaged: {error!r}. Received: {received}") from error


def by_newer_keras(error: BundleError, folder: Path) -> BundleError:
    """The error for a model that cannot be loaded; it says so if a newer Keras saved the model.

    Args:
        error: The error.
        folder: The bundle, whose description can be read.
    """
    saved, running = (
        parse_json(read_text(folder / "bundle.json"), "bundle.json").get("keras"),
        running_version("keras"),
    )
    if (
        not isinstance(saved, str)
        or not _VERSION.fullmatch(saved)
        or _numbers(saved) <= _numbers(running)
    ):
        return error
    return BundleError(
        f"It was saved with Keras {saved}, and this is {running}, which may not support everything "
        f"in it: install {saved} or newer. {error}"
    )


def _numbers(version: str) -> list[int]:
    # Nightly builds and candidates count as the release they lead to.
    return [int(number) for number in re.findall(r"\d+", version)[:3]]


def _built(
    configs: Mapping[str, Any], kind: type[Any], custom_objects: Mapping[str, type] | None
) -> dict[str, Any]:
    built = {name: deserialize(config, custom_objects) for name, config in configs.items()}
    for name, one in built.items():
        if not isinstance(one, kind):
            raise TypeError(f"{name!r} is no {kind.__name__}")
    return built


def _configs(value: Any, names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    # The configs of objects of these classes, also inside other objects or targets.
    if (
        isinstance(value, dict)
        and value.get("class_name") in names
        and isinstance(value.get("config"), dict)
    ):
        yield value["config"]
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _configs(one, names)


def _encoder_configs(description: Any) -> dict[str, list[dict[str, Any]]]:
    return {name: list(_configs(description, (name,))) for name in ENCODERS}


def _move_out_tokenizers(description: Mapping[str, Any], folder: Path) -> None:
    files: dict[str, str] = {}
    for config in _configs(description, _WITH_TOKENIZER):
        text = config["tokenizer_json"]
        if text not in files:
            # A file of its own can be opened by other tools, and loaders that share a tokenizer
            # share it.
            files[text] = f"tokenizer_{len(files)}.json" if files else "tokenizer.json"
            (folder / files[text]).write_text(text, "utf-8")
        config["tokenizer_json"] = files[text]


def _move_in_tokenizers(description: Mapping[str, Any], folder: Path) -> None:
    for config in _configs(description, _WITH_TOKENIZER):
        file = config["tokenizer_json"]
        # Older bundles keep the tokenizer of a nested loader in the description itself.
        if isinstance(file, str) and file.startswith("{"):
            continue
        if not isinstance(file, str) or not _TOKENIZER.fullmatch(file):
            raise BundleError(
                "A bundle's tokenizer must be in its own folder, as "
                f'"tokenizer.json". Received: {file!r}'
            )
        config["tokenizer_json"] = read_text(folder / file)


def _take_no_permissions(
    description: Mapping[str, Any], directory: str | os.PathLike[str] | None
) -> None:
    """The caller decides what a loader may open over a network, not the file."""
    for config in _configs(description, ("ArrayLoader", "ImageLoader")):
        config.pop("protocols", None)
        saved = config.get("directory")
        if directory is None and isinstance(saved, str) and "://" in saved:
            raise BundleError(
                "The pictures of this bundle are at a URL, which is opened only if you allow it: "
                f"pass it, or another location, as `directory`. Received: directory={saved!r}"
            )
