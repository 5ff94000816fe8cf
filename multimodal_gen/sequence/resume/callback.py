"""`ResumeTraining`: with this callback, a restarted script continues at the next batch."""

from __future__ import annotations

import os
from typing import Any

import keras
import numpy as np

from multimodal_gen.rows.checks import check_positive
from multimodal_gen.sequence.keras_inside.middle import (
    RunningFit,
    check_started,
    make_variables,
    model_of,
    running_fit,
    start_with,
)
from multimodal_gen.sequence.ranks.group import group_of
from multimodal_gen.sequence.resume import contents
from multimodal_gen.sequence.resume.shared_states import SharedStates
from multimodal_gen.sequence.sequence import MultimodalSequence
from multimodal_gen.sequence.state import check_state

_Saved = tuple[dict[str, Any], list[np.ndarray]]


class ResumeTraining(keras.callbacks.Callback):
    """Saves a training run as it goes, and resumes it when the same script is started again.

    A state is saved every `save_every` batches, before the last batch of an epoch if there is
    validation, and at the end of each epoch; the last two are kept. It holds the weights, the
    optimizer, the seed generators, the running metrics, the history, and the state of other
    callbacks. A resumed run ends with the same bytes as an uninterrupted one. If the run was
    complete, nothing is trained: the model gets its last weights and `fit` returns the whole
    history. With more `epochs`, training continues.

    In several processes, rank 0 keeps the states, with the failures of all; the run may go on in
    another number of processes.

    Use one directory per `fit`. Saving takes as long as writing three times the model's weights
    (with Adam) to disk.

    The state of other callbacks is kept for `EarlyStopping`, `ReduceLROnPlateau`,
    `ModelCheckpoint`, `TensorBoard`, and any callback with `get_state()`, which returns plain
    values (numbers, texts, arrays, and lists and dicts of these), and `set_state(state)`, which is
    called after `on_train_begin` of every callback. Other callbacks start fresh.

    Args:
        directory: Where the states are kept; it is created if needed.
        sequence: The sequence that `fit` trains on, with `shuffle=False` in `fit`.
        save_every: Batches between two states.

    Raises:
        ValueError: In `fit`, if the state belongs to another table, plan, seed, model or backend
            (it names what differs), this use of `fit` cannot be resumed, or the sequence was cut
            for other processes than there are.
        RuntimeError: In `fit`, if another process uses the directory, or no state in it is
            readable.
        OSError: In `fit`, before training, if the directory has no room for a state or is not
            writable.
        TypeError: In `fit`, before training, if a callback's `get_state` returns something other
            than plain values.

    Example:
        resume = mg.ResumeTraining("runs/first/state", data)
        model.fit(data, epochs=10, shuffle=False, callbacks=[resume])
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        sequence: MultimodalSequence,
        *,
        save_every: int = 100,
    ) -> None:
        super().__init__()
        if not isinstance(sequence, MultimodalSequence):
            raise TypeError(
                f"`sequence` must be a MultimodalSequence. Received: sequence={sequence!r}"
            )
        check_positive(save_every=save_every)
        self.directory, self.sequence, self.save_every = directory, sequence, save_every
        # The saved state, until callbacks have received it, and until the backend's generators
        # have.
        self._pending: _Saved | None = None
        self._unsettled: _Saved | None = None

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Look for a state, and make `fit` begin where it was saved."""
        self._fit = running_fit()
        self._fit.check(self.sequence)
        self._steps = self._fit.steps(self.sequence)
        self._order_callbacks(self._fit)
        # Batches done in this epoch of Keras, and since the sequence's epoch began; an endless
        # sequence has a single epoch.
        self._epoch, self._done, self._batch, self._interrupted = 0, 0, 0, False
        self._start = (0, 0)
        self._tried = False
        # The epoch that `fit` must begin with; None for its own choice.
        self._first: int | None = None
        self._pending = self._unsettled = None
        self._sequence_state = self.sequence.state()
        size = contents.size_of(contents.variables_of(self.model))
        self._store = SharedStates(self.directory, group_of(self.sequence.plan), size)
        try:
            self._pending = self._store.load()
            if self._pending is not None:
                self._resume(self._pending[0])
        # In a notebook the process continues after an error, and would keep the lock.
        except BaseException:
            self._store.close()
            raise

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Set the sequence's epoch; in the first epoch of a resumed run, restore the state."""
        start_with(self.model, None)
        if self._first:
            check_started(epoch, self._first)
        self._first = None
        self._epoch, self._interrupted = epoch, False
        if not self.sequence.endless:
            self._batch = 0
            self.sequence.epoch = epoch
        if self._pending is not None:
            # After the other callbacks: they had begun this epoch before the interruption.
            self._restore_model()
            self._restore_callbacks()
        if not self._tried:
            # Tried once before training, because at the first state an error would cost an hour of
            # work.
            for callback in self._others.values():
                contents.state_of_callback(callback, [])
            self._tried = True
        (self._done, batch), self._start = self._start, (0, 0)
        if self._done or batch:
            self._batch = batch
            self._fit.begin_at(self._done, batch)

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """In the first resumed batch, restore the generators that Keras has drawn from since."""
        if self._unsettled is not None:
            saved, arrays = self._unsettled
            contents.put_generators(saved["variables"], arrays)
            self._unsettled = None

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Save a state if one is due."""
        # With several steps per execution, Keras may name a last step beyond the epoch.
        before, self._done = self._done, min(batch + 1, self._steps)
        self._batch += self._done - before
        if self._done == self._steps:
            return
        due = self._done // self.save_every > before // self.save_every
        # Before a validation that may take long, so that a kill in it costs no training.
        last = self._fit.validating and self._steps - self._done <= self._fit.steps_at_once
        self._interrupted = bool(model_of(self).stop_training)
        if due or last or self._interrupted:
            self._save(self._epoch, self._done)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Save a state, unless training was stopped inside the epoch."""
        if not self._interrupted:
            self._save(epoch + 1, 0)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Release the directory."""
        start_with(self.model, None)
        self._store.close()

    def _resume(self, saved: dict[str, Any]) -> None:
        self._check(saved)
        self._start = saved["step"], saved["sequence"]["batch"]
        self.sequence.epoch = saved["sequence"]["epoch"]
        self.sequence.assembly.failures.restore(saved["failures"], self.sequence.table.index)
        self._restore_model()
        # On torch, creating an iterator over the data draws a random number. A resumed run creates
        # one more than the original, except between two epochs that each have their own.
        self._unsettled = None if saved["step"] == 0 and self._fit.renewing else self._pending
        finished = saved["stopped"] and self._fit.epochs <= saved["epochs"]
        self._first = self._fit.epochs if finished else min(saved["epoch"], self._fit.epochs)
        start_with(self.model, self._first)

    def _order_callbacks(self, fit: RunningFit) -> None:
        # This callback comes last, so that it saves what the others did in a batch or an epoch.
        # `_First` comes first, to restore them before they begin an epoch.
        others = [
            one
            for one in fit.callbacks.callbacks
            if one is not self and not isinstance(one, _First)
        ]
        self._others = contents.callback_names(others)
        fit.callbacks.callbacks = [_First(self), *others, self]

    def _check(self, saved: dict[str, Any]) -> None:
        problems = []
        try:
            check_state(saved["sequence"], self._sequence_state)
        except ValueError as error:
            problems.append(str(error).partition(" Build the sequence")[0])
        now = keras.backend.backend()
        if saved["backend"] != now:
            problems.append(f"The backend was {saved['backend']!r} and is {now!r}.")
        else:
            # On tensorflow, metrics and optimizer have no variables before the first step, so they
            # could not be compared.
            make_variables(self.model, self.sequence[0])
            described = contents.describe_variables(contents.variables_of(self.model))
            differing = "; ".join(contents.differing_variables(saved["variables"], described))
            problems += [f"The model differs: {differing}."] if differing else []
        if saved["step"] and saved["steps"] != self._steps:
            problems.append(f"An epoch had {saved['steps']} steps and has {self._steps}.")
        if problems:
            raise ValueError(
                f"The run in this directory cannot be resumed. {' '.join(problems)} To start "
                "over, delete the directory or use another one. Received: "
                f"directory={os.fspath(self.directory)!r}"
            )

    def _save(self, epoch: int, step: int) -> None:
        # For an endless sequence, the count of batches continues through all epochs of Keras.
        at = (self.sequence.epoch, self._batch) if self.sequence.endless else (epoch, step)
        variables = contents.variables_of(self.model)
        arrays = contents.take_numbers(variables)
        description = {
            "format": 1,
            "backend": keras.backend.backend(),
            "keras": keras.__version__,
            "sequence": {**self._sequence_state, "epoch": at[0], "batch": at[1]},
            "failures": self.sequence.assembly.failures.to_json(),
            "epoch": epoch,
            "step": step,
            "steps": self._steps,
            "epochs": self._fit.epochs,
            "stopped": bool(self.model.stop_training) and step == 0,
            "variables": contents.describe_variables(variables),
            "callbacks": {
                name: contents.state_of_callback(one, arrays) for name, one in self._others.items()
            },
        }
        self._store.save(description, arrays)

    def _restore_model(self) -> None:
        assert self._pending is not None
        saved, arrays = self._pending
        contents.put_numbers(self.model, saved["variables"], arrays)

    def _restore_callbacks(self) -> None:
        assert self._pending is not None
        (saved, arrays), self._pending = self._pending, None
        for name, callback in self._others.items():
            if name in saved["callbacks"]:
                contents.restore_callback(callback, saved["callbacks"][name], arrays)


class _First(keras.callbacks.Callback):
    # Runs before all other callbacks, and restores what they knew at the end of the last epoch.
    def __init__(self, resume: ResumeTraining) -> None:
        super().__init__()
        self.resume = resume

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        pending = self.resume._pending
        if pending is not None and pending[0]["step"] == 0:
            self.resume._restore_model()
            # They still hold the sums of the validation.
            self.resume.model.reset_metrics()
            self.resume._restore_callbacks()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        if self.resume._pending is not None:
            self.resume._restore_callbacks()
