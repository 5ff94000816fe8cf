"""Standardise numbers from one or several columns. Small: copy this for a new modality."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from multimodal_gen.errors import LoadError, shown
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.drawing import numbers_in_words
from multimodal_gen.loaders.learning import count_in_words, numbers_of, read_numbers, standardised
from multimodal_gen.rows.checks import check_choice, check_once
from multimodal_gen.spec import ArraySpec


class NumericLoader(Loader):
    """Reads one or several numeric columns as one standardised vector, `(value - mean) / scale`.

    Yields `(columns,) float32`, kind "vector".

    Args:
        column: A column name, or several.
        mean: What is subtracted, one number per column.
        scale: What is divided by, one positive number per column.
        missing: "error" refuses a missing value, "mean" reads it as the mean (0 after
            standardising).
    """

    accepts_missing = True
    cached = False
    kept_by_row = True

    def __init__(
        self,
        column: str | Sequence[str],
        *,
        mean: Sequence[float],
        scale: Sequence[float],
        missing: str = "error",
    ) -> None:
        self.column = column if isinstance(column, str) else tuple(column)
        self.mean = np.atleast_1d(np.asarray(mean, "float64"))
        self.scale = np.atleast_1d(np.asarray(scale, "float64"))
        self.missing = missing
        if not isinstance(column, str):
            check_once(self.column)
        size = 1 if isinstance(column, str) else len(self.column)
        if (
            self.mean.shape != (size,)
            or self.scale.shape != (size,)
            or not np.all(np.isfinite(self.mean))
        ):
            raise ValueError(
                f"`mean` and `scale` need {count_in_words(size, 'finite')} each. Received: "
                f"mean={mean}, scale={scale}"
            )
        if not np.all((self.scale > 0) & np.isfinite(self.scale)):
            raise ValueError(f"`scale` must be positive. Received: scale={scale}")
        check_choice("missing", missing, ("error", "mean"))
        self.spec = ArraySpec((size,), "float32", "vector")

    @classmethod
    def from_values(
        cls, column: str | Sequence[str], values: Any, *, missing: str = "error"
    ) -> Self:
        """Learn mean and scale from training rows only.

        Args:
            column: A column name, or several.
            values: Their training values: a table that has the columns, a Series, or an array with
                one column each, in the order of the names.
            missing: As in the constructor; missing values are left out of the statistics.

        Raises:
            ValueError: If a value is not a number, it names the row; or a column is lacking, or has
                no finite value.
        """
        numbers = numbers_of(column, values).to_numpy()
        if isinstance(column, str) and numbers.shape[1] > 1:
            raise ValueError(
                "A NumericLoader reads one number per column; cells that are arrays are read by "
                f"`ArrayLoader.from_values({column!r}, ...)`. Received: {numbers.shape[1]} numbers "
                f"per row for {column!r}"
            )
        # Infinity would make mean and deviation infinite. Reading such a cell is an error of its
        # own.
        numbers = np.where(np.isfinite(numbers), numbers, np.nan)
        if not np.all(np.isfinite(numbers).any(axis=0)):
            raise ValueError(
                "Every column needs at least one finite training value. Received: "
                f"column={column!r}"
            )
        deviation = np.nanstd(numbers, axis=0)
        # A constant column is divided by 1, so that it becomes 0 and not NaN.
        scale = np.where(deviation > 0, deviation, 1.0)
        return cls(
            column, mean=np.nanmean(numbers, axis=0).tolist(), scale=scale.tolist(), missing=missing
        )

    def read(self, cell: Any) -> np.ndarray:
        """Standardise a number, or a tuple of numbers, one per column.

        Raises:
            LoadError: If one is infinite, not a number, or missing if that is an error.
        """
        numbers = read_numbers(cell, len(self.mean))
        if self.missing == "mean":
            numbers = np.where(np.isnan(numbers), self.mean, numbers)
        if not np.all(np.isfinite(numbers)):
            raise LoadError(
                "a number is missing or infinite. Fill it, drop the row, or read missing values as "
                "the mean with "
                f'`missing="mean"` (`--number-missing mean`). Received: {shown(cell)}'
            )
        return standardised(numbers, self.mean, self.scale, cell)

    def describe(self, array: np.ndarray, cell: Any = None) -> dict[str, str]:
        """The numbers in the table's units, each under the name of its column."""
        columns = [self.column] if isinstance(self.column, str) else self.column
        return numbers_in_words(columns, array, self.mean, self.scale)
