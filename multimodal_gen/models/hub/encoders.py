"""From the name or folder of a preset to its encoder and the loader of what that takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.image.loader import ImageLoader
from multimodal_gen.models.hub.halves import picture_half, text_half
from multimodal_gen.models.hub.packing import tokenizer_of
from multimodal_gen.models.hub.pictures import picture_model, pictures_of
from multimodal_gen.models.hub.presets import Preset
from multimodal_gen.models.hub.texts import text_model
from multimodal_gen.models.hub.tokenizer import PresetTextLoader
from multimodal_gen.models.keras_encoder import KerasEncoder


class Encoded(NamedTuple):
    """An encoder of a preset and the loader of its arrays.

    Attributes:
        loader: The loader, of pixels or of ids.
        encoder: The encoder, which takes what the loader gives.
    """

    loader: Loader
    encoder: KerasEncoder


def encoder_of(
    preset: Preset,
    column: str,
    part: str | None = None,
    *,
    image_size: tuple[int, int] | None = None,
    max_length: int | None = None,
    missing: str = "error",
    pictures: Mapping[str, Any] | None = None,
) -> Encoded:
    """Make the encoder of a preset, with the tokenizer or image converter that belongs to it.

    Args:
        preset: The preset.
        column: The column of pictures or texts.
        part: "image" or "text", of a preset with both.
        image_size: `(height, width)` of pictures; by default that of the preset.
        max_length: Ids per text; by default as many as the preset's own preprocessor gives.
        missing: How to treat a missing cell, "error" or "blank".
        pictures: Further arguments for `ImageLoader`.

    Raises:
        ValueError: If the preset has something else, or an argument does not belong to it.
    """
    part = _part(preset, part)
    options = dict(pictures or {})
    if part == "text":
        _refuse("texts", {"image_size": image_size, **options})
        tokenizer, pad = tokenizer_of(preset, max_length)
        both = len(preset.parts) == 2
        model = text_half(preset, pad, tokenizer.length) if both else text_model(preset, pad)
        return Encoded(PresetTextLoader(column, tokenizer, missing=missing), KerasEncoder(model))
    _refuse("pictures", {"max_length": max_length})
    found = pictures_of(preset, image_size)
    build = picture_half if len(preset.parts) == 2 else picture_model
    loader = ImageLoader(
        column, image_size=found.image_size, missing=missing, **found.loading, **options
    )
    return Encoded(loader, KerasEncoder(build(preset, found)))


def _part(preset: Preset, part: str | None) -> str:
    parts: Sequence[str] = preset.parts
    if part in parts or (part is None and len(parts) == 1):
        return part or parts[0]
    if not parts:
        raise ValueError(
            f"The model takes neither pictures nor ids of tokens, but {preset.input_names}. "
            f"Received: preset={preset.path!r}"
        )
    how = " or ".join(f"part={one!r}" for one in parts)
    raise ValueError(f"This preset is used with {how}. Received: part={part!r}")


def _refuse(what: str, arguments: Mapping[str, Any]) -> None:
    given = {name: value for name, value in arguments.items() if value not in (None, (), [])}
    if given:
        name, value = next(iter(given.items()))
        raise ValueError(f"`{name}` is not for an encoder of {what}. Received: {name}={value!r}")
