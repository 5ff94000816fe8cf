"""One bundle of the models of all folds: its prediction is the mean of theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from multimodal_gen.bundle.bundle import Bundle
from multimodal_gen.loaders.base import Loader
from multimodal_gen.models.classifier import without_slow_jit
from multimodal_gen.spec import mask_names, with_masks


def ensemble_of(bundles: Sequence[Bundle]) -> Bundle:
    """Make one bundle of several with the same target.

    An input whose loader is the same in all bundles is read once. What was learned from the rows
    of a fold, such as a vocabulary, is an input of its own for each: "caption_1", "caption_2".

    Args:
        bundles: At least two, whose models put out the same numbers.

    Returns:
        A bundle whose outputs are the means of theirs.
    """
    inputs: dict[str, Loader] = {}
    # Of each bundle: the name of an input in it -> its name in the ensemble.
    names: list[dict[str, str]] = [{} for _ in bundles]
    for name in bundles[0].inputs:
        loaders = [bundle.inputs[name] for bundle in bundles]
        shared = all(one == loaders[0] for one in loaders)
        for number, loader in enumerate(loaders, 1):
            place = name if shared else _free(f"{name}_{number}", bundles[0])
            inputs[place] = loader
            names[number - 1][name] = place
    tensors = {
        name: keras.Input(spec.shape, dtype=spec.dtype, name=name)
        for name, spec in with_masks(inputs).items()
    }
    masks, outputs = mask_names(inputs), []
    for number, (bundle, places) in enumerate(zip(bundles, names, strict=True), 1):
        # Keras wants the layers of a model to have different names, and a model is one here.
        bundle.model.name = f"fold_{number}"
        given = {name: tensors[places[name]] for name in bundle.inputs}
        for name, mask in mask_names(bundle.inputs).items():
            given[mask] = tensors[masks[places[name]]]
        outputs.append(bundle.model(_as_taken(given, bundle.inputs_as)))
    mean = keras.layers.Average(dtype="float32", name="mean_of_folds")(outputs)
    model = without_slow_jit(keras.Model(list(tensors.values()), mean, name="ensemble"))
    return Bundle(model, inputs, bundles[0].target)


def _free(name: str, bundle: Bundle) -> str:
    # A name that no input or mask has.
    while name in with_masks(bundle.inputs):
        name += "_"
    return name


def _as_taken(tensors: dict[str, Any], inputs_as: str) -> Any:
    if inputs_as == "dict":
        return tensors
    several = list(tensors.values())
    if inputs_as == "array":
        return several[0]
    return tuple(several) if inputs_as == "tuple" else several
