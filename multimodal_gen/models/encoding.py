"""Builds the encoding of one input by any branch: one of ours, or a layer, model or callable."""

from __future__ import annotations

import inspect
from typing import Any

from multimodal_gen.models.attention import PoolSequence, SequenceAndMask
from multimodal_gen.models.branch import Branch, Encoding
from multimodal_gen.models.branch_checks import check_branch
from multimodal_gen.spec import ArraySpec


def encoded(
    name: str, spec: ArraySpec, branch: Any, inputs: Any, units: int, *, sequences: bool = False
) -> Encoding:
    """Return the encoding of an input.

    Args:
        name: Name of the input.
        spec: Its spec.
        branch: A `Branch`, layer, model or callable from tensor to embedding.
        inputs: The symbolic input that the branch takes.
        units: Number of outputs of the whole model.
        sequences: Whether a layer, model or callable may give a sequence or a feature map. Its
            embedding is then their mean and maximum.

    Raises:
        TypeError: If the branch has the wrong type.
        ValueError: If its output is not an embedding.
    """
    check_branch(name, branch)
    received = f"Received: branches[{name!r}]={branch!r}"
    if isinstance(branch, Branch):
        encoding = branch.encode(inputs, spec, units, name)
    elif isinstance(branch, type):
        raise TypeError(
            f"A branch must be an object, not a class: build one, as in `{branch.__name__}()`. "
            f"{received}"
        )
    elif _is_application(branch):
        raise TypeError(
            "A branch must not be a function of keras.applications, which builds a whole "
            f"classifier; use `BackboneBranch(keras.applications.{branch.__name__})`. {received}"
        )
    elif callable(branch):
        encoding = Encoding(branch(inputs))
        if sequences and len(getattr(encoding.embedding, "shape", ())) in (3, 4):
            encoding = encoding_of_sequence(name, encoding.embedding)
    else:
        raise TypeError(
            "A branch must be a Branch, layer, model or callable from tensor to embedding. "
            f"{received}"
        )
    _check_embedding(name, encoding.embedding)
    return encoding


def encoding_of_sequence(name: str, tokens: Any, *, zeros: bool = False) -> Encoding:
    """Make an encoding of a sequence or a feature map: its mean and maximum are the embedding.

    Args:
        name: Name of the input.
        tokens: `(batch, length, size)`, or `(batch, height, width, size)`.
        zeros: Whether vectors of zeros are padding; otherwise Keras's mask counts.
    """
    tokens, mask = SequenceAndMask(zeros, name=f"{name}_sequence")(tokens)
    return Encoding(PoolSequence(name=f"{name}_pooled")([tokens, mask]), tokens=tokens, mask=mask)


def _check_embedding(name: str, embedding: Any) -> None:
    # Checked here, because a fusion would fail with an error about its own layers.
    shape = getattr(embedding, "shape", None)
    if shape is None or len(shape) != 2 or shape[-1] is None:
        hint = ""
        if shape is not None and len(shape) in (3, 4):
            hint = " Fusion 'attend' takes sequences and feature maps too."
        if shape is not None and len(shape) == 4:
            hint += " A `BackboneBranch` turns feature maps into one."
        raise ValueError(
            f"The branch of input {name!r} must yield a (batch, size) embedding of known "
            f"size.{hint} Received: shape={shape}"
        )


def _is_application(branch: Any) -> bool:
    # All functions of `keras.applications` have this argument, and nothing else has.
    return inspect.isfunction(branch) and "include_top" in inspect.signature(branch).parameters
