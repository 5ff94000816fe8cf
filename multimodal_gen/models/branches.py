"""Branches for tokens, n-grams and numbers, and the default branch of each kind of input."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from keras import layers

from multimodal_gen.models.branch import Branch, Encoding, require_kind
from multimodal_gen.models.categories import CategoryBranch
from multimodal_gen.models.encoder_branches import FeatureBranch
from multimodal_gen.models.image_branches import BackboneBranch, ColorBranch, ImageBranch
from multimodal_gen.models.layers import NgramSum
from multimodal_gen.models.media_branches import ClipBranch, SoundBranch
from multimodal_gen.models.token_layers import AddPositions, MaskedMean
from multimodal_gen.spec import ArraySpec

__all__ = [
    "BackboneBranch",
    "Branch",
    "CategoryBranch",
    "ClipBranch",
    "ColorBranch",
    "Encoding",
    "ImageBranch",
    "NgramBranch",
    "SoundBranch",
    "TokenBranch",
    "VectorBranch",
    "default_branch",
]


@dataclass(frozen=True)
class TokenBranch(Branch):
    """Token embeddings, averaged over the tokens; with `blocks`, after a small transformer.

    Padding does not count. For captions of a small table the n-gram branch is much better; this one
    is for large tables, and for tokens that are not text.

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
        require_kind(self, spec, "tokens", 1)
        size = self.embedding_size
        vocabulary_size = _vocabulary_size(self.vocabulary_size, spec)
        # Id 0 is padding; the mask reaches attention and the mean.
        x = layers.Embedding(vocabulary_size, size, mask_zero=True, name=f"{name}_tokens")(inputs)
        if self.blocks:
            # A mean does not know any order, so only attention needs positions.
            x = AddPositions(spec.shape[0])(x)
        for _ in range(self.blocks):
            inner = layers.LayerNormalization()(x)
            attention = layers.MultiHeadAttention(
                self.heads, max(size // self.heads, 1), dropout=self.dropout
            )
            inner = attention(inner, inner)
            x = layers.Add()([x, inner])
            inner = layers.Dense(2 * size, activation="gelu")(layers.LayerNormalization()(x))
            inner = layers.Dropout(self.dropout)(layers.Dense(size)(inner))
            x = layers.Add()([x, inner])
        if self.blocks:
            x = layers.LayerNormalization()(x)
        pooled = MaskedMean(name=f"{name}_embedding")(x)
        return Encoding(layers.Dropout(self.dropout)(pooled), tokens=x)


@dataclass(frozen=True)
class NgramBranch(Branch):
    """A bag of hashed n-grams, with a linear head on the bag and a weighted sum as the embedding.

    Args:
        embedding_size: Size of the embedding.
        rate: Share of the n-grams that is dropped in training.
        multiplier: Factor of this branch's learning rate (see `NgramSum`).
        scale: Initial standard deviation of the embedding's entries.
        vocabulary_size: Number of ids, 0 included. Default: the spec's.
    """

    embedding_size: int = 128
    rate: float = 0.1
    multiplier: float = 5.0
    scale: float = 0.25
    vocabulary_size: int | None = None

    def encode(self, inputs: Any, spec: ArraySpec, units: int, name: str) -> Encoding:
        """`(batch, length, 2)` int32 -> `(batch, embedding_size)` and logits."""
        require_kind(self, spec, "ngrams", 2)
        ids = _vocabulary_size(self.vocabulary_size, spec)
        embedding = self._weighted_sum(ids, self.embedding_size, self.scale, f"{name}_embedding")
        # A head of its own, as the embedding is far smaller than the vocabulary. It starts at zero,
        # like the other heads.
        head = self._weighted_sum(ids, units, 0.0, f"{name}_head")
        return Encoding(embedding(inputs), head(inputs))

    def _weighted_sum(self, ids: int, size: int, scale: float, name: str) -> NgramSum:
        # float32 under mixed precision too: the sum of many small vectors needs the digits.
        return NgramSum(
            ids,
            size,
            rate=self.rate,
            multiplier=self.multiplier,
            scale=scale,
            dtype="float32",
            name=name,
        )


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
        # A dense layer acts on the last axis only, and would leave the others.
        x = layers.Reshape((math.prod(spec.shape),))(inputs) if len(spec.shape) != 1 else inputs
        x = layers.Dense(self.embedding_size, activation="relu")(x)
        x = layers.Dropout(self.dropout)(x)
        return Encoding(
            layers.Dense(self.embedding_size, activation="relu", name=f"{name}_embedding")(x)
        )


def _vocabulary_size(given: int | None, spec: ArraySpec) -> int:
    size = given if given is not None else spec.vocabulary_size
    if size is None:
        raise ValueError(
            "`vocabulary_size` must be set in the spec or the branch of an input of kind "
            f"{spec.kind!r}. Received: vocabulary_size={size}"
        )
    return size


def default_branch(name: str, spec: ArraySpec) -> Branch:
    """Return the default branch for an input of this kind.

    Raises:
        ValueError: If the kind has none.
    """
    match spec.kind:
        case "image":
            return ImageBranch()
        case "tokens":
            return TokenBranch()
        case "ngrams":
            return NgramBranch()
        case "category":
            return CategoryBranch()
        case "features":
            return FeatureBranch()
        case "vector":
            return VectorBranch()
        case "sound":
            return SoundBranch()
        case "clip":
            return ClipBranch()
    raise ValueError(
        f"Input {name!r} has the kind {spec.kind!r}, for which there is no default branch. Pass "
        "one, a callable from tensor to (batch, size) embedding, as branches={{name!r}: ...}. "
        f"Received: kind={spec.kind!r}"
    )
