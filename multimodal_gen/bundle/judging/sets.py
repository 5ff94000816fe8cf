"""Sets of classes that hold the true one in as many rows as asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.bundle.held_out import held_out
from multimodal_gen.loaders.targets.base import Target


def sets_of(
    bundle: Any,
    table: pd.DataFrame,
    validation: pd.DataFrame,
    *,
    coverage: float,
    batch_size: int,
    verbose: int,
) -> pd.DataFrame:
    """What `Bundle.sets` returns."""
    target = bundle.target
    if not isinstance(target, Target) or not target.one_class:
        raise ValueError(
            "Sets are of classes: the bundle needs one target of which each row has one class. "
            f"Received: target={target!r}"
        )
    number = isinstance(coverage, int | float) and not isinstance(coverage, bool)
    if not number or not 0 < coverage < 1:
        raise ValueError(
            f"`coverage` must be a number above 0 and below 1. Received: coverage={coverage!r}"
        )
    ((_, known),) = held_out(bundle, validation, batch_size, verbose, "raise").by_target
    shares = np.stack(list(target.decode_outputs(known.outputs).values())[1:], axis=1)
    own = shares[np.arange(len(shares)), target.class_positions(known.truth)]
    least = least_share(own.astype("float64"), float(coverage))
    frame = bundle.predict(table, batch_size=batch_size, verbose=verbose)
    names = np.array([None, *target.class_names], object)[1:]
    said = frame.iloc[:, 1 : 1 + len(names)].to_numpy("float64", na_value=np.nan)
    # A row without a prediction is in no set.
    inside = said >= least
    sets = pd.Series([list(names[row]) for row in inside], frame.index, dtype=object)
    return frame.iloc[:, :1].assign(set=sets, abstain=inside.sum(axis=1) != 1)


def least_share(own: np.ndarray, coverage: float) -> float:
    """The probability that a class needs to be in a set.

    Args:
        own: `(rows,)`, the probabilities of the true classes of rows that were not trained on.
        coverage: In how many of a hundred rows like these the true class has to be in the set, as a
            share.

    Raises:
        ValueError: If there are too few rows to promise so much.
    """
    rows = len(own)
    # One more than rows, as the new row counts too.
    rank = int(np.ceil((rows + 1) * coverage - 1e-9))
    if rank > rows:
        needed = int(np.ceil(coverage / (1 - coverage) - 1e-9))
        raise ValueError(
            f"Sets that hold the true class in {coverage:.1%} of the rows need at least {needed:,} "
            f"validation rows. Received: {rows:,} rows, coverage={coverage!r}"
        )
    return float(np.sort(own)[::-1][rank - 1])
