"""The `fit` of Keras that is running: what it was given, and how it is made to start in the middle
of an epoch.

`fit` can leave out epochs, and nothing less. But it takes the steps of an epoch from an object, its
`epoch_iterator`, and that takes batches from the data it was given. For one epoch, the first steps
are left out there, and the data is one that begins with the batch after them. Keras then counts,
shows and trains steps as if it had done the others.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from multimodal_gen.sequence.keras_inside.calls import keras_call
from multimodal_gen.sequence.keras_inside.errors import need, unknown_keras

_WHAT_FOR = "to resume a training"
_WAY_OUT = "Take `sequence.state()` and `sequence.set_state(state)` in a loop of your own."
_WHY = _WHAT_FOR, _WAY_OUT


@dataclass(frozen=True)
class RunningFit:
    """What `fit` was given.

    Args:
        epochs: Number of the last epoch, counting from 1.
        callbacks: The `CallbackList`.
        iterator: What yields the steps of an epoch.
        validating: Whether there is validation data.
    """

    epochs: int
    callbacks: Any
    iterator: Any
    validating: bool

    @property
    def steps_at_once(self) -> int:
        """Steps of one execution."""
        return int(self.iterator.steps_per_execution)

    @property
    def renewing(self) -> bool:
        """Whether every epoch begins with a new iterator over the data."""
        return self.iterator.steps_per_epoch is None

    def steps(self, sequence: Any) -> int:
        """Steps of an epoch; one that is given more of them than there are batches ends with the
        batches.
        """
        steps, batches = int(self.iterator.num_batches), sequence.num_batches
        return steps if batches is None else min(steps, batches)

    def check(self, sequence: Any) -> None:
        """Refuse what cannot be gone on with inside of an epoch.

        Raises:
            ValueError: It says what to give instead.
        """
        adapter = self.iterator.data_adapter
        if getattr(adapter, "py_dataset", None) is not sequence:
            raise ValueError(
                "`ResumeTraining` must be given the sequence that `fit` trains on. Received: "
                f"sequence of type {type(sequence).__name__}, another than `fit` has"
            )
        if adapter.shuffle:
            raise ValueError(
                "Give `fit` `shuffle=False`: the sequence shuffles rows itself, and how Keras "
                "permutes its batches is not known again after an interruption. Received: "
                "shuffle=True"
            )
        steps, batches = int(self.iterator.num_batches), adapter.py_dataset.num_batches
        if batches is not None and steps < batches:
            raise ValueError(
                f"Where `steps_per_epoch` is less than the {batches} batches of the sequence, an "
                "endless one is needed: `MultimodalSequence(..., endless=True)`. Received: "
                f"steps_per_epoch={steps}"
            )

    def begin_at(self, step: int, batch: int) -> None:
        """Have the epoch that is about to begin start at a step, with the batch at a position of
        the sequence.

        Raises:
            ValueError: If the step is not one at which `fit` begins an execution.
        """
        at_once = self.steps_at_once
        if step % at_once:
            raise ValueError(
                "The model was saved between two steps of what is one execution now; compile it "
                f"with a `steps_per_execution` that {step} is a multiple of. Received: "
                f"steps_per_execution={at_once}"
            )
        iterator, adapter = self.iterator, self.iterator.data_adapter
        whole, enumerate_all = adapter.py_dataset, iterator._enumerate_iterator

        def enumerate_rest() -> Iterator[Any]:
            del iterator._enumerate_iterator
            adapter.py_dataset = _Rest(whole, batch)
            try:
                # What is left out here only counts: batches are taken by whoever is given a step.
                yield from itertools.islice(enumerate_all(), step // at_once, None)
            finally:
                # One iterator serves all epochs of an endless sequence.
                if whole.num_batches is not None:
                    adapter.py_dataset = whole

        iterator._enumerate_iterator = enumerate_rest


def running_fit() -> RunningFit:
    """The `fit` that called, from one of its callbacks.

    Raises:
        RuntimeError: If none did, or it is of a Keras that works in another way.
    """
    call = keras_call()
    if call.method != "fit":
        raise RuntimeError(
            "`ResumeTraining` works in `keras.Model.fit` only; in a loop of your own, take "
            "`sequence.state()` and `sequence.set_state(state)`. Received: "
            f"{'no' if call.method is None else f'`{call.method}` and no'} `fit`"
        )
    iterator, callbacks = (
        call.local(name, _WHAT_FOR, _WAY_OUT) for name in ("epoch_iterator", "callbacks")
    )
    # Looked at here, so that a Keras that lacks them is known before anything is trained.
    need(
        iterator,
        "_enumerate_iterator steps_per_execution steps_per_epoch num_batches data_adapter",
        *_WHY,
    )
    need(callbacks, "callbacks", *_WHY)
    need(call.model, "_initial_epoch _symbolic_build", *_WHY)
    return RunningFit(
        call.argument("epochs"), callbacks, iterator, call.argument("validation_data") is not None
    )


def start_with(model: keras.Model, epoch: int | None) -> None:
    """Have a `fit` that is about to begin start with an epoch; None for the one that it was given.

    Raises:
        RuntimeError: If Keras works in another way.
    """
    need(model, "_initial_epoch", *_WHY)
    model._initial_epoch = epoch


def check_started(epoch: int, wanted: int) -> None:
    """Make sure that `fit` has begun with the epoch that `start_with` was given.

    Raises:
        RuntimeError: If it has begun with another one.
    """
    if epoch != wanted:
        raise unknown_keras(
            f"began with epoch {epoch} in place of {wanted}, and would train epochs twice", _WAY_OUT
        )


def make_variables(model: keras.Model, batch: Any) -> None:
    """Have the metrics and the optimizer of a model make the variables that they otherwise make in
    the first step.

    Raises:
        RuntimeError: If Keras works in another way.
    """
    need(model, "_symbolic_build", *_WHY)
    model._symbolic_build(data_batch=batch)


def model_of(callback: keras.callbacks.Callback) -> keras.Model:
    """The model of a callback as it is; `callback.model` costs time on jax at every access within
    an epoch.
    """
    need(callback, "_model", *_WHY)
    return callback._model


class _Rest:
    # A sequence without its first batches, for Keras.
    def __init__(self, whole: Any, first: int) -> None:
        self.whole, self.first = whole, first

    @property
    def num_batches(self) -> int | None:
        batches = self.whole.num_batches
        return None if batches is None else batches - self.first

    def __getitem__(self, index: int) -> Any:
        return self.whole[index + self.first]

    def on_epoch_begin(self) -> None:
        self.whole.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self.whole.on_epoch_end()
