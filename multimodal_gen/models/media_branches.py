"""The branches for sounds and for video clips, which are networks for pictures in another dress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers, ops

from multimodal_gen.models.branch import Branch, Encoding, require_kind
from multimodal_gen.models.image_branches import ImageBranch
from multimodal_gen.models.many import ManyBranch
from multimodal_gen.spec import ArraySpec, many_of


@dataclass(frozen=True)
class SoundBranch(Branch):
    """A spectrogram as a picture of one channel, through the network of `ImageBranch`.

    Each band is standardised over the batch and its frames before, as high bands are far quieter
    than low ones.

    Args:
        widths: Channels of the first convolution and of each stage after it.
        embedding_size: Size of the embedding.
        dropout: Dropout rate on the embedding.
    """

    widths: tuple[int, ...] = (16, 32, 64, 128)
    embedding_size: int = 128
    dropout: float = 0.2

    def encode(self, inputs: Any, spec: ArraySpec, units: int, name: str) -> Encoding:
        """`(batch, frames, mels)` -> `(batch, embedding_size)`."""
        require_kind(self, spec, "sound", 2)
        # Without a scale and shift of its own: the convolution after it has weights.
        x = layers.BatchNormalization(momentum=0.9, center=False, scale=False)(inputs)
        x = layers.Reshape((*spec.shape, 1))(x)
        picture = ArraySpec((*spec.shape, 1), "float32", "image")
        network = ImageBranch(self.widths, self.embedding_size, dropout=self.dropout)
        return network.encode(x, picture, units, name)


@dataclass(frozen=True)
class ClipBranch(Branch):
    """The frames of a clip by one branch for pictures, whose embeddings are pooled by `ManyBranch`.

    Args:
        branch: The branch of a frame, such as a `BackboneBranch`, or any layer, model or callable;
            by default an `ImageBranch`.
        pool: "mean", or "attention" for shares that are learned.
    """

    branch: Branch | Callable[[Any], Any] | None = None
    pool: str = "mean"

    def __post_init__(self) -> None:
        ManyBranch(pool=self.pool)

    def encode(self, inputs: Any, spec: ArraySpec, units: int, name: str) -> Encoding:
        """`(batch, frames, height, width, 3)` -> `(batch, size)`."""
        require_kind(self, spec, "clip", 4)
        frames = many_of(ArraySpec(spec.shape[1:], spec.dtype, "image"), spec.shape[0])
        pooled = ManyBranch(self.branch or ImageBranch(), self.pool)
        return pooled.encode([inputs, AllItems(name=f"{name}_all")(inputs)], frames, units, name)


@keras.saving.register_keras_serializable(package="multimodal_gen")
class AllItems(layers.Layer):
    """`(batch, items, ...)` -> `(batch, items)` of 1: no item is absent."""

    def __init__(
        self, *, name: str | None = None, trainable: bool = True, dtype: Any = None
    ) -> None:
        super().__init__(name=name, trainable=trainable, dtype=dtype, autocast=False)

    def call(self, inputs: Any) -> Any:
        """See the class."""
        return ops.ones(ops.shape(inputs)[:2], "float32")

    def compute_output_spec(self, inputs: Any) -> Any:
        """One number for each item."""
        return keras.KerasTensor(inputs.shape[:2], dtype="float32")
