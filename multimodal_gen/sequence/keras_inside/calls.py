"""Which method of Keras is running, and what it reads batches for.

The hooks of a dataset do not tell: they come before training too, in another order on each backend,
and none of them knows the epoch. `fit` does know it, and is below us on the stack when it begins an
epoch, so it is asked there. The stack is walked once per question, and nothing is changed. What is
not found where Keras runs is an error: an order of rows that stays the same in all epochs would
look like training.
"""

from __future__ import annotations

import inspect
import operator
import sys
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

import keras

from multimodal_gen.sequence.keras_inside.epochs import pass_of
from multimodal_gen.sequence.keras_inside.errors import unknown_keras

_METHODS = ("fit", "evaluate", "predict")
_ADAPTERS = "keras.src.trainers.data_adapters."
_HOOKS = {"on_epoch_begin", "on_epoch_end"}
_BUILDS = "_symbolic_build"
_OWN = __name__.partition(".")[0]
_TELL = (
    "Tell the sequence its epoch in a callback: `fit(data, "
    "callbacks=[keras.callbacks.LambdaCallback("
    'on_epoch_begin=lambda epoch, logs: setattr(data, "epoch", epoch))])`.'
)


@dataclass(frozen=True)
class KerasCall:
    """What the stack says of the method of Keras that called, directly or not.

    Args:
        method: "fit", "evaluate" or "predict", the nearest; None if none did.
        frame: Its frame.
        inside_fit: Whether it is a `fit`, or runs inside one, as the validation does.
        building: Whether it reads a batch only to build the model by.
        adapting: The functions of Keras's data adapters between that method and here.
        direct: Whether Keras called without anybody else in between.
    """

    method: str | None
    frame: FrameType | None
    inside_fit: bool
    building: bool
    adapting: frozenset[str]
    direct: bool

    @property
    def hooked(self) -> bool:
        """Whether Keras called a hook such as `on_epoch_end`, and not a loop of one's own."""
        return bool(self.adapting & _HOOKS)

    @property
    def single_pass(self) -> bool:
        """Whether it is a `predict` or `evaluate` other than the validation of a `fit`."""
        return self.method is not None and not self.inside_fit

    @property
    def model(self) -> keras.Model | None:
        """The model whose method it is."""
        return None if self.frame is None else self.frame.f_locals["self"]

    def trains_on(self, data: Any) -> bool:
        """Whether it is a `fit` that was given this dataset."""
        return self.method == "fit" and self.argument("x") is data

    def argument(self, name: str) -> Any:
        """An argument of the method, by the name that users know.

        Raises:
            RuntimeError: If the method has no such variable.
        """
        way_out = (
            "Read the batches in a loop of your own: `for batch in data: "
            "model.train_on_batch(*batch)`."
        )
        return self.local(name, "to know what it was given", way_out)

    def local(self, name: str, what_for: str, way_out: str) -> Any:
        """A variable of the method.

        Raises:
            RuntimeError: If there is none.
        """
        assert self.frame is not None
        if name not in self.frame.f_locals:
            raise unknown_keras(
                f"has no variable `{name}` in `{self.method}`, which is needed {what_for}", way_out
            )
        return self.frame.f_locals[name]

    def epoch(self, num_batches: int) -> int | None:
        """The pass over the data that the epoch of `fit` is in, counting from 0, or None in another
        method.

        While `fit` builds the model, before its first epoch, it is the one that will come first.

        Args:
            num_batches: Batches of one pass.

        Raises:
            RuntimeError: If `fit` does not tell.
        """
        if self.method != "fit":
            return None
        first = self.argument("initial_epoch")
        what_for = "to know the epoch; without it all epochs would have the rows in one order"
        epoch = first if self.building else self.local("epoch", what_for, _TELL)
        try:
            return pass_of(
                operator.index(epoch),
                operator.index(first),
                self.argument("steps_per_epoch"),
                num_batches,
            )
        except TypeError:
            kind = type(epoch).__name__
            raise unknown_keras(
                f"has a variable `epoch` in `fit` that is not a number but a {kind}", _TELL
            ) from None

    def check_known(self) -> None:
        """Make sure that whoever called a hook has been recognised, if it was Keras.

        Raises:
            RuntimeError: If Keras called, but from none of its known places.
        """
        if self.direct and not self.adapting:
            raise unknown_keras(
                "reads data from another place than its data adapters, so nothing is known of it",
                _TELL,
            )
        if self.hooked and self.method is None:
            raise unknown_keras(
                "reads data in another method than `fit`, `evaluate` and `predict`", _TELL
            )


def keras_call() -> KerasCall:
    """Walk down the stack once, to the nearest `fit`, or to its end."""
    codes = _codes()
    frame: FrameType | None = sys._getframe(1)
    nearest: FrameType | None = None
    inside_fit = building = False
    direct: bool | None = None
    adapting = set()
    while frame is not None and not inside_fit:
        module, name = frame.f_globals.get("__name__", ""), frame.f_code.co_name
        if name in _METHODS and _is_method(frame, module, codes):
            nearest, inside_fit = nearest or frame, name == "fit"
        elif nearest is None:
            building = building or (name == _BUILDS and module.startswith("keras."))
            if module.startswith(_ADAPTERS):
                adapting.add(name)
        if direct is None and module.partition(".")[0] != _OWN:
            direct = module.startswith("keras.")
        frame = frame.f_back
    method = None if nearest is None else nearest.f_code.co_name
    return KerasCall(method, nearest, inside_fit, building, frozenset(adapting), bool(direct))


def adapter_asks() -> bool:
    """Whether one of Keras's data adapters reads a batch, be it through a generator or a dataset of
    one's own.

    What a callback reads while `fit` runs it reads for itself, and so does a dataset's hook: no
    adapter has asked. This is asked for every batch on tensorflow. An adapter is the next frame but
    one, so the walk ends there.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module, name = frame.f_globals.get("__name__", ""), frame.f_code.co_name
        if module.startswith(_ADAPTERS):
            return name not in _HOOKS
        if module.startswith("keras.") and name in _METHODS:
            return False
        frame = frame.f_back
    return False


def learning_shapes() -> bool:
    """Whether Keras reads a batch for its shape only: on tensorflow the first two, and where they
    differ, all may.

    Raises:
        RuntimeError: If it is not known what it reads for.
    """
    if keras.backend.backend() != "tensorflow":
        return False
    call = keras_call()
    if (
        call.method is not None
        and call.adapting
        and not call.adapting & {"get_tf_dataset", *_HOOKS}
    ):
        # Batches to train on are read on a thread of tensorflow's, where no method is on the stack.
        raise unknown_keras(
            "reads batches in another function than `get_tf_dataset`, and whether for their "
            "shapes is not known",
            "Leave out `bucket_by_length`.",
        )
    return "get_tf_dataset" in call.adapting


def _codes() -> set[CodeType]:
    # Of the methods as they are now, wherever they were defined.
    functions = (inspect.unwrap(getattr(keras.Model, name)) for name in _METHODS)
    return {function.__code__ for function in functions if hasattr(function, "__code__")}


def _is_method(frame: FrameType, module: str, codes: set[CodeType]) -> bool:
    if not (module.startswith("keras.") or frame.f_code in codes):
        return False
    # Wrappers of models for scikit-learn have methods of these names too.
    return isinstance(frame.f_locals.get("self"), keras.Model)
