"""`--balance`: what lets rare classes or labels count as much as frequent ones in training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.cli.settings import RunSettings
from multimodal_gen.loaders.targets.balance import classes_where_known
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.loaders.targets.label_decisions import balanced_positives
from multimodal_gen.rows.chunks import cells_in


def weights_of_classes(
    settings: RunSettings, rows: pd.DataFrame, target: Target
) -> dict[Any, float] | None:
    """Class -> weight, with equal sums over the training rows; None if none are asked for.

    A class that no training row has, which `class_weight="balanced"` refuses, has no rows to
    weight either.

    Args:
        settings: The settings.
        rows: The training rows.
        target: The target.
    """
    if not settings.balance or not target.one_class:
        return None
    counts = np.bincount(classes_where_known(target, rows), minlength=len(target.class_names))
    there = np.count_nonzero(counts)
    weights = np.where(counts > 0, len(rows) / (there * np.maximum(counts, 1)), 1.0)
    return dict(zip(target.class_names, weights.tolist(), strict=True))


def with_weights_of_labels(settings: RunSettings, rows: pd.DataFrame, target: Target) -> Target:
    """The target whose loss weights labels by the training rows, if that is asked for.

    Args:
        settings: The settings.
        rows: The training rows, which can all be read.
        target: The target.
    """
    if not settings.balance or target.one_class:
        return target
    truth = map(target.read, cells_in(rows, target.column))
    return target.replace(positive_weight=balanced_positives(truth))
