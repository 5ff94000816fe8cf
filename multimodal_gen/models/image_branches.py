"""Branches for pictures: a small network, and any model of `keras.applications`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from multimodal_gen.models.branch import Branch, Encoding, require_kind
from multimodal_gen.models.layers import ApplicationPreprocessing
from multimodal_gen.rows.checks import check_switches
from multimodal_gen.spec import ArraySpec

# Rows and columns of parts of a picture whose mean colours are seen.
_PARTS = 16


@dataclass(frozen=True)
class ImageBranch(Branch):
    """A compact convolutional network that trains from scratch on a small table.

    A 5x5 convolution of stride 2, then for each further width max pooling and a 3x3 convolution,
    all with batch normalization at momentum 0.9 (Keras's 0.99 lags behind if an epoch is a few
    dozen steps). Average and maximum over the image are concatenated. uint8 is scaled to [-1, 1]
    inside the model; float32 is used as the loader gives it.

    Args:
        widths: Channels of the first convolution and of each stage after it.
        embedding_size: Size of the embedding.
        residual: Whether each stage also has a residual block (He et al., 2016). They help from a
            few thousand rows on; a step takes about twice the time. `branches_for` decides by the
            number of rows.
        dropout: Dropout rate on the embedding.
        colors: Whether the embedding is also of the colours that `ColorBranch` sees.
    """

    widths: tuple[int, ...] = (32, 64, 128, 256)
    embedding_size: int = 128
    residual: bool = False
    dropout: float = 0.2
    colors: bool = False

    def __post_init__(self) -> None:
        check_switches(residual=self.residual, colors=self.colors)

    def encode(self, inputs: Any, spec: ArraySpec, units: int, name: str) -> Encoding:
        """`(batch, height, width, channels)` -> `(batch, embedding_size)`."""
        require_kind(self, spec, "image", 3)

        def convolve(x: Any, width: int, size: int = 3, strides: int = 1) -> Any:
            # Batch normalization follows, which has a bias of its own.
            x = layers.Conv2D(width, size, strides=strides, padding="same", use_bias=False)(x)
            return layers.BatchNormalization(momentum=0.9)(x)

        pixels = _scaled(inputs, spec)
        x = layers.ReLU()(convolve(pixels, self.widths[0], size=5, strides=2))
        for width in self.widths[1:]:
            # Small pictures run out of pixels before the widths run out.
            if min(x.shape[1], x.shape[2]) > 1:
                x = layers.MaxPooling2D(2)(x)
            x = layers.ReLU()(convolve(x, width))
            if self.residual:
                inner = convolve(layers.ReLU()(convolve(x, width)), width)
                x = layers.ReLU()(layers.Add()([x, inner]))
        patches = x
        pooled = [layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)]
        if self.colors:
            pooled.append(_colors(pixels))
        x = layers.Dropout(self.dropout)(layers.Concatenate()(pooled))
        return Encoding(
            layers.Dense(self.embedding_size, activation="relu", name=f"{name}_embedding")(x),
            tokens=patches,
        )


@dataclass(frozen=True)
class ColorBranch(Branch):
    """The mean colours of 16 by 16 parts of a picture, through dropout and one dense layer.

    It knows which colour is where, and nothing of shapes. Each colour is standardised, as the
    features of `FeatureBranch` are.

    Args:
        embedding_size: Size of the embedding.
        dropout: Dropout rate on the colours.
    """

    embedding_size: int = 128
    dropout: float = 0.5

    def encode(self, inputs: Any, spec: ArraySpec, units: int, name: str) -> Encoding:
        """`(batch, height, width, channels)` -> `(batch, embedding_size)`."""
        require_kind(self, spec, "image", 3)
        x = layers.Dropout(self.dropout)(_colors(_scaled(inputs, spec)))
        embedding = layers.Dense(self.embedding_size, activation="relu", name=f"{name}_embedding")
        return Encoding(embedding(x))


def _scaled(inputs: Any, spec: ArraySpec) -> Any:
    # Inside the model, so that scaling cannot be forgotten when it is used elsewhere.
    return layers.Rescaling(1 / 127.5, offset=-1.0)(inputs) if spec.dtype == "uint8" else inputs


def _colors(pixels: Any) -> Any:
    # `(batch, parts * channels)`. Of a size that is no multiple of 16, a rest at the edge is left
    # out; a smaller picture has a part per pixel.
    size = (max(pixels.shape[1] // _PARTS, 1), max(pixels.shape[2] // _PARTS, 1))
    x = layers.Flatten()(layers.AveragePooling2D(size)(pixels))
    return layers.BatchNormalization(momentum=0.9, center=False, scale=False)(x)


@dataclass(frozen=True)
class BackboneBranch(Branch):
    """Any model of `keras.applications`, or any `keras.Model`, as the image encoder.

    A function of `keras.applications` is built without its top, with its own preprocessing inside
    the model. A `keras.Model` is used unchanged, and gets float32 pixels in [0, 255] unless
    `preprocessing` names a family.

    Args:
        backbone: A function such as `keras.applications.MobileNetV2`, or a `functools.partial` of
            one, or a model from images to features.
        weights: None (random, or the weights of the given model), `"imagenet"` (downloaded by
            Keras), or the path of a local weights file.
        trainable: Whether the backbone is trained. If not, its batch normalization also stays in
            inference mode.
        embedding_size: Size of the embedding.
        dropout: Dropout rate on the features.
        value_range: Smallest and greatest pixel value of the loader: (0, 255) for uint8, (0, 1) for
            float32 images rescaled by 1/255.
        preprocessing: Module of `keras.applications` whose `preprocess_input` is applied; by
            default that of the function.
    """

    backbone: Callable[..., keras.Model] | keras.Model
    weights: str | None = None
    trainable: bool = True
    embedding_size: int = 128
    dropout: float = 0.2
    value_range: tuple[float, float] = (0.0, 255.0)
    preprocessing: str | None = None

    def __post_init__(self) -> None:
        check_switches(trainable=self.trainable)
        name = self.preprocessing
        if name is not None and not hasattr(
            getattr(keras.applications, name, None), "preprocess_input"
        ):
            raise ValueError(
                "`preprocessing` must name a module of keras.applications with a "
                f"`preprocess_input`, such as 'mobilenet_v2'. Received: preprocessing={name!r}"
            )

    def encode(self, inputs: Any, spec: ArraySpec, units: int, name: str) -> Encoding:
        """`(batch, height, width, channels)` -> `(batch, embedding_size)`."""
        require_kind(self, spec, "image", 3)
        backbone, application, shape = self.backbone, self.preprocessing, spec.shape
        if not isinstance(backbone, keras.Model):
            if shape[-1] not in (1, 3):
                raise ValueError(
                    "Images for a model of keras.applications must have 1 or 3 channels; choose "
                    f"another `color_mode`. Received: shape={shape}"
                )
            if application is None:
                application = family_of(backbone)
            shape = (*shape[:2], 3)
            backbone = backbone(include_top=False, weights=self.weights, input_shape=shape)
            # Set here and not by the argument `name`, which for some functions selects the
            # architecture.
            backbone.name = f"{name}_backbone"
        elif self.weights is not None:
            backbone.load_weights(self.weights)
        backbone.trainable = self.trainable
        # Grey pictures: the models of `keras.applications` are made for three channels.
        x = inputs if shape == spec.shape else layers.Concatenate()([inputs] * 3)
        x = ApplicationPreprocessing(application, value_range=self.value_range)(x)
        x = backbone(x)
        # A model of your own may pool by itself.
        patches = x if len(x.shape) == 4 else None
        if patches is not None:
            x = layers.Concatenate()(
                [layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)]
            )
        x = layers.Dropout(self.dropout)(x)
        return Encoding(
            layers.Dense(self.embedding_size, activation="relu", name=f"{name}_embedding")(x),
            tokens=patches,
        )


def family_of(backbone: Any) -> str | None:
    """Return the `keras.applications` module that has a function's preprocessing, or None."""
    # The module of a partial is `functools`.
    while isinstance(backbone, functools.partial):
        backbone = backbone.func
    module = getattr(backbone, "__module__", "").rpartition(".")[2]
    return (
        module if hasattr(getattr(keras.applications, module, None), "preprocess_input") else None
    )
