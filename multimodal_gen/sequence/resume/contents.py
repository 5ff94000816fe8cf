"""What a training run consists of besides its data: the model's and the optimizer's numbers, and
what callbacks know.

Variables are those that the trainers of Keras pass from step to step: weights, seed generators, the
optimizer's slots and counters, and the running sums of the metrics. Of callbacks, plain values are
kept.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from multimodal_gen.sequence.keras_inside.seeds import global_seed

# Keras numbers the names of layers through a whole process: "dense_3" here may be "dense" there.
_NUMBER = re.compile(r"_\d+(?=[/_]|$)")
# What every callback has.
_BARE = set(vars(keras.callbacks.Callback()))
_LEARNING = (
    keras.callbacks.History,
    keras.callbacks.EarlyStopping,
    keras.callbacks.ReduceLROnPlateau,
    keras.callbacks.ModelCheckpoint,
)


def variables_of(model: keras.Model) -> dict[str, list[Any]]:
    """All variables that training changes, by part: "model", "optimizer", "metrics" and "seed"."""
    metrics = {id(variable) for variable in model.metrics_variables}
    parts = {
        "model": [
            one
            for one in (*model.trainable_variables, *model.non_trainable_variables)
            if id(one) not in metrics
        ],
        "optimizer": list(model.optimizer.variables),
        "metrics": list(model.metrics_variables),
        "seed": [],
    }
    seed = global_seed()
    if seed is not None:
        parts["seed"].append(seed)
    return parts


def describe_variables(parts: Mapping[str, Iterable[Any]]) -> dict[str, list[Any]]:
    """Name, shape and dtype of each variable, as JSON values; the same for the same script."""
    described = {
        part: [
            [_NUMBER.sub("", one.path), list(one.shape), keras.backend.standardize_dtype(one.dtype)]
            for one in own
        ]
        for part, own in parts.items()
    }
    return {
        **described,
        "generators": [["torch", list(one.shape), "uint8"] for one in _torch_generators()],
    }


def differing_variables(
    before: Mapping[str, list[Any]], now: Mapping[str, list[Any]]
) -> Iterator[str]:
    """What is another model or optimizer, in words."""
    for part, name in (
        ("model", "the model"),
        ("optimizer", "the optimizer"),
        ("metrics", "the metrics"),
    ):
        if len(before[part]) != len(now[part]):
            yield f"{name} had {len(before[part])} variables and has {len(now[part])}"
            continue
        changed = [
            (old, new) for old, new in zip(before[part], now[part], strict=True) if old != new
        ]
        if changed:
            (old, new), more = changed[0], len(changed) - 1
            words = [f"{path!r} {tuple(shape)} {dtype}" for path, shape, dtype in (old, new)]
            yield f"{name} had {words[0]} where it has {words[1]}{f', and {more} more' if more else ''}"


def take_numbers(parts: Mapping[str, Iterable[Any]]) -> list[np.ndarray]:
    """The values of all variables, in order, as arrays of their own, and those of the backend's own
    generators.
    """
    values = [np.array(keras.ops.convert_to_numpy(one)) for own in parts.values() for one in own]
    return values + [state.numpy() for state in _torch_generators()]


def size_of(parts: Mapping[str, Iterable[Any]]) -> int:
    """About how many bytes the values of all variables are."""
    variables = [one for own in parts.values() for one in own]
    return sum(math.prod(one.shape) * (2 if "16" in str(one.dtype) else 4) for one in variables)


def put_numbers(
    model: keras.Model, described: Mapping[str, list[Any]], arrays: list[np.ndarray]
) -> None:
    """Give all variables of a model, and the backend's own generators, the values that
    `take_numbers` gave.

    Args:
        model: A model with the same variables.
        described: What `describe_variables` said of them then.
        arrays: The values, and whatever follows.
    """
    if described["seed"]:
        global_seed(make=True)
    rest = iter(arrays)
    for part, own in variables_of(model).items():
        for variable, value in zip(own[: len(described[part])], rest, strict=False):
            variable.assign(value)
    put_generators(described, arrays)


def put_generators(described: Mapping[str, list[Any]], arrays: list[np.ndarray]) -> None:
    """Give the backend's own generators alone the values that `take_numbers` gave."""
    if described["generators"]:
        import torch

        stop = sum(map(len, described.values()))
        first, *others = (
            torch.from_numpy(state) for state in arrays[stop - len(described["generators"]) : stop]
        )
        torch.set_rng_state(first)
        # On another machine there may be another number of them.
        for device, state in enumerate(others[: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(state, device)


def _torch_generators() -> list[Any]:
    # On torch, a Dropout that was given no seed draws from the generator of torch, which is no
    # variable.
    if keras.backend.backend() != "torch":
        return []
    import torch

    return [
        torch.get_rng_state(),
        *(torch.cuda.get_rng_state_all() if torch.cuda.is_available() else ()),
    ]


def callback_names(callbacks: Iterable[Any]) -> dict[str, Any]:
    """Callbacks by class and number, as in "EarlyStopping 0"."""
    counts: Counter[str] = Counter()
    named = {}
    for callback in callbacks:
        name = type(callback).__name__
        named[f"{name} {counts[name]}"] = callback
        counts[name] += 1
    return named


def state_of_callback(callback: Any, arrays: list[np.ndarray]) -> Any:
    """What a callback knows, as JSON values; arrays are added to a list.

    That is what its `get_state()` gives; of those of Keras that learn something, all attributes
    with plain values, but for those that are named like arguments of the constructor, which are the
    script's to say; of others, nothing.

    Raises:
        TypeError: If `get_state()` gives something else than plain values.
    """
    if _has_state(callback):
        try:
            return pack(callback.get_state(), arrays)
        except TypeError as error:
            raise TypeError(
                f"{type(callback).__name__}.get_state() gives what cannot be kept. {error}"
            ) from error
    packed: dict[str, Any] = {}
    for name, value in vars(callback).items() if isinstance(callback, _LEARNING) else ():
        if name in _BARE or name in _arguments(type(callback)):
            continue
        before = len(arrays)
        try:
            packed[name] = pack(value, arrays)
        except TypeError:
            del arrays[before:]
    return packed


def restore_callback(callback: Any, packed: Any, arrays: list[np.ndarray]) -> None:
    """Give a callback what `state_of_callback` kept, through its `set_state` where it has one."""
    if _has_state(callback):
        callback.set_state(unpack(packed, arrays))
    else:
        callback.__dict__.update({name: unpack(value, arrays) for name, value in packed.items()})


def pack(value: Any, arrays: list[np.ndarray]) -> Any:
    """JSON values for a plain value.

    Raises:
        TypeError: If it is none.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.ndarray | np.generic) and not value.dtype.hasobject:
        arrays.append(np.array(value))
        return {"scalar" if isinstance(value, np.generic) else "array": len(arrays) - 1}
    if type(value) in (list, tuple):
        return {type(value).__name__: [pack(item, arrays) for item in value]}
    if type(value) is dict:
        return {"dict": [[pack(key, arrays), pack(item, arrays)] for key, item in value.items()]}
    raise TypeError(
        "Only numbers, texts, arrays, and lists and dicts of these can be kept. Received: "
        f"{value!r}"
    )


def unpack(value: Any, arrays: list[np.ndarray]) -> Any:
    """The value that `pack` was given."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "dict":
        return {unpack(key, arrays): unpack(item, arrays) for key, item in content}
    if kind in ("list", "tuple"):
        items = [unpack(item, arrays) for item in content]
        return items if kind == "list" else tuple(items)
    return arrays[content] if kind == "array" else arrays[content][()]


def _has_state(callback: Any) -> bool:
    return callable(getattr(callback, "get_state", None)) and callable(
        getattr(callback, "set_state", None)
    )


def _arguments(kind: type) -> set[str]:
    names: set[str] = set()
    for base in kind.__mro__:
        init = vars(base).get("__init__")
        code = getattr(init, "__code__", None)
        if code is not None:
            names.update(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
    return names
