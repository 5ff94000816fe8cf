"""What is done whenever Keras begins or ends an epoch on a sequence: the model stays whole, and
errors stay plain.
"""

from __future__ import annotations

import keras

from multimodal_gen.sequence.keras_inside.calls import KerasCall
from multimodal_gen.sequence.keras_inside.plain_errors import raise_plainly
from multimodal_gen.sequence.keras_inside.whole_model import forget_broken_call, keep_whole
from multimodal_gen.sequence.keras_inside.wrapping import attend


def attend_call(call: KerasCall, *, ending: bool = False) -> None:
    """Put around the model of a running method of Keras what its backend needs; it comes off when
    the method ends.

    Args:
        call: The method that runs.
        ending: Whether it ends an epoch, as `fit` and `evaluate` also do before they begin the
            first.

    Raises:
        RuntimeError: If Keras works in another way.
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
