"""The base class of branches: Keras encoders of one input, from the loader's array to an embedding.

Besides the classes in `branches.py` and `image_branches.py`, any callable, layer or model from
tensor to `(batch, size)` embedding is a branch. Nothing here reads data or knows how embeddings are
joined.
"""

from __future__ import annotations

import abc
from typing import Any, ClassVar, NamedTuple

from multimodal_gen.spec import ArraySpec


class Encoding(NamedTuple):
    """The result of a branch.

    Attributes:
        embedding: `(batch, size)` symbolic tensor.
        logits: `(batch, units)` of the branch's own head, or None: then the fusion adds a linear
            head.
        present: `(batch, 1)` mask of an input that rows may lack; set by `build_fusion_classifier`,
            not by branches.
        tokens: `(batch, length, size)` symbolic tensor, or a feature map `(batch, height, width,
            size)`: the vectors of tokens, patches or items that the embedding is made of, for
            fusion "attend"; None if there are none.
        mask: `(batch, length)` of 0 and 1, 0 for padding. None if Keras's own mask of `tokens`
            counts, or nothing is padding.
    """

    embedding: Any
    logits: Any = None
    present: Any = None
    tokens: Any = None
    mask: Any = None


class Branch(abc.ABC):
    """Base class of branches that need the spec or have their own head."""

    # Whether the branch accepts any number of tokens.
    any_length: ClassVar[bool] = False

    @abc.abstractmethod
    def encode(self, inputs: Any, spec: ArraySpec, units: int, name: str) -> Encoding:
        """Build the branch on a symbolic input.

        Args:
            inputs: `(batch, *spec.shape)` symbolic tensor of dtype `spec.dtype`; for tokens
                `(batch, None)` if the branch's class sets `any_length = True`.
            spec: Spec of the input.
            units: Number of outputs of the whole model.
            name: Name of the input, used in layer names.
        """


def require_kind(branch: Branch, spec: ArraySpec, kind: str, rank: int) -> None:
    """Refuse an input with another kind or number of axes."""
    if spec.kind != kind or len(spec.shape) != rank:
        raise ValueError(
            f"{type(branch).__name__} needs an input of kind {kind!r} with {rank} axes. "
            f"Received: kind={spec.kind!r}, shape={spec.shape}"
        )
