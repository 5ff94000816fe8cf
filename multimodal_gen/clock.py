"""Which epoch Keras is in.

Counting the hooks of a dataset does not tell: they fire before training too, and differently on each backend,
and none of them knows `initial_epoch`. `fit` itself does know, and it is below us on the stack when it begins an
epoch, so it is asked there. Nothing is patched; where no `fit` is running, nothing is known.
"""

from __future__ import annotations

import sys
from types import FrameType


def running_epoch() -> int | None:
    """The epoch of the `keras.Model.fit` that called, counting from 0, or None outside of one.

    Before its first epoch, while `fit` builds the model, it is the epoch that will come first.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "fit" and frame.f_globals.get("__name__", "").startswith("keras."):
            names = frame.f_locals
            epoch = names.get("epoch", names.get("initial_epoch"))
            if epoch is not None:
                return int(epoch)
        frame = frame.f_back
    return None
