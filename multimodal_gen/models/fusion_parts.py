"""What fusions are made of: the base class, heads, and their sum."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, ClassVar

from keras import layers

from multimodal_gen.models.absence import FillAbsent
from multimodal_gen.models.branch import Encoding
from multimodal_gen.models.layers import SumOfHeads
from multimodal_gen.models.outputs import Activation


class Fusion(abc.ABC):
    """Base class of fusions."""

    # Whether it takes `Encoding.tokens`; then a branch of one's own may give a sequence.
    takes_sequences: ClassVar[bool] = False

    @abc.abstractmethod
    def join(self, encodings: Mapping[str, Encoding], units: int, activation: Activation) -> Any:
        """Join the encodings of all inputs.

        Args:
            encodings: Input name -> encoding, in the order of the inputs.
            units: Number of outputs of all targets together.
            activation: Activation of the outputs, or for several targets name -> (units,
                activation), in the order of their logits; the caller applies it.

        Returns:
            `(batch, units)` symbolic float32 logits.
        """


def zero_dense(units: int, name: str) -> layers.Dense:
    """A dense layer whose results start at zero."""
    # Zeros: before training every class is equal, and no input has a head start. float32: logits
    # need the precision under a mixed policy.
    return layers.Dense(units, kernel_initializer="zeros", dtype="float32", name=name)


def head_of(name: str, encoding: Encoding, units: int) -> Any:
    """The logits of one input alone: the branch's own, or a linear head on its embedding."""
    if encoding.logits is not None:
        return encoding.logits
    logits = zero_dense(units, f"{name}_head")(encoding.embedding)
    # The head's bias is learned on rows that have the input, so it must not affect the others.
    return (
        logits
        if encoding.present is None
        else fill_absent(logits, encoding.present, f"{name}_head")
    )


def fill_absent(tensor: Any, present: Any, name: str) -> Any:
    """Put a learned vector in the rows whose mask is 0, in the precision of the tensor."""
    return FillAbsent(dtype=tensor.dtype, name=f"{name}_if_present")([tensor, present])


def sum_of_heads(encodings: Mapping[str, Encoding], heads: list[Any], **arguments: Any) -> Any:
    """Sum the heads: one per input, then those on several; `arguments` as of `SumOfHeads`."""
    # The masks let a head's own loss ignore rows that lack its input.
    masks = {
        number: one.present
        for number, one in enumerate(encodings.values())
        if one.present is not None
    }
    # One auxiliary loss per input: the joint head comes last and has none, because it may rely on
    # the other heads.
    layer = SumOfHeads(
        num_auxiliary=len(encodings), masked=list(masks), name="sum_of_heads", **arguments
    )
    return layer([*heads, *masks.values()])


def embeddings_of(encodings: Mapping[str, Encoding]) -> list[Any]:
    """The embeddings of all inputs, in their order."""
    return [encoding.embedding for encoding in encodings.values()]


def mlp(x: Any, units: int, hidden_units: int, dropout: float, role: str) -> Any:
    """Logits by one hidden layer."""
    x = layers.Dense(hidden_units, activation="relu", name=f"{role}_hidden")(x)
    x = layers.Dropout(dropout)(x)
    return zero_dense(units, f"{role}_head")(x)
