"""A callback that sets a sequence's epoch to that of `fit`, and the pass over the data that an
epoch of Keras belongs to.

Keras tells callbacks the epoch before it reads a batch. Without this callback, `calls.py` finds the
epoch of a running `fit`.
"""

from __future__ import annotations

import math
from typing import Any

import keras


def pass_of(epoch: int, first: int, steps: int | None, num_batches: int) -> int:
    """Return the pass over the data that an epoch of `fit` is in, counting from 0.

    If an epoch has fewer steps than a pass has batches, one pass takes several epochs of Keras.

    Args:
        epoch: The epoch, counting from 0.
        first: The epoch that `fit` began with.
        steps: Steps per epoch; None for all batches.
        num_batches: Batches per pass.
    """
    return first + (epoch - first) // epochs_of_a_pass(steps, num_batches)


def epochs_of_a_pass(steps: int | None, num_batches: int) -> int:
    """Return how many epochs of `fit` one pass over the data takes."""
    # Keras ends an epoch early when the batches run out, so every pass begins with an epoch.
    return 1 if steps is None else math.ceil(num_batches / min(steps, num_batches))


class FollowFit(keras.callbacks.Callback):
    """Callback that sets a sequence's epoch to that of `fit`, so the stack need not be searched.

    Args:
        sequence: The sequence that `fit` trains on, with an `epoch` and `num_batches`.
    """

    def __init__(self, sequence: Any) -> None:
        super().__init__()
        self.sequence = sequence
        self._begun: int | None = None

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Forget the epoch that an earlier `fit` began with."""
        self._begun = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Set the epoch; an endless sequence counts its own."""
        # Keras does not tell callbacks `initial_epoch`; the first epoch they see is it.
        self._begun = epoch if self._begun is None else self._begun
        if self.sequence.num_batches is not None:
            self.sequence.epoch = pass_of(
                epoch, self._begun, self.params.get("steps"), self.sequence.num_batches
            )
