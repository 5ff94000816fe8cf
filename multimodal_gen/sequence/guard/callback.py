"""`LossGuard`: with this callback, a loss that is not a number names the rows that caused it."""

from __future__ import annotations

import math
import os
import statistics
import warnings
from collections import deque
from typing import Any

import keras
import pandas as pd

from multimodal_gen.errors import LoadError, by_number, counted, level_of_caller
from multimodal_gen.rows.checks import check_choice
from multimodal_gen.sequence.guard.kept import Kept
from multimodal_gen.sequence.guard.rows import Trial, try_rows
from multimodal_gen.sequence.keras_inside.epochs import epochs_of_a_pass, pass_of
from multimodal_gen.sequence.keras_inside.middle import make_variables
from multimodal_gen.sequence.sequence import MultimodalSequence

_COLUMNS = ["index", "epoch", "batch", "loss", "why"]
# The batches whose losses say what is usual, and how many of them are needed to judge.
_RECENT, _FEWEST = 50, 10


def _warn(message: str) -> None:
    # At the line of the user, whose `fit` calls callbacks from within Keras.
    warnings.warn(message, stacklevel=level_of_caller(os.path.dirname(keras.__file__)))


class LossGuard(keras.callbacks.Callback):
    """Names the rows behind a loss that is not a number, and stops or leaves them out.

    The weights from before the bad batch are restored, then each of its rows is trained on alone,
    and that is undone: a row is to blame if its own loss, or the weights after it, are not finite.
    `rows` lists them; `show_rows` draws what the model was given, and `sequence.replay` returns it.

    It holds two copies of the weights, optimizer and metrics on the device, and reads the loss of
    each batch, so the device cannot run ahead of it.

    Args:
        sequence: The sequence that `fit` trains on, with `shuffle=False` in `fit`.
        then: What happens after the rows are named. "stop" ends the training with the weights from
            before the batch. "leave_out" continues from there without the rows: from then on they
            are in `sequence.failures` and are treated as rows that cannot be loaded, so the
            sequence needs `on_error="skip"` or "blank". If no row is to blame, or more than half of
            the batch are, training stops too.
        jump: Also treat a batch as bad whose loss is more than this many times the median of the
            last 50 batches, and those of its rows whose own loss is; must be greater than 1. By
            default only losses that are not finite are bad. The first ten batches of a training
            say what is usual, and are not judged.

    Attributes:
        rows: One row for each bad row found, with the columns "index" (the label in the table's own
            index), "epoch", "batch", "loss" and "why". `leave_out(table, guard.rows)` drops them.

    Raises:
        TypeError: If `sequence` is not a MultimodalSequence.
        ValueError: If an argument is out of range, the sequence cannot leave rows out, or it is for
            one of several ranks. In `fit`, if a row is left out and too many are lost
            (`max_error_rate`).

    Example:
        guard = mg.LossGuard(data)
        model.fit(data, epochs=10, shuffle=False, callbacks=[guard])
        mg.leave_out(table, guard.rows)
    """

    def __init__(
        self, sequence: MultimodalSequence, *, then: str = "stop", jump: float | None = None
    ) -> None:
        super().__init__()
        if not isinstance(sequence, MultimodalSequence):
            raise TypeError(
                f"`sequence` must be a MultimodalSequence. Received: sequence={sequence!r}"
            )
        check_choice("then", then, ("stop", "leave_out"))
        if then == "leave_out" and sequence.assembly.on_error == "raise":
            raise ValueError(
                'To leave rows out, the sequence must have `on_error="skip"` or "blank". '
                "Received: on_error='raise', then='leave_out'"
            )
        if jump is not None and not jump > 1:
            raise ValueError(f"`jump` must be greater than 1. Received: jump={jump!r}")
        if sequence.plan.world_size > 1:
            raise ValueError(
                "`LossGuard` works for a single process only: others would train on with other "
                f"weights. Received: a sequence for rank {sequence.plan.rank} of "
                f"{sequence.plan.world_size}"
            )
        self.sequence, self.then, self.jump = sequence, then, jump
        self.rows = pd.DataFrame(columns=_COLUMNS)
        self._kept = Kept()

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Forget what an earlier `fit` has left."""
        self._losses: deque[float] = deque(maxlen=_RECENT)
        self._begun: int | None = None
        # Batches that an endless sequence has given in all epochs of Keras.
        self._given = 0
        # Where the batches of the last step came from: pairs of an epoch and a batch of it.
        self._before: list[tuple[int, int]] = []
        # On tensorflow, the optimizer would have no slots to keep before the first step.
        make_variables(self.model, self.sequence[0])
        self._kept.clear()
        self._warned = False

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Note which epoch begins."""
        self._begun = epoch if self._begun is None else self._begun
        self._epoch = epoch
        # Rows in the mean that Keras shows, and the sum of their losses; None if it is not known,
        # as where another process has trained on them.
        self._counted = 0
        self._sum: float | None = None

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Before the first batch, keep the weights."""
        self._first = batch
        if batch == 0:
            self._sum = 0.0
        if not len(self._kept):
            self._kept.keep(self.model)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Look at the loss: keep the weights if it is good, and find the rows if it is bad."""
        # With several steps per execution, Keras may name a last step beyond the epoch.
        steps = min(batch + 1, self.params.get("steps") or batch + 1) - self._first
        places = [self._place(self._first + one) for one in range(steps)]
        self._given += steps
        plan, mean = self.sequence.plan, float((logs or {})["loss"])
        rows = sum(min(plan.batch_size, plan.num_rows - i * plan.batch_size) for _, i in places)
        total = mean * (self._counted + rows)
        loss = mean if self._sum is None else (total - self._sum) / rows
        if not math.isfinite(loss) or self._jumps(loss):
            self._act(loss, places)
            return
        # Where the sum is not known, the mean stands for the loss of the batch.
        self._counted, self._sum = self._counted + rows, None if self._sum is None else total
        self._losses.append(loss)
        self._kept.keep(self.model)
        self._before = places

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Say what a validation loss that is not finite comes from, if that of training is."""
        loss, checked = ((logs or {}).get(name, 0.0) for name in ("loss", "val_loss"))
        if self._warned or not math.isfinite(loss) or math.isfinite(checked):
            return
        self._warned = True
        _warn(
            f"The validation loss is {checked:.4g} after epoch {epoch}, though that of training is "
            "finite: a validation row is to blame, perhaps one like those that training left out. "
            "No guard leaves validation rows out: find those whose `model.predict` is not finite, "
            "and drop them."
        )

    def get_state(self) -> dict[str, Any]:
        """Return the state for `ResumeTraining`."""
        return {"losses": list(self._losses), "given": self._given}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore the state from `get_state`."""
        self._losses.extend(state["losses"])
        self._given = state["given"]

    def _place(self, batch: int) -> tuple[int, int]:
        # The sequence's epoch and batch of a step of Keras.
        batches, steps = self.sequence.plan.num_batches, self.params.get("steps")
        if self.sequence.endless:
            passes, index = divmod(self._given + batch - self._first, batches)
            return self.sequence.epoch + passes, index
        assert self._begun is not None
        epochs = epochs_of_a_pass(steps, batches)
        epoch = pass_of(self._epoch, self._begun, steps, batches)
        return epoch, (self._epoch - self._begun) % epochs * (steps or 0) + batch

    def _jumps(self, loss: float) -> bool:
        if self.jump is None or len(self._losses) < _FEWEST:
            return False
        return loss > self.jump * statistics.median(self._losses)

    def _act(self, loss: float, places: list[tuple[int, int]]) -> None:
        if not math.isfinite(loss) and self._before and self._kept.drop_spoiled():
            # The batch before has spoiled the weights, which its own loss did not show.
            places = self._before
            # Its loss is no longer in the mean that Keras shows.
            self._sum = None
        trials = try_rows(self.model, self.sequence, places, self._kept)
        limit = math.inf
        if self.jump is not None and math.isfinite(loss):
            limit = self.jump * statistics.median(self._losses)
        blamed = [(one, why) for one in trials if (why := one.blame(limit)) is not None]
        if len(blamed) > max(1, len(trials) // 2):
            # Weights that have grown too large make every loss bad.
            blamed = []
        self._kept.restore()
        self._list(blamed)
        leaving = self.then == "leave_out" and bool(blamed)
        _warn(self._words(loss, places, blamed, leaving))
        if not leaving:
            self.model.stop_training = True
            return
        for one, why in blamed:
            # Without a column: each cell can be loaded.
            error = LoadError(f"in training, {why}.", index=one.index)
            self.sequence.assembly.failures.add(one.position, error, one.epoch)

    def _are_blank(self, places: list[tuple[int, int]]) -> bool:
        # Whether batches have rows of zeros, which weight 0 does not silence: 0 times NaN is NaN.
        lost = set(self.sequence.assembly.failures.positions)
        return self.sequence.assembly.on_error == "blank" and any(
            lost & set(self.sequence.plan.batch(*one)[0].tolist()) for one in places
        )

    def _list(self, blamed: list[tuple[Trial, str]]) -> None:
        found = pd.DataFrame(
            [(one.index, one.epoch, one.batch, one.loss, why) for one, why in blamed],
            columns=_COLUMNS,
        )
        self.rows = found if self.rows.empty else pd.concat([self.rows, found], ignore_index=True)

    def _words(
        self,
        loss: float,
        places: list[tuple[int, int]],
        blamed: list[tuple[Trial, str]],
        leaving: bool,
    ) -> str:
        epoch, batch = places[0]
        size = "" if len(places) == 1 else f" to {places[-1][1]}"
        where = f"{by_number(len(places), 'batch', 'batches')} {batch}{size} of epoch {epoch}"
        bad = f"The loss {'jumps to' if math.isfinite(loss) else 'is'} {loss:.4g} after {where}"
        if not blamed and self._are_blank(places):
            return (
                f"{bad}, and no row that can be trained on is to blame. The zeros that stand for "
                'others, of which a logarithm has no value, may be: `on_error="skip"` leaves them '
                "out. Training stops with the weights from before."
            )
        if not blamed:
            return (
                f"{bad}, and no single row is to blame: the learning rate may be too large (the "
                "optimizer's `clipnorm` limits a step), or the model unstable. Training stops with "
                "the weights from before."
            )
        first, why = blamed[0]
        more = f", and {counted(len(blamed) - 1, 'more row')}" if len(blamed) > 1 else ""
        what = (
            "It is left out from now on"
            if leaving and not more
            else "They are left out from now on"
            if leaving
            else "Training stops with the weights from before"
        )
        labels = [one.index for one, _ in blamed[:4]]
        return (
            f"{bad}: index {first.index!r}: {why}{more}. {what}. `guard.rows` lists what was "
            f"found, and `show_rows(data, {labels!r}, epoch={epoch})` draws what the model was "
            "given."
        )
