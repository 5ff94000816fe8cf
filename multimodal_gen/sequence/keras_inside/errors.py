"""The one error of this folder: a version of Keras that works differently from the tested ones."""

from __future__ import annotations

import inspect
from typing import Any

import keras

# `docs/design.md` names the same versions.
_TRIED = "Keras 3.12 to 3.15"


def unknown_keras(missing: str, way_out: str) -> RuntimeError:
    """Return the error for a version of Keras that lacks something.

    Args:
        missing: What is missing and its consequence, after "Keras 3.20.0 ...".
        way_out: What works anyway, as a sentence.
    """
    return RuntimeError(
        f"Keras {keras.__version__} {missing}. {way_out} Or install {_TRIED}, which this version "
        f"of multimodal_gen was tested with. Received: keras.__version__={keras.__version__!r}"
    )


def need(owner: Any, names: str, what_for: str, way_out: str) -> None:
    """Check that an object of Keras has what is about to be used.

    Args:
        owner: The object.
        names: Its attributes, separated by spaces.
        what_for: What they are needed for, as in "to resume inside an epoch".
        way_out: What to do instead, as a sentence.

    Raises:
        RuntimeError: If it lacks one of them.
    """
    for name in names.split():
        if not hasattr(owner, name):
            raise unknown_keras(
                f"has no `{type(owner).__name__}.{name}`, which is needed {what_for}", way_out
            )


def need_in_code(function: Any, name: str, what_for: str, way_out: str) -> None:
    """Check that a function of Keras uses an attribute that the object may not have yet.

    Raises:
        RuntimeError: If it does not.
    """
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None or name not in code.co_names:
        raise unknown_keras(
            f"does not use `{name}` in `{function.__qualname__}`, which is needed {what_for}",
            way_out,
        )
