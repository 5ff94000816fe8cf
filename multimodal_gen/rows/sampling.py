"""Samplers: how often each row of a table comes, instead of exactly once per epoch.

A sampler only returns the weight of each row; the plan draws the rows, again every epoch, and the
same for the same seed.
"""

from __future__ import annotations

import abc
import json
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.config import Configurable, classes_in, deserialize, serialize
from multimodal_gen.errors import LoaderError, TableError
from multimodal_gen.rows.cell_numbers import column_numbers
from multimodal_gen.rows.chunks import text_codes
from multimodal_gen.rows.table import check_columns


class Sampler(Configurable):
    """Says how often rows come. Subclass it for your own rule."""

    @abc.abstractmethod
    def weights(self, table: pd.DataFrame) -> np.ndarray:
        """How often each row comes relative to the others: `(rows,) float64`, finite and at least
        0.
        """


@dataclass(frozen=True)
class BalancedSampler(Sampler):
    """Draw every class equally often: rows of rare classes repeatedly, some of frequent ones not at
    all.

    Args:
        column: The column of classes.
    """

    column: str

    def weights(self, table: pd.DataFrame) -> np.ndarray:
        """One divided by the number of rows of the row's class.

        Raises:
            TableError: If there is no such column, or a class is missing.
        """
        check_columns(table, [self.column])
        try:
            codes, classes = text_codes(table[self.column])
        except TypeError:
            raise TableError(
                "A balanced sampler needs one class per row, not lists or arrays. Received: "
                f"column={self.column!r}"
            ) from None
        if (codes < 0).any():
            index = table.index[codes < 0].tolist()[0]
            raise TableError(
                "A balanced sampler needs a class in every row; drop the rows without one with "
                f"`.dropna(subset=[...])`. Received: a missing value at index {index!r}, column "
                f"{self.column!r}"
            )
        counts = np.bincount(codes, minlength=len(classes))
        return np.asarray(1.0 / counts[codes])


@dataclass(frozen=True)
class WeightedSampler(Sampler):
    """Draw rows in proportion to a column of weights; a weight of 0 leaves a row out.

    Args:
        column: The column of weights, finite and at least 0.
    """

    column: str

    def weights(self, table: pd.DataFrame) -> np.ndarray:
        """The column as numbers, including texts that are numbers; NaN if a cell is missing.

        Raises:
            TableError: If there is no such column, or a cell is not a number; the message names the
                row.
        """
        check_columns(table, [self.column])
        try:
            return column_numbers(table[self.column])
        except ValueError as error:
            raise TableError(f"Weights must be numbers. {error}") from None


def draw_weights(sampler: Sampler | None, table: pd.DataFrame) -> np.ndarray | None:
    """A sampler's weights for a table as `(rows,) float64`, or None without a sampler.

    Raises:
        TableError: If there is not one weight per row, a weight is not a finite number of at least
            0, or all are 0.
    """
    if sampler is None:
        return None
    weights = np.asarray(sampler.weights(table), "float64")
    if weights.shape != (len(table),):
        raise TableError(
            f"A sampler must give one weight per row. Received: shape {weights.shape} for "
            f"{len(table)} rows"
        )
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        raise TableError(
            f"A row's weight must be a finite number of at least 0. Received: {weights[bad][0]} at "
            f"index {table.index[bad].tolist()[0]!r} from {sampler!r}"
        )
    if not weights.any():
        raise TableError(
            f"At least one row must have a weight above 0. Received: all 0 from {sampler!r}"
        )
    return weights


def check_sampler(sampler: Any, table: pd.DataFrame) -> None:
    """Test that a sampler keeps its contract, on a table of your own.

    It checks that there is one finite weight of at least 0 per row, and not all are 0; that the
    weights are the same when asked again, after pickling and after saving to JSON; and that the
    table and the sampler are not changed.

    Args:
        sampler: The sampler to check.
        table: A few typical rows.

    Raises:
        LoaderError: At the first broken rule; the message says which.
    """
    if not isinstance(sampler, Sampler):
        raise LoaderError(f"A sampler must derive from Sampler. Received: sampler={sampler!r}")
    name, before = type(sampler).__name__, table.copy(deep=True)

    def drawn(one: Sampler) -> bytes:
        try:
            weights = draw_weights(one, table)
        except TableError as error:
            raise LoaderError(f"{name}.weights: {error}") from error
        assert weights is not None
        return weights.tobytes()

    try:
        saved = json.dumps(serialize(sampler))
    except TypeError as error:
        raise LoaderError(f"{name} cannot be saved: {error}") from error
    weights = drawn(sampler)
    try:
        pd.testing.assert_frame_equal(table, before)
    except AssertionError as error:
        raise LoaderError(f"{name}.weights must not change the table. Received: {error}") from None
    try:
        unpickled = pickle.loads(pickle.dumps(sampler))
    except Exception as error:
        raise LoaderError(
            f"{name} must be picklable, so it cannot hold an open file or a lambda. Received: "
            f"{error}"
        ) from error
    rebuilt = deserialize(json.loads(saved), classes_in(sampler))
    for when, one in (
        ("every time", sampler),
        ("after pickling", unpickled),
        ("after saving to JSON", rebuilt),
    ):
        if drawn(one) != weights:
            raise LoaderError(
                f"{name}.weights must return the same weights {when}. Received: different ones"
            )
    if json.dumps(serialize(sampler)) != saved:
        raise LoaderError(f"{name} must not change its config when asked for weights.")
