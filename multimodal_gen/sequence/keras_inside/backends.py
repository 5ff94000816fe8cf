"""Picks an installed backend where Keras would choose TensorFlow, which may be missing."""

from __future__ import annotations

import importlib.util
import os
import sys


def name_backend() -> None:
    """Set `KERAS_BACKEND` to an installed backend if nothing is set and TensorFlow is missing."""
    # A user's setting is never changed, even if wrong: Keras's own error, or the one below, tells
    # them.
    if (
        "KERAS_BACKEND" in os.environ
        or "keras" in sys.modules
        or importlib.util.find_spec("tensorflow")
    ):
        return
    installed = next((name for name in ("jax", "torch") if importlib.util.find_spec(name)), None)
    if installed:
        os.environ["KERAS_BACKEND"] = installed


def missing_backend(error: ImportError) -> ImportError | None:
    """Return the error for a missing backend, or None if another module is missing."""
    if str(error.name).partition(".")[0] not in ("tensorflow", "jax", "jaxlib", "torch"):
        return None
    wanted = os.environ.get("KERAS_BACKEND")
    which = (
        f"KERAS_BACKEND names {wanted!r}, which is not installed"
        if wanted
        else "Keras has no backend"
    )
    return ImportError(
        f"{which}. Install one with pip install tensorflow, jax or torch; KERAS_BACKEND chooses "
        f"among several. Received: no module named {error.name!r}",
        name=error.name,
    )
