"""Builds the encoding of one input by any branch: one of ours, or a layer, model or callable."""

from __future__ import annotations

import inspect
from typing import Any

from multimodal_gen.models.branch import Branch, Encoding
from multimodal_gen.models.branch_checks import check_branch
from multimodal_gen.spec import ArraySpec


def encoded(name: str, spec: ArraySpec, branch: Any, inputs: Any, units: int) -> Encoding:
    """Return the encoding of an input.

    Args:
        name: Name of the input.
        spec: Its spec.
        branch: A `Branch`, layer, model or callable from tensor to embedding.
        inputs: The symbolic input that the branch takes.
        units: Number of outputs of the whole model.

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
    else:
        raise TypeError(
            "A branch must be a Branch, layer, model or callable from tensor to embedding. "
            f"{received}"
        )
    # Checked here, because a fusion would fail with an error about its own layers.
    shape = getattr(encoding.embedding, "shape", None)
    if shape is None or len(shape) != 2 or shape[-1] is None:
        hint = (
            " A `BackboneBranch` turns feature maps into one."
            if shape is not None and len(shape) == 4
            else ""
        )
        raise ValueError(
            f"The branch of input {name!r} must yield a (batch, size) embedding of known "
            f"size.{hint} Received: shape={shape}"
        )
    return encoding


def _is_application(branch: Any) -> bool:
    # All functions of `keras.applications` have this argument, and nothing else has.
    return inspect.isfunction(branch) and "include_top" in inspect.signature(branch).parameters
