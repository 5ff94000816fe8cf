"""Branches: the Keras encoders of one input each, from the loader's array to an embedding.

A branch is chosen by the spec's `kind` or given by hand; besides the classes here, any callable, layer or model from
tensor to `(batch, size)` embedding is one. Nothing here reads data or knows how embeddings are joined.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import keras
from keras import layers

from multimodal_gen.loaders.base import ArraySpec
from multimodal_gen.models.layers import ApplicationPreprocessing, NgramSum
from multimodal_gen.models.token_layers import AddPositions, MaskedMean


class Encoding(NamedTuple):
    """What a branch yields.

    Args:
        embedding: `(batch, size)` symbolic tensor.
        logits: `(batch, units)`, of a head that the branch brings along, or None: then the fusion makes a linear one.
        present: `(batch, 1)` mask of an input that rows may lack; `build_fusion_classifier` sets it, no branch does.
    """

    embedding: Any
    logits: Any = None
    present: Any = None


class Branch(abc.ABC):
    """Base class of the branches that want to know the spec or bring a head of their own."""

    # Whether tokens may come in any number.
    any_length: ClassVar[bool] = False

    @abc.abstractmethod
    def encode(self, inputs: Any, spec: ArraySpec, units: int, name: str) -> Encoding:
        """Builds the branch on a symbolic input.

        Args:
            inputs: `(batch, *spec.shape)` symbolic tensor of dtype `spec.dtype`; of tokens `(batch, None)` where the
                branch's class says `any_length = True`.
            spec: Spec of the input.
            units: Number of outputs of the whole model.
            name: Name of the input, to name layers by.
        """


def _require_kind(branch: Branch, spec: ArraySpec, kind: str, rank: int) -> None:
    if spec.kind != kind or len(spec.shape) != rank:
        raise ValueError(
            f"{type(branch).__name__} needs an input of kind {kind!r} with {rank} axes. "
            f"Received: kind={spec.kind!r}, shape={spec.shape}"
        )


@dataclass(frozen=True)
class ImageBranch(Branch):
    """A compact convolutional network that trains from scratch on a small table.

    A 5x5 convolution of stride 2, then for every further width max pooling and a 3x3 convolution, all with batch
    normalization at momentum 0.9 (Keras's 0.99 lags behind where an epoch is a few dozen steps); average and maximum
    over the image are joined. uint8 is scaled to [-1, 1] inside; float32 is taken as the loader gives it.

    Args:
        widths: Channels of the first convolution and of each stage after it.
        embedding_size: Size of the embedding.
        residual: Whether each stage has a residual block too (He et al., 2016). From a few thousand rows on they pay; a
            step takes about twice the time. `branches_for` decides by the number of rows.
        dropout: Dropout rate on the embedding.
    """

    widths: tuple[int, ...] = (32, 64, 128, 256)
    embedding_size: int = 128
    residual: bool = False
    dropout: float = 0.2

    def encode(self, inputs: Any, spec: ArraySpec, units: int, name: str) -> Encoding:
        """`(batch, height, width, channels)` -> `(batch, embedding_size)`."""
        _require_kind(self, spec, "image", 3)

        def convolve(x: Any, width: int, size: int = 3, strides: int = 1) -> Any:
            x = layers.Conv2D(width, size, strides=strides, padding="same", use_bias=False)(x)
            return layers.BatchNormalization(momentum=0.9)(x)

        x = layers.Rescaling(1 / 127.5, offset=-1.0)(inputs) if spec.dtype == "uint8" else inputs
        x = layers.ReLU()(convolve(x, self.widths[0], size=5, strides=2))
        for width in self.widths[1:]:
            if min(x.shape[1], x.shape[2]) > 1:
                x = layers.MaxPooling2D(2)(x)
            x = layers.ReLU()(convolve(x, width))
            if self.residual:
                inner = convolve(layers.ReLU()(convolve(x, width)), width)
                x = layers.ReLU()(layers.Add()([x, inner]))
        x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)])
        x = layers.Dropout(self.dropout)(x)
        return Encoding(layers.Dense(self.embedding_size, activation="relu", name=f"{name}_embedding")(x))


@dataclass(frozen=True)
class BackboneBranch(Branch):
    """Any model of `keras.applications`, or any `keras.Model`, as the image encoder.

    A function of `keras.applications` is built without its top, with its own preprocessing inside the model. A
    `keras.Model` is used as it is, and gets float32 pixels in [0, 255] unless `preprocessing` names a family.

    Args:
        backbone: A function such as `keras.applications.MobileNetV2`, or a model from images to features.
        weights: None (as initialised, or as the given model is), `"imagenet"` (downloaded by Keras), or the path of a
            local weights file.
        trainable: Whether the backbone is trained. If not, its batch normalization stays in inference mode as well.
        embedding_size: Size of the embedding.
        dropout: Dropout rate on the features.
        value_range: Least and greatest pixel value that the loader yields: (0, 255) for uint8, (0, 1) for float32
            images rescaled by 1/255.
        preprocessing: Module of `keras.applications` whose `preprocess_input` is applied; by default the function's.
    """

    backbone: Callable[..., keras.Model] | keras.Model
    weights: str | None = None
    trainable: bool = True
    embedding_size: int = 128
    dropout: float = 0.2
    value_range: tuple[float, float] = (0.0, 255.0)
    preprocessing: str | None = None

    def __post_init__(self) -> None:
        name = self.preprocessing
        if name is not None and not hasattr(getattr(keras.applications, name, None), "preprocess_input"):
            raise ValueError(
                "`preprocessing` must name a module of keras.applications with a `preprocess_input`, such as "
                f"'mobilenet_v2'. Received: preprocessing={name!r}"
            )

    def encode(self, inputs: Any, spec: ArraySpec, units: int, name: str) -> Encoding:
        """`(batch, height, width, channels)` -> `(batch, embedding_size)`."""
        _require_kind(self, spec, "image", 3)
        backbone, application, shape = self.backbone, self.preprocessing, spec.shape
        if not isinstance(backbone, keras.Model):
            if shape[-1] not in (1, 3):
                raise ValueError(
                    "A model of keras.applications takes images of 1 or 3 channels; choose another `color_mode`. "
                    f"Received: shape={shape}"
                )
            module = getattr(backbone, "__module__", "").rpartition(".")[2]
            if application is None and hasattr(getattr(keras.applications, module, None), "preprocess_input"):
                application = module
            shape = (*shape[:2], 3)
            backbone = backbone(include_top=False, weights=self.weights, input_shape=shape, name=f"{name}_backbone")
        elif self.weights is not None:
            backbone.load_weights(self.weights)
        backbone.trainable = self.trainable
        x = inputs if shape == spec.shape else layers.Concatenate()([inputs] * 3)
        x = ApplicationPreprocessing(application, value_range=self.value_range)(x)
        x = backbone(x)
        if len(x.shape) == 4:
            x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)])
        x = layers.Dropout(self.dropout)(x)
        return Encoding(layers.Dense(self.embedding_size, activation="relu", name=f"{name}_embedding")(x))


@dataclass(frozen=True)
class TokenBranch(Branch):
    """Token embeddings, pooled over the tokens that are not padding; with `blocks`, after a small transformer.

    For captions of a small table the n-gram branch is better by a wide margin; this one is for large tables and for
    tokens that are no text.

    Args:
        embedding_size: Size of the token vectors and of the embedding.
        blocks: Number of transformer blocks (pre-norm; Xiong et al., 2020). 0 only pools.
        heads: Attention heads of each block.
        dropout: Dropout rate.
        vocabulary_size: Number of ids, 0 included. Default: the spec's.
    """

    embedding_size: int = 128
    blocks: int = 0
    heads: int = 4
    dropout: float = 0.2
    vocabulary_size: int | None = None
    any_length: ClassVar[bool] = True

    def encode(self, inputs: Any, spec: ArraySpec, units: int, name: str) -> Encoding:
        """`(batch, length)` int32 -> `(batch, embedding_size)`."""
        _require_kind(self, spec, "tokens", 1)
        size = self.embedding_size
        vocabulary_size = _vocabulary_size(self.vocabulary_size, spec)
        x = layers.Embedding(vocabulary_size, size, mask_zero=True, name=f"{name}_tokens")(inputs)
        if self.blocks:
            x = AddPositions(spec.shape[0])(x)
        for _ in range(self.blocks):
            inner = layers.LayerNormalization()(x)
            attention = layers.MultiHeadAttention(self.heads, max(size // self.heads, 1), dropout=self.dropout)
            inner = attention(inner, inner)
            x = layers.Add()([x, inner])
            inner = layers.Dense(2 * size, activation="gelu")(layers.LayerNormalization()(x))
            inner = layers.Dropout(self.dropout)(layers.Dense(size)(inner))
            x = layers.Add()([x, inner])
        if self.blocks:
            x = layers.LayerNormalization()(x)
        x = MaskedMean(name=f"{name}_embedding")(x)
        return Encoding(layers.Dropout(self.dropout)(x))


@dataclass(frozen=True)
class NgramBranch(Branch):
    """A bag of hashed n-grams: a linear head on the sparse bag itself, and an embedding that is its weighted sum.

    Args:
        embedding_size: Size of the embedding.
        rate: Share of the n-grams dropped in training.
        multiplier: Factor of this branch's learning rate (see `NgramSum`).
        scale: Standard deviation of the embedding's entries at the start.
        vocabulary_size: Number of ids, 0 included. Default: the spec's.
    """

    embedding_size: int = 128
    rate: float = 0.1
    multiplier: float = 5.0
    scale: float = 0.25
    vocabulary_size: int | None = None

    def encode(self, inputs: Any, spec: ArraySpec, units: int, name: str) -> Encoding:
        """`(batch, length, 2)` int32 -> `(batch, embedding_size)` and logits."""
        _require_kind(self, spec, "ngrams", 2)
        vocabulary_size = _vocabulary_size(self.vocabulary_size, spec)

        def weighted_sum(size: int, scale: float, role: str) -> Any:
            layer = NgramSum(
                vocabulary_size,
                size,
                rate=self.rate,
                multiplier=self.multiplier,
                scale=scale,
                dtype="float32",
                name=f"{name}_{role}",
            )
            return layer(inputs)

        embedding = weighted_sum(self.embedding_size, self.scale, "embedding")
        return Encoding(embedding, weighted_sum(units, 0.0, "head"))


@dataclass(frozen=True)
class VectorBranch(Branch):
    """Numbers of any shape through two dense layers.

    Args:
        embedding_size: Size of the embedding.
        dropout: Dropout rate.
    """

    embedding_size: int = 64
    dropout: float = 0.1

    def encode(self, inputs: Any, spec: ArraySpec, units: int, name: str) -> Encoding:
        """`(batch, ...)` -> `(batch, embedding_size)`."""
        x = layers.Reshape((math.prod(spec.shape),))(inputs) if len(spec.shape) != 1 else inputs
        x = layers.Dense(self.embedding_size, activation="relu")(x)
        x = layers.Dropout(self.dropout)(x)
        return Encoding(layers.Dense(self.embedding_size, activation="relu", name=f"{name}_embedding")(x))


def _vocabulary_size(given: int | None, spec: ArraySpec) -> int:
    size = given if given is not None else spec.vocabulary_size
    if size is None:
        raise ValueError(
            f"An input of kind {spec.kind!r} needs a `vocabulary_size`, in its spec or its branch. "
            f"Received: vocabulary_size={size}"
        )
    return size


def default_branch(name: str, spec: ArraySpec) -> Branch:
    """The branch for an input of this kind.

    Raises:
        ValueError: If there is none for the kind.
    """
    match spec.kind:
        case "image":
            return ImageBranch()
        case "tokens":
            return TokenBranch()
        case "ngrams":
            return NgramBranch()
        case "vector":
            return VectorBranch()
    raise ValueError(
        f"There is no default branch for the kind {spec.kind!r} of input {name!r}; give one, a callable from tensor "
        f"to (batch, size) embedding, as branches={{{name!r}: ...}}. Received: kind={spec.kind!r}"
    )
