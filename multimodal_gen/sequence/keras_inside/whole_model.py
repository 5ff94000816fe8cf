"""A model keeps its weights whatever ends a call of Keras: an error in a batch, in a callback, or Ctrl-C.

On jax, `fit`, `evaluate` and `predict` take the values out of a model's variables and put them back at the end; on the
way they are in a tuple that each step consumes ("donates") and returns anew. What ends the call in between leaves
variables without a value, or with one that is consumed. So when Keras begins to read a sequence, the values are left
where they are, and the functions that run a step give the variables the new ones after each. A signal that arrives
while a step runs is handled right after it, as until then nobody has the new values.
"""

from __future__ import annotations

import itertools
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from types import FrameType, TracebackType
from typing import Any

import keras

# The functions that run a step, and which variables are in the state that each takes and returns, in order.
_PREDICTED = ("trainable_variables", "non_trainable_variables")
_STEPS = {
    "train_function": (*_PREDICTED, "optimizer", "metrics_variables"),
    "test_function": (*_PREDICTED, "metrics_variables"),
    "predict_function": _PREDICTED,
}


def keep_whole(method: str | None, names: Mapping[str, Any]) -> None:
    """Have the model of a running method of Keras hold its values at any time, on jax.

    Args:
        method: "fit", "evaluate" or "predict"; None if none is running.
        names: Its local names.
    """
    if method is None or keras.backend.backend() != "jax":
        return
    model = names["self"]
    forget_broken_call(method, names)
    model._purge_model_variables = _leave_values
    for name in _STEPS:
        function = getattr(model, name, None)
        if isinstance(function, _Step):
            function = function.function
        if function is not None:
            # Anew in each call, as a layer may have been frozen since.
            setattr(model, name, _Step(model, name, function))


def forget_broken_call(method: str | None, names: Mapping[str, Any]) -> None:
    """Before the first step of a method: drop what one that was broken off has left to be put into the variables.

    Keras would do so at the next opportunity, and undo what was loaded or trained since.
    """
    if method is not None and keras.backend.backend() == "jax" and "end_step" not in names:
        names["self"]._jax_state = None


def _leave_values(**parts: bool) -> None:
    # In place of taking them out. It costs no memory: they are the arrays that the step is given.
    pass


class _Step:
    def __init__(self, model: keras.Model, name: str, function: Any) -> None:
        self._model, self._name, self.function = model, name, function
        self._variables: list[list[Any]] = []
        self._signals = _handled_signals()

    def __call__(self, state: Any, iterator: Iterator[Any]) -> tuple[Any, Any]:
        sizes = [len(part) for part in state]
        if [len(part) for part in self._variables] != sizes:
            self._variables = self._find_variables()
        # Waiting for a batch can be interrupted.
        batches = list(itertools.islice(iterator, self._model.steps_per_execution))
        if not batches:
            raise StopIteration
        outputs = []
        for batch in batches:
            with _Deferred(self._signals):
                # What Keras would put into the variables is consumed by this step.
                self._model._jax_state = None
                output, state = self.function(state, iter([batch]))
                for variables, values in zip(self._variables, state, strict=True):
                    for variable, value in zip(variables, values, strict=True):
                        variable._value = value
            outputs.append(output)
        if self._name == "predict_function" and len(outputs) > 1:
            return keras.tree.map_structure(lambda *parts: keras.ops.concatenate(parts), *outputs), state
        return outputs[-1], state

    def _find_variables(self) -> list[list[Any]]:
        parts = [getattr(self._model, name) for name in _STEPS[self._name]]
        return [list(part.variables if isinstance(part, keras.optimizers.Optimizer) else part) for part in parts]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.function, name)


def _handled_signals() -> list[int]:
    # Those that have a handler in Python now.
    return [int(number) for number in signal.valid_signals() if callable(signal.getsignal(number))]


class _Deferred:
    """Signals that arrive in the block are handled when it has ended.

    Args:
        numbers: Of which signals.
    """

    def __init__(self, numbers: list[int]) -> None:
        self._numbers = numbers
        self._handlers: list[tuple[int, Any]] = []
        self._arrived: list[int] = []

    def __enter__(self) -> None:
        # In other threads no signal is handled.
        main = threading.current_thread() is threading.main_thread()
        for number in self._numbers if main else ():
            handler = signal.getsignal(number)
            if callable(handler):
                self._handlers.append((number, handler))
                signal.signal(number, self._note)

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        handlers = dict(self._handlers)
        self._give_back()
        for number in dict.fromkeys(self._arrived):
            handlers[number](number, sys._getframe(1))

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._arrived.append(number)

    def _give_back(self) -> None:
        # One that has its handler back may already arrive and raise.
        try:
            while self._handlers:
                signal.signal(*self._handlers[-1])
                self._handlers.pop()
        finally:
            if self._handlers:
                self._give_back()
