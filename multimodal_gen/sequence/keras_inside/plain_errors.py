"""Errors of this package come out of Keras as themselves, on tensorflow too.

There Keras reads batches inside of a graph, which makes of every error one of its own, with a page of text. So what
takes a batch out of the graph is wrapped when Keras begins to read a sequence: the functions of a model that run a
step, and for `predict` the iterator. If one fails because a batch could not be made, the error that said so is raised.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras

_STEPS = ("train_function", "test_function", "predict_function")
# Errors that went into a graph, and have not come out again.
_SWALLOWED: deque[Exception] = deque(maxlen=4)


def swallowed(error: Exception) -> None:
    """Take note of an error that a sequence raises; in a thread of tensorflow's it will be turned into another one."""
    if keras.backend.backend() == "tensorflow" and threading.current_thread() is not threading.main_thread():
        _SWALLOWED.append(error)


def raise_plainly(method: str | None, names: Mapping[str, Any]) -> None:
    """Have a running method of Keras raise the errors of sequences as they are.

    Args:
        method: "fit", "evaluate" or "predict"; None if none is running.
        names: Its local names.
    """
    if method is None or keras.backend.backend() != "tensorflow":
        return
    trainer, batches = names.get("self"), names.get("epoch_iterator", object())
    for name in _STEPS:
        step = getattr(trainer, name, None)
        if step is not None and not isinstance(step, _Step):
            setattr(trainer, name, _Step(step))
    get_iterator = getattr(batches, "_get_iterator", None)
    if method == "predict" and get_iterator is not None:
        batches._get_iterator = lambda: _Batches(get_iterator())


class _Step:
    def __init__(self, function: Any) -> None:
        self._function = function

    def __call__(self, *args: Any, **more: Any) -> Any:
        with _plainly():
            return self._function(*args, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._function, name)


class _Batches:
    def __init__(self, batches: Any) -> None:
        self._batches = iter(batches)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        with _plainly():
            return next(self._batches)


@contextmanager
def _plainly() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        text = _plain(error)
        own = next((one for one in _SWALLOWED if one is not error and _plain(one) in text), None)
        if own is None:
            raise
        _SWALLOWED.clear()
        raise own from None


def _plain(error: Exception) -> bytes:
    # The graph does not keep what is not UTF-8.
    return str(error).encode("ascii", "ignore")
