"""How many steps a running `evaluate` has; in a validation, callbacks are told those of `fit`."""

from __future__ import annotations

from multimodal_gen.sequence.keras_inside.calls import keras_call
from multimodal_gen.sequence.keras_inside.errors import need

_WHY = "to add up the metrics of all ranks", "Evaluate in one process, on the whole sequence."


def steps_of_evaluate() -> int:
    """Return the steps of the `evaluate` that called, from one of its callbacks.

    Raises:
        RuntimeError: If this version of Keras works differently.
    """
    iterator = keras_call().local("epoch_iterator", *_WHY)
    need(iterator, "num_batches", *_WHY)
    return int(iterator.num_batches)
