"""Finds the epoch of a running `fit`, and which method of Keras reads a batch and why.

The hooks of a dataset do not say: they also run before training, in a different order on each
backend, and none of them gets the epoch. `fit` knows the epoch and is on the stack when it begins
one, so its frame is read. Each question walks the stack once and changes nothing. If Keras is on
the stack but its variables are missing, that is an error: training with the same order of rows in
every epoch would look normal.
"""

from __future__ import annotations

import inspect
import operator
import sys
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

import keras

from multimodal_gen.sequence.keras_inside.epochs import epochs_of_a_pass, pass_of
from multimodal_gen.sequence.keras_inside.errors import unknown_keras

_METHODS = ("fit", "evaluate", "predict")
_ADAPTERS = "keras.src.trainers.data_adapters."
# Hooks of a dataset; Keras calls them without the epoch (keras pull request 19958).
_HOOKS = {"on_epoch_begin", "on_epoch_end"}
_BUILDS = "_symbolic_build"
_OWN = __name__.partition(".")[0]
_TELL = (
    "Set the sequence's epoch in a callback: `fit(data, "
    "callbacks=[keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: setattr(data, "
    '"epoch", epoch))])`.'
)


@dataclass(frozen=True)
class KerasCall:
    """The method of Keras on the stack that called, directly or indirectly.

    Args:
        method: "fit", "evaluate" or "predict", the nearest one; None if there is none.
        frame: Its frame.
        inside_fit: Whether it is a `fit` or runs inside one, as validation does.
        building: Whether it reads a batch only to build the model.
        adapting: The functions of Keras's data adapters between that method and here.
        direct: Whether Keras called without other code in between.
    """

    method: str | None
    frame: FrameType | None
    inside_fit: bool
    building: bool
    adapting: frozenset[str]
    direct: bool

    @property
    def hooked(self) -> bool:
        """Whether Keras called a hook such as `on_epoch_end`, not a user's loop."""
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
        """Return whether it is a `fit` on this dataset."""
        return self.method == "fit" and self.argument("x") is data

    def argument(self, name: str) -> Any:
        """Return an argument of the method.

        Raises:
            RuntimeError: If the method has no such variable.
        """
        way_out = (
            "Read the batches in your own loop: `for batch in data: model.train_on_batch(*batch)`."
        )
        return self.local(name, "to read its arguments", way_out)

    def local(self, name: str, what_for: str, way_out: str) -> Any:
        """Return a local variable of the method.

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
        """Return the pass over the data that `fit` is in, from 0, or None in another method.

        While `fit` builds the model, before its first epoch, it is the first pass.

        Args:
            num_batches: Batches per pass.

        Raises:
            RuntimeError: If `fit` has no such variables.
        """
        if self.method != "fit":
            return None
        first = self.argument("initial_epoch")
        what_for = "to know the epoch; without it all epochs would have the same order of rows"
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
                f"has a variable `epoch` in `fit` that is a {kind} instead of a number", _TELL
            ) from None

    def last_epoch(self, num_batches: int, epoch: int) -> int:
        """Return the last pass over the data that `fit` will begin, from 0.

        It is the current one if that is not known, or a pass takes several epochs of Keras.

        Args:
            num_batches: Batches per pass.
            epoch: The current pass.
        """
        assert self.frame is not None
        known = self.frame.f_locals
        epochs, steps = known.get("epochs"), known.get("steps_per_epoch", 0)
        if epochs is None or steps == 0 or epochs_of_a_pass(steps, num_batches) > 1:
            return epoch
        return max(epoch, operator.index(epochs) - 1)

    def check_known(self) -> None:
        """Make sure that Keras was recognised if it called a hook.

        Raises:
            RuntimeError: If Keras called from an unknown place.
        """
        if self.direct and not self.adapting:
            raise unknown_keras(
                "reads data outside its data adapters, so its epoch is unknown",
                _TELL,
            )
        if self.hooked and self.method is None:
            raise unknown_keras(
                "reads data in another method than `fit`, `evaluate` and `predict`", _TELL
            )


def keras_call() -> KerasCall:
    """Walk the stack once, to the nearest `fit` or to its end."""
    codes = _codes()
    frame: FrameType | None = sys._getframe(1)
    nearest: FrameType | None = None
    inside_fit = building = False
    direct: bool | None = None
    adapting = set()
    # Not just to the nearest method: an `evaluate` may be the validation of a `fit`.
    while frame is not None and not inside_fit:
        module, name = frame.f_globals.get("__name__", ""), frame.f_code.co_name
        if name in _METHODS and _is_method(frame, module, codes):
            nearest, inside_fit = nearest or frame, name == "fit"
        # Whatever is further out does not say why this batch is read.
        elif nearest is None:
            building = building or (name == _BUILDS and module.startswith("keras."))
            if module.startswith(_ADAPTERS):
                adapting.add(name)
        # Only the first caller outside this package counts.
        if direct is None and module.partition(".")[0] != _OWN:
            direct = module.startswith("keras.")
        frame = frame.f_back
    method = None if nearest is None else nearest.f_code.co_name
    return KerasCall(method, nearest, inside_fit, building, frozenset(adapting), bool(direct))


def adapter_asks() -> bool:
    """Return whether a data adapter of Keras reads a batch, also through a user's dataset.

    A callback or a dataset's hook that reads a batch during `fit` reads it for itself. On
    tensorflow this runs for every batch. It is cheap, because an adapter is only two frames away.
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
    """Return whether Keras reads a batch only for its shape, as it does first on tensorflow.

    Raises:
        RuntimeError: If it is unknown why Keras reads.
    """
    if keras.backend.backend() != "tensorflow":
        return False
    call = keras_call()
    if (
        call.method is not None
        and call.adapting
        and not call.adapting & {"get_tf_dataset", *_HOOKS}
    ):
        # Training batches are read on a thread of tensorflow, where no method is on the stack.
        raise unknown_keras(
            "reads batches outside `get_tf_dataset`, so it is unknown whether it needs only "
            "their shapes",
            "Remove `bucket_by_length`.",
        )
    return "get_tf_dataset" in call.adapting


def _codes() -> set[CodeType]:
    # The methods may have been replaced or decorated, so they are looked up on each call.
    functions = (inspect.unwrap(getattr(keras.Model, name)) for name in _METHODS)
    return {function.__code__ for function in functions if hasattr(function, "__code__")}


def _is_method(frame: FrameType, module: str, codes: set[CodeType]) -> bool:
    if not (module.startswith("keras.") or frame.f_code in codes):
        return False
    # Keras's wrappers for scikit-learn have methods of these names too.
    return isinstance(frame.f_locals.get("self"), keras.Model)
