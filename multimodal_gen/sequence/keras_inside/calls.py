"""Which epoch Keras is in, and what it reads batches for.

Counting the hooks of a dataset does not tell: they fire before training too, and differently on each backend,
and none of them knows `initial_epoch`. `fit` itself does know, and it is below us on the stack when it begins an
epoch, so it is asked there. Nothing is patched; where no `fit` is running, nothing is known.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any

_METHODS = ("fit", "evaluate", "predict")
_ADAPTERS = "keras.src.trainers.data_adapters."
_HOOKS = {"on_epoch_begin", "on_epoch_end"}


def running_epoch(num_batches: int) -> int | None:
    """The epoch of the `keras.Model.fit` that called, counting from 0, or None outside of one.

    Before its first epoch, while `fit` builds the model, it is the epoch that will come first. With `steps_per_epoch`
    Keras takes several of its epochs for one pass over the data; then it is the pass, counting from `initial_epoch`.

    Args:
        num_batches: Batches of one pass.
    """
    names = _caller("fit")
    first = names.get("initial_epoch", 0)
    epoch = names.get("epoch", first if names else None)
    if epoch is None:
        return None
    steps = names.get("steps_per_epoch")
    # A pass whose batches are used up ends the epoch of Keras early, so a pass begins with an epoch.
    return int(epoch) if steps is None else int(first + (epoch - first) // -(-num_batches // min(steps, num_batches)))


def predicting() -> bool:
    """Whether a `keras.Model.predict` is what called."""
    return bool(_caller("predict"))


def running_method() -> tuple[str | None, Mapping[str, Any]]:
    """The nearest `fit`, `evaluate` or `predict` of Keras that called, and its local names; None if none did."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("keras.") and frame.f_code.co_name in _METHODS:
            return frame.f_code.co_name, frame.f_locals
        frame = frame.f_back
    return None, {}


def single_pass() -> bool:
    """Whether a `keras.Model.predict` or `evaluate` called, other than the validation of a `fit`."""
    frame: FrameType | None = sys._getframe(1)
    names = set()
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("keras."):
            names.add(frame.f_code.co_name)
        frame = frame.f_back
    return bool(names & {"predict", "evaluate"}) and "fit" not in names


def learning_shapes() -> bool:
    """Whether Keras reads a batch for its shape only: on tensorflow the first two, and where they differ, all may."""
    return bool(_caller("get_tf_dataset"))


def adapter_asks() -> bool:
    """Whether one of Keras's data adapters reads a batch, be it through a generator or a dataset of one's own.

    What a callback reads while `fit` runs it reads for itself, and so does a dataset's hook: no adapter has asked.
    """
    return bool(_adapter_functions() - _HOOKS)


def hook_called() -> bool:
    """Whether a hook such as `on_epoch_end` was called by Keras, and not by a loop of one's own."""
    return bool(_adapter_functions() & _HOOKS)


def training_on(dataset: Any) -> bool:
    """Whether the `fit` of Keras that called, as from a callback, trains on this dataset."""
    return _caller("fit").get("x") is dataset


def unbounded_call() -> str | None:
    """The method of Keras that called without saying after how many steps to end, or None."""
    for method, argument in (("evaluate", "steps"), ("predict", "steps"), ("fit", "steps_per_epoch")):
        names = _caller(method)
        if names:
            return f"`{method}` needs `{argument}`" if names.get(argument) is None else None
    return None


def running_call(method: str) -> Mapping[str, Any]:
    """The local names of the method of Keras that called, directly or not; empty if none did."""
    return _caller(method)


def _adapter_functions() -> set[str]:
    # The names of what runs in Keras's data adapters below us.
    frame: FrameType | None = sys._getframe(1)
    names = set()
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith(_ADAPTERS):
            names.add(frame.f_code.co_name)
        frame = frame.f_back
    return names


def _caller(method: str) -> Mapping[str, Any]:
    # The local names of the nearest method of Keras that is so called; empty if there is none. What an `evaluate`
    # inside of a `fit` reads is not in an epoch.
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("keras."):
            if frame.f_code.co_name == method:
                return frame.f_locals
            if frame.f_code.co_name in ("evaluate", "predict"):
                break
        frame = frame.f_back
    return {}
