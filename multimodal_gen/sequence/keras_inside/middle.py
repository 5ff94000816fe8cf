"""Makes a running `fit` start in the middle of an epoch.

`fit` can skip whole epochs only. It takes the steps of an epoch from its `epoch_iterator`, which
takes batches from the data. For one epoch, the iterator skips the first steps, and the data begins
with the batch after them. Keras then counts, shows and trains steps as if it had done the others.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras

from multimodal_gen.sequence.keras_inside.calls import keras_call
from multimodal_gen.sequence.keras_inside.errors import need, unknown_keras

_WHAT_FOR = "to resume a training"
_WAY_OUT = "Use `sequence.state()` and `sequence.set_state(state)` in your own loop."
_WHY = _WHAT_FOR, _WAY_OUT


@dataclass(frozen=True)
class RunningFit:
    """The arguments and parts of a running `fit`.

    Args:
        epochs: Number of the last epoch, counting from 1.
        callbacks: The `CallbackList`.
        iterator: The object that yields the steps of an epoch.
        validating: Whether there is validation data.
    """

    epochs: int
    callbacks: Any
    iterator: Any
    validating: bool

    @property
    def steps_at_once(self) -> int:
        """Steps per execution."""
        return int(self.iterator.steps_per_execution)

    @property
    def renewing(self) -> bool:
        """Whether every epoch creates a new iterator over the data."""
        return self.iterator.steps_per_epoch is None

    def steps(self, sequence: Any) -> int:
        """Return the steps per epoch, at most the number of batches."""
        steps, batches = int(self.iterator.num_batches), sequence.num_batches
        return steps if batches is None else min(steps, batches)

    def check(self, sequence: Any) -> None:
        """Refuse a `fit` that cannot be resumed inside an epoch.

        Raises:
            ValueError: It says what to change.
        """
        adapter = self.iterator.data_adapter
        if getattr(adapter, "py_dataset", None) is not sequence:
            raise ValueError(
                "`ResumeTraining` must get the same sequence as `fit`. Received: sequence of "
                f"type {type(sequence).__name__}, different from the one in `fit`"
            )
        if adapter.shuffle:
            raise ValueError(
                "`shuffle` of `fit` must be False: Keras's order of batches cannot be restored "
                "after an interruption, and the sequence shuffles rows itself. Received: "
                "shuffle=True"
            )
        steps, batches = int(self.iterator.num_batches), adapter.py_dataset.num_batches
        if batches is not None and steps < batches:
            raise ValueError(
                f"`steps_per_epoch` must be at least the {batches} batches of the sequence, "
                "unless it is endless: `MultimodalSequence(..., endless=True)`. Received: "
                f"steps_per_epoch={steps}"
            )

    def begin_at(self, step: int, batch: int) -> None:
        """Make the coming epoch start at a step, with the batch at a position of the sequence.

        Raises:
            ValueError: If `fit` does not begin an execution at the step.
        """
        at_once = self.steps_at_once
        if step % at_once:
            raise ValueError(
                f"`steps_per_execution` must divide {step}, the step at which the model was "
                "saved. Compile the model with another value. Received: "
                f"steps_per_execution={at_once}"
            )
        self.iterator._enumerate_iterator = functools.partial(
            _enumerate_rest,
            self.iterator,
            self.iterator._enumerate_iterator,
            step // at_once,
            batch,
        )


def running_fit() -> RunningFit:
    """Return the `fit` that called, from one of its callbacks.

    Raises:
        RuntimeError: If there is none, or this version of Keras works differently.
    """
    call = keras_call()
    if call.method != "fit":
        raise RuntimeError(
            "`ResumeTraining` works only in `keras.Model.fit`; in your own loop, use "
            "`sequence.state()` and `sequence.set_state(state)`. Received: "
            f"{'no' if call.method is None else f'`{call.method}` and no'} `fit`"
        )
    iterator, callbacks = (
        call.local(name, _WHAT_FOR, _WAY_OUT) for name in ("epoch_iterator", "callbacks")
    )
    # Checked here, so that a missing part is found before training, not in the first state.
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
    """Make a coming `fit` start with an epoch; None for its own `initial_epoch`.

    Raises:
        RuntimeError: If this version of Keras works differently.
    """
    need(model, "_initial_epoch", *_WHY)
    model._initial_epoch = epoch


def check_started(epoch: int, wanted: int) -> None:
    """Make sure that `fit` began with the epoch given to `start_with`.

    Raises:
        RuntimeError: If it began with another one.
    """
    if epoch != wanted:
        raise unknown_keras(
            f"began with epoch {epoch} instead of {wanted}, and would train epochs twice", _WAY_OUT
        )


def make_variables(model: keras.Model, batch: Any) -> None:
    """Create the variables of metrics and optimizer now, instead of in the first step.

    Raises:
        RuntimeError: If this version of Keras works differently.
    """
    need(model, "_symbolic_build", *_WHY)
    model._symbolic_build(data_batch=batch)


def model_of(callback: keras.callbacks.Callback) -> keras.Model:
    """Return a callback's model; on jax, `callback.model` is slow at every access in an epoch."""
    need(callback, "_model", *_WHY)
    return callback._model


def _enumerate_rest(
    iterator: Any, enumerate_all: Callable[[], Iterator[Any]], skipped: int, batch: int
) -> Iterator[Any]:
    # Replaces the iterator's method for one epoch, so the first thing it does is remove itself.
    del iterator._enumerate_iterator
    adapter = iterator.data_adapter
    whole = adapter.py_dataset
    adapter.py_dataset = _Rest(whole, batch)
    try:
        # Skipping an item only advances the count: the batch is taken when the step runs.
        yield from itertools.islice(enumerate_all(), skipped, None)
    finally:
        # An endless sequence has one iterator for all epochs, which must stay shifted.
        if whole.num_batches is not None:
            adapter.py_dataset = whole


class _Rest:
    # What Keras reads instead of the sequence: the same, without its first batches.
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
