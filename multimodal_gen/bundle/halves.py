"""The two halves of a pair, each as a bundle of its own, as a table of pictures has no captions."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import keras
import numpy as np
import pandas as pd

from multimodal_gen.bundle.bundle import Bundle
from multimodal_gen.errors import level_of_caller
from multimodal_gen.loaders.base import Loader
from multimodal_gen.spec import mask_name


def halves_of(model: keras.Model, inputs: Mapping[str, Loader]) -> dict[str, Bundle]:
    """Input name -> a bundle from its cells to its unit vectors.

    Args:
        model: A model of `build_dual_encoder`.
        inputs: Input name -> loader, the two that the model was built for.
    """
    tensors = {one.name: one for one in model.inputs}
    halves = {}
    for name, loader in inputs.items():
        # Of cells with several items, the mask too.
        taken = [tensors[one] for one in (name, mask_name(name)) if one in tensors]
        output = model.get_layer(f"{name}_vector").output
        half = keras.Model(taken if len(taken) > 1 else taken[0], output, name=name)
        halves[name] = Bundle(half, {name: loader})
    return halves


def vectors_of(half: Bundle, table: pd.DataFrame, batch_size: int, verbose: int) -> np.ndarray:
    """The vectors of a half for every row, `(rows, size) float32`; NaN in rows without one.

    Args:
        half: One of `halves_of`.
        table: It needs the columns of this half only.
        batch_size: Rows per batch.
        verbose: 0 for silence, 1 for a progress bar.

    Raises:
        LoadError: If no row can be loaded.

    Warns:
        UserWarning: If rows have none; it counts them.
    """
    frame, errors, lost = half._predicted(table, batch_size, verbose)
    if errors:
        place, why = next(iter(errors.items()))
        warnings.warn(
            f"{lost} no vector: their numbers are NaN. The first is at index "
            f"{table.index[[place]].tolist()[0]!r}: {why}",
            stacklevel=level_of_caller(),
        )
    return frame.to_numpy("float32")
