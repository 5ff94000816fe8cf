"""Opens a preset of keras-hub: its backbone with all weights, and what prepares its inputs."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from multimodal_gen.models.weights_files import load_weights_whole

# Where keras-hub finds presets that are not its own: the only other names that are downloaded.
_ELSEWHERE = re.compile(r"(kaggle|hf|modelscope|gs)://.+")
_PARTS = re.compile(r"keras(_hub)?(\..*)?")
_WEIGHTS = "model.weights.h5"


class Preset(NamedTuple):
    """A preset that was opened.

    Attributes:
        path: Its folder or name, as keras-hub takes it.
        backbone: A `keras_hub.models.Backbone` with the weights of the preset.
    """

    path: str
    backbone: Any

    @property
    def parts(self) -> tuple[str, ...]:
        """What it encodes: "image", "text" or both."""
        names = set(self.input_names)
        found = [
            part
            for part, some in (
                ("image", {"images", "pixel_values", None}),
                ("text", {"token_ids"}),
            )
            if names & some
        ]
        return tuple(found)

    @property
    def input_names(self) -> tuple[str | None, ...]:
        """The keys that the backbone takes; None if it takes one array of pixels."""
        given = self.backbone.input
        return tuple(given) if isinstance(given, Mapping) else (None,)


def keras_hub() -> Any:
    """The package, imported.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        import keras_hub as found
    except ImportError as error:
        raise ImportError(
            "Presets of keras-hub need keras-hub 0.32 or newer: pip install 'multimodal_gen[hub]' "
            f"({error})"
        ) from error
    return found


def is_preset_folder(path: str | os.PathLike[str]) -> bool:
    """Whether a folder has the description of a keras-hub model."""
    try:
        config = json.loads(Path(path, "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and "class_name" in config


def is_hub_name(name: str) -> bool:
    """Whether keras-hub downloads a preset of this name.

    Raises:
        ValueError: If it is like the name of a preset.
    """
    if _ELSEWHERE.fullmatch(name):
        return True
    try:
        known = keras_hub().models.Backbone.presets
    except ImportError:
        return False
    if name in known:
        return True
    near = difflib.get_close_matches(name, known, 3, 0.8)
    if near:
        raise ValueError(
            f"keras-hub has no preset of this name; it has {near}. Received: preset={name!r}"
        )
    return False


def open_preset(path: str) -> Preset:
    """Build the backbone of a preset and load all its weights.

    Args:
        path: A folder that `save_to_preset` wrote, which is all that is read; or a name of
            keras-hub, which downloads it.

    Raises:
        ImportError: If keras-hub is not installed.
        FileNotFoundError: If the folder has no weights.
        ValueError: If this keras-hub cannot build the model, or the weights are not exactly those
            of the model; the message lists what differs.
    """
    backbones = keras_hub().models.Backbone
    if not os.path.isdir(path):
        try:
            return Preset(path, backbones.from_preset(path))
        except Exception as error:
            raise ValueError(
                f"keras-hub could not download or load this preset: {_short(error)}. Without a "
                "network, name a folder that `save_to_preset` wrote. Received: "
                f"preset={path!r}"
            ) from error
    _check_config(path)
    sharded = os.path.isfile(os.path.join(path, "model.weights.json"))
    if not sharded and not os.path.isfile(os.path.join(path, _WEIGHTS)):
        raise FileNotFoundError(
            f"The preset's folder has no {_WEIGHTS}. Write it with `backbone.save_to_preset(...)`. "
            f"Received: preset={path!r} with {sorted(os.listdir(path))}"
        )
    try:
        backbone = backbones.from_preset(path, load_weights=sharded)
    except Exception as error:
        raise ValueError(
            f"keras-hub {keras_hub().__version__} cannot build the model of this preset: "
            f"{_short(error)}. Was it saved by a newer one? Received: preset={path!r}"
        ) from error
    if not sharded:
        load_weights_whole(backbone, os.path.join(path, _WEIGHTS))
    return Preset(path, backbone)


def part_of(preset: Preset, kind: type[Any], what: str) -> Any:
    """Load a tokenizer, a preprocessor or an image converter of a preset.

    Args:
        preset: The preset.
        kind: Its class in keras-hub, such as `keras_hub.layers.ImageConverter`.
        what: What it is for, in words.

    Raises:
        ValueError: If the preset has none; the message says how to add it.
    """
    try:
        return kind.from_preset(preset.path)
    except Exception as error:
        raise ValueError(
            f"The preset has no {kind.__name__}, so nothing says {what}: {_short(error)}. Add it, "
            f"as in `keras_hub...{kind.__name__}(...).save_to_preset(folder)`. Received: "
            f"preset={preset.path!r}"
        ) from error


def class_for(backbone: Any, kind: type[Any]) -> type[Any] | None:
    """Find keras-hub's class of a kind for a backbone, such as `BertTextEmbedder`, or None."""
    for one in kind.__subclasses__():
        found = one if one.backbone_cls is type(backbone) else class_for(backbone, one)
        if found is not None:
            return found
    return None


def _check_config(path: str) -> None:
    # Keras would import any module that the description names.
    config = json.loads(Path(path, "config.json").read_text("utf-8"))
    for one in _objects(config):
        module = one.get("module")
        if module is not None and not _PARTS.fullmatch(str(module)):
            raise ValueError(
                "The preset needs a class that is neither Keras's nor keras-hub's: "
                f"{one.get('class_name')!r} of {module!r}. Build the model yourself, and pass it "
                f"instead. Received: preset={path!r}"
            )


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _objects(one)


def _short(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).partition("\n")[0].rstrip(".")
