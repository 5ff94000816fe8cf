"""The seed generator that Keras keeps for whoever gives no seed; there is no public way to it."""

from __future__ import annotations

from typing import Any

from multimodal_gen.sequence.keras_inside.errors import unknown_keras

_WAY_OUT = "Give layers such as `Dropout` a `seed`, and save the model at the end of epochs."


def global_seed(*, make: bool = False) -> Any:
    """The variable that holds its state, or None if nobody has used it so far.

    Args:
        make: Whether to make it then.

    Raises:
        RuntimeError: If Keras keeps it elsewhere.
    """
    try:
        from keras.src.backend.common.global_state import get_global_attribute
        from keras.src.random.seed_generator import global_seed_generator

        generator = (
            global_seed_generator() if make else get_global_attribute("global_seed_generator")
        )
        return None if generator is None else generator.state
    except (ImportError, AttributeError) as error:
        missing = (
            f"keeps its seed generator elsewhere ({error}), and a training that is resumed needs it"
        )
        raise unknown_keras(missing, _WAY_OUT) from error
