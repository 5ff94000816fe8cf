"""Keeps an object until a running method of Keras ends, and calls a function then.

Keras runs no hook when a method ends by an error. But its frame always ends, and with it everything
in the frame's variables.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

from multimodal_gen.sequence.keras_inside.calls import KerasCall
from multimodal_gen.sequence.keras_inside.errors import unknown_keras

_T = TypeVar("_T")
# Seconds. Usually the function ends at once.
_LONGEST = 1.0


class _AtEnd:
    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function

    def __del__(self, ends: Callable[[], bool] = sys.is_finalizing) -> None:
        # An error that nobody catches keeps the frame until Python ends. Then there is nothing left
        # to do, and a thread that is started never runs.
        if ends():
            return
        # An error that refers to itself keeps the frame until Python looks for cycles. That may be
        # in any thread, in the middle of anything that holds a lock which the function needs.
        one = threading.Thread(target=self._function, daemon=True)
        one.start()
        one.join(_LONGEST)


def at_end(call: KerasCall, name: str, make: Callable[[], Callable[[], Any]]) -> None:
    """Call a function when a running method of Keras has ended.

    Args:
        call: The running method.
        name: Of several with the same name, only the first is made and called.
        make: Makes the function.
    """
    assert call.frame is not None
    kept_until_end(call.frame, name, lambda: _AtEnd(make()))


def kept_until_end(frame: FrameType, name: str, make: Callable[[], _T]) -> tuple[_T, bool]:
    """Return the object that a running method of Keras keeps, and whether it is new.

    Args:
        frame: The method's frame.
        name: What tells the object from others.
        make: Makes it.

    Raises:
        RuntimeError: If frames of this Python keep nothing.
    """
    # Not a valid identifier, so it cannot clash with a variable of the frame.
    place = f"({name} by multimodal_gen)"
    found: _T | None = frame.f_locals.get(place)
    if found is not None:
        return found, False
    made = make()
    # Up to Python 3.12 this is a dict that the frame keeps; since 3.13 it is a proxy that also
    # keeps names that the code does not have (PEP 667).
    frame.f_locals[place] = made
    if frame.f_locals.get(place) is not made:
        raise unknown_keras("runs on a Python whose frames keep nothing", "Use CPython.")
    return made, True
