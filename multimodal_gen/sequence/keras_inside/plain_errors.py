"""Errors of this package come out of Keras as themselves, on tensorflow too.

There Keras reads batches inside of a graph, which makes of every error one of its own, with a page
of text. So what takes a batch out of the graph is wrapped while a method of Keras runs: the
functions of a model that run a step, and for `predict` the iterator. If one fails because a batch
could not be made, the error that said so is raised.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from multimodal_gen.sequence.keras_inside.calls import KerasCall
from multimodal_gen.sequence.keras_inside.errors import need
from multimodal_gen.sequence.keras_inside.wrapping import STEPS, Attendance

# Errors that went into a graph, and have not come out again.
_SWALLOWED: deque[Exception] = deque(maxlen=4)
_WHAT_FOR = "to raise the errors of a sequence as they are on tensorflow"
_WAY_OUT = "Choose another backend, as by KERAS_BACKEND=jax."


def swallowed(error: Exception) -> None:
    """Take note of an error that a sequence raises; in a thread of tensorflow's it will be turned
    into another one.
    """
    if (
        keras.backend.backend() == "tensorflow"
        and threading.current_thread() is not threading.main_thread()
    ):
        _SWALLOWED.append(error)


def raise_plainly(call: KerasCall, attendance: Attendance) -> None:
    """Have a running method of Keras raise the errors of sequences as they are.

    Args:
        call: The method that runs.
        attendance: What is around its model.

    Raises:
        RuntimeError: If Keras works in another way.
    """
    for name in STEPS:
        attendance.wrap(name, _run)
    if call.method == "predict":
        # It takes batches from the graph itself. The object that gives them is of this call alone.
        batches = call.local("epoch_iterator", _WHAT_FOR, _WAY_OUT)
        need(batches, "_get_iterator", _WHAT_FOR, _WAY_OUT)
        get_iterator = batches._get_iterator
        batches._get_iterator = lambda: _Batches(get_iterator())


def _run(function: Any, *args: Any, **more: Any) -> Any:
    with _plainly():
        return function(*args, **more)


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
