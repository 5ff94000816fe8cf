"""Fusions: how the branches' encodings become one tensor of logits.

A fusion sees symbolic embeddings and logits, never data. `FusionModel` adds the auxiliary losses
that some fusions have, and `classifier.py` builds the whole model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras import layers

from multimodal_gen.models.attend import Attend
from multimodal_gen.models.branch import Encoding
from multimodal_gen.models.fusion_parts import (
    Fusion,
    embeddings_of,
    fill_absent,
    head_of,
    mlp,
    sum_of_heads,
    zero_dense,
)
from multimodal_gen.models.matching import PairRelation
from multimodal_gen.models.outputs import Activation, class_target
from multimodal_gen.rows.checks import check_choice

__all__ = ["Attend", "Concat", "Fusion", "Gated", "Joint", "Late", "Match", "fusion_named"]


@dataclass(frozen=True)
class Joint(Fusion):
    """The default: the sum of one logit head per input and one on the joined embeddings.

    Every head starts at zero. The heads of single inputs have an auxiliary loss, so that each input
    is learned even if another one is stronger. With one input, its head is the model. After
    training, `calibrate_heads` may weigh the heads.

    Args:
        auxiliary_weight: Weight of the loss of each single head.
        hidden_units: Width of the hidden layer on the joined embeddings.
        dropout: Dropout rate on that layer.
    """

    auxiliary_weight: float = 0.3
    hidden_units: int = 128
    dropout: float = 0.2

    def join(self, encodings: Mapping[str, Encoding], units: int, activation: Activation) -> Any:
        """See `Fusion.join`."""
        heads = [head_of(name, encoding, units) for name, encoding in encodings.items()]
        if len(heads) == 1:
            # Its scale is what `calibrate_heads` makes its confidence fit the validation rows by.
            return sum_of_heads(encodings, heads, activation=activation)
        joined = mlp(
            layers.Concatenate()(embeddings_of(encodings)),
            units,
            self.hidden_units,
            self.dropout,
            "joint",
        )
        return sum_of_heads(
            encodings,
            [*heads, joined],
            activation=activation,
            auxiliary_weight=self.auxiliary_weight,
        )


@dataclass(frozen=True)
class Concat(Fusion):
    """The simple baseline: the concatenated embeddings through one hidden layer.

    Args:
        hidden_units: Width of the hidden layer.
        dropout: Dropout rate on that layer.
    """

    hidden_units: int = 128
    dropout: float = 0.2

    def join(self, encodings: Mapping[str, Encoding], units: int, activation: Activation) -> Any:
        """See `Fusion.join`."""
        embeddings = embeddings_of(encodings)
        x = layers.Concatenate()(embeddings) if len(embeddings) > 1 else embeddings[0]
        return mlp(x, units, self.hidden_units, self.dropout, "concat")


@dataclass(frozen=True)
class Gated(Fusion):
    """A gated multimodal unit: per row and feature, gates weigh the inputs.

    Arevalo et al., "Gated multimodal units for information fusion", 2017, equation for more than
    two modalities.

    Args:
        hidden_units: Size of the fused embedding.
        dropout: Dropout rate on it.
    """

    hidden_units: int = 128
    dropout: float = 0.2

    def join(self, encodings: Mapping[str, Encoding], units: int, activation: Activation) -> Any:
        """See `Fusion.join`."""
        embeddings = embeddings_of(encodings)
        everything = layers.Concatenate()(embeddings) if len(embeddings) > 1 else embeddings[0]
        gated = []
        for name, encoding in encodings.items():
            value = layers.Dense(self.hidden_units, activation="tanh", name=f"{name}_value")(
                encoding.embedding
            )
            gate = layers.Dense(self.hidden_units, activation="sigmoid", name=f"{name}_gate")(
                everything
            )
            # A missing input contributes nothing. The other gates see that it is missing by its
            # learned vector.
            factors = [value, gate] if encoding.present is None else [value, gate, encoding.present]
            gated.append(layers.Multiply()(factors))
        x = layers.Add()(gated) if len(gated) > 1 else gated[0]
        return zero_dense(units, "gated_head")(layers.Dropout(self.dropout)(x))


@dataclass(frozen=True)
class Late(Fusion):
    """One head per input, summed with learned non-negative weights; the inputs do not interact.

    Args:
        auxiliary_weight: Weight of the loss of each single head.
    """

    auxiliary_weight: float = 0.3

    def join(self, encodings: Mapping[str, Encoding], units: int, activation: Activation) -> Any:
        """See `Fusion.join`."""
        heads = [head_of(name, encoding, units) for name, encoding in encodings.items()]
        return sum_of_heads(
            encodings,
            heads,
            activation=activation,
            auxiliary_weight=self.auxiliary_weight,
            learned=True,
        )


@dataclass(frozen=True)
class Match(Fusion):
    """For labels about the relation of two inputs, such as "the caption describes the image".

    Both embeddings are projected to one size and normalized. Their product and absolute difference
    go through one hidden layer. A contrastive auxiliary loss pulls the two embeddings of rows of
    the positive class together and pushes those of different rows apart (see `PairTerm`).

    Args:
        positive: Position of the class whose inputs belong together; negative counts from the end.
            By default it is found in the first steps of training, as the class whose inputs are
            easier to bring together; `matching_class` returns it.
        contrastive_weight: Weight of the contrastive loss.
        temperature: Its temperature.
        embedding_size: Size that both embeddings are projected to.
        hidden_units: Width of the hidden layer.
        dropout: Dropout rate on that layer.
    """

    positive: int | None = None
    contrastive_weight: float = 0.5
    temperature: float = 0.1
    embedding_size: int = 128
    hidden_units: int = 128
    dropout: float = 0.2

    def join(self, encodings: Mapping[str, Encoding], units: int, activation: Activation) -> Any:
        """See `Fusion.join`."""
        if len(encodings) != 2:
            raise ValueError(
                "Fusion 'match' needs exactly two inputs; for another number use 'joint'. "
                f"Received: inputs={list(encodings)}"
            )
        target, outputs = class_target(activation, units)
        classes = max(outputs, 2)
        if self.positive is not None and not -classes <= self.positive < classes:
            raise ValueError(
                f"`positive` must be the position of one of the {classes} classes. Received: "
                f"positive={self.positive}"
            )
        projected = [
            # To one size, because products and differences are taken entry by entry.
            layers.Dense(self.embedding_size, name=f"{name}_projection")(encoding.embedding)
            for name, encoding in encodings.items()
        ]
        masks = [
            encoding.present for encoding in encodings.values() if encoding.present is not None
        ]
        # The product of masks: 1 only in rows that have both inputs.
        both = layers.Multiply()(masks) if len(masks) > 1 else masks[0] if masks else None
        relation = PairRelation(
            positive=self.positive,
            temperature=self.temperature,
            weight=self.contrastive_weight,
            target=target,
            classes=classes,
            name="relation",
        )(projected if both is None else [*projected, both])
        if both is not None:
            # Without one of the inputs there is no relation to learn from.
            relation = fill_absent(relation, both, "relation")
        return mlp(relation, units, self.hidden_units, self.dropout, "match")


def fusion_named(fusion: str | Fusion) -> Fusion:
    """Return the fusion with a name, with its defaults; return a `Fusion` object unchanged.

    Raises:
        ValueError: If the name is unknown.
    """
    if isinstance(fusion, Fusion):
        return fusion
    named = {"joint": Joint, "concat": Concat, "gated": Gated, "late": Late, "match": Match}
    named["attend"] = Attend
    check_choice("fusion", fusion, list(named), " or a Fusion object")
    return named[fusion]()
