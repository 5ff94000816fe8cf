"""Before the first fold, read every cell: a bad one is known now, and not in the last fold."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
import pandas as pd

from multimodal_gen.errors import LoadError, by_number
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.encoded.loader import EncodedLoader
from multimodal_gen.loaders.many import ManyLoader
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.sequence.sequence import MultimodalSequence


def read_truth(table: pd.DataFrame, target: Target, batch_size: int) -> np.ndarray:
    """What the target reads of every row, `(rows, ...)`.

    Raises:
        LoadError: If a label is missing or unknown.
    """
    sequence = MultimodalSequence(
        table, {"target": target}, batch_size=batch_size, inputs_as="array"
    )
    return np.concatenate([array for (array,) in sequence])


def read_inputs(
    table: pd.DataFrame,
    inputs: Mapping[str, Loader],
    batch_size: int,
    cache: str | os.PathLike[str] | None,
) -> None:
    """Read every cell of the inputs; with a cache, all folds find them there.

    Raises:
        LoadError: If one cannot be loaded: the first, and how many rows are affected.
    """
    sequence = MultimodalSequence(
        table,
        inputs,
        batch_size=batch_size,
        cache=cache,
        on_error="blank",
        # All of them are counted.
        max_error_rate=1.0,
    )
    for _ in sequence:
        pass
    failures = sequence.failures
    if failures.empty:
        return
    first, lost = failures.iloc[0], failures["index"].nunique()
    others = ""
    if lost > 1:
        others = f"{lost - 1:,} more of the {len(table):,} rows cannot be loaded. "
    way_out = (
        f"Leave {by_number(lost, 'it', 'them')} out before: `multimodal_gen.audit(table, inputs, "
        "target).clean(table)`"
    )
    raise LoadError(
        f"{str(first['error']).rstrip(' .')}. {others}{way_out}",
        index=first["index"],
        column=first["column"],
        path=first["path"],
    )


def keep_vectors(inputs: Mapping[str, Loader]) -> None:
    """Let encoders keep what they encode, so that all folds encode each row once."""
    for loader in inputs.values():
        item = loader.item if isinstance(loader, ManyLoader) else loader
        if isinstance(item, EncodedLoader):
            item.encoder.keep()
