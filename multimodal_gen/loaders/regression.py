"""Numbers to predict, standardised for training and given back in the table's own units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.base import ArraySpec, is_missing
from multimodal_gen.loaders.target import Target, refuse_missing

if TYPE_CHECKING:
    import keras


class NumericTarget(Target):
    """One or several numbers of a row, in training `(value - mean) / scale`.

    Standardised, a price in cents and an age in years weigh alike, and a model whose heads start at zero starts from
    the mean. Predictions and scores are in the table's units again; the loss and `metrics` that training shows are in
    units of `scale`.

    Yields `(columns,) float32`, kind "vector".

    Args:
        column: A column name, or several.
        mean: What is subtracted, one number a column; None for 0.
        scale: What is divided by, one positive number a column; None for 1.
    """

    accepts_missing = True

    def __init__(
        self,
        column: str | Sequence[str],
        *,
        mean: float | Sequence[float] | None = None,
        scale: float | Sequence[float] | None = None,
    ) -> None:
        self.column = column if isinstance(column, str) else tuple(column)
        self.columns = (column,) if isinstance(column, str) else tuple(column)
        size = len(self.columns)
        self.mean = np.zeros(size) if mean is None else np.atleast_1d(np.asarray(mean, "float64"))
        self.scale = np.ones(size) if scale is None else np.atleast_1d(np.asarray(scale, "float64"))
        if not size or len(set(self.columns)) != size:
            raise ValueError(f"`column` must be one or more different names. Received: column={column!r}")
        if self.mean.shape != (size,) or not np.isfinite(self.mean).all():
            raise ValueError(f"`mean` must be {size} finite number(s). Received: mean={mean!r}")
        if self.scale.shape != (size,) or not (np.isfinite(self.scale) & (self.scale > 0)).all():
            raise ValueError(f"`scale` must be {size} finite number(s) above 0. Received: scale={scale!r}")
        self.units = size
        self.activation = None
        self.spec = ArraySpec((size,), "float32", "vector")

    @classmethod
    def from_values(cls, column: str | Sequence[str], values: Any, *, standardize: bool = True) -> Self:
        """Learn mean and scale (standard deviation) from training rows.

        Args:
            column: A column name, or several.
            values: Their training values: a Series, or a DataFrame or array with one column each.
            standardize: Whether mean and scale are learned; if not, they are 0 and 1, and the values only checked.

        Raises:
            ValueError: If a value is missing, infinite or no number; it names the row.
        """
        names = (column,) if isinstance(column, str) else tuple(column)
        frame = values.to_frame() if isinstance(values, pd.Series) else pd.DataFrame(values)
        if frame.shape[1] != len(names):
            raise ValueError(
                f"`values` must have one column for each name in `column`. "
                f"Received: column={column!r}, {frame.shape[1]} column(s) of values"
            )
        try:
            numbers = frame.astype("float64").to_numpy()
        except (TypeError, ValueError) as error:
            raise ValueError(f"The values of {column!r} must be numbers. Received: {error}") from None
        for name, numbers_of_column in zip(names, numbers.T, strict=True):
            refuse_missing(np.isnan(numbers_of_column), frame.index, name, "Numbers to predict")
            infinite = np.isinf(numbers_of_column)
            if infinite.any():
                label = frame.index[infinite].tolist()[0]
                raise ValueError(
                    f"Numbers to predict must be finite; mend the value or drop the row. "
                    f"Received: an infinite value at index {label!r} of {name!r}"
                )
        if not standardize:
            return cls(column)
        deviation = numbers.std(axis=0)
        scale = np.where(deviation > 0, deviation, 1.0)
        return cls(column, mean=numbers.mean(axis=0).tolist(), scale=scale.tolist())

    def read(self, cell: Any) -> np.ndarray:
        """Standardise a number, or a tuple of numbers, one a column.

        Raises:
            LoadError: If one is missing, infinite or no number.
        """
        cells = cell if isinstance(cell, tuple) else (cell,)
        try:
            numbers = np.array([float("nan") if is_missing(one) else one for one in cells], "float64")
        except (TypeError, ValueError):
            numbers = np.empty(0)
        if numbers.shape != self.mean.shape:
            raise LoadError(f"expected {len(self.mean)} number(s). Received: {cell!r}")
        if not np.isfinite(numbers).all():
            raise LoadError(
                "a number to predict is missing or infinite. Mend it, or drop the row, with "
                f"`table.dropna(subset={list(self.columns)})` where it is missing. Received: {cell!r}"
            )
        return ((numbers - self.mean) / self.scale).astype("float32")

    @property
    def loss(self) -> keras.losses.Loss:
        """Mean squared error, in units of `scale`; its mean counts each row by its sample weight."""
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

    def unscale(self, numbers: np.ndarray) -> np.ndarray:
        """`(rows, columns)` as `read` gives or a model puts out -> `(rows, columns) float64` in the table's units."""
        return np.asarray(numbers, "float64").reshape(-1, self.units) * self.scale + self.mean

    def decode_outputs(self, outputs: np.ndarray) -> dict[Any, np.ndarray]:
        """The predicted numbers, float64 in the table's units, under the names of their columns."""
        return dict(zip(self.columns, self.unscale(outputs).T, strict=True))

    def score(self, truth: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
        """Mean absolute error, root mean squared error (both in the table's units) and R2.

        R2 is the share of the variance that is explained, NaN where all true values are the same. Where there are
        several columns, each has its scores under "{column}.{score}".
        """
        expected, predicted = self.unscale(truth), self.unscale(outputs)
        scores = {}
        for position, name in enumerate(self.columns):
            prefix = f"{name}." if self.units > 1 else ""
            own = expected[:, position]
            errors = predicted[:, position] - own
            squared = float(np.mean(errors**2))
            scores[f"{prefix}mean_absolute_error"] = float(np.mean(np.abs(errors)))
            scores[f"{prefix}root_mean_squared_error"] = squared**0.5
            scores[f"{prefix}r2"] = 1.0 - squared / float(own.var()) if np.ptp(own) > 0 else float("nan")
        return scores
