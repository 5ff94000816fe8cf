"""Whether what a model puts out is what the target of a sequence or bundle needs: shapes only,
nothing is computed.

Keras compares little. On jax a class number beyond the outputs has the loss 0, and a column of
numbers is broadcast against any outputs, so that a model learns nonsense from another target in
silence.
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

# Losses of Keras that compare a row's outputs with its target number by number, or with its class.
# Others, such as "circle", make of outputs what they like.
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
    """Refuse Keras's `class_weight` for several targets, which it looks up in the labels of one.

    Args:
        class_weight: What `fit` was given.
        targets: The targets of the sequence that it trains on; a single one has no name.

    Raises:
        ValueError: It says where such weights go.
    """
    if class_weight is not None and None not in targets:
        raise ValueError(
            "Keras's `class_weight` is for a model of one target. Give it to the data instead, by "
            f"target: `MultimodalSequence(..., class_weight={{target: weights}})`; the targets are "
            f"{list(targets)}. Received: class_weight={class_weight!r}"
        )


def map_outputs(function: Callable[[Any], Any], outputs: Any) -> Any:
    """What a function makes of a model's only output, or of each of several by name.

    Args:
        function: What is applied to each.
        outputs: One, or a mapping of names to several, or a list; those of a list go by their
            places, and the one of a list of one stands alone.
    """
    if isinstance(outputs, list | tuple):
        outputs = dict(enumerate(outputs)) if len(outputs) > 1 else outputs[0]
    return map_by_name(function, outputs)


def structure(model: keras.Model, what: str) -> Any:
    """The symbolic "input" or "output" in the form that the model was made with; None without a
    graph of layers.
    """
    import keras

    if not isinstance(model, keras.Sequential):
        return getattr(model, what, None)
    # A Sequential has one, and no attribute for it before it is called.
    found = getattr(model, f"{what}s", None)
    return found[0] if found else None


def check_shapes(shapes: Any, target: Targets) -> None:
    """Compare shapes of outputs, the batch axis left out, with what a target or each of several
    needs.

    Raises:
        ValueError: If there are other outputs, or other numbers of them.
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
            "The model must have one output for a single target, and for a mapping of targets a "
            f"dict of outputs by the same names; it has {found}. Received: {wanted}"
        )
    for name, one, shape in paired(target, shapes):
        _check_shape(name, one, shape)


def _check_shape(name: str, one: Target, shape: Any) -> None:
    numbers = math.prod(one.output_shape)
    if None not in shape and math.prod(shape) not in (one.units, numbers):
        raise ValueError(
            f"The model must put out {numbers} numbers a row, as the {type(one).__name__} on "
            f"{one.column!r} has it in `units`. Received: outputs{name} of shape {tuple(shape)}"
        )


def check_target(method: str | None, model: Any, targets: Mapping[Any, Any]) -> None:
    """Compare the targets of a sequence with the outputs of the model that Keras trains or scores
    on it.

    A model is left alone whose outputs are not known beforehand, or that makes its loss itself or
    from a function that is not one of Keras's plain ones; so is a loader that is no `Target`.

    Args:
        method: "fit", "evaluate" or "predict", which takes no notice of targets; None if none is
            running.
        model: Whose it is.
        targets: Target name -> target of the sequence; the name is None where there is one without
            a name.

    Raises:
        ValueError: If there is no target, or one by a name for an output without, or the numbers
            differ.
    """
    if method not in ("fit", "evaluate") or model is None or not _plainly_trained(model):
        return
    loss = model.loss
    losses = [_name_of(one) for one in (loss.values() if isinstance(loss, Mapping) else [loss])]
    if not targets and all(name in _PLAIN for name in losses):
        raise ValueError(
            f"`{method}` compares what the model puts out with a target: give the sequence one, as "
            "in `MultimodalSequence(table, inputs, target)`. Received: a sequence with target=None"
        )
    outputs = structure(model, "output")
    if not targets or outputs is None or isinstance(outputs, list | tuple):
        return
    shapes = map_outputs(lambda tensor: tuple(tensor.shape[1:]), outputs)
    if isinstance(shapes, Mapping) != (None not in targets):
        # An output alone may have a name in the losses, and its target then too.
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
    # Of two classes, one probability says as much as two: it is the loss that tells which of them
    # is meant.
    two = target.one_class and len(target.class_names) == 2 and target.spec.shape in ((), (1,))
    if (
        two
        and None not in shape
        and ((math.prod(shape) == 1 and loss in _BINARY) or (shape == (2,) and loss == _SPARSE))
    ):
        return
    _check_shape(name, target, shape)


def _plainly_trained(model: Any) -> bool:
    # Steps and the sum of losses as Keras has them, or this package.
    methods = [getattr(model, name, None) for name in ("train_step", "test_step", "compute_loss")]
    return all(
        str(getattr(one, "__module__", "")).split(".")[0] in ("keras", "multimodal_gen")
        for one in methods
    )


def _name_of(loss: Any) -> str | None:
    # The function of Keras that a loss stands for; None for any other.
    import keras

    try:
        function = keras.losses.get(loss)
    except ValueError:
        return None
    function = getattr(function, "fn", function)
    known = str(getattr(function, "__module__", "")).startswith("keras.")
    return getattr(function, "__name__", None) if known else None


def paired(target: Targets, outputs: Any) -> list[tuple[str, Any, Any]]:
    """What is said of each target in errors, the target, and what belongs to it of the outputs."""
    if isinstance(target, Mapping):
        return [(f" {name!r}", one, outputs[name]) for name, one in target.items()]
    return [("", target, outputs)]
