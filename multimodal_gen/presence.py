"""Which inputs of a row are there: a mask beside each input whose loader has `missing="blank"`.

A missing cell of such an input is an array of zeros, and its mask is 0. The mask is an input of the model in its own
right, after all others, so that a picture that is black is told from one that is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multimodal_gen.loaders.base import ArraySpec

MASK = ArraySpec((1,), "float32", "presence")
_ENDING = "_present"


def mask_names(inputs: Mapping[str, Any]) -> dict[str, str]:
    """Name of an input -> name of its mask, for the inputs that have one, in their order.

    Args:
        inputs: Input name -> loader, or anything with an attribute `missing`.

    Raises:
        ValueError: If the name of a mask is that of another input.
    """
    names = {name: name + _ENDING for name, loader in inputs.items() if getattr(loader, "missing", None) == "blank"}
    taken = [mask for mask in names.values() if mask in inputs]
    if taken:
        raise ValueError(
            f'The masks of inputs with missing="blank" need these names; rename the inputs. Received: {taken}'
        )
    return names


def with_masks(inputs: Mapping[str, Any]) -> dict[str, ArraySpec]:
    """Name -> spec of everything that a model of these inputs is given: the inputs, then their masks."""
    masks = dict.fromkeys(mask_names(inputs).values(), MASK)
    return {
        **{name: loader if isinstance(loader, ArraySpec) else loader.spec for name, loader in inputs.items()},
        **masks,
    }
