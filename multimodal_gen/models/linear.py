"""The model of a linear probe: the numbers of every input, times one weight each, summed to logits.

It has no hidden layer, so its best weights can be computed instead of trained (`probe.py`). Saved
and loaded like any other model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from multimodal_gen.models.branch import Branch, Encoding
from multimodal_gen.models.categories import CategoryEmbedding
from multimodal_gen.models.classifier import build_fusion_classifier
from multimodal_gen.models.fusion_parts import Fusion, head_of
from multimodal_gen.models.layers import NgramSum
from multimodal_gen.models.outputs import Activation
from multimodal_gen.spec import ArraySpec

# Kinds of input that a linear model can use; the others need layers that look at neighbours.
LINEAR_KINDS = ("features", "vector", "ngrams", "category")


def linear_model(inputs: Mapping[str, Any], target: Any) -> Any:
    """Build a linear model, whose weights are all zero.

    Args:
        inputs: Name -> loader or `ArraySpec`, of `LINEAR_KINDS` or several of such in a cell.
        target: A target or a mapping of targets.
    """
    branches = {name: LinearBranch() for name in inputs}
    return build_fusion_classifier(inputs, target, fusion=Linear(), branches=branches)


def is_linear(model: Any) -> bool:
    """Whether a model was built by `linear_model`."""
    return any(isinstance(layer, Offset) for layer in model.layers)


@dataclass(frozen=True)
class LinearBranch(Branch):
    """The numbers themselves; ids have logits of their own."""

    def encode(self, inputs: Any, spec: ArraySpec, units: int, name: str) -> Encoding:
        """`(batch, ...)` numbers -> `(batch, numbers)`; ids -> `(batch, units)` logits."""
        if spec.kind in ("features", "vector"):
            size = math.prod(spec.shape)
            return Encoding(inputs if len(spec.shape) == 1 else layers.Reshape((size,))(inputs))
        assert spec.vocabulary_size is not None
        table = {"ngrams": NgramSum, "category": CategoryEmbedding}[spec.kind]
        logits = table(spec.vocabulary_size, units, dtype="float32", name=f"{name}_head")(inputs)
        return Encoding(logits, logits)


@dataclass(frozen=True)
class Linear(Fusion):
    """The sum of one linear head per input, and a constant."""

    def join(self, encodings: Mapping[str, Encoding], units: int, activation: Activation) -> Any:
        """See `Fusion.join`."""
        heads = [head_of(name, encoding, units) for name, encoding in encodings.items()]
        return Offset(name="offset")(layers.Add()(heads) if len(heads) > 1 else heads[0])


@keras.saving.register_keras_serializable(package="multimodal_gen")
class Offset(keras.layers.Layer):
    """Adds one number per output."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the `(units,)` numbers, zeros."""
        self.offset = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="offset")

    def call(self, inputs: Any) -> Any:
        """`(batch, units)` -> the same shape."""
        return inputs + self.offset

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the input."""
        return input_shape
