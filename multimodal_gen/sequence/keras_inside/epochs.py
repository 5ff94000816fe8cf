"""Which epoch it is, said by Keras itself: callbacks are told before the first batch of each is
read.
"""

from __future__ import annotations

import math
from typing import Any

import keras


def pass_of(epoch: int, first: int, steps: int | None, num_batches: int) -> int:
    """The pass over the data that an epoch of `fit` is in, counting from 0.

    With fewer steps in an epoch than batches in a pass, Keras takes several of its epochs for one
    pass.

    Args:
        epoch: The epoch, counting from 0.
        first: The epoch that `fit` began with.
        steps: Steps of an epoch; None for all batches.
        num_batches: Batches of a pass.
    """
    if steps is None:
        return epoch
    # A pass whose batches are used up ends the epoch of Keras early, so a pass begins with an
    # epoch.
    epochs_of_a_pass = math.ceil(num_batches / min(steps, num_batches))
    return first + (epoch - first) // epochs_of_a_pass


class FollowFit(keras.callbacks.Callback):
    """Sets the epoch of a sequence to that of the `fit` it is given to, so that nobody has to look
    for it.

    Args:
        sequence: What `fit` trains on, with an `epoch` and `num_batches`.
    """

    def __init__(self, sequence: Any) -> None:
        super().__init__()
        self.sequence = sequence
        self._begun: int | None = None

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Forget the epoch that an earlier `fit` began with."""
        self._begun = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Set the epoch; an endless sequence counts for itself."""
        self._begun = epoch if self._begun is None else self._begun
        if self.sequence.num_batches is not None:
            self.sequence.epoch = pass_of(
                epoch, self._begun, self.params.get("steps"), self.sequence.num_batches
            )
