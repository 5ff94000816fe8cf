"""Read numbers from one or several columns, and scale them for a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from multimodal_gen.errors import LoadError, shown
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.drawing import numbers_in_words
from multimodal_gen.loaders.learning import count_in_words, numbers_of, read_numbers, standardised
from multimodal_gen.loaders.scaling import (
    learn_quantiles,
    normal_scores,
    signed_log,
    undo_normal_scores,
    undo_signed_log,
)
from multimodal_gen.rows.checks import check_choice, check_once
from multimodal_gen.spec import ArraySpec

_SCALINGS = ("standard", "log", "quantile")


class NumericLoader(Loader):
    """Reads one or several numeric columns as one vector of numbers that a model can learn from.

    Yields `(columns,) float32`, kind "vector"; with `missing="flag"` `(2 * columns,)`.

    `scaling` says how the numbers are scaled:

    - "standard": `(value - mean) / scale`.
    - "log": the same for `sign(value) * log(1 + |value|)`, for prices, counts and other numbers
      that range over several powers of ten.
    - "quantile": the place among the training values, as a number of the standard normal
      distribution, whatever theirs was; a value beyond all of them counts as the last. As
      `sklearn.preprocessing.QuantileTransformer(output_distribution="normal")`, except at both
      ends, which are not as far out.

    Args:
        column: A column name, or several.
        mean: What is subtracted, one number per column; of the logarithms for "log". Not for
            "quantile".
        scale: What is divided by, one positive number per column; not for "quantile".
        missing: "error" refuses a missing value; "mean" reads it as the mean (0 after scaling, the
            median for "quantile"); "flag" does the same, and after all numbers comes a 1 for each
            column that was missing, and a 0 for the others.
        scaling: "standard", "log" or "quantile".
        quantiles: For "quantile": `(columns, knots)` values at equal steps of the share of training
            rows below them, from 0 to 1.
    """

    accepts_missing = True
    cached = False
    kept_by_row = True

    def __init__(
        self,
        column: str | Sequence[str],
        *,
        mean: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        missing: str = "error",
        scaling: str = "standard",
        quantiles: Sequence[Sequence[float]] | None = None,
    ) -> None:
        self.column = column if isinstance(column, str) else tuple(column)
        if not isinstance(column, str):
            check_once(self.column)
        size = 1 if isinstance(column, str) else len(self.column)
        check_choice("missing", missing, ("error", "mean", "flag"))
        check_choice("scaling", scaling, _SCALINGS)
        self.missing, self.scaling = missing, scaling
        if scaling == "quantile":
            if mean is not None or scale is not None:
                raise ValueError(
                    '`mean` and `scale` are not used with scaling="quantile". Received: '
                    f"mean={mean}, scale={scale}"
                )
            self.quantiles = _checked_quantiles(quantiles, size)
        else:
            if quantiles is not None:
                raise ValueError(
                    '`quantiles` are for scaling="quantile" only. Received: '
                    f"scaling={scaling!r}, quantiles={quantiles!r}"
                )
            self.mean, self.scale = _checked_moments(mean, scale, size)
        self.size = size
        self.spec = ArraySpec((2 * size if missing == "flag" else size,), "float32", "vector")

    @classmethod
    def from_values(
        cls,
        column: str | Sequence[str],
        values: Any,
        *,
        missing: str = "error",
        scaling: str = "standard",
    ) -> Self:
        """Learn mean and scale, or quantiles, from training rows only.

        Args:
            column: A column name, or several.
            values: Their training values: a table that has the columns, a Series, or an array with
                one column each, in the order of the names.
            missing: As in the constructor; missing values are left out of the statistics.
            scaling: As in the constructor.

        Raises:
            ValueError: If a value is not a number, it names the row; or a column is lacking, or has
                no finite value.
        """
        check_choice("scaling", scaling, _SCALINGS)
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
        if scaling == "quantile":
            quantiles = learn_quantiles(numbers).tolist()
            return cls(column, missing=missing, scaling=scaling, quantiles=quantiles)
        numbers = signed_log(numbers) if scaling == "log" else numbers
        deviation = np.nanstd(numbers, axis=0)
        # A constant column is divided by 1, so that it becomes 0 and not NaN.
        scale = np.where(deviation > 0, deviation, 1.0)
        return cls(
            column,
            mean=np.nanmean(numbers, axis=0).tolist(),
            scale=scale.tolist(),
            missing=missing,
            scaling=scaling,
        )

    def read(self, cell: Any) -> np.ndarray:
        """Scale a number, or a tuple of numbers, one per column.

        Raises:
            LoadError: If one is infinite, not a number, or missing if that is an error.
        """
        numbers = read_numbers(cell, self.size)
        absent = np.isnan(numbers)
        if np.isinf(numbers).any():
            raise LoadError(
                f"a number is infinite. Fix it, or drop the row. Received: {shown(cell)}"
            )
        if self.missing == "error" and absent.any():
            raise LoadError(
                "a number is missing. Fill it, drop the row, or read missing values as the mean "
                f'with `missing="mean"` (`--number-missing mean`). Received: {shown(cell)}'
            )
        if self.scaling == "quantile":
            scaled = normal_scores(numbers, self.quantiles).astype("float32")
            scaled[absent] = 0.0
        else:
            if self.scaling == "log":
                numbers = signed_log(numbers)
            numbers = np.where(absent, self.mean, numbers)
            scaled = standardised(numbers, self.mean, self.scale, cell)
        if self.missing == "flag":
            return np.concatenate([scaled, absent.astype("float32")])
        return scaled

    def _numbers_of(self, cell: Any, array: np.ndarray) -> list[float] | None:
        # The numbers of the cell that the array was made of, NaN for missing ones; None if it was
        # changed since, or the cell is not known.
        if cell is None:
            return None
        try:
            same = np.array_equal(self.read(cell), array)
        except LoadError:
            return None
        return read_numbers(cell, self.size).tolist() if same else None

    def describe(self, array: np.ndarray, cell: Any = None) -> dict[str, str]:
        """The numbers in the table's units, each under the name of its column.

        Those of the cell, if the array is what is read of it; otherwise those that the array stands
        for, in which "quantile" has lost how far out the first and last few training values are.
        """
        columns = [self.column] if isinstance(self.column, str) else self.column
        scaled, flags = array[: self.size], array[self.size :]
        if self.scaling == "standard":
            words = numbers_in_words(columns, scaled, self.mean, self.scale)
        else:
            if self.scaling == "log":
                numbers = undo_signed_log(scaled * self.scale + self.mean)
            else:
                numbers = undo_normal_scores(scaled, self.quantiles)
            words = {
                name: f"{one:.6g}" for name, one in zip(columns, numbers.tolist(), strict=True)
            }
        gone = {name for name, flag in zip(columns, flags, strict=False) if flag == 1}
        own = self._numbers_of(cell, array)
        if own is not None:
            words = dict(zip(columns, map(_in_words, own), strict=True))
        return {name: "(missing)" if name in gone else word for name, word in words.items()}


def _in_words(number: float) -> str:
    if np.isnan(number):
        return "(missing)"
    # A cell of float32 holds 0.1, and not 0.10000000149.
    with np.errstate(over="ignore"):
        short = np.float32(number)
    return f"{float(str(short)) if float(short) == number else number:.15g}"


def _checked_moments(mean: Any, scale: Any, size: int) -> tuple[np.ndarray, np.ndarray]:
    means = np.atleast_1d(np.asarray([] if mean is None else mean, "float64"))
    scales = np.atleast_1d(np.asarray([] if scale is None else scale, "float64"))
    if means.shape != (size,) or scales.shape != (size,) or not np.all(np.isfinite(means)):
        raise ValueError(
            f"`mean` and `scale` need {count_in_words(size, 'finite')} each. Received: "
            f"mean={mean}, scale={scale}"
        )
    if not np.all((scales > 0) & np.isfinite(scales)):
        raise ValueError(f"`scale` must be positive. Received: scale={scale}")
    return means, scales


def _checked_quantiles(quantiles: Any, size: int) -> np.ndarray:
    try:
        found = np.asarray([] if quantiles is None else quantiles, "float64")
    except ValueError:
        # Rows of unequal lengths.
        found = np.empty(0)
    if (
        found.ndim != 2
        or found.shape[0] != size
        or found.shape[1] < 2
        or not np.isfinite(found).all()
        or (np.diff(found, axis=1) < 0).any()
    ):
        raise ValueError(
            "`quantiles` need one row per column, of two or more finite numbers in ascending "
            f"order, all of one length; `from_values` learns them. Received: quantiles={quantiles}"
        )
    return found
