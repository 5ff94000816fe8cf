"""A pretrained encoder as a loader and a branch, in one line."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras

from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.encoded.encoder import Encoder
from multimodal_gen.loaders.encoded.loader import EncodedLoader
from multimodal_gen.loaders.encoded.onnx_text import OnnxTextEncoder
from multimodal_gen.loaders.image.loader import ImageLoader
from multimodal_gen.models.branch import Branch
from multimodal_gen.models.encoder_branches import EncoderBranch, FeatureBranch
from multimodal_gen.models.hub.encoders import encoder_of
from multimodal_gen.models.hub.presets import is_hub_name, is_preset_folder, open_preset
from multimodal_gen.models.keras_encoder import KerasEncoder, meant_application
from multimodal_gen.rows.checks import check_switches

# No weights were named. None means random weights, which nobody gets without saying so.
_UNNAMED: Any = "which?"
_SIZE = (224, 224)


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
    sequence: bool = False,
    image_size: tuple[int, int] | None = None,
    part: str | None = None,
    max_length: int | None = None,
    directory: str | os.PathLike[str] | None = None,
    augment: Sequence[Any] = (),
    missing: str = "error",
    embedding_size: int = 128,
    dropout: float = 0.5,
) -> Pretrained:
    """Use a pretrained encoder for one column: its features, or its model to train further.

    Frozen, features are computed once (`EncodedLoader`). With `trainable=True` the same model, with
    the same weights and preprocessing, is a part of the model that is trained. Either way the
    branch ends as `FeatureBranch`.

    Args:
        preset: Name of a function of `keras.applications`, such as "MobileNetV3Small"; a folder, of
            a preset of keras-hub or of a sentence encoder (see `OnnxTextEncoder.from_folder`); a
            Keras model or the path of its `.keras` file; or an encoder. The name of a preset, such
            as "bge_small_en" or "hf://...", is downloaded by keras-hub.
        column: The column of pictures, or of whatever the encoder takes.
        weights: For a function of `keras.applications`: "imagenet", which Keras downloads, the path
            of a weights file, or None for random weights. Nothing else is downloaded.
        trainable: Whether the encoder is trained too.
        views: As in `EncodedLoader`, with `augment`.
        sequence: Whether the vectors of all patches or tokens are kept instead of one, for fusion
            "attend".
        image_size: `(height, width)` of the pictures. By default that of the model or preset, or
            (224, 224).
        part: "image" or "text", of a preset with both, such as a CLIP.
        max_length: For a text preset of keras-hub: ids per text; by default as many as its
            preprocessor gives. Only what is trained further takes longer for it.
        directory: The folder of the pictures; as in `ImageLoader`.
        augment: Random operations on the pictures, for training.
        missing: How to treat a missing cell, "error" or "blank".
        embedding_size: Size of the embedding that the branch gives.
        dropout: Dropout rate on the features.

    Raises:
        ImportError: If a preset of keras-hub is named and keras-hub is not installed.
        FileNotFoundError: If a folder lacks its model or weights.
        ValueError: If `weights` is not given for a function, weights do not fit, there is no such
            preset, or an encoder that is not a Keras model is to be trained.

    Example:
        image = mg.from_preset("MobileNetV3Small", "image", weights="imagenet")
        model = build_fusion_classifier(
            {"image": image.loader}, target, branches={"image": image.branch}
        )
    """
    check_switches(trainable=trainable, sequence=sequence)
    if trainable and views != 1:
        raise ValueError(
            "Views are features that are kept, and a trainable encoder is given the pictures "
            "themselves, changed by `augment` in every epoch. Received: trainable=True, "
            f"views={views!r}"
        )
    pictures = {"directory": directory, "augment": augment}
    name = _hub_preset(preset)
    encoder: Encoder
    loader: Loader
    if name is not None:
        _own_weights(weights)
        if sequence:
            raise ValueError(
                "A preset of keras-hub gives one vector for each row. Make a Keras model of its "
                f"backbone and pass that. Received: sequence=True, preset={name!r}"
            )
        loader, encoder = encoder_of(
            open_preset(name),
            column,
            part,
            image_size=image_size,
            max_length=max_length,
            missing=missing,
            pictures={key: value for key, value in pictures.items() if value},
        )
    else:
        encoder = _encoder(preset, weights, image_size or _SIZE, sequence)
        for argument, value in (("part", part), ("max_length", max_length)):
            if value is not None:
                raise ValueError(
                    f"`{argument}` is for presets of keras-hub. Received: {argument}={value!r}"
                )
        if not isinstance(encoder, KerasEncoder):
            if trainable:
                raise ValueError(
                    "Only a Keras model can be trained further; this encoder has features only. "
                    f"Received: trainable=True, {type(encoder).__name__}"
                )
            _not_for(encoder, {"image_size": image_size, **pictures})
            loader = EncodedLoader(column, encoder, views=views, missing=missing)
            return Pretrained(loader, FeatureBranch(embedding_size, dropout))
        loader = _pictures(encoder, column, image_size, {**pictures, "missing": missing})
    if trainable:
        assert isinstance(encoder, KerasEncoder)
        return Pretrained(loader, EncoderBranch(encoder, True, embedding_size, dropout))
    return Pretrained(
        EncodedLoader(loader, encoder, views=views), FeatureBranch(embedding_size, dropout)
    )


def _pictures(
    encoder: KerasEncoder,
    column: str,
    image_size: tuple[int, int] | None,
    options: Mapping[str, Any],
) -> ImageLoader:
    shape = encoder.model.inputs[0].shape[1:]
    if len(shape) != 3:
        raise ValueError(
            "`from_preset` makes loaders of pictures; for a model of other arrays use "
            f"EncodedLoader(loader, encoder). Received: a model of arrays of shape {tuple(shape)}"
        )
    wanted = image_size or _SIZE
    height, width = (own or size for own, size in zip(shape[:2], wanted, strict=True))
    if image_size is not None and (height, width) != tuple(image_size):
        raise ValueError(
            f"The model takes pictures of {(height, width)} only: leave `image_size` out, or build "
            f"a model of another size. Received: image_size={image_size!r}"
        )
    return ImageLoader(
        column,
        image_size=(height, width),
        color_mode="rgb" if shape[2] == 3 else "grayscale",
        **options,
    )


def _not_for(encoder: Encoder, arguments: Mapping[str, Any]) -> None:
    # Of pictures; such an encoder takes cells as they are.
    for name, value in arguments.items():
        if value not in (None, (), []):
            raise ValueError(
                f"`{name}` is for Keras models of pictures: {type(encoder).__name__} takes the "
                f"cells themselves. Received: {name}={value!r}"
            )


def _hub_preset(preset: Any) -> str | None:
    # The folder or name of a preset of keras-hub, or None if it is something else.
    if not isinstance(preset, str | os.PathLike):
        return None
    name = os.fspath(preset)
    if os.path.isdir(name):
        return name if is_preset_folder(name) else None
    if "://" not in name and (
        "." in name or os.sep in name or callable(getattr(keras.applications, name, None))
    ):
        # keras-hub, which takes seconds to import, need not be asked.
        return None
    return name if is_hub_name(name) else None


def _own_weights(weights: Any) -> None:
    if weights is not _UNNAMED:
        raise ValueError(
            f"A model, an encoder or a preset has its own weights. Received: weights={weights!r}"
        )


def _encoder(preset: Any, weights: Any, image_size: tuple[int, int], sequence: bool) -> Encoder:
    if isinstance(preset, Encoder | keras.Model):
        _own_weights(weights)
        if isinstance(preset, keras.Model):
            return KerasEncoder(preset, sequence=sequence)
        if sequence and len(preset.spec.shape) == 1:
            raise ValueError(
                "The encoder gives one vector for each row; make it with `sequence=True` itself. "
                f"Received: sequence=True, {type(preset).__name__} of {preset.spec}"
            )
        return preset
    if str(os.fspath(preset)).endswith(".keras"):
        return KerasEncoder(_loaded(preset, weights), sequence=sequence)
    if os.path.isdir(preset):
        return OnnxTextEncoder.from_folder(preset, sequence=sequence)
    name = os.fspath(preset)
    if not callable(getattr(keras.applications, name, None)):
        raise ValueError(
            "`preset` must be the name of a function of keras.applications, a folder or a .keras "
            "file that exists, a Keras model or an encoder; or the name of a preset of keras-hub, "
            "if that is installed (pip install 'multimodal_gen[hub]')."
            f"{meant_application(name)} Received: preset={name!r}"
        )
    if weights is _UNNAMED:
        raise ValueError(
            "Say which weights: weights='imagenet' (downloaded by Keras), the path of a weights "
            f"file, or None for random ones. Received: preset={name!r} without `weights`"
        )
    return KerasEncoder.from_application(
        name, weights=weights, image_size=image_size, sequence=sequence
    )


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
