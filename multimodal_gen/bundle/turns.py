"""One thread at a time runs a model: on jax, `predict` of Keras takes the values out of the model's
variables while it runs, so a second thread would find none, and leave none behind.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from typing import Any
from weakref import WeakKeyDictionary

_LOCK = threading.Lock()
# Beside the model and not in a bundle, as bundles may share one, and a lock cannot be pickled.
_TURNS: WeakKeyDictionary[Any, AbstractContextManager[Any]] = WeakKeyDictionary()


def turn_of(model: Any) -> AbstractContextManager[Any]:
    """What a thread enters to run a model; it may enter again inside.

    Args:
        model: A Keras model.
    """
    with _LOCK:
        return _TURNS.setdefault(model, threading.RLock())
