"""Keeps a model's weights on jax if a call of Keras fails: in a batch, a callback, or by Ctrl-C.

On jax, `fit`, `evaluate` and `predict` take the values out of a model's variables and put them back
at the end. In between, the values are in a tuple that each step consumes ("donates") and returns
anew. A call that ends early leaves variables without a value, or with a consumed one. So when Keras
begins to read a sequence, the values stay in the variables, and the functions that run a step
assign the new values after each one. A signal that arrives during a step is handled after it,
because until then the new values are not stored anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from multimodal_gen.sequence.keras_inside.errors import need, need_in_code
from multimodal_gen.sequence.keras_inside.signals import Deferred, handled_signals
from multimodal_gen.sequence.keras_inside.wrapping import Attendance

# The functions that run a step -> the variables in the state that each takes and returns, in order.
_PREDICTED = ("trainable_variables", "non_trainable_variables")
_STEPS = {
    "train_function": (*_PREDICTED, "optimizer", "metrics_variables"),
    "test_function": (*_PREDICTED, "metrics_variables"),
    "predict_function": _PREDICTED,
}
_WHAT_FOR = "to keep the weights on jax when a batch fails"
_WAY_OUT = "Choose another backend, for instance with KERAS_BACKEND=torch."


def keep_whole(model: keras.Model, attendance: Attendance) -> None:
    """Keep the values in the model's variables while a method of Keras runs on jax.

    Raises:
        RuntimeError: If this version of Keras works differently.
    """
    attendance.replace("_purge_model_variables", _leave_values)
    for name in _STEPS:
        # New in each call, because a layer may have been frozen since the last one.
        attendance.wrap(name, _Steps(model, name))


def forget_broken_call(model: keras.Model) -> None:
    """Drop values that an interrupted call of Keras on jax would still write to the variables.

    Keras would write them at the next opportunity, and undo what was loaded or trained since.
    """
    need_in_code(keras.Model.fit, "_jax_state", _WHAT_FOR, _WAY_OUT)
    model._jax_state = None


def _leave_values(**parts: bool) -> None:
    # Replaces Keras's method that takes the values out. It costs no memory: the step gets the same
    # arrays.
    pass


class _Steps:
    # Replaces a function that runs the steps of one execution.
    def __init__(self, model: keras.Model, name: str) -> None:
        self._model, self._name = model, name
        self._variables: list[list[Any]] = []
        self._signals = handled_signals()

    def __call__(self, function: Any, state: Any, iterator: Iterator[Any]) -> tuple[Any, Any]:
        sizes = [len(part) for part in state]
        if [len(part) for part in self._variables] != sizes:
            self._variables = self._find_variables()
        outputs: list[Any] = []
        # Up to Keras 3.15, an execution of several steps takes one batch per step, so this runs
        # once per step. Later versions take one batch that holds them all.
        several = True
        while several and len(outputs) < self._model.steps_per_execution:
            # Outside the block below, so that Ctrl-C still works while waiting for a batch.
            batches = _Once(next(iterator, _Once))
            if batches.batch is _Once:
                break
            with Deferred(self._signals):
                # Keras must not write these values to the variables: this step consumes them.
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
    # An iterator over one batch, which records whether a second one was requested.
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
