"""Numbers to predict, standardised for training and returned in the table's own units."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from multimodal_gen.errors import LoadError, shown
from multimodal_gen.loaders.drawing import numbers_in_words
from multimodal_gen.loaders.learning import count_in_words, numbers_of, read_numbers, standardised
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.loaders.targets.conformal import checked_limits, quantiles
from multimodal_gen.loaders.targets.judgement import Judgement
from multimodal_gen.loaders.targets.names import refuse_missing
from multimodal_gen.loaders.targets.resampling import resampled_numbers
from multimodal_gen.rows.checks import check_positive, check_switches
from multimodal_gen.spec import ArraySpec

if TYPE_CHECKING:
    import keras


class NumericTarget(Target):
    """One or several numbers of a row, in training `(value - mean) / scale`.

    Standardised, a price in cents and an age in years weigh alike, and a model whose heads start at
    zero starts from the mean. Predictions and scores are in the table's units again; the loss and
    `metrics` that training shows are in units of `scale`.

    The numbers are in one column each, or, such as the corners of a box, together in the cells of
    one column, which are then arrays or lists of one length.

    Yields `(units,) float32`, kind "vector".

    Args:
        column: A column name, or several.
        mean: What is subtracted, one number a unit; None for 0.
        scale: What is divided by, one positive number a unit; None for 1.
        units: How many numbers a cell of a single column holds; by default one per column.
        conformal_limits: What `Bundle.calibrate` keeps for `Bundle.sets`: how far the numbers are
            from predictions at most, for each coverage from 0.5 in steps of 0.001.

    Attributes:
        names: What the numbers are called in predictions and scores, `(units,)`.
    """

    accepts_missing = True
    # Reading a number costs less than looking up a cached file.
    cached = False
    kept_by_row = True

    def __init__(
        self,
        column: str | Sequence[str],
        *,
        mean: float | Sequence[float] | None = None,
        scale: float | Sequence[float] | None = None,
        units: int | None = None,
        conformal_limits: Any = None,
    ) -> None:
        self.column = column if isinstance(column, str) else tuple(column)
        self.columns = (column,) if isinstance(column, str) else tuple(column)
        if units is not None:
            check_positive(units=units)
        size = len(self.columns) if units is None else int(units)
        if not isinstance(column, str) and size != len(self.columns):
            raise ValueError(
                f"With several columns, each holds one number; `units` is for a single column of "
                f"arrays. Received: units={units!r}, column={column!r}"
            )
        self.mean = np.zeros(size) if mean is None else np.atleast_1d(np.asarray(mean, "float64"))
        self.scale = np.ones(size) if scale is None else np.atleast_1d(np.asarray(scale, "float64"))
        if not self.columns or len(set(self.columns)) != len(self.columns):
            raise ValueError(
                f"`column` must be one or more different names. Received: column={column!r}"
            )
        if self.mean.shape != (size,) or not np.isfinite(self.mean).all():
            raise ValueError(
                f"`mean` must be {count_in_words(size, 'finite')}. Received: mean={mean!r}"
            )
        if self.scale.shape != (size,) or not (np.isfinite(self.scale) & (self.scale > 0)).all():
            raise ValueError(
                f"`scale` must be {count_in_words(size, 'finite')} above 0. Received: "
                f"scale={scale!r}"
            )
        self.conformal_limits = checked_limits(conformal_limits, size)
        self.units = size
        self.names = (
            self.columns
            if len(self.columns) == size
            else tuple(f"{column}_{part}" for part in range(size))
        )
        self.activation = None
        self.spec = ArraySpec((size,), "float32", "vector")

    @classmethod
    def from_values(
        cls, column: str | Sequence[str], values: Any, *, standardize: bool = True
    ) -> Self:
        """Learn mean and scale (standard deviation) from training rows.

        Args:
            column: A column name, or several.
            values: Their training values: a table that has the columns, a Series, or an array with
                one column each, in the order of the names. The cells of a single column may be
                arrays or lists of numbers.
            standardize: Whether mean and scale are learned; if not, they are 0 and 1, and the
                values only checked.

        Raises:
            ValueError: If a value is missing, infinite or no number, it names the row; or a column
                is lacking, or the cells of one do not hold equally many numbers.
        """
        check_switches(standardize=standardize)
        frame = numbers_of(column, values)
        numbers = frame.to_numpy()
        together = isinstance(column, str) and numbers.shape[1] > 1
        units = {"units": numbers.shape[1]} if together else {}
        columns = (column,) * numbers.shape[1] if isinstance(column, str) else tuple(column)
        for name, own in zip(columns, numbers.T, strict=True):
            # `dropna` does not drop a cell that has NaN among its numbers.
            missing = np.isnan(numbers).all(axis=1) if together else np.isnan(own)
            refuse_missing(missing, frame.index, name, "Numbers to predict")
            if not np.isfinite(own).all():
                row = np.flatnonzero(~np.isfinite(own))[0]
                found = "NaN" if np.isnan(own[row]) else "an infinite value"
                raise ValueError(
                    f"Numbers to predict must be finite; fix the value or drop the row. "
                    f"Received: {found} at index {frame.index[[row]].tolist()[0]!r} of {name!r}"
                )
        if not standardize:
            return cls(column, **units)
        deviation = numbers.std(axis=0)
        # A constant column is divided by 1, so that it becomes 0 and not NaN.
        scale = np.where(deviation > 0, deviation, 1.0)
        return cls(column, mean=numbers.mean(axis=0).tolist(), scale=scale.tolist(), **units)

    def read(self, cell: Any) -> np.ndarray:
        """Standardise a number, or a tuple, list or array of numbers.

        Raises:
            LoadError: If one is missing, infinite or no number, or there are no `units` of them.
        """
        numbers = read_numbers(tuple(cell) if isinstance(cell, list) else cell, self.units)
        if not np.isfinite(numbers).all():
            raise LoadError(
                "a number to predict is missing or infinite. Fix it, or drop the row, with "
                f"`table.dropna(subset={list(self.columns)})` if it is missing, or have such rows "
                'skipped with `on_error="skip"` (`--on-error skip`). Received: '
                f"{shown(cell)}"
            )
        return standardised(numbers, self.mean, self.scale, cell)

    @property
    def loss(self) -> keras.losses.Loss:
        """Mean squared error in units of `scale`; the mean is weighted by the sample weights."""
        import keras

        return keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Mean absolute error and root mean squared error, in units of `scale`."""
        import keras

        return [
            keras.metrics.MeanAbsoluteError(name="mean_absolute_error"),
            keras.metrics.RootMeanSquaredError(name="root_mean_squared_error"),
        ]

    @property
    def training_units(self) -> str | None:
        """Say "standard deviations"; for a single number, with its size in the table's units."""
        if (self.scale == 1).all():
            return None
        return "standard deviations" + (f" (1 is {self.scale[0]:,.4g})" if self.units == 1 else "")

    def unscale(self, numbers: np.ndarray) -> np.ndarray:
        """Convert standardised `(rows, units)` to `(rows, units) float64` in table units."""
        return np.asarray(numbers, "float64").reshape(-1, self.units) * self.scale + self.mean

    def decode_outputs(self, outputs: np.ndarray) -> dict[Any, np.ndarray]:
        """The predicted numbers, float64 in the table's units, under the names of their columns.

        Those of a single column "box" whose cells hold several are "box_0", "box_1" and so on.
        """
        return dict(zip(self.names, self.unscale(outputs).T, strict=True))

    def score(self, truth: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
        """Mean absolute error, root mean squared error (both in the table's units) and R².

        R² is the share of the variance that is explained, or NaN if all true values are the same.
        If there are several numbers, each has its scores under "{column}.{score}", with the names
        of `decode_outputs`.
        """
        expected, predicted = self.unscale(truth), self.unscale(outputs)
        scores = {}
        for position, name in enumerate(self.names):
            prefix = f"{name}." if self.units > 1 else ""
            own = expected[:, position]
            errors = predicted[:, position] - own
            squared = float(np.mean(errors**2))
            scores[f"{prefix}mean_absolute_error"] = float(np.mean(np.abs(errors)))
            scores[f"{prefix}root_mean_squared_error"] = squared**0.5
            scores[f"{prefix}r2"] = (
                1.0 - squared / float(own.var()) if np.ptp(own) > 0 else float("nan")
            )
        return scores

    def resampled_scores(
        self, truth: np.ndarray, outputs: np.ndarray, counts: np.ndarray
    ) -> dict[str, np.ndarray]:
        """The scores of `score`, of many resamples at once."""
        expected, predicted = self.unscale(truth), self.unscale(outputs)
        return resampled_numbers(self.names, expected, predicted, counts)

    def calibrated_by(self, truth: np.ndarray, outputs: np.ndarray) -> Self:
        """With the limits of intervals that hold these rows; predictions stay as they are."""
        return self.replace(conformal_limits=self.limits_by(truth, outputs))

    def limits_by(self, truth: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """How far each number is from its prediction at most, `(coverages, units)`, in the table's
        units.
        """
        return quantiles(np.abs(self.unscale(truth) - self.unscale(outputs)))

    def sets_within(self, limit: Any, predictions: pd.DataFrame) -> dict[str, Any]:
        """The columns "{name}_low" and "{name}_high", the ends of an interval, for each number."""
        ends: dict[str, Any] = {}
        for name, far in zip(self.names, limit, strict=True):
            said = predictions[name].to_numpy("float64", na_value=np.nan)
            ends |= {f"{name}_low": said - far, f"{name}_high": said + far}
        return ends

    def describe(self, array: np.ndarray, cell: Any = None) -> dict[str, str]:
        """The numbers in the table's units, each under its name."""
        return numbers_in_words(self.names, array, self.mean, self.scale)

    def judge(self, cells: Sequence[Any], predictions: pd.DataFrame) -> Judgement:
        """No row counts as right; the largest error, in units of `scale`, is worst."""
        truth = self.unscale(np.stack([self.read(cell) for cell in cells]))
        guesses = predictions[list(self.names)].to_numpy("float64", na_value=np.nan)
        errors = np.abs(guesses - truth)

        means = zip(self.names, errors.mean(axis=0), strict=True)
        title = f"mean absolute error: {', '.join(f'{name} {mean:,.4g}' for name, mean in means)}"
        words = partial(_said_and_true, self.names, guesses, truth)
        return Judgement(None, (errors / self.scale).max(axis=1), title, words)


def _said_and_true(
    names: Sequence[str], guesses: np.ndarray, truth: np.ndarray, row: int
) -> list[str]:
    said = zip(names, guesses[row], truth[row], strict=True)
    off = ", ".join(f"{error:,.4g}" for error in np.abs(guesses[row] - truth[row]))
    lines = [f"{name}: said {guess:,.5g}, is {true:,.5g}" for name, guess, true in said]
    return [*lines, f"off by {off}"]
