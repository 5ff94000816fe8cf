"""What is looked at before something is taken for a branch: what people hand over in its place."""

from __future__ import annotations

import os
import warnings
from typing import Any

import keras


def check_branch(name: str, branch: Any) -> None:
    """Refuse the path of a model in place of the model, and warn of a classifier in place of an
    encoder.

    Args:
        name: The input's name.
        branch: What `branches` holds for it; of a `BackboneBranch`, what it is made of is looked
            at.

    Raises:
        TypeError: If it is a path.
    """
    given = getattr(branch, "backbone", branch)
    if isinstance(given, str | os.PathLike):
        raise TypeError(
            "A branch is a model, and not the path or the name of one. Load it first, as in "
            f"`keras.saving.load_model({os.fspath(given)!r})`. Received: "
            f"branches[{name!r}]={branch!r}"
        )
    if _ends_in_softmax(given):
        warnings.warn(
            f"The branch of input {name!r} ends in a softmax: it gives the probabilities of the "
            "classes it was trained on, and not the features below, which tell more. Give the "
            "model without its last layer, as in `keras.Model(model.inputs, "
            f"model.layers[-2].output)`. Received: branches[{name!r}]={branch!r}",
            stacklevel=4,
        )


def _ends_in_softmax(branch: Any) -> bool:
    layer = branch
    while isinstance(layer, keras.Model) and layer.layers:
        layer = layer.layers[-1]
    softmax = getattr(layer, "activation", None) is keras.activations.softmax
    return softmax or isinstance(layer, keras.layers.Softmax)
