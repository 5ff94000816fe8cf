"""A model from pixels to a vector, around the backbone of a preset and its image converter."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from multimodal_gen.models.hub.presets import Preset, keras_hub, part_of


class Pictures(NamedTuple):
    """How a preset takes pictures.

    Attributes:
        image_size: `(height, width)` in pixels.
        scaling: A layer that scales values in [0, 255] as the preset needs them.
        loading: Arguments for `ImageLoader` by which pictures come to this size.
    """

    image_size: tuple[int, int]
    scaling: layers.Layer
    loading: dict[str, Any]


def pictures_of(preset: Preset, image_size: tuple[int, int] | None) -> Pictures:
    """Read the image converter of a preset.

    Args:
        preset: The preset.
        image_size: `(height, width)`; by default that of the preset.

    Raises:
        ValueError: If the preset has no converter, its converter does more than resizing and
            scaling, or its model needs another size.
    """
    converter = part_of(preset, keras_hub().layers.ImageConverter, "how pixels are scaled")
    height, width, channels = _input(preset).shape[1:]
    if channels != 3:
        raise ValueError(
            "The model must take three colours last, (height, width, 3). Received: "
            f"{_input(preset).shape[1:]} of preset={preset.path!r}"
        )
    fixed = (height, width) if height and width else None
    size = image_size or fixed or converter.image_size
    if size is None or (fixed is not None and tuple(size) != fixed):
        raise ValueError(
            f"The model takes pictures of {fixed or 'any size'}: set `image_size` so. Received: "
            f"image_size={image_size!r}, preset={preset.path!r}"
        )
    size = (int(size[0]), int(size[1]))
    scaling = layers.Rescaling(
        1.0 if converter.scale is None else converter.scale,
        0.0 if converter.offset is None else converter.offset,
        name="scaled",
    )
    _check_scaling(preset, converter, scaling, size)
    loading = {
        "interpolation": _interpolation(converter.interpolation),
        "crop_to_aspect_ratio": bool(converter.crop_to_aspect_ratio),
        "pad_to_aspect_ratio": bool(converter.pad_to_aspect_ratio),
        # keras-hub fills with black.
        "background": (0, 0, 0) if converter.pad_to_aspect_ratio else (255, 255, 255),
    }
    return Pictures(size, scaling, loading)


def picture_model(preset: Preset, pictures: Pictures) -> keras.Model:
    """Build the model of an image preset.

    Tokens become the first one, if it stands for the whole picture, and the mean of those of the
    patches; feature maps are left to `KerasEncoder`.

    Args:
        preset: The preset.
        pictures: What `pictures_of` gave.

    Returns:
        A model from pixels in [0, 255] to `(batch, size)`, or to feature maps.

    Raises:
        ValueError: If the backbone gives something else.
    """
    pixels = keras.Input((*pictures.image_size, 3), name="pixels")
    x: Any = pictures.scaling(pixels)
    name = preset.input_names[0]
    x = preset.backbone(x if name is None else {name: x})
    if isinstance(x, list | tuple):
        # The maps of all stages.
        x = x[-1]
    if hasattr(x, "shape") and len(x.shape) == 3:
        leading = _leading_tokens(preset, int(x.shape[1]), pictures.image_size)
        patches = layers.Cropping1D((leading, 0), name="patches")(x) if leading else x
        mean = layers.GlobalAveragePooling1D(name="mean_patch")(patches)
        if leading:
            whole = layers.Cropping1D((0, int(x.shape[1]) - 1), name="first_token")(x)
            mean = layers.Concatenate(name="pooled")([layers.Flatten(name="whole")(whole), mean])
        x = mean
    if not hasattr(x, "shape") or len(x.shape) not in (2, 4):
        raise ValueError(
            "The model must give a vector, tokens or feature maps. Received: "
            f"{type(preset.backbone).__name__} of preset={preset.path!r}"
        )
    return keras.Model(pixels, x, name="image")


def _input(preset: Preset) -> Any:
    given, name = preset.backbone.input, preset.input_names[0]
    if name is None:
        return given
    return given.get("images", given.get("pixel_values"))


def _leading_tokens(preset: Preset, tokens: int, size: tuple[int, int]) -> int:
    # Those before the patches: of the whole picture, of distillation, and registers.
    patch = getattr(preset.backbone, "patch_size", None)
    if patch is None:
        return 0
    rows, columns = (patch, patch) if isinstance(patch, int) else patch
    return max(tokens - (size[0] // int(rows)) * (size[1] // int(columns)), 0)


def _interpolation(name: str) -> str:
    return "lanczos3" if name.startswith("lanczos") else name


def _check_scaling(
    preset: Preset, converter: Any, scaling: layers.Layer, size: tuple[int, int]
) -> None:
    # Some converters do more than their settings say.
    pixels = np.random.default_rng(0).integers(0, 256, (1, *size, 3)).astype("float32")
    converter.image_size = size
    want, found = (
        np.asarray(keras.ops.convert_to_numpy(one(pixels))) for one in (converter, scaling)
    )
    if want.shape != found.shape or np.abs(want - found).max() > 1e-4:
        raise ValueError(
            f"The {type(converter).__name__} of this preset does more to pixels than scaling them. "
            f"Compute the vectors yourself, in a FunctionEncoder. Received: preset={preset.path!r}"
        )
