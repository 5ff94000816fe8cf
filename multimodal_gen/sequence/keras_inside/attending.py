"""Runs whenever Keras begins or ends an epoch: keeps the model valid and errors readable."""

from __future__ import annotations

import keras

from multimodal_gen.sequence.keras_inside.calls import KerasCall
from multimodal_gen.sequence.keras_inside.plain_errors import raise_plainly
from multimodal_gen.sequence.keras_inside.whole_model import forget_broken_call, keep_whole
from multimodal_gen.sequence.keras_inside.wrapping import attend


def attend_call(call: KerasCall, *, ending: bool = False) -> None:
    """Wrap the model of a running method of Keras as its backend needs, until the method ends.

    Args:
        call: The running method.
        ending: Whether an epoch ends; `fit` and `evaluate` also do so before the first one.

    Raises:
        RuntimeError: If this version of Keras works differently.
    """
    assert call.frame is not None
    assert call.model is not None
    backend = keras.backend.backend()
    if backend == "torch":
        return
    attendance, begins = attend(
        call.frame, call.model, forget_broken_call if backend == "jax" else None
    )
    if begins and backend == "jax":
        forget_broken_call(call.model)
    if ending:
        return
    if backend == "jax":
        keep_whole(call.model, attendance)
    else:
        raise_plainly(call, attendance)
