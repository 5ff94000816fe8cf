"""Fusion "attend": attention between the patches, tokens or items of several inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from keras import layers

from multimodal_gen.models.attention import AttendTo, Compare, PoolSequence, SequenceAndMask
from multimodal_gen.models.branch import Encoding
from multimodal_gen.models.fusion_parts import (
    Fusion,
    embeddings_of,
    head_of,
    mlp,
    sum_of_heads,
)
from multimodal_gen.models.outputs import Activation
from multimodal_gen.models.token_layers import AddPositions
from multimodal_gen.rows.checks import check_positive


@dataclass(frozen=True)
class Attend(Fusion):
    """Each patch of a picture looks at the words of a text, and each word at the patches.

    For labels that depend on which part of one input belongs to which part of another. Every
    position of an input attends to all positions of the other inputs, is compared with what it
    found, and mean and maximum over the positions go through one hidden layer (attend, compare,
    aggregate: Parikh et al., "A decomposable attention model for natural language inference",
    2016). This head is summed with one head per input, as in `Joint`. With one input, its head is
    the model.

    A branch gives a sequence as `Encoding.tokens`: those of this package do for pictures
    (`ImageBranch`, `BackboneBranch`), tokens (`TokenBranch`), several items (`ManyBranch`) and
    features with two axes (`FeatureBranch`). A branch of your own may return one itself. Any other
    input takes part with its embedding, as a sequence of one.

    Args:
        size: Size of the vectors that attend and are compared.
        heads: Attention heads; they must divide `size`.
        auxiliary_weight: Weight of the loss of each single head.
        hidden_units: Width of the hidden layer.
        dropout: Dropout rate on that layer.

    Raises:
        ValueError: If a number is not positive, or `heads` does not divide `size`.
    """

    size: int = 64
    heads: int = 4
    auxiliary_weight: float = 0.3
    hidden_units: int = 128
    dropout: float = 0.2
    takes_sequences: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_positive(size=self.size, heads=self.heads, hidden_units=self.hidden_units)
        if self.size % self.heads:
            raise ValueError(
                f"`heads` must divide `size`. Received: heads={self.heads}, size={self.size}"
            )

    def join(self, encodings: Mapping[str, Encoding], units: int, activation: Activation) -> Any:
        """See `Fusion.join`."""
        heads = [head_of(name, encoding, units) for name, encoding in encodings.items()]
        if len(heads) == 1:
            return heads[0]
        sequences = {name: self._sequence(name, one) for name, one in encodings.items()}
        found = [self._compared(name, sequences) for name in sequences]
        joined = mlp(
            layers.Concatenate()([*embeddings_of(encodings), *found]),
            units,
            self.hidden_units,
            self.dropout,
            "attend",
        )
        return sum_of_heads(
            encodings,
            [*heads, joined],
            activation=activation,
            auxiliary_weight=self.auxiliary_weight,
        )

    def _sequence(self, name: str, encoding: Encoding) -> tuple[Any, Any]:
        # Vectors of one size and their mask.
        tokens, mask = encoding.tokens, encoding.mask
        if tokens is None:
            tokens = layers.Reshape((1, encoding.embedding.shape[-1]))(encoding.embedding)
        if mask is None:
            tokens, mask = SequenceAndMask(name=f"{name}_sequence")(tokens)
        if encoding.present is not None:
            mask = layers.Multiply(dtype="float32", name=f"{name}_sequence_mask")(
                [mask, encoding.present]
            )
        tokens = layers.Dense(self.size, name=f"{name}_to_attend")(tokens)
        length = tokens.shape[1]
        # Sequences of any length are those of tokens, whose branch knows their order, and items.
        if length is not None and length > 1:
            tokens = AddPositions(length, name=f"{name}_places")(tokens)
        return tokens, mask

    def _compared(self, name: str, sequences: Mapping[str, tuple[Any, Any]]) -> Any:
        def dense(one: str, role: str) -> Any:
            return layers.Dense(self.size, name=f"{name}_{role}_{one}")(sequences[one][0])

        others = [one for one in sequences if one != name]
        own, mask = sequences[name]
        query = layers.Dense(self.size, name=f"{name}_asks")(own)
        keys, values = ([dense(one, role) for one in others] for role in ("reads", "takes"))
        masks = [sequences[one][1] for one in others]
        found = AttendTo(self.heads, name=f"{name}_attends")([query, *keys, *values, *masks])
        compared = layers.Dense(self.size, activation="relu", name=f"{name}_compares")(
            Compare(name=f"{name}_beside")([own, found])
        )
        return PoolSequence(name=f"{name}_found")([compared, mask])
