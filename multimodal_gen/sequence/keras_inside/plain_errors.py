"""Raises errors of this package unchanged through Keras, on tensorflow too.

On tensorflow, Keras reads batches inside a graph, which turns every error into its own, with a page
of text. While a method of Keras runs, everything that takes a batch out of the graph is wrapped:
the functions of a model that run a step, and for `predict` the iterator. If one fails because a
batch failed, the original error is raised.
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

# Errors raised inside a graph that were not yet raised again outside. A few are enough: the first
# ends the call.
_SWALLOWED: deque[Exception] = deque(maxlen=4)
_WHAT_FOR = "to raise a sequence's own errors on tensorflow"
_WAY_OUT = "Choose another backend, for instance with KERAS_BACKEND=jax."


def swallowed(error: Exception) -> None:
    """Remember an error of a sequence if a thread of tensorflow will turn it into another one."""
    if (
        keras.backend.backend() == "tensorflow"
        and threading.current_thread() is not threading.main_thread()
    ):
        _SWALLOWED.append(error)


def raise_plainly(call: KerasCall, attendance: Attendance) -> None:
    """Make a running method of Keras raise a sequence's errors unchanged.

    Args:
        call: The running method.
        attendance: The wrappers around its model.

    Raises:
        RuntimeError: If this version of Keras works differently.
    """
    for name in STEPS:
        attendance.wrap(name, _run)
    if call.method == "predict":
        # `predict` takes batches from the graph itself. Its iterator belongs to this call alone, so
        # it need not be unwrapped.
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
        # The graph puts the original text into its own message, by which it is found again.
        own = next((one for one in _SWALLOWED if one is not error and _plain(one) in text), None)
        if own is None:
            raise
        _SWALLOWED.clear()
        raise own from None


def _plain(error: Exception) -> bytes:
    # The graph drops characters that are not UTF-8, so only ASCII is compared.
    return str(error).encode("ascii", "ignore")
