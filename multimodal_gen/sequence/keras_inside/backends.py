"""Which backend Keras finds: TensorFlow unless something else is named, and any other where it is
not installed.
"""

from __future__ import annotations

import importlib.util
import os
import sys


def name_backend() -> None:
    """Name a backend that is installed in `KERAS_BACKEND`, where Keras would take TensorFlow and
    that is not.
    """
    # A setting of the user's stands, right or wrong: Keras's own error, or the one below, says what
    # is amiss.
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
    """The error for a Keras that has no backend to run on; None where it is something else that was
    not found.
    """
    if str(error.name).partition(".")[0] not in ("tensorflow", "jax", "jaxlib", "torch"):
        return None
    wanted = os.environ.get("KERAS_BACKEND")
    which = (
        f"KERAS_BACKEND names {wanted!r}, which is not installed"
        if wanted
        else "Keras has no backend to run on"
    )
    return ImportError(
        f"{which}. Install it, or another one: pip install tensorflow, jax or torch; where "
        "several are installed, KERAS_BACKEND says which to take. Received: no module named "
        f"{error.name!r}",
        name=error.name,
    )
