"""Finds the layer that a converter cannot write, for the error that refuses an export."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import keras
import numpy as np

from multimodal_gen.bundle.exporting.checking import largest_difference, outputs_of
from multimodal_gen.bundle.exporting.converting import convert
from multimodal_gen.bundle.exporting.engines import open_network
from multimodal_gen.spec import ArraySpec


def layer_at_fault(
    model: keras.Model,
    specs: Mapping[str, ArraySpec],
    inputs_as: str,
    form: str,
    arrays: Mapping[str, np.ndarray],
) -> keras.layers.Layer | None:
    """The first layer whose output this backend's converter gets wrong, or that it cannot write.

    Args:
        model: A model that it cannot convert.
        specs: Name -> spec of all that the model takes, in its order.
        inputs_as: How it takes them.
        form: A key of `manifest.FILES`.
        arrays: Rows to compare on.

    Returns:
        The layer; None for a model whose layers form no graph, or if only the whole is wrong.
    """
    if not getattr(model, "inputs", None):
        return None
    layers, outputs = [], []
    for layer in model.layers:
        # A layer that was called twice has no output of its own.
        with suppress(AttributeError, ValueError):
            output = layer.output
            if isinstance(output, keras.KerasTensor) and not isinstance(
                layer, keras.layers.InputLayer
            ):
                layers.append(layer)
                outputs.append(output)

    # All layers before `good` fit, and some of those before `bad` do not.
    good, bad = 0, len(layers)
    rest = (specs, inputs_as, form, arrays)
    if not layers or _fits(keras.Model(model.input, outputs), *rest):
        return None
    while bad - good > 1:
        middle = (good + bad) // 2
        # With those before it, so that what holds of many layers holds of fewer.
        fits = _fits(keras.Model(model.input, outputs[:middle]), *rest)
        good, bad = (middle, bad) if fits else (good, middle)
    return layers[good]


def _fits(
    part: keras.Model,
    specs: Mapping[str, ArraySpec],
    inputs_as: str,
    form: str,
    arrays: Mapping[str, Any],
) -> bool:
    expected = outputs_of(part, inputs_as, arrays)
    with tempfile.TemporaryDirectory() as folder:
        try:
            network = convert(part, specs, inputs_as, form, Path(folder))
            largest_difference(open_network(Path(folder), network), arrays, expected)
        except Exception:
            return False
    return True
