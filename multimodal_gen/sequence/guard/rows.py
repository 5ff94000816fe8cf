"""Which rows of a batch make a loss bad: each is trained on alone, and that is undone."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from multimodal_gen.sequence.guard.kept import Kept, Undone, are_finite
from multimodal_gen.sequence.replay import row_of, steady_batch
from multimodal_gen.sequence.sequence import MultimodalSequence


@dataclass(frozen=True)
class Trial:
    """What happened when a model was trained on one row alone.

    Args:
        position: Position of the row in the table.
        index: Its label in the table's own index.
        epoch: Epoch of the sequence, counting from 0.
        batch: Position of its batch in the epoch.
        loss: The loss of the row.
        sound: Whether the weights were finite after the step.
    """

    position: int
    index: Any
    epoch: int
    batch: int
    loss: float
    sound: bool

    def blame(self, limit: float) -> str | None:
        """Say in words what is wrong with the row, or return None.

        Args:
            limit: The loss from which on the row is to blame.
        """
        if not math.isfinite(self.loss):
            return f"its loss is {self.loss}"
        if not self.sound:
            return f"its loss is {self.loss:.4g}, and its gradient is not finite"
        return f"its loss is {self.loss:.4g}" if self.loss > limit else None


def try_rows(
    model: keras.Model, sequence: MultimodalSequence, places: Iterable[tuple[int, int]], kept: Kept
) -> list[Trial]:
    """Train on each row of some batches alone, and undo it.

    Args:
        model: A compiled model.
        sequence: What it is trained on.
        places: Pairs of an epoch and a batch of it.
        kept: The variables with which each trial begins.
    """
    # Operations on batches mix rows, and one bad row would spoil several.
    assembly = replace(sequence.assembly, batch_augment=())
    excluded = sequence.assembly.failures.excluded
    trials = []
    for epoch, index in places:
        positions, padding = sequence.plan.batch(epoch, index)
        batch, failures = steady_batch(assembly, sequence.plan, epoch, index)
        lost = excluded | set(failures.positions)
        for place, position in enumerate(positions[: len(positions) - padding]):
            if int(position) in lost:
                continue
            label = sequence.table.index[[position]].tolist()[0]
            with Undone(kept):
                kept.restore()
                logs = model.train_on_batch(*row_of(batch, place), return_dict=True)
                sound = are_finite(model.trainable_variables)
            loss = float(np.asarray(logs["loss"]))
            trials.append(Trial(int(position), label, epoch, index, loss, sound))
    return trials
