"""Whether a model, loaders and a target match: what a `Bundle` checks before and after it predicts.

Shapes are known in advance only for a model whose layers form a graph. The outputs of a model with
its own `call` can only be checked once they exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.sequence.input_names import check_order
from multimodal_gen.sequence.output_shapes import (
    Targets,
    check_shapes,
    map_outputs,
    paired,
    structure,
)
from multimodal_gen.spec import with_masks

if TYPE_CHECKING:
    import keras

# How far rounding may carry a probability out of [0, 1], in half precision too.
_TOLERANCE = 1e-3


def structure_of_inputs(model: keras.Model, inputs: Mapping[str, Loader]) -> str:
    """How a model takes its inputs, as a value of `inputs_as`; "list" if that is not known."""
    taken = structure(model, "input")
    # Keras's record of the first batch of a model that has its own `call`.
    shape = (model.get_build_config() or {}).get("input_shape")
    if isinstance(taken, Mapping) or isinstance(shape, Mapping):
        return "dict"
    alone = _is_shape(shape) or not isinstance(taken, list | tuple | None)
    return "array" if alone and len(with_masks(inputs)) == 1 else "list"


def check_model(model: keras.Model, inputs: Mapping[str, Loader], target: Targets) -> None:
    """Compare a model's inputs with the loaders' arrays, and its outputs with what a target needs.

    Raises:
        ValueError: If they differ, or the model is not built.
        TypeError: If a target is not a target.
    """
    if not model.built:
        raise ValueError(
            "The model has no weights yet: fit it or call it on a batch first, as in "
            f"`model(sequence[0][0])`. Received: an unbuilt {type(model).__name__} {model.name!r}"
        )
    taken, specs = structure(model, "input"), with_masks(inputs)
    tensors = getattr(model, "inputs", None) or ()
    if isinstance(taken, Mapping):
        if set(taken) != set(specs):
            raise ValueError(
                f"The model takes inputs named {sorted(taken)}. Received: loaders named "
                f"{sorted(specs)}"
            )
        tensors = [taken[name] for name in specs]
    else:
        check_order(model, list(specs))
    expected = [tuple(tensor.shape[1:]) for tensor in tensors]
    given = [spec.shape for spec in specs.values()]
    fits = len(expected) == len(given) and all(
        len(one) == len(two) and all(a in (None, b) for a, b in zip(one, two, strict=True))
        for one, two in zip(expected, given, strict=True)
    )
    # A model with its own `call` does not say what it takes.
    if expected and not fits:
        raise ValueError(
            f"The model takes inputs of shapes {expected}. Received: loaders with shapes {given}"
        )
    for one in target.values() if isinstance(target, Mapping) else [target]:
        if not isinstance(one, Target | None):
            raise TypeError(
                "`target` must be a target such as ClassLabel, a mapping of names to targets, or "
                f"None. Received: target={target!r}"
            )
    outputs = structure(model, "output")
    if outputs is not None:
        check_shapes(map_outputs(lambda tensor: tuple(tensor.shape[1:]), outputs), target)


def call_once(model: keras.Model, inputs: Mapping[str, Loader], inputs_as: str) -> None:
    """Call a model on one row of zeros, because Keras exports to ONNX only what was called in the
    same process.

    A model that cannot take such a row is skipped.

    Args:
        model: The model.
        inputs: Input name -> loader.
        inputs_as: How the model takes its inputs.
    """
    arrays = {
        name: np.zeros((1, *spec.shape), spec.dtype) for name, spec in with_masks(inputs).items()
    }
    batch: Any = arrays if inputs_as == "dict" else list(arrays.values())
    with suppress(Exception):
        model(batch[0] if inputs_as == "array" else batch, training=False)


def check_outputs(outputs: Any, target: Targets) -> None:
    """Make sure that a model's outputs are what a target needs.

    Args:
        outputs: An array, or a mapping of names to arrays.
        target: The target, several by name, or None.

    Raises:
        ValueError: If the outputs have other names or shapes, are NaN for every row, or are not
            probabilities although the target needs them.
    """
    check_shapes(map_outputs(lambda array: array.shape[1:], outputs), target)
    for name, one, array in () if target is None else paired(target, outputs):
        # NaN in single rows is reported row by row, by `rows_of_nan`.
        if np.isnan(array).all():
            raise ValueError(
                "The model outputs NaN for every row: its training diverged, or its weights were "
                f"never loaded. Received: outputs{name} of {len(array):,} rows"
            )
        probable = one.class_names and one.activation in ("sigmoid", "softmax")
        if probable and (np.nanmin(array) < -_TOLERANCE or np.nanmax(array) > 1 + _TOLERANCE):
            raise ValueError(
                f"A {type(one).__name__} needs probabilities in [0, 1]; end the model with "
                f"`target.activation`, {one.activation!r}. Received: outputs{name} from "
                f"{np.nanmin(array):g} to {np.nanmax(array):g}"
            )


def rows_of_nan(outputs: Any) -> dict[int, str]:
    """Position of each row for which a model outputs NaN -> what that means."""
    arrays = outputs.values() if isinstance(outputs, Mapping) else [outputs]
    broken = [np.isnan(array.reshape(len(array), -1)).any(axis=1) for array in arrays]
    reason = "the model outputs NaN for this row; check its numbers for one that is far too large"
    return dict.fromkeys(np.flatnonzero(np.logical_or.reduce(broken)).tolist(), reason)


def _is_shape(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(axis, int | None) for axis in value)
