"""What trains the model of a fold, if nothing else is given: the recipe of the command line."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.models.classifier import build_fusion_classifier
from multimodal_gen.models.comparing import compare_models
from multimodal_gen.models.fitting import num_rows_of
from multimodal_gen.models.probe import fit_linear_probe, not_linear
from multimodal_gen.models.recipe import branches_for, fit_with_recipe


def fit_fold(
    inputs: Mapping[str, Loader], target: Target, train_data: Any, validation_data: Any
) -> keras.Model:
    """Train a network with the recipe, and where there can be one, a linear probe; return the one
    that is better on validation rows.

    The probe must be better by more than one standard error, as for `train`.

    Args:
        inputs: Input name -> loader.
        target: The target.
        train_data: Training rows.
        validation_data: Validation rows.
    """
    branches = branches_for(inputs, num_rows_of(train_data))
    network = build_fusion_classifier(inputs, target, branches=branches)
    fit_with_recipe(network, target, train_data, validation_data, verbose=0)
    if not_linear(inputs):
        return network
    probe = fit_linear_probe(inputs, target, train_data, validation_data, verbose=0)
    table = compare_models({"network": network, "probe": probe}, validation_data, verbose=0)
    lead = table["worse_by"]["network"]
    return probe if lead > table["standard_error"]["network"] else network


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Initial weights and dropout depend on the seed alone, and the generators of Python and NumPy
    are afterwards as they were.
    """
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    # Keras passes it to generators that take no larger one.
    keras.utils.set_random_seed(seed % 2**32)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
