"""The probabilities of classes in what a target decodes, and sets of the classes that have enough.

A class is in the set of a row if its probability is at least that which the true classes of
held-out rows have in as many rows as asked for (Sadinle, Lei and Wasserman, "Least ambiguous
set-valued classifiers with bounded error levels", 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.loaders.targets.conformal import quantiles


def class_shares(target: Any, outputs: np.ndarray) -> np.ndarray:
    """The probability of each class, `(rows, classes) float64`.

    Args:
        target: A target with classes.
        outputs: What the model put out, `(rows, ...)`.

    Raises:
        ValueError: If the target's `decode_outputs` has no probabilities.
    """
    columns = list(target.decode_outputs(outputs).values())[1:]
    if len(columns) != len(target.class_names):
        raise ValueError(
            "`decode_outputs` of a target must have a column of probabilities for each class to "
            f"say how reliable they are. Received: target={target!r}"
        )
    return np.stack(columns, axis=1).astype("float64")


def quantiles_of_shares(target: Any, truth: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """The probability that a class needs to be in a set, for each coverage.

    Args:
        target: A target with one class per row.
        truth: What its `read` returned, `(rows, ...)`.
        outputs: What the model put out, `(rows, ...)`.

    Returns:
        `(coverages,)`, as `Target.limits_by`.
    """
    shares = class_shares(target, outputs)
    return -quantiles(-shares[np.arange(len(shares)), target.class_positions(truth)])


def shares_in(names: Sequence[Any], predictions: pd.DataFrame) -> np.ndarray:
    """The probabilities in a table of predictions, `(rows, classes) float64`.

    Args:
        names: The classes.
        predictions: The columns of `decode_outputs`; NaN in rows without outputs.
    """
    shares = predictions.iloc[:, 1 : 1 + len(names)]
    return np.asarray(shares.to_numpy("float64", na_value=np.nan))


def sets_of_one(names: Sequence[Any], limit: float, predictions: pd.DataFrame) -> dict[str, Any]:
    """The columns "set", lists of classes, and "abstain", whether that is not exactly one.

    Args:
        names: The classes.
        limit: The probability that a class needs.
        predictions: As in `shares_in`. A row without outputs has an empty set.
    """
    inside = shares_in(names, predictions) >= limit
    sets = [[name for name, has in zip(names, row, strict=True) if has] for row in inside]
    return {"set": sets, "abstain": inside.sum(axis=1) != 1}
