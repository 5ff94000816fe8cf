"""Has layers compute the same by operations that a converter writes rightly, while it runs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
from keras import ops

from multimodal_gen.sequence.keras_inside.graph import all_layers


@contextmanager
def plain_parts(model: keras.Model, form: str) -> Iterator[None]:
    """Replace what tensorflow's converter to ONNX cannot write: for `gelu` it has an operation that
    ONNX does not, while `erf` is in both.

    Args:
        model: The model, which is the same again after it.
        form: A key of `manifest.FILES`.
    """
    with ExitStack() as changes:
        if form == "onnx" and keras.backend.backend() == "tensorflow":
            for layer in all_layers(model):
                if getattr(layer, "activation", None) is keras.activations.gelu:
                    changes.enter_context(_changed(layer, "activation", _gelu))
        yield


@contextmanager
def _changed(layer: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(layer, name)
    setattr(layer, name, value)
    try:
        yield
    finally:
        setattr(layer, name, before)


def _gelu(x: Any) -> Any:
    # Hendrycks and Gimpel, "Gaussian error linear units", 2016.
    return 0.5 * x * (1.0 + ops.erf(x / math.sqrt(2.0)))
