"""A pretrained encoder as a loader and a branch, in one line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras

from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.encoded.encoder import Encoder
from multimodal_gen.loaders.encoded.loader import EncodedLoader
from multimodal_gen.loaders.encoded.onnx_text import OnnxTextEncoder
from multimodal_gen.loaders.image.loader import ImageLoader
from multimodal_gen.models.branch import Branch
from multimodal_gen.models.encoder_branches import EncoderBranch, FeatureBranch
from multimodal_gen.models.keras_encoder import KerasEncoder
from multimodal_gen.rows.checks import check_switches

# No weights were named. None means random weights, which nobody gets without saying so.
_UNNAMED: Any = "which?"


class Pretrained(NamedTuple):
    """A loader of an input and the branch that belongs to it.

    Attributes:
        loader: For `MultimodalSequence` and `build_fusion_classifier`.
        branch: For `build_fusion_classifier(branches=)`.
    """

    loader: Loader
    branch: Branch


def from_preset(
    preset: str | os.PathLike[str] | keras.Model | Encoder,
    column: str,
    *,
    weights: str | os.PathLike[str] | None = _UNNAMED,
    trainable: bool = False,
    views: int = 1,
    image_size: tuple[int, int] = (224, 224),
    directory: str | os.PathLike[str] | None = None,
    augment: Sequence[Any] = (),
    missing: str = "error",
    embedding_size: int = 128,
    dropout: float = 0.2,
) -> Pretrained:
    """Use a pretrained encoder for one column: its features, or its model to train further.

    Frozen, features are computed once (`EncodedLoader`). With `trainable=True` the same model, with
    the same weights and preprocessing, is a part of the model that is trained. Either way the
    branch ends as `FeatureBranch`.

    Args:
        preset: Name of a function of `keras.applications`, such as "MobileNetV3Small"; the folder
            of a sentence encoder, see `OnnxTextEncoder.from_folder`; a Keras model, or the path of
            one in a `.keras` file; or an encoder.
        column: The column of pictures, or of whatever the encoder takes.
        weights: For a name: "imagenet", which Keras downloads, the path of a weights file, or None
            for random weights. Nothing is downloaded otherwise.
        trainable: Whether the encoder is trained too.
        views: As in `EncodedLoader`, with `augment`.
        image_size: `(height, width)` of the pictures; a Keras model of fixed size has its own.
        directory: The folder of the pictures; as in `ImageLoader`.
        augment: Random operations on the pictures, for training.
        missing: How to treat a missing cell, "error" or "blank".
        embedding_size: Size of the embedding that the branch gives.
        dropout: Dropout rate on the features.

    Raises:
        ValueError: If `weights` is not given for a name, weights do not fit, or an encoder that is
            not a Keras model is to be trained.

    Example:
        image = mg.from_preset("MobileNetV3Small", "image", weights="imagenet")
        model = build_fusion_classifier(
            {"image": image.loader}, target, branches={"image": image.branch}
        )
    """
    check_switches(trainable=trainable)
    encoder = _encoder(preset, weights, image_size)
    if not isinstance(encoder, KerasEncoder):
        if trainable:
            raise ValueError(
                "Only a Keras model can be trained further; this encoder has features only. "
                f"Received: trainable=True, {type(encoder).__name__}"
            )
        loader = EncodedLoader(column, encoder, views=views, missing=missing)
        return Pretrained(loader, FeatureBranch(embedding_size, dropout))
    shape = encoder.model.inputs[0].shape[1:]
    if len(shape) != 3:
        raise ValueError(
            "`from_preset` makes loaders of pictures; for a model of other arrays use "
            f"EncodedLoader(loader, encoder). Received: a model of arrays of shape {tuple(shape)}"
        )
    height, width = (own or size for own, size in zip(shape[:2], image_size, strict=True))
    pictures = ImageLoader(
        column,
        image_size=(height, width),
        color_mode="rgb" if shape[2] == 3 else "grayscale",
        directory=directory,
        augment=augment,
        missing=missing,
    )
    if trainable:
        return Pretrained(pictures, EncoderBranch(encoder, True, embedding_size, dropout))
    loader = EncodedLoader(pictures, encoder, views=views)
    return Pretrained(loader, FeatureBranch(embedding_size, dropout))


def _encoder(preset: Any, weights: Any, image_size: tuple[int, int]) -> Encoder:
    if isinstance(preset, Encoder | keras.Model):
        if weights is not _UNNAMED:
            raise ValueError(
                f"A model or an encoder has its own weights. Received: weights={weights!r}"
            )
        return preset if isinstance(preset, Encoder) else KerasEncoder(preset)
    if str(os.fspath(preset)).endswith(".keras"):
        return KerasEncoder(_loaded(preset, weights))
    if os.path.isdir(preset):
        return OnnxTextEncoder.from_folder(preset)
    if weights is _UNNAMED:
        raise ValueError(
            "Say which weights: weights='imagenet' (downloaded by Keras), the path of a weights "
            "file, or None for random ones. If it is the folder of a sentence encoder, there is no "
            f"such folder. Received: preset={os.fspath(preset)!r} without `weights`"
        )
    return KerasEncoder.from_application(os.fspath(preset), weights=weights, image_size=image_size)


def _loaded(path: Any, weights: Any) -> Any:
    # A model of the user's own, from a file. Layers that would run code of the file are refused by
    # Keras.
    if weights is not _UNNAMED:
        raise ValueError(f"A .keras file has its own weights. Received: weights={weights!r}")
    if not os.path.isfile(path):
        raise FileNotFoundError(f"No such file: preset={os.fspath(path)!r}")
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:
        raise ValueError(
            "The model cannot be loaded. If it has layers of your own, load it with "
            f"`keras.saving.load_model(path, custom_objects=...)` and give the model: {error} "
            f"Received: preset={os.fspath(path)!r}"
        ) from error
