"""The gradient of a model's outputs by one of its inputs, on each backend of Keras.

Keras has no gradient of its own. The backend is looked up by its name, so that only the one in use
is imported.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

Gradient = Callable[[np.ndarray, Sequence[np.ndarray], Any], "np.ndarray | None"]


def gradient_of(model: Any) -> Gradient:
    """Make a function that differentiates a model.

    Args:
        model: A functional model; its first input, float32, is the one to differentiate by.

    Returns:
        From the first input's array, the arrays of the other inputs, and a weight for each number
        of the outputs (in their form), to the gradient of the weighted sum of the outputs, an array
        like the first input's; None if the outputs do not depend on it in a way that has one.
    """
    makers = {"jax": _by_jax, "tensorflow": _by_tensorflow, "torch": _by_torch}
    name = keras.backend.backend()
    maker = makers.get(name)
    # Any other backend: pictures are explained by occlusion.
    return _no_gradient if maker is None else maker(model, importlib.import_module(name))


def _no_gradient(first: np.ndarray, others: Sequence[np.ndarray], weights: Any) -> None:
    return None


def _weighted(outputs: Any, weights: Any) -> Any:
    if isinstance(outputs, Mapping):
        return sum(_weighted(outputs[name], weights[name]) for name in outputs)
    if isinstance(outputs, list | tuple):
        return sum(_weighted(one, own) for one, own in zip(outputs, weights, strict=True))
    return ops.sum(ops.cast(outputs, "float32") * ops.convert_to_tensor(weights, "float32"))


def _by_jax(model: Any, jax: Any) -> Gradient:
    def total(first: Any, others: Any, weights: Any, variables: Any) -> Any:
        outputs, _ = model.stateless_call(*variables, [first, *others], training=False)
        return _weighted(outputs, weights)

    compiled = jax.jit(jax.grad(total))

    def gradient(first: np.ndarray, others: Sequence[np.ndarray], weights: Any) -> np.ndarray:
        # As arguments: as constants, jax would compile them into the step.
        variables = [
            [one.value for one in model.trainable_variables],
            [one.value for one in model.non_trainable_variables],
        ]
        return np.asarray(compiled(first, list(others), weights, variables))

    return gradient


def _by_tensorflow(model: Any, tensorflow: Any) -> Gradient:
    @tensorflow.function(reduce_retracing=True)
    def compiled(first: Any, others: Any, weights: Any) -> Any:
        with tensorflow.GradientTape() as tape:
            tape.watch(first)
            total = _weighted(model([first, *others], training=False), weights)
        return tape.gradient(total, first)

    def gradient(
        first: np.ndarray, others: Sequence[np.ndarray], weights: Any
    ) -> np.ndarray | None:
        tensors = [ops.convert_to_tensor(one) for one in (first, *others)]
        found = compiled(tensors[0], tensors[1:], _as_tensors(weights))
        return None if found is None else np.asarray(found)

    return gradient


def _by_torch(model: Any, torch: Any) -> Gradient:
    def gradient(
        first: np.ndarray, others: Sequence[np.ndarray], weights: Any
    ) -> np.ndarray | None:
        tensor = ops.convert_to_tensor(first).clone().requires_grad_()
        rest = [ops.convert_to_tensor(one) for one in others]
        with torch.enable_grad():
            total = _weighted(model([tensor, *rest], training=False), weights)
            if not total.requires_grad:
                return None
            (found,) = torch.autograd.grad(total, tensor, allow_unused=True)
        return None if found is None else ops.convert_to_numpy(found)

    return gradient


def _as_tensors(weights: Any) -> Any:
    if isinstance(weights, Mapping):
        return {name: _as_tensors(one) for name, one in weights.items()}
    if isinstance(weights, list | tuple):
        return [_as_tensors(one) for one in weights]
    return ops.convert_to_tensor(weights, "float32")
