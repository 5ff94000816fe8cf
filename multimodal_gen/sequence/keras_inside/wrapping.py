"""Wraps parts of a user's model while a method of Keras runs, and unwraps them when it ends.

The method keeps an `Attendance` (`ending.py`), which removes its wrappers when it is deleted.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any

import keras

from multimodal_gen.sequence.keras_inside.ending import kept_until_end
from multimodal_gen.sequence.keras_inside.errors import need

STEPS = ("train_function", "test_function", "predict_function")
_ATTENDED: weakref.WeakKeyDictionary[keras.Model, weakref.WeakSet[Attendance]] = (
    weakref.WeakKeyDictionary()
)


class Wrapped:
    """A wrapped function of a model. Copies and pickles hold only the original function.

    Args:
        function: The function.
        run: Called instead of it, with the function and its arguments.
        attendance: The owner of the wrapper, which ends if a call raises an error.
    """

    def __init__(self, function: Any, run: Callable[..., Any], attendance: Attendance) -> None:
        # A weak reference: the attendance must end with the method, not live as long as the model.
        self.function, self._run, self._attendance = function, run, weakref.ref(attendance)

    def __call__(self, *args: Any, **more: Any) -> Any:
        """Call `run`, and end the attendance on an error."""
        try:
            return self._run(self.function, *args, **more)
        except StopIteration:
            # The normal end of an epoch.
            raise
        except BaseException:
            attendance = self._attendance()
            if attendance is not None:
                attendance.end()
            raise

    def __getattr__(self, name: str) -> Any:
        # `copy` looks up methods on a new object before it has a `function`, which would recurse
        # forever.
        if name.startswith("__") or "function" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.function, name)

    def __reduce__(self) -> tuple[Any, ...]:
        return _itself, (self.function,)


class Attendance:
    """The wrappers around a model while a method of Keras runs.

    Args:
        model: The model.
        ended: Called with the model when the method has ended.
    """

    def __init__(self, model: keras.Model, ended: Callable[[keras.Model], None] | None) -> None:
        self._model, self._ended = weakref.ref(model), ended
        self._open = True
        _ATTENDED.setdefault(model, weakref.WeakSet()).add(self)

    def wrap(self, name: str, run: Callable[..., Any]) -> None:
        """Wrap a function of the model that runs a step, if it exists already."""
        model = self._model()
        need(
            model,
            name,
            "to keep the model valid and its errors readable",
            "Train in your own loop.",
        )
        function = getattr(model, name)
        # Wrapped already by an outer method, such as the `fit` around a validation.
        if isinstance(function, Wrapped):
            function = function.function
        if function is not None:
            setattr(model, name, Wrapped(function, run, self))

    def replace(self, name: str, function: Callable[..., Any]) -> None:
        """Replace a method of the model."""
        model = self._model()
        need(model, name, "to keep the model valid", "Train in your own loop.")
        setattr(model, name, Wrapped(function, _run, self))

    def end(self) -> None:
        """Remove all wrappers, unless another method of the same model still runs."""
        model = self._model()
        if not self._open or model is None:
            return
        self._open = False
        others = _ATTENDED.get(model, ())
        if not any(other._open for other in others):
            for name, value in list(vars(model).items()):
                if not isinstance(value, Wrapped):
                    continue
                if name in STEPS:
                    setattr(model, name, value.function)
                else:
                    delattr(model, name)
        if self._ended is not None:
            self._ended(model)

    def __del__(self) -> None:
        self.end()


def attend(
    frame: FrameType, model: keras.Model, ended: Callable[[keras.Model], None] | None
) -> tuple[Attendance, bool]:
    """Return the attendance of a running method of Keras, and whether it is new.

    Args:
        frame: The method's frame.
        model: Its model.
        ended: Called with the model when the method has ended.
    """
    return kept_until_end(frame, "attended", lambda: Attendance(model, ended))


def _run(function: Callable[..., Any], *args: Any, **more: Any) -> Any:
    return function(*args, **more)


def _itself(function: Any) -> Any:
    return function
