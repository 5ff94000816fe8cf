"""Which inputs of a row are there: a mask beside each input whose loader has `missing="blank"`.

A missing cell of such an input is an array of zeros, and its mask is 0. The mask is an input of the model in its own
right, after all others, so that a picture that is black is told from one that is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multimodal_gen.loaders.base import ArraySpec

MASK = ArraySpec((1,), "float32", "presence")


def mask_name(name: str) -> str:
    """The name of the mask of an input, whether it has one or not."""
    return f"{name}_present"


def mask_names(inputs: Mapping[str, Any]) -> dict[str, str]:
    """Name of an input -> name of its mask, for the inputs that have one, in their order.

    Args:
        inputs: Input name -> loader, or `ArraySpec`.

    Raises:
        ValueError: If the name of a mask is that of another input.
    """
    names = {name: mask_name(name) for name, loader in inputs.items() if getattr(loader, "missing", None) == "blank"}
    taken = [mask for mask in names.values() if mask in inputs]
    if taken:
        raise ValueError(f'An input with missing="blank" has a mask of this name; rename the other. Received: {taken}')
    return names


def with_masks(inputs: Mapping[str, Any]) -> dict[str, ArraySpec]:
    """Name -> spec of everything that a model of these inputs is given: the inputs, then their masks."""
    specs = {name: one if isinstance(one, ArraySpec) else one.spec for name, one in inputs.items()}
    return specs | dict.fromkeys(mask_names(inputs).values(), MASK)
