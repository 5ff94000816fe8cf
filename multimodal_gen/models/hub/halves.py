"""Takes a preset with two encoders of one space, such as a CLIP or SigLIP, into its halves."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers

from multimodal_gen.models.hub.pictures import Pictures
from multimodal_gen.models.hub.presets import Preset
from multimodal_gen.models.hub.texts import TokenIds


def picture_half(preset: Preset, pictures: Pictures) -> keras.Model:
    """Build the half of the pictures: pixels in [0, 255] -> `(batch, size)` of length 1."""
    pixels = keras.Input((*pictures.image_size, 3), name="pixels")
    x = preset.backbone.get_vision_embeddings(pictures.scaling(pixels))
    return keras.Model(pixels, layers.UnitNormalization(name="unit")(x), name="image")


def text_half(preset: Preset, pad: int, length: int) -> keras.Model:
    """Build the half of the texts: ids raised by one, 0 for padding -> `(batch, size)` of length 1.

    The model is given the ids alone, whatever else the preset's preprocessor makes: what is not an
    input of its backbone, Keras would take for the ids. Without a mask padding counts, so the
    length is fixed.
    """
    ids = keras.Input((length,), dtype="int32", name="tokens")
    tokens, _, _ = TokenIds(pad, name="token_ids_and_mask")(ids)
    x = preset.backbone.get_text_embeddings(tokens)
    return keras.Model(ids, layers.UnitNormalization(name="unit")(x), name="text")


def scale_of(preset: Preset) -> float:
    """What the preset multiplies cosines by."""
    weights = {weight.name: weight for weight in preset.backbone.weights}
    return math.exp(float(keras.ops.convert_to_numpy(weights["logit_scale"])))


def check_two(preset: Preset) -> None:
    """Refuse a preset without two encoders of one space.

    Raises:
        ValueError: If it is one.
    """
    backbone: Any = preset.backbone
    if len(preset.parts) != 2 or not hasattr(backbone, "get_text_embeddings"):
        raise ValueError(
            "A pair needs a preset with an encoder of pictures and one of texts in one space, such "
            f"as a CLIP or SigLIP. Received: a {type(backbone).__name__} of "
            f"preset={preset.path!r}"
        )
