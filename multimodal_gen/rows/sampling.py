"""Samplers: how often each row of a table is to come, where not every row is to come once per
epoch.

A sampler only says how much each row weighs; the plan draws the rows, again every epoch and the
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
from multimodal_gen.rows.cells import column_texts
from multimodal_gen.rows.table import check_columns


class Sampler(Configurable):
    """Says how often rows come: subclass it for a rule of your own."""

    @abc.abstractmethod
    def weights(self, table: pd.DataFrame) -> np.ndarray:
        """How often each row is to come in relation to the others: `(rows,) float64`, finite and at
        least 0.
        """


@dataclass(frozen=True)
class BalancedSampler(Sampler):
    """Every class comes equally often: rows of rare classes repeatedly, some of frequent ones not
    at all.

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
            codes, classes = pd.factorize(column_texts(table[self.column]))
        except TypeError:
            raise TableError(
                "A balanced sampler needs one class per row, and not lists or arrays. Received: "
                f"column={self.column!r}"
            ) from None
        if (codes < 0).any():
            index = table.index[codes < 0].tolist()[0]
            raise TableError(
                "A balanced sampler needs a class in every row; drop the others with "
                f"`.dropna(subset=[...])`. Received: a missing value at index {index!r}, column "
                f"{self.column!r}"
            )
        counts = np.bincount(codes, minlength=len(classes))
        return np.asarray(1.0 / counts[codes])


@dataclass(frozen=True)
class WeightedSampler(Sampler):
    """Rows come as often as a column says, in relation to each other; a weight of 0 leaves a row
    out.

    Args:
        column: The column of weights, finite and at least 0.
    """

    column: str

    def weights(self, table: pd.DataFrame) -> np.ndarray:
        """The column as numbers, also of texts that are numbers; NaN where a cell is missing.

        Raises:
            TableError: If there is no such column, or a cell of it is not a number; it names the
                row.
        """
        check_columns(table, [self.column])
        try:
            return column_numbers(table[self.column])
        except ValueError as error:
            raise TableError(f"Weights must be numbers. {error}") from None


def draw_weights(sampler: Sampler | None, table: pd.DataFrame) -> np.ndarray | None:
    """What a sampler gives for a table as `(rows,) float64`, or None without one.

    Raises:
        TableError: If there is not one weight per row, one is not a finite number of at least 0, or
            all are 0.
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
            f"A row's weight must be a finite number, at least 0. Received: {weights[bad][0]} at "
            f"index {table.index[bad].tolist()[0]!r} from {sampler!r}"
        )
    if not weights.any():
        raise TableError(
            f"At least one row must have a weight above 0. Received: all 0 from {sampler!r}"
        )
    return weights


def check_sampler(sampler: Any, table: pd.DataFrame) -> None:
    """Prove that a sampler keeps its contract, on a table of your own.

    Checked are: one finite weight of at least 0 for each row, and not all 0; the same weights when
    asked again, after pickling and after saving to JSON; that table and sampler are left as they
    are.

    Args:
        sampler: The sampler to check.
        table: A few typical rows.

    Raises:
        LoaderError: At the first broken rule, saying which.
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
        raise LoaderError(
            f"{name}.weights must leave the table as it is. Received: {error}"
        ) from None
    try:
        unpickled = pickle.loads(pickle.dumps(sampler))
    except Exception as error:
        raise LoaderError(
            f"{name} must be picklable, so hold no open file or lambda. Received: {error}"
        ) from error
    rebuilt = deserialize(json.loads(saved), classes_in(sampler))
    for when, one in (
        ("every time", sampler),
        ("after pickling", unpickled),
        ("after saving to JSON", rebuilt),
    ):
        if drawn(one) != weights:
            raise LoaderError(f"{name}.weights must give the same weights {when}. Received: others")
    if json.dumps(serialize(sampler)) != saved:
        raise LoaderError(f"{name} is immutable: asking for weights must not change its config.")
