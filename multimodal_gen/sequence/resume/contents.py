"""The state of a training run besides its data: variables of the model, and states of callbacks.

Variables are those that Keras's trainers pass from step to step: weights, seed generators, the
optimizer's slots and counters, and the running sums of the metrics. For callbacks, plain values are
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

from multimodal_gen.sequence.keras_inside.board import count_on, counts_of
from multimodal_gen.sequence.keras_inside.seeds import global_seed

# Keras numbers layer names per process: "dense_3" in one run may be "dense" in the next.
_NUMBER = re.compile(r"_\d+(?=[/_]|$)")
# Attributes that every callback has.
_BARE = set(vars(keras.callbacks.Callback()))
# Keras's callbacks that learn something have no `get_state`.
_LEARNING = (
    keras.callbacks.History,
    keras.callbacks.EarlyStopping,
    keras.callbacks.ReduceLROnPlateau,
    keras.callbacks.ModelCheckpoint,
)


def variables_of(model: keras.Model) -> dict[str, list[Any]]:
    """Return all variables that training changes: "model", "optimizer", "metrics" and "seed"."""
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
    """Return name, shape and dtype of each variable as JSON values, equal in each run."""
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
    """Yield in words how a model or optimizer differs from the saved one."""
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
            others = f", and {more} more" if more else ""
            yield f"{name} had {words[0]} and has {words[1]} instead{others}"


def take_numbers(parts: Mapping[str, Iterable[Any]]) -> list[np.ndarray]:
    """Return copies of the values of all variables, then the states of the backend's generators."""
    values = [np.array(keras.ops.convert_to_numpy(one)) for own in parts.values() for one in own]
    return values + generator_states()


def size_of(parts: Mapping[str, Iterable[Any]]) -> int:
    """Return the approximate size of all variables in bytes."""
    variables = [one for own in parts.values() for one in own]
    return sum(math.prod(one.shape) * (2 if "16" in str(one.dtype) else 4) for one in variables)


def put_numbers(
    model: keras.Model, described: Mapping[str, list[Any]], arrays: list[np.ndarray]
) -> None:
    """Assign values from `take_numbers` to a model's variables and the backend's generators.

    Args:
        model: A model with the same variables.
        described: What `describe_variables` returned for them.
        arrays: The values; later entries are ignored.
    """
    # The generator exists only once something has drawn from it, as the saved run had.
    if described["seed"]:
        global_seed(make=True)
    rest = iter(arrays)
    for part, own in variables_of(model).items():
        for variable, value in zip(own[: len(described[part])], rest, strict=False):
            variable.assign(value)
    put_generators(described, arrays)


def put_generators(described: Mapping[str, list[Any]], arrays: list[np.ndarray]) -> None:
    """Assign values from `take_numbers` to the backend's generators only."""
    stop = sum(map(len, described.values()))
    set_generators(arrays[stop - len(described["generators"]) : stop])


def generator_states() -> list[np.ndarray]:
    """Return the states of the backend's generators."""
    return [state.numpy() for state in _torch_generators()]


def set_generators(states: list[np.ndarray]) -> None:
    """Set the backend's generators to states from `generator_states`."""
    if states:
        import torch

        first, *others = (torch.from_numpy(state) for state in states)
        torch.set_rng_state(first)
        # Another machine may have a different number of devices.
        for device, state in enumerate(others[: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(state, device)


def _torch_generators() -> list[Any]:
    # On torch, a Dropout without a seed draws from torch's own generator, which is not a variable.
    if keras.backend.backend() != "torch":
        return []
    import torch

    return [
        torch.get_rng_state(),
        *(torch.cuda.get_rng_state_all() if torch.cuda.is_available() else ()),
    ]


def callback_names(callbacks: Iterable[Any]) -> dict[str, Any]:
    """Return callbacks by class and number, as in "EarlyStopping 0"."""
    counts: Counter[str] = Counter()
    named = {}
    for callback in callbacks:
        name = type(callback).__name__
        named[f"{name} {counts[name]}"] = callback
        counts[name] += 1
    return named


def state_of_callback(callback: Any, arrays: list[np.ndarray]) -> Any:
    """Return the state of a callback as JSON values; arrays are appended to a list.

    That is the result of its `get_state()`. For Keras's callbacks that learn something, it is all
    attributes with plain values except those named like constructor arguments, which the script
    sets; for its `TensorBoard`, how many batches it has counted. For other callbacks it is empty.

    Raises:
        TypeError: If `get_state()` returns something other than plain values.
    """
    if _has_state(callback):
        try:
            return pack(callback.get_state(), arrays)
        except TypeError as error:
            raise TypeError(
                f"{type(callback).__name__}.get_state() must return plain values. {error}"
            ) from error
    if isinstance(callback, keras.callbacks.TensorBoard):
        # It numbers its points by batches only then.
        return {} if callback.update_freq == "epoch" else counts_of(callback)
    packed: dict[str, Any] = {}
    for name, value in vars(callback).items() if isinstance(callback, _LEARNING) else ():
        if name in _BARE or name in _arguments(type(callback)):
            continue
        before = len(arrays)
        try:
            packed[name] = pack(value, arrays)
        except TypeError:
            # Arrays packed before the error belong to no state.
            del arrays[before:]
    return packed


def restore_callback(callback: Any, packed: Any, arrays: list[np.ndarray]) -> None:
    """Restore the state from `state_of_callback`, through `set_state` if the callback has it."""
    if _has_state(callback):
        callback.set_state(unpack(packed, arrays))
    elif isinstance(callback, keras.callbacks.TensorBoard):
        count_on(callback, packed)
    else:
        callback.__dict__.update({name: unpack(value, arrays) for name, value in packed.items()})


def pack(value: Any, arrays: list[np.ndarray]) -> Any:
    """Return JSON values for a plain value.

    Raises:
        TypeError: If it is not a plain value.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.ndarray | np.generic) and not value.dtype.hasobject:
        arrays.append(np.array(value))
        # A NumPy scalar must come back as one: `float32` and `float` add up differently.
        return {"scalar" if isinstance(value, np.generic) else "array": len(arrays) - 1}
    if type(value) in (list, tuple):
        return {type(value).__name__: [pack(item, arrays) for item in value]}
    if type(value) is dict:
        # As pairs, because JSON would turn keys that are numbers into texts.
        return {"dict": [[pack(key, arrays), pack(item, arrays)] for key, item in value.items()]}
    raise TypeError(
        "Only numbers, texts, arrays, and lists and dicts of these can be kept. Received: "
        f"{value!r}"
    )


def unpack(value: Any, arrays: list[np.ndarray]) -> Any:
    """Return the value that was given to `pack`."""
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
