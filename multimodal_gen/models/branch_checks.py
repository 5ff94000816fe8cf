"""Checks for common mistakes in what users pass as a branch."""

from __future__ import annotations

import os
import warnings
from typing import Any

import keras


def check_branch(name: str, branch: Any) -> None:
    """Refuse the path of a model, and warn about a classifier used as an encoder.

    Args:
        name: The input's name.
        branch: Its entry in `branches`; for a `BackboneBranch`, its backbone is checked.

    Raises:
        TypeError: If it is a path.
    """
    given = getattr(branch, "backbone", branch)
    if isinstance(given, str | os.PathLike):
        raise TypeError(
            "A branch must be a model, not its path or name. Load it first, as in "
            f"`keras.saving.load_model({os.fspath(given)!r})`. Received: "
            f"branches[{name!r}]={branch!r}"
        )
    if ends_in_softmax(given):
        warnings.warn(
            f"The branch of input {name!r} ends in a softmax, so it gives class probabilities "
            "instead of the more informative features below. Remove its last layer, as in "
            "`keras.Model(model.inputs, model.layers[-2].output)`. Received: "
            f"branches[{name!r}]={branch!r}",
            stacklevel=4,
        )


def ends_in_softmax(branch: Any) -> bool:
    """Whether a layer, or the last layer of a model, is a softmax."""
    layer = branch
    # The last layer of a model may be a model itself.
    while isinstance(layer, keras.Model) and layer.layers:
        layer = layer.layers[-1]
    softmax = getattr(layer, "activation", None) is keras.activations.softmax
    return softmax or isinstance(layer, keras.layers.Softmax)
