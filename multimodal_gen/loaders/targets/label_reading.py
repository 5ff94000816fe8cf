"""One cell of several labels, or a row of columns of 0 and 1, as a row of zeros and ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from multimodal_gen.errors import LoadError, shown
from multimodal_gen.loaders.targets.known_classes import KnownClasses
from multimodal_gen.loaders.targets.label_cells import on_or_off, split_labels
from multimodal_gen.loaders.targets.label_learning import zeros_and_ones
from multimodal_gen.loaders.targets.names import unknown_label


def read_labels(
    cell: Any,
    column: str | Sequence[str],
    names: tuple[Any, ...],
    known: KnownClasses,
    separator: str | None,
) -> np.ndarray:
    """What `MultiLabel.read` returns.

    Args:
        cell: The labels; of several columns a tuple of 0 and 1.
        column: The column, or several.
        names: The classes.
        known: Finds a label among them.
        separator: What stands between labels, or None.

    Raises:
        LoadError: If the cell is missing or is not labels, or a label is none of `names`.
    """
    array = np.zeros(len(names), "float32")
    if not isinstance(column, str):
        for position, (name, one) in enumerate(zip(column, cell, strict=True)):
            try:
                array[position] = on_or_off(one)
            except LoadError as error:
                raise LoadError(f"{error.reason} in {name!r}") from None
        return array
    labels = split_labels(cell, separator)
    for label in labels:
        place = known.find(label)
        if place is None:
            # One-hot rows are a common mistake, which "unknown label 0" would not explain.
            if len(labels) == len(names) and zeros_and_ones([labels], None):
                raise LoadError(
                    "the cell holds 0 or 1 for each class, but labels must be names: make a "
                    "column for each class, and use `MultiLabel(names)`. Received: "
                    f"{shown(cell)}",
                    unknown_label=True,
                )
            raise unknown_label(label, names)
        array[place] = 1.0
    return array
