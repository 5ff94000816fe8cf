"""What every target has in common: a loader in the y position that tells the model how its output must look.

A `Target` says so by `units`, `activation`, `loss` and `metrics`, and turns the model's outputs back into words and
scores. Keras is imported only when `loss` or `metrics` is asked for. Here too is what targets made of names share.
"""

from __future__ import annotations

import abc
import difflib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from multimodal_gen.errors import LoadError, shown
from multimodal_gen.loaders.base import Loader

if TYPE_CHECKING:
    import keras


class Target(Loader):
    """A loader in the y position.

    Attributes:
        units: How many numbers the model must put out for a row.
        activation: Name of the Keras activation of those outputs, or None for raw numbers.
        loss: The Keras loss that fits them; rows of sample weight 0 do not count in its mean.
        metrics: Keras metrics to watch while training.
    """

    units: int
    activation: str | None

    @property
    @abc.abstractmethod
    def loss(self) -> keras.losses.Loss:
        """The loss between what `read` gives and what the model puts out."""

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Metrics that make sense for the target, new ones each time as they have a state; none by default.

        A metric named "accuracy", the share of rows that are right, is what `fit_with_recipe` stops early by.
        """
        return []

    @abc.abstractmethod
    def score(self, truth: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
        """Scores by name of the model's outputs `(rows, units)` against what `read` gave for the same rows."""

    @abc.abstractmethod
    def decode_outputs(self, outputs: np.ndarray) -> dict[Any, np.ndarray]:
        """Columns of a table of predictions, from the model's outputs of shape `(rows, units)`."""


def checked_names(names: Iterable[Any], column: str, least: int) -> tuple[Any, ...]:
    """Class names as plain Python values.

    Args:
        names: The names.
        column: The column they are for, to name in errors.
        least: How many there must be.

    Raises:
        ValueError: If there are too few, two are the same, or one is neither a string nor an integer nor a boolean.
    """
    plain = tuple(plain_name(name) for name in names)
    for name in plain:
        if not isinstance(name, str | int):
            raise ValueError(
                "A class must be a string, an integer or a boolean; convert the column with `.astype(str)` or "
                f"`.astype(int)`. Received: {name!r} of type {type(name).__name__} in {column!r}"
            )
    if len(set(plain)) != len(plain) or len(plain) < least:
        number = "two" if least == 2 else "one"
        raise ValueError(f"`class_names` must be {number} or more different classes. Received: class_names={plain!r}")
    return plain


def plain_name(name: Any) -> Any:
    """A NumPy scalar as the Python value it stands for; anything else as it is."""
    return name.item() if isinstance(name, np.generic) else name


def sorted_names(names: Iterable[Any], column: str) -> list[Any]:
    """Names in their order.

    Raises:
        ValueError: If they are of types that have no common order.
    """
    names = list(names)
    try:
        return sorted(names)
    except TypeError:
        kinds = sorted({type(name).__name__ for name in names})
        raise ValueError(f"Labels must be all of one type. Received: {' and '.join(kinds)} in {column!r}") from None


def refuse_missing(missing: np.ndarray, index: pd.Index, column: str | tuple[str, ...], what: str) -> None:
    """Refuse training values of a target of which some are missing.

    Args:
        missing: `(rows,) bool`.
        index: The rows' labels.
        column: The column, or several.
        what: What the values are, in the plural, such as "Labels".

    Raises:
        ValueError: If there is no value at all, or one is missing; it names the column, and the row.
    """
    if missing.all():
        found = f"all of {len(missing)} values are missing" if len(missing) else "no values"
        raise ValueError(
            f"A target needs values to learn from: is {column!r} the right column, and was it filled? "
            f"Received: {found} in {column!r}"
        )
    if missing.any():
        columns = [column] if isinstance(column, str) else list(column)
        raise ValueError(
            f"{what} must not be missing; drop such rows with `table.dropna(subset={columns})`. "
            f"Received: a missing value at index {index[missing].tolist()[0]!r} of {column!r}"
        )


# Characters of a label that are compared with others, which takes time with their square.
_COMPARED = 200


def unknown_label(cell: Any, class_names: Sequence[Any]) -> LoadError:
    """The error for a label that is none of the known ones; it lists them, and names the closest."""
    names = [str(name) for name in class_names]
    text = cell if isinstance(cell, str) else shown(cell.item() if isinstance(cell, np.generic) else cell)
    if text in names:
        known = type(class_names[0]).__name__
        return LoadError(
            f"the label {shown(cell)} is of type {type(cell).__name__}, but the classes are of type {known}."
        )
    close = difflib.get_close_matches(text[:_COMPARED], names, n=1)
    known = ", ".join(repr(name) for name in class_names[:20]) + (", ..." if len(names) > 20 else "")
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return LoadError(f"the label {shown(cell)} is not one of the {len(names)} known classes: {known}.{hint}")
