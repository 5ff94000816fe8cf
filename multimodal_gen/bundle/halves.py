"""The two halves of a pair, each as a bundle of its own, as a table of pictures has no captions."""

from __future__ import annotations

from collections.abc import Mapping

import keras

from multimodal_gen.bundle.bundle import Bundle
from multimodal_gen.loaders.base import Loader
from multimodal_gen.spec import mask_name


def halves_of(model: keras.Model, inputs: Mapping[str, Loader]) -> dict[str, Bundle]:
    """Input name -> a bundle from its cells to its unit vectors.

    Args:
        model: A model of `build_dual_encoder`.
        inputs: Input name -> loader, the two that the model was built for.
    """
    tensors = {one.name: one for one in model.inputs}
    halves = {}
    for name, loader in inputs.items():
        # Of cells with several items, the mask too.
        taken = [tensors[one] for one in (name, mask_name(name)) if one in tensors]
        output = model.get_layer(f"{name}_vector").output
        half = keras.Model(taken if len(taken) > 1 else taken[0], output, name=name)
        halves[name] = Bundle(half, {name: loader})
    return halves
