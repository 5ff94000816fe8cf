"""A model keeps its weights whatever ends a call of Keras: an error in a batch, in a callback, or
Ctrl-C.

On jax, `fit`, `evaluate` and `predict` take the values out of a model's variables and put them back
at the end; on the way they are in a tuple that each step consumes ("donates") and returns anew.
What ends the call in between leaves variables without a value, or with one that is consumed. So
when Keras begins to read a sequence, the values are left where they are, and the functions that run
a step give the variables the new ones after each. A signal that arrives while a step runs is
handled right after it, as until then nobody has the new values.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from multimodal_gen.sequence.keras_inside.errors import need, need_in_code
from multimodal_gen.sequence.keras_inside.signals import Deferred, handled_signals
from multimodal_gen.sequence.keras_inside.wrapping import Attendance

# The functions that run a step, and which variables are in the state that each takes and returns,
# in order.
_PREDICTED = ("trainable_variables", "non_trainable_variables")
_STEPS = {
    "train_function": (*_PREDICTED, "optimizer", "metrics_variables"),
    "test_function": (*_PREDICTED, "metrics_variables"),
    "predict_function": _PREDICTED,
}
_WHAT_FOR = "on jax to keep the weights when a batch fails"
_WAY_OUT = "Choose another backend, as by KERAS_BACKEND=torch."


def keep_whole(model: keras.Model, attendance: Attendance) -> None:
    """Have the model of a running method of Keras hold its values at any time, on jax.

    Raises:
        RuntimeError: If Keras works in another way.
    """
    attendance.replace("_purge_model_variables", _leave_values)
    for name in _STEPS:
        # Anew in each call, as a layer may have been frozen since.
        attendance.wrap(name, _Steps(model, name))


def forget_broken_call(model: keras.Model) -> None:
    """Drop what a call of Keras that was broken off has left to be put into the variables, on jax.

    Keras would do so at the next opportunity, and undo what was loaded or trained since.
    """
    need_in_code(keras.Model.fit, "_jax_state", _WHAT_FOR, _WAY_OUT)
    model._jax_state = None


def _leave_values(**parts: bool) -> None:
    # In place of taking them out. It costs no memory: they are the arrays that the step is given.
    pass


class _Steps:
    # What is called in place of a function that runs the steps of one execution.
    def __init__(self, model: keras.Model, name: str) -> None:
        self._model, self._name = model, name
        self._variables: list[list[Any]] = []
        self._signals = handled_signals()

    def __call__(self, function: Any, state: Any, iterator: Iterator[Any]) -> tuple[Any, Any]:
        sizes = [len(part) for part in state]
        if [len(part) for part in self._variables] != sizes:
            self._variables = self._find_variables()
        outputs: list[Any] = []
        # Up to Keras 3.15 an execution of several steps takes a batch for each, and here is called
        # for one at a time; later it takes one that holds them all.
        several = True
        while several and len(outputs) < self._model.steps_per_execution:
            # Waiting for a batch can be interrupted.
            batches = _Once(next(iterator, _Once))
            if batches.batch is _Once:
                break
            with Deferred(self._signals):
                # What Keras would put into the variables is consumed by this step.
                self._model._jax_state = None
                output, state = function(state, batches)
                for variables, values in zip(self._variables, state, strict=True):
                    for variable, value in zip(variables, values, strict=True):
                        variable._value = value
            outputs.append(output)
            several = batches.asked_again
        if not outputs:
            raise StopIteration
        if self._name == "predict_function" and len(outputs) > 1:
            return keras.tree.map_structure(
                lambda *parts: keras.ops.concatenate(parts), *outputs
            ), state
        return outputs[-1], state

    def _find_variables(self) -> list[list[Any]]:
        parts = [getattr(self._model, name) for name in _STEPS[self._name]]
        found = [
            list(part.variables if isinstance(part, keras.optimizers.Optimizer) else part)
            for part in parts
        ]
        for variable in (one for part in found for one in part):
            need(variable, "_value", _WHAT_FOR, _WAY_OUT)
        return found


class _Once:
    # An iterator over one batch, which knows whether it was asked for more.
    def __init__(self, batch: Any) -> None:
        self.batch, self.asked_again, self._given = batch, False, False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._given:
            self.asked_again = True
            raise StopIteration
        self._given = True
        return self.batch
