"""Which epoch Keras is in, and whether it is predicting.

Counting the hooks of a dataset does not tell: they fire before training too, and differently on each backend,
and none of them knows `initial_epoch`. `fit` itself does know, and it is below us on the stack when it begins an
epoch, so it is asked there. Nothing is patched; where no `fit` is running, nothing is known.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any


def running_epoch() -> int | None:
    """The epoch of the `keras.Model.fit` that called, counting from 0, or None outside of one.

    Before its first epoch, while `fit` builds the model, it is the epoch that will come first.
    """
    names = _caller("fit")
    epoch = names.get("epoch", names.get("initial_epoch"))
    return None if epoch is None else int(epoch)


def predicting() -> bool:
    """Whether a `keras.Model.predict` is what called."""
    return bool(_caller("predict"))


def _caller(method: str) -> Mapping[str, Any]:
    # The local names of the nearest method of Keras that is so called; empty if there is none.
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == method and frame.f_globals.get("__name__", "").startswith("keras."):
            return frame.f_locals
        frame = frame.f_back
    return {}
