"""Keras's global seed generator, used where no seed is given; Keras does not make it public."""

from __future__ import annotations

from typing import Any

from multimodal_gen.sequence.keras_inside.errors import unknown_keras

_WAY_OUT = "Give layers such as `Dropout` a `seed`, and save the model after each epoch."


def global_seed(*, make: bool = False) -> Any:
    """Return the variable that holds its state, or None if it has not been used yet.

    Args:
        make: Whether to create it if it does not exist.

    Raises:
        RuntimeError: If this version of Keras keeps it elsewhere.
    """
    try:
        # Imported here, so that a missing module is the error below and not one at import.
        from keras.src.backend.common.global_state import get_global_attribute
        from keras.src.random.seed_generator import global_seed_generator

        generator = (
            global_seed_generator() if make else get_global_attribute("global_seed_generator")
        )
        return None if generator is None else generator.state
    except (ImportError, AttributeError) as error:
        missing = (
            f"keeps its seed generator elsewhere ({error}), which resuming a training run needs"
        )
        raise unknown_keras(missing, _WAY_OUT) from error
