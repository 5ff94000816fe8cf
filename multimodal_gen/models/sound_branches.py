"""The branch for sounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras import layers

from multimodal_gen.models.branch import Branch, Encoding, require_kind
from multimodal_gen.models.image_branches import ImageBranch
from multimodal_gen.spec import ArraySpec


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
