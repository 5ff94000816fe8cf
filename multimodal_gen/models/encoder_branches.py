"""Branches for features, and for the encoder that makes them when it is to be trained further."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from multimodal_gen.models.attention import PoolSequence, SequenceAndMask
from multimodal_gen.models.branch import Branch, Encoding
from multimodal_gen.models.hub.texts import TokenPooling
from multimodal_gen.models.keras_encoder import KerasEncoder
from multimodal_gen.rows.checks import check_switches
from multimodal_gen.sequence.keras_inside.graph import all_layers
from multimodal_gen.spec import ArraySpec


@dataclass(frozen=True)
class FeatureBranch(Branch):
    """Features of a frozen encoder, standardised, through dropout and one dense layer.

    Each feature is brought to mean 0 and variance 1 by batch normalization without weights of its
    own, as before the linear probes of He et al. (2022), "Masked Autoencoders Are Scalable Vision
    Learners": vectors of length 1 have small entries, on which a dense layer learns slowly.

    Of a sequence, as an encoder with `sequence=True` gives, mean and maximum of the vectors are
    used, and fusion "attend" gets all of them. Vectors of zeros are padding and do not count.

    Args:
        embedding_size: Size of the embedding.
        dropout: Dropout rate on the features, which say the same in many ways.
    """

    embedding_size: int = 128
    dropout: float = 0.5

    def encode(self, inputs: Any, spec: ArraySpec, units: int, name: str) -> Encoding:
        """`(batch, size)`, or `(batch, length, size)` -> `(batch, embedding_size)`."""
        if len(spec.shape) not in (1, 2):
            raise ValueError(
                "FeatureBranch needs vectors or sequences of vectors, as an EncodedLoader gives. "
                f"Received: shape={spec.shape}"
            )
        standardize = layers.BatchNormalization(
            momentum=0.9, center=False, scale=False, name=f"{name}_standardized"
        )
        tokens = mask = None
        if len(spec.shape) == 1:
            x = standardize(inputs)
        else:
            tokens, mask = SequenceAndMask(zeros=True, name=f"{name}_features")(inputs)
            # Padding has no part in mean and variance, and is zero again afterwards.
            apart = SequenceAndMask(name=f"{name}_tokens")
            tokens, mask = apart(standardize(tokens, mask=mask))
            x = PoolSequence(name=f"{name}_pooled")([tokens, mask])
        x = layers.Dropout(self.dropout)(x)
        embedding = layers.Dense(self.embedding_size, activation="relu", name=f"{name}_embedding")
        return Encoding(embedding(x), tokens=tokens, mask=mask)


@dataclass(frozen=True)
class EncoderBranch(Branch):
    """The model of an encoder as a part of the model that is trained, on the loader's own arrays.

    It computes what `EncodedLoader` and `FeatureBranch` compute, and starts from the same weights.

    Args:
        encoder: The encoder; its model is copied, and stays as it is.
        trainable: Whether the copy is trained. If not, its batch normalization also stays in
            inference mode.
        embedding_size: Size of the embedding.
        dropout: Dropout rate on the features.
    """

    encoder: KerasEncoder
    trainable: bool = True
    embedding_size: int = 128
    dropout: float = 0.5

    def __post_init__(self) -> None:
        check_switches(trainable=self.trainable)

    def encode(self, inputs: Any, spec: ArraySpec, units: int, name: str) -> Encoding:
        """`(batch, *shape)` of the loader -> `(batch, embedding_size)`."""
        self.encoder.check(spec)
        model = keras.models.clone_model(self.encoder.model)
        model.set_weights(self.encoder.model.get_weights())
        model.name = f"{name}_encoder"
        # Layer by layer: on tensorflow, `model.trainable = True` does not reach the layers of a
        # clone of a frozen model (Keras 3.15).
        for layer in all_layers(model):
            layer.trainable = self.trainable
        model.trainable = self.trainable
        for weight in _idle_weights(model):
            weight.trainable = False
        grey = spec.shape != tuple(model.inputs[0].shape[1:]) and spec.shape[-1] == 1
        x = model(layers.Concatenate()([inputs] * 3) if grey else inputs)
        head = FeatureBranch(self.embedding_size, self.dropout)
        return head.encode(x, self.encoder.spec, units, name)


def _idle_weights(model: keras.Model) -> Iterator[Any]:
    # Those that the features do not depend on: `fit` on tensorflow and torch would warn of them.
    found = all_layers(model)
    idle = {name for layer in found if isinstance(layer, TokenPooling) for name in layer.idle}
    for layer in found:
        for weight in layer.weights:
            # What a DINO puts in the place of patches while it is pretrained.
            if layer.name in idle or weight.name == "mask_token":
                yield weight
