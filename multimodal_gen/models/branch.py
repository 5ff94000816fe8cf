"""What a branch is: the Keras encoder of one input, from the loader's array to an embedding.

Besides the classes in `branches.py` and `image_branches.py`, any callable, layer or model from
tensor to `(batch, size)` embedding is one. Nothing here reads data or knows how embeddings are
joined.
"""

from __future__ import annotations

import abc
from typing import Any, ClassVar, NamedTuple

from multimodal_gen.spec import ArraySpec


class Encoding(NamedTuple):
    """What a branch yields.

    Attributes:
        embedding: `(batch, size)` symbolic tensor.
        logits: `(batch, units)`, of a head that the branch brings along, or None: then the fusion
            makes a linear one.
        present: `(batch, 1)` mask of an input that rows may lack; `build_fusion_classifier` sets
            it, no branch does.
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
            inputs: `(batch, *spec.shape)` symbolic tensor of dtype `spec.dtype`; of tokens `(batch,
                None)` where the branch's class says `any_length = True`.
            spec: Spec of the input.
            units: Number of outputs of the whole model.
            name: Name of the input, to name layers by.
        """


def require_kind(branch: Branch, spec: ArraySpec, kind: str, rank: int) -> None:
    """Refuse an input of another kind or number of axes."""
    if spec.kind != kind or len(spec.shape) != rank:
        raise ValueError(
            f"{type(branch).__name__} needs an input of kind {kind!r} with {rank} axes. "
            f"Received: kind={spec.kind!r}, shape={spec.shape}"
        )
