"""The one error of this folder: a Keras that does not work as the versions that this package was
tried with.
"""

from __future__ import annotations

import inspect
from typing import Any

import keras

# As in `docs/design.md`.
_TRIED = "Keras 3.12 to 3.15"


def unknown_keras(missing: str, way_out: str) -> RuntimeError:
    """The error for a Keras that lacks something.

    Args:
        missing: What it lacks and what that leads to, after "Keras 3.20.0 ...".
        way_out: What works in spite of it, as a sentence.
    """
    return RuntimeError(
        f"Keras {keras.__version__} {missing}. {way_out} Or install {_TRIED}, which this version "
        f"of multimodal_gen was tried with. Received: keras.__version__={keras.__version__!r}"
    )


def need(owner: Any, names: str, what_for: str, way_out: str) -> None:
    """Check that an object of Keras has what is about to be used.

    Args:
        owner: The object.
        names: Its attributes, with blanks between them.
        what_for: What cannot be done without, as in "to resume inside an epoch".
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
    """Check that a function of Keras uses an attribute, where the object need not have it yet.

    Raises:
        RuntimeError: If it does not.
    """
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None or name not in code.co_names:
        raise unknown_keras(
            f"uses no `{name}` in `{function.__qualname__}`, which is needed {what_for}", way_out
        )
