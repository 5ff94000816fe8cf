"""Check that the outputs of a model have the shapes that a target needs. Nothing is computed.

Keras checks little here. On jax, a class number beyond the outputs has the loss 0, and a column of
numbers is broadcast against any outputs. A model then trains on the wrong target without an error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.spec import map_by_name

if TYPE_CHECKING:
    import keras

Targets = Target | Mapping[str, Target] | None

# Losses of Keras that compare outputs with the target number by number, or with its class. Others,
# such as "circle", may take outputs of any shape, so they are not checked.
_BINARY = {"binary_crossentropy", "binary_focal_crossentropy"}
_SPARSE = "sparse_categorical_crossentropy"
_PLAIN = {
    *_BINARY,
    _SPARSE,
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "mean_squared_error",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_logarithmic_error",
    "huber",
    "log_cosh",
}


def check_class_weight(class_weight: Any, targets: Mapping[str | None, Any]) -> None:
    """Refuse Keras's `class_weight` for several targets, as Keras looks it up in the labels of one.

    Args:
        class_weight: The argument of `fit`.
        targets: Target name -> target of the sequence; None for a single target.

    Raises:
        ValueError: If it is given for named targets; it says where such weights belong.
    """
    if class_weight is not None and None not in targets:
        raise ValueError(
            "Keras's `class_weight` works for a single target only. Pass it to the data "
            "instead: `MultimodalSequence(..., class_weight={target: weights})`; the targets "
            f"are {list(targets)}. Received: class_weight={class_weight!r}"
        )


def map_outputs(function: Callable[[Any], Any], outputs: Any) -> Any:
    """Apply a function to each output of a model, keeping the form of the outputs.

    Args:
        function: Applied to each output.
        outputs: One output, a mapping of names to outputs, or a list. A list becomes a mapping of
            positions to outputs; a list of one is treated as a single output.
    """
    if isinstance(outputs, list | tuple):
        outputs = dict(enumerate(outputs)) if len(outputs) > 1 else outputs[0]
    return map_by_name(function, outputs)


def structure(model: keras.Model, what: str) -> Any:
    """Return the symbolic "input" or "output" of a model, or None without a graph of layers."""
    import keras

    if not isinstance(model, keras.Sequential):
        return getattr(model, what, None)
    # A Sequential has one, but the attribute does not exist before the model is called.
    found = getattr(model, f"{what}s", None)
    return found[0] if found else None


def check_shapes(shapes: Any, target: Targets) -> None:
    """Compare the shapes of outputs, without the batch axis, with what the targets need.

    Raises:
        ValueError: If names or numbers of outputs differ.
    """
    if target is None:
        return
    outputs = set(shapes) if isinstance(shapes, Mapping) else None
    names = set(target) if isinstance(target, Mapping) else None
    if outputs != names:
        found = (
            "one output without a name" if outputs is None else f"outputs named {sorted(outputs)}"
        )
        wanted = "a single target" if names is None else f"targets named {sorted(names)}"
        raise ValueError(
            "The outputs must match the targets: one output for a single target, or a dict of "
            f"outputs with the targets' names. The model has {found}. Received: {wanted}"
        )
    for name, one, shape in paired(target, shapes):
        _check_shape(name, one, shape)


def _check_shape(name: str, one: Target, shape: Any) -> None:
    numbers = math.prod(one.output_shape)
    # Only the number counts: a reconstructed picture may come flat, or as a picture.
    if None not in shape and math.prod(shape) not in (one.units, numbers):
        raise ValueError(
            f"The model must have {numbers} outputs per row, the `units` of the "
            f"{type(one).__name__} on {one.column!r}. Received: outputs{name} of shape "
            f"{tuple(shape)}"
        )


def check_target(method: str | None, model: Any, targets: Mapping[Any, Any]) -> None:
    """Compare the targets of a sequence with the outputs of the model that Keras runs on it.

    Models with unknown outputs, their own loss or a loss outside Keras's plain ones are not
    checked, nor are loaders that are not a `Target`.

    Args:
        method: "fit", "evaluate" or "predict", which ignores targets; None if none is running.
        model: The model whose method it is.
        targets: Target name -> target of the sequence; None for a single target.

    Raises:
        ValueError: If there is no target, or names or numbers of outputs differ.
    """
    if method not in ("fit", "evaluate") or model is None or not _plainly_trained(model):
        return
    loss = model.loss
    losses = [_name_of(one) for one in (loss.values() if isinstance(loss, Mapping) else [loss])]
    # Other losses than Keras's plain ones may need no target.
    if not targets and all(name in _PLAIN for name in losses):
        raise ValueError(
            f"`{method}` needs a target, as in `MultimodalSequence(table, inputs, target)`. "
            "Received: a sequence with target=None"
        )
    outputs = structure(model, "output")
    if not targets or outputs is None or isinstance(outputs, list | tuple):
        return
    shapes = map_outputs(lambda tensor: tuple(tensor.shape[1:]), outputs)
    if isinstance(shapes, Mapping) != (None not in targets):
        # A single output may have a name in the losses, and so may its target.
        if all(one in _PLAIN for one in losses) and (
            isinstance(shapes, Mapping) or not isinstance(loss, Mapping)
        ):
            check_shapes(shapes, targets.get(None, targets))
        return
    for name, target in targets.items():
        shape = shapes if name is None else shapes.get(name)
        of_output = loss.get(name) if isinstance(loss, Mapping) else loss
        if shape is not None and isinstance(target, Target):
            _check_with_loss(
                "" if name is None else f" {name!r}", target, shape, _name_of(of_output)
            )


def _check_with_loss(name: str, target: Target, shape: Any, loss: str | None) -> None:
    if loss not in _PLAIN:
        return
    # Two classes may be one probability or two. The loss says which one the model has.
    two = target.one_class and len(target.class_names) == 2 and target.spec.shape in ((), (1,))
    if (
        two
        and None not in shape
        and ((math.prod(shape) == 1 and loss in _BINARY) or (shape == (2,) and loss == _SPARSE))
    ):
        return
    _check_shape(name, target, shape)


def _plainly_trained(model: Any) -> bool:
    # Only if Keras or this package computes steps and loss, the loss is known to compare by shape.
    methods = [getattr(model, name, None) for name in ("train_step", "test_step", "compute_loss")]
    return all(
        str(getattr(one, "__module__", "")).split(".")[0] in ("keras", "multimodal_gen")
        for one in methods
    )


def _name_of(loss: Any) -> str | None:
    # The name of Keras's own loss function, or None for a function of the user.
    import keras

    try:
        function = keras.losses.get(loss)
    except ValueError:
        return None
    function = getattr(function, "fn", function)
    known = str(getattr(function, "__module__", "")).startswith("keras.")
    return getattr(function, "__name__", None) if known else None


def paired(target: Targets, outputs: Any) -> list[tuple[str, Any, Any]]:
    """For each target: its name as errors show it, the target, and its output."""
    if isinstance(target, Mapping):
        return [(f" {name!r}", one, outputs[name]) for name, one in target.items()]
    return [("", target, outputs)]
