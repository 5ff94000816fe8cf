"""The variables of a training as they were before its last batches, kept on the device."""

from __future__ import annotations

from collections import deque
from typing import Any

import keras
import numpy as np

from multimodal_gen.sequence.resume.contents import (
    generator_states,
    set_generators,
    variables_of,
)


class Kept:
    """Copies of a model's weights, optimizer and metrics from before the last two batches.

    Two, because a gradient that is not finite spoils the weights in one batch, and the loss only in
    the next.
    """

    def __init__(self) -> None:
        self._copies: deque[list[tuple[Any, Any]]] = deque(maxlen=2)

    def __len__(self) -> int:
        return len(self._copies)

    def keep(self, model: keras.Model) -> None:
        """Copy the variables as they are now."""
        variables = [one for own in variables_of(model).values() for one in own]
        self._copies.append([(one, keras.ops.copy(one.value)) for one in variables])

    def clear(self) -> None:
        """Forget everything."""
        self._copies.clear()

    def drop_spoiled(self) -> bool:
        """Forget the latest copy if its numbers are not finite; return whether it was."""
        if not are_finite([value for _, value in self._copies[-1]]):
            self._copies.pop()
            return True
        return False

    def restore(self) -> None:
        """Give the variables their values of the latest copy."""
        for variable, value in self._copies[-1]:
            # A copy again: on jax, the next step takes over the memory of what it is given.
            variable.assign(keras.ops.copy(value))


def are_finite(values: list[Any]) -> bool:
    """Whether all numbers of arrays or variables are finite."""
    arrays = [np.asarray(keras.ops.convert_to_numpy(one)) for one in values]
    # bfloat16 is of kind "V" for NumPy.
    return all(np.isfinite(one.astype("float32")).all() for one in arrays if one.dtype.kind in "fV")


class Undone:
    """A context after which a model is as it was kept, and random numbers continue as before."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def __enter__(self) -> None:
        self._states = generator_states()

    def __exit__(self, *_: object) -> None:
        self._kept.restore()
        set_generators(self._states)
