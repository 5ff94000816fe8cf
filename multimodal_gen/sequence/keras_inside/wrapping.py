"""What is put around parts of a user's model while a method of Keras runs, and taken off when it
has ended.

Keras has no place from which to run something when a method ends by an error. But its frame ends,
however it does, and what is kept among the frame's variables ends with it: an `Attendance`, which
takes off what it has put on.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any

import keras

from multimodal_gen.sequence.keras_inside.errors import need, unknown_keras

STEPS = ("train_function", "test_function", "predict_function")
# No variable has a name like this.
_PLACE = "(attended by multimodal_gen)"
_ATTENDED: weakref.WeakKeyDictionary[keras.Model, weakref.WeakSet[Attendance]] = (
    weakref.WeakKeyDictionary()
)


class Wrapped:
    """A function of a model with something around each of its calls. Copied or pickled, it is the
    function alone.

    Args:
        function: The function.
        run: What is called in its place, with the function and its arguments.
        attendance: What has put it there, and takes it off when an error comes out of it.
    """

    def __init__(self, function: Any, run: Callable[..., Any], attendance: Attendance) -> None:
        # The attendance is to end with the method, and not to live as long as the model.
        self.function, self._run, self._attendance = function, run, weakref.ref(attendance)

    def __call__(self, *args: Any, **more: Any) -> Any:
        """What `run` makes of the call."""
        try:
            return self._run(self.function, *args, **more)
        except StopIteration:
            # The batches have come to their end, and so has the epoch.
            raise
        except BaseException:
            attendance = self._attendance()
            if attendance is not None:
                attendance.end()
            raise

    def __getattr__(self, name: str) -> Any:
        # A copy asks for methods of its own before it has a function.
        if name.startswith("__") or "function" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.function, name)

    def __reduce__(self) -> tuple[Any, ...]:
        return _itself, (self.function,)


class Attendance:
    """What is around a model, as long as a method of Keras runs.

    Args:
        model: The model.
        ended: What is called with the model when the method has ended.
    """

    def __init__(self, model: keras.Model, ended: Callable[[keras.Model], None] | None) -> None:
        self._model, self._ended = weakref.ref(model), ended
        self._open = True
        _ATTENDED.setdefault(model, weakref.WeakSet()).add(self)

    def wrap(self, name: str, run: Callable[..., Any]) -> None:
        """Put something around a function of the model that runs a step, if there is one by now."""
        model = self._model()
        need(
            model,
            name,
            "to keep the model and its errors as they are",
            "Train in a loop of your own.",
        )
        function = getattr(model, name)
        if isinstance(function, Wrapped):
            function = function.function
        if function is not None:
            setattr(model, name, Wrapped(function, run, self))

    def replace(self, name: str, function: Callable[..., Any]) -> None:
        """Put a function in the place of a method of the model."""
        model = self._model()
        need(model, name, "to keep the model whole", "Train in a loop of your own.")
        setattr(model, name, Wrapped(function, _run, self))

    def end(self) -> None:
        """Take everything off, unless another method of the same model still runs."""
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
    """The attendance of a running method of Keras, and whether it has begun with this call.

    Args:
        frame: The method's frame.
        model: Its model.
        ended: What is called with the model when the method has ended.
    """
    found: Attendance | None = frame.f_locals.get(_PLACE)
    if found is not None:
        return found, False
    attendance = Attendance(model, ended)
    frame.f_locals[_PLACE] = attendance
    if frame.f_locals.get(_PLACE) is not attendance:
        raise unknown_keras("runs on a Python whose frames keep nothing", "Take CPython.")
    return attendance, True


def _run(function: Callable[..., Any], *args: Any, **more: Any) -> Any:
    return function(*args, **more)


def _itself(function: Any) -> Any:
    return function
