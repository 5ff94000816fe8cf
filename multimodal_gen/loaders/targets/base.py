"""The contract of a target: a loader in the y position that defines the model's output.

A `Target` says so by `units`, `activation`, `loss` and `metrics`, and turns the model's outputs
back into words and scores. Keras is imported only when `loss` or `metrics` is asked for. What else
targets are asked for has a default, which for targets with one class per row needs nothing but
`class_names`.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.targets.balance import ClassSampler, balanced_weights, classes_of_rows
from multimodal_gen.loaders.targets.class_shares import quantiles_of_shares, sets_of_one
from multimodal_gen.loaders.targets.judgement import Judgement, judged_classes
from multimodal_gen.loaders.targets.resampling import one_by_one, table_by_class
from multimodal_gen.rows.cells import is_missing
from multimodal_gen.rows.sampling import Sampler

if TYPE_CHECKING:
    import keras


class Target(Loader):
    """A loader in the y position.

    A subclass implements `read`, `loss`, `score` and `decode_outputs`, and sets `units` and
    `activation`. With `class_names` set it has all that is made of classes: weights, balanced
    sampling, and pictures of what is wrong.

    Attributes:
        units: How many numbers the model must output per row, or per position if `read` returns
            several ids.
        activation: Name of the Keras activation of those outputs, or None for raw numbers.
        loss: The Keras loss that fits them; rows of sample weight 0 do not count in its mean.
        metrics: Keras metrics to watch while training.
        class_names: The classes, in their order; `()` if there are none.
        one_class: Whether each row has exactly one of them; true by default if there are any.
        conformal_limits: What `Bundle.calibrate` keeps for `Bundle.sets`, of `limits_by`; or None.
        loader: The loader of an input that the target is made of, or None.
        follows: Whether pictures of such a loader are moved as the input picture is, also of
            another column.
    """

    units: int
    activation: str | None
    class_names: tuple[Any, ...]
    conformal_limits: Any = None
    loader: Loader | None
    follows: bool = True

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Set optional attributes on the object; a dataclass would make fields of class ones."""
        target = super().__new__(cls, *args, **kwargs)
        for name, value in (("class_names", ()), ("loader", None)):
            if not hasattr(cls, name):
                target.__dict__[name] = value
        return target

    @property
    @abc.abstractmethod
    def loss(self) -> keras.losses.Loss:
        """The loss between what `read` returns and what the model outputs."""

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Metrics for the target, new each time because they have state; none by default.

        A metric named "accuracy", the share of rows that are right, is what `fit_with_recipe` stops
        early by.
        """
        return []

    @property
    def training_units(self) -> str | None:
        """The unit of training errors, as "standard deviations"; None for the table's units."""
        return None

    @abc.abstractmethod
    def score(self, truth: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
        """Score the model's outputs `(rows, units)` against what `read` returned, by name."""

    def resampled_scores(
        self, truth: np.ndarray, outputs: np.ndarray, counts: np.ndarray
    ) -> dict[str, np.ndarray]:
        """The scores of resamples of the rows, for intervals; by default `score` for each.

        Args:
            truth: What `read` returned for the rows, `(rows, ...)`.
            outputs: What the model put out for them.
            counts: `(resamples, rows) int`, how often each row is in each resample.

        Returns:
            The names of `score` -> `(resamples,)`. NaN where a resample has no value.
        """
        return one_by_one(self.score, truth, outputs, counts)

    def scores_by_class(
        self, truth: np.ndarray, outputs: np.ndarray, groups: np.ndarray | None = None
    ) -> pd.DataFrame | None:
        """Rows, precision, recall and F1 of each class, or None without classes.

        Args:
            truth: What `read` returned for the rows, `(rows, ...)`.
            outputs: What the model put out for them.
            groups: `(rows,) int64`, the group of each row, if rows of one group are alike.

        Returns:
            A row for each class, with 95 % intervals as "recall_low" and "recall_high". NaN where
            there is no value, such as the recall of a class without rows.
        """
        if not self.one_class:
            return None
        decoded = self.decode_outputs(outputs)
        places = {name: place for place, name in enumerate(self.class_names)}
        rows = np.arange(len(truth))
        guesses = np.array([places[name] for name in next(iter(decoded.values()))], "int64")
        return table_by_class(
            self.class_names,
            (rows, self.class_positions(truth)),
            (rows, guesses),
            rows if groups is None else groups,
        )

    def decided_by(self, truth: np.ndarray, outputs: np.ndarray) -> Self:
        """The target with decisions, such as thresholds, that fit held-out rows; by default itself.

        Args:
            truth: What `read` returned for the rows, `(rows, ...)`.
            outputs: What the model put out for them.
        """
        return self

    def calibrated_by(self, truth: np.ndarray, outputs: np.ndarray) -> Self:
        """The target with probabilities and limits that fit held-out rows; by default itself.

        Args:
            truth: What `read` returned for the rows, `(rows, ...)`.
            outputs: What the model put out for them.
        """
        return self

    def limits_by(self, truth: np.ndarray, outputs: np.ndarray) -> np.ndarray | None:
        """The limits of `sets_within` that hold the truth of held-out rows, for each coverage.

        By default, if each row has one class, the probability that a class needs.

        Args:
            truth: What `read` returned for the rows, `(rows, ...)`.
            outputs: What the model put out for them.

        Returns:
            `(coverages, ...)`, from 0.5 in steps of 0.001 as far as there are rows enough; None for
            a target without sets.
        """
        return quantiles_of_shares(self, truth, outputs) if self.one_class else None

    def sets_within(self, limit: Any, predictions: pd.DataFrame) -> dict[str, Any]:
        """Columns of sets: by default "set", and "abstain" where that is not exactly one class.

        Args:
            limit: One of `limits_by`.
            predictions: The columns of `decode_outputs`; missing values in rows without outputs.
        """
        return sets_of_one(self.class_names, limit, predictions)

    @abc.abstractmethod
    def decode_outputs(self, outputs: np.ndarray) -> dict[Any, np.ndarray]:
        """Columns of a table of predictions, from the model's outputs of shape `(rows, units)`.

        The first column holds the prediction. If there are classes, a column named after a class
        holds its probability ("{first column}_probability" if a class has the name of the first
        column).
        """

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The model's output shape per row: `(units,)`, or `(*spec.shape, units)` for several ids.

        A model may put out the same numbers in another shape, such as flat.
        """
        ids = np.dtype(self.spec.dtype).kind in "iu"
        return (*self.spec.shape, self.units) if ids else (self.units,)

    @property
    def stream(self) -> str | tuple[str, ...]:
        """The stream of the loader inside the target; otherwise its column."""
        return self.column if self.loader is None else self.loader.stream

    def check_inputs(self, inputs: Mapping[str, Loader]) -> None:
        """Raise a ValueError if the target cannot be learned from these inputs. By default it can.

        Args:
            inputs: Input name -> loader.
        """

    # Where each row has one class

    @property
    def one_class(self) -> bool:
        """Whether each row has exactly one of `class_names`."""
        return bool(self.class_names)

    def class_positions(self, truth: np.ndarray) -> np.ndarray:
        """Turn rows of what `read` returns into positions in `class_names`, `(rows,) int64`.

        By default these are class numbers, or vectors with the largest number at the class.
        Override it if `read` represents classes in another way.
        """
        truth = np.asarray(truth)
        if truth.ndim == 2 and truth.shape[1] > 1:
            return truth.argmax(axis=1)
        return truth.reshape(len(truth)).astype("int64")

    def classes_of(self, cells: Sequence[Any]) -> np.ndarray:
        """Each cell's class as a position in `class_names`, `(cells,) int64`; -1 for none."""
        found = np.full(len(cells), -1, "int64")
        rows, arrays = [], []
        for row, cell in enumerate(cells):
            try:
                if self.accepts_missing or not is_missing(cell):
                    arrays.append(self.read(cell))
                    rows.append(row)
            except Exception:
                # Not an error here: whoever needs a class in every row reads the cell again and
                # gets it.
                continue
        if rows:
            found[rows] = self.class_positions(np.stack(arrays))
        return found

    def class_weight(self, values: Any) -> dict[int, float]:
        """Weights that make every class count equally, for `fit(class_weight=...)`.

        A class's weight is `rows / (classes * rows of the class)`, so that the mean weight of a row
        is 1: the heuristic "balanced" of scikit-learn, after King and Zeng, "Logistic regression in
        rare events data", 2001.

        Args:
            values: The column's values in the training rows, or the table that has it.

        Returns:
            Position of the class in `class_names` -> its weight.

        Raises:
            LoadError: If a row has none of the classes.
            ValueError: If a class has no rows.
        """
        counts = np.bincount(classes_of_rows(self, values), minlength=len(self.class_names))
        return balanced_weights(counts, self.class_names, self.column)

    def balanced_sampler(self) -> Sampler:
        """The sampler of `sampler="balanced"`: every class comes equally often."""
        return ClassSampler(self)

    # What people are shown

    def describe(self, array: np.ndarray, cell: Any = None) -> dict[str, str]:
        """The name of the row's class; without classes, as for any loader."""
        if not self.one_class:
            return super().describe(array, cell)
        return {"": str(self.class_names[int(self.class_positions(array[None])[0])])}

    def judge(self, cells: Sequence[Any], predictions: pd.DataFrame) -> Judgement | None:
        """Compare predictions with the truth, for pictures of predictions and of the worst ones.

        By default, if each row has one class, a row is right if the first column of
        `decode_outputs` has this class; other targets are not judged.

        Args:
            cells: The true cells.
            predictions: What `Bundle.predict` gave for their rows.

        Returns:
            A judgement, or None if predictions are neither right nor wrong.

        Raises:
            KeyError: If `predictions` have no such column.
        """
        if not self.one_class:
            return None
        truths = np.empty(len(cells), object)
        for row, (cell, place) in enumerate(zip(cells, self.classes_of(cells), strict=True)):
            truths[row] = cell if place < 0 else self.class_names[place]
        # Asks the method for the name, because a target of your own may name its columns
        # differently.
        column = next(iter(self.decode_outputs(np.zeros((1, *self.output_shape), "float32"))))
        return judged_classes(self.class_names, column, truths, predictions)
