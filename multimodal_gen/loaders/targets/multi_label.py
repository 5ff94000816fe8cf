"""Any number of classes at once, such as the tags of a picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from multimodal_gen.loaders.drawing import shares_in_words
from multimodal_gen.loaders.learning import series_of, wrong_order
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.loaders.targets.calibration import (
    checked_scaling,
    fit_by_folds,
    moved_thresholds,
    scaled,
)
from multimodal_gen.loaders.targets.class_loss_checks import check_focus
from multimodal_gen.loaders.targets.conformal import checked_limits, risk_limits
from multimodal_gen.loaders.targets.judgement import Judgement, judged_labels
from multimodal_gen.loaders.targets.known_classes import KnownClasses
from multimodal_gen.loaders.targets.label_cells import (
    check_label_columns,
    check_separator,
    columns_of_labels,
    split_labels,
)
from multimodal_gen.loaders.targets.label_decisions import (
    THRESHOLD,
    balanced_positives,
    by_label,
    said_labels,
    scores_by_label,
    scores_of_labels,
    sets_of_labels,
    with_intervals,
)
from multimodal_gen.loaders.targets.label_learning import learned_labels
from multimodal_gen.loaders.targets.label_reading import read_labels
from multimodal_gen.loaders.targets.label_thresholds import best_thresholds
from multimodal_gen.loaders.targets.resampling import resampled_labels
from multimodal_gen.rows.cells import is_missing
from multimodal_gen.rows.checks import check_choice, check_once
from multimodal_gen.rows.chunks import cells_of_series
from multimodal_gen.spec import ArraySpec

if TYPE_CHECKING:
    import keras

__all__ = ["MultiLabel", "split_labels"]


class MultiLabel(Target):
    """Which of several classes a row has: none, one, some or all of them.

    A cell is a list, tuple, set or array of labels, or with a `separator` also a string such as
    "red|round", around whose labels white space does not count. An empty list or string is a row
    without labels, and with a `separator` a missing cell too, as an empty cell of a csv file is;
    the order, and a label that comes twice, mean nothing. Labels differ by their text, as
    those of `ClassLabel`.

    Or there is a column for each class, of 0 and 1 or False and True.

    Yields `(classes,) float32` of 0 and 1, kind "label".

    Args:
        column: The column that holds the labels; or several, one for each class.
        class_names: The classes in the order of the model's outputs, and of several columns;
            strings, integers or booleans. By default the names of several columns.
        separator: The string between labels. Predictions are then such strings too.
        positive_weight: How much a row with a label counts in the loss, compared with one without:
            a number, one for each label, or label -> number.
        focal: Gamma of the focal loss, such as 2: labels that are predicted well count less. 0 is
            the usual cross-entropy.
        label_smoothing: The share of each label's weight that is spread over both answers, in [0,
            1). `LabelCrossentropy` has the formulas.
        thresholds: The probability above which a row is said to have a label, in the same forms.
            `choose_thresholds` finds them on validation rows.
        calibration: What `Bundle.calibrate` finds: factors and shifts of the labels' logits.
        conformal_limits: What it keeps for `Bundle.sets`: the probability that a label needs to be
            in a set, for each coverage from 0.5 in steps of 0.001.

    Raises:
        ValueError: If classes are not different names, are not as many as the columns, or could not
            be separated in a string, because they contain the separator, are empty, or begin or end
            with white space.
    """

    accepts_missing = True
    cached = False
    kept_by_row = True
    one_class = False

    def __init__(
        self,
        column: str | Sequence[str],
        class_names: Sequence[Any] | None = None,
        *,
        separator: str | None = None,
        positive_weight: Any = None,
        focal: float = 0.0,
        label_smoothing: float = 0.0,
        thresholds: Any = THRESHOLD,
        calibration: Any = None,
        conformal_limits: Any = None,
    ) -> None:
        check_focus(focal, label_smoothing)
        self.column, names = columns_of_labels(column, class_names, separator)
        self.class_names = names
        self.separator = separator
        self.focal, self.label_smoothing = focal, label_smoothing
        self.positive_weight = by_label(positive_weight, names, "positive_weight")
        self.thresholds = np.array(by_label(thresholds, names, "thresholds", below=1.0))
        self.calibration = checked_scaling(calibration, len(names))
        self.conformal_limits = checked_limits(conformal_limits)
        self.units = len(names)
        self.activation = "sigmoid"
        self.spec = ArraySpec((len(names),), "float32", "label")
        self._known = KnownClasses(names)

    @classmethod
    def from_values(
        cls,
        column: str | Sequence[str],
        values: Iterable[Any],
        *,
        separator: str | None = None,
        positive_weight: Any = None,
        **options: Any,
    ) -> Self:
        """Learn the classes from training rows: the distinct labels, sorted, or the columns' names.

        Args:
            column: The column that holds the labels; or several of 0 and 1, one for each class.
            values: Its training cells, or the table that has it; of several columns the table, or
                rows of 0 and 1.
            separator: As in the constructor.
            positive_weight: As in the constructor, or "balanced": for each label the training rows
                without it, divided by those with it, at most 100.
            options: Further arguments of the constructor.

        Raises:
            ValueError: If a value is missing or is not labels, a single column holds 0 and 1 for
                each class, no row has a label, or another separator parts the labels.

        Warns:
            LabelWarning: If the separator stands in no cell, or labels differ only in blanks, in
                upper and lower case or in the Unicode form of a letter.
        """
        check_separator(separator)
        if not isinstance(column, str):
            if not isinstance(column, list | tuple) or isinstance(values, str | bytes | Mapping):
                raise wrong_order(column, values)
            check_once(column)
            frame = check_label_columns(tuple(column), values)
            target = cls(column, separator=separator, **options)
            cells = frame.itertuples(index=False, name=None)
        else:
            series = series_of(column, values)
            names = learned_labels(column, series, separator)
            target = cls(column, names, separator=separator, **options)
            cells = (cell for cell in cells_of_series(series) if not is_missing(cell))
        if positive_weight is None:
            return target
        if isinstance(positive_weight, str):
            check_choice("positive_weight", positive_weight, ["balanced"], ", numbers or None")
            positive_weight = balanced_positives(map(target.read, cells))
        return target.replace(positive_weight=positive_weight)

    def get_config(self) -> dict[str, Any]:
        """The arguments; numbers by label, whose names need not be texts, in the labels' order."""
        config = super().get_config()
        for name in ("positive_weight", "thresholds"):
            if isinstance(config.get(name), Mapping):
                config[name] = [config[name][label] for label in self.class_names]
        return config

    def read(self, cell: Any) -> np.ndarray:
        """A 1 for each class that the row has.

        Args:
            cell: The labels; of several columns a tuple of 0 and 1.

        Raises:
            LoadError: If the cell is missing or is not labels, or a label is none of `class_names`.
        """
        return read_labels(cell, self.column, self.class_names, self._known, self.separator)

    @property
    def loss(self) -> keras.losses.Loss:
        """Binary cross-entropy, averaged over classes; rows count by their sample weights."""
        from multimodal_gen.loaders.targets.class_losses import loss_of_labels

        return loss_of_labels(self.positive_weight, self.focal, self.label_smoothing)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The share of right decisions at 0.5, not `thresholds`, and the mean AUC of all labels."""
        import keras

        return [
            keras.metrics.BinaryAccuracy(name="binary_accuracy", threshold=THRESHOLD),
            keras.metrics.AUC(name="auc", multi_label=True, num_labels=self.units),
        ]

    def decode_outputs(self, outputs: np.ndarray) -> dict[Any, np.ndarray]:
        """The column "labels" with the classes above their thresholds, then each one's probability.

        The classes are a list, or a string if there is a `separator`: either way, a cell that this
        target can read. A class that is itself named "labels" gets its probability under
        "labels_probability".
        """
        outputs = self.probabilities(outputs)
        labels = said_labels(self.class_names, outputs > self.thresholds, self.separator)
        columns: dict[Any, np.ndarray] = {"labels": labels}
        for position, name in enumerate(self.class_names):
            columns["labels_probability" if name == "labels" else name] = outputs[:, position]
        return columns

    def score(self, truth: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
        """Micro and macro F1 at `thresholds`, mean average precision, and the share of fully right
        rows.

        Macro F1 is over the classes that a row has or is said to have; mean average precision over
        those that a row has. Where no row has or is said to have any, the F1 are 1 and the
        precision is NaN.
        """
        return scores_of_labels(truth, self.probabilities(outputs), self.thresholds)

    def scores_by_label(self, truth: np.ndarray, outputs: np.ndarray) -> pd.DataFrame:
        """Rows, threshold, precision, recall, F1 and average precision of each label.

        Args:
            truth: `(rows, classes)`, what `read` returned.
            outputs: `(rows, classes)` probabilities, such as `bundle.predict(table)[names]`.

        Returns:
            A row for each label; NaN where there is no value, as the recall of a label without
            rows.
        """
        return scores_by_label(self.class_names, truth, np.asarray(outputs), self.thresholds)

    def resampled_scores(
        self, truth: np.ndarray, outputs: np.ndarray, counts: np.ndarray
    ) -> dict[str, np.ndarray]:
        """The scores of `score`, of many resamples at once."""
        has = np.asarray(truth) > THRESHOLD
        return resampled_labels(has, self.probabilities(outputs), self.thresholds, counts)

    def scores_by_class(
        self, truth: np.ndarray, outputs: np.ndarray, groups: np.ndarray | None = None
    ) -> pd.DataFrame:
        """As `scores_by_label`, with 95 % intervals of precision, recall and F1."""
        outputs = self.probabilities(outputs)
        own = self.scores_by_label(truth, outputs)
        return with_intervals(own, truth, outputs, self.thresholds, groups)

    def decided_by(self, truth: np.ndarray, outputs: np.ndarray) -> Self:
        """With thresholds of a larger F1 in cross-validation; `best_thresholds` says how."""
        has = np.asarray(truth) > THRESHOLD
        found = best_thresholds(has, self.probabilities(outputs), self.thresholds)
        return self.replace(thresholds=found.tolist())

    def calibrated_by(self, truth: np.ndarray, outputs: np.ndarray) -> Self:
        """With factors of the logits that make these rows most likely; `fit_scaling` says how.
        Thresholds move with the probabilities, so decisions stay; those at 0.5 stay at 0.5.
        """
        has = np.asarray(truth) > THRESHOLD
        scaling, apart = fit_by_folds(has, np.asarray(outputs), exclusive=False)
        moved = moved_thresholds(self.thresholds, self.calibration, scaling)
        limits = risk_limits(has, apart)
        return self.replace(calibration=scaling, thresholds=moved.tolist(), conformal_limits=limits)

    def limits_by(self, truth: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """The probability that a label needs, `(coverages,)`; `risk_limits` says how."""
        return risk_limits(np.asarray(truth) > THRESHOLD, self.probabilities(outputs))

    def sets_within(self, limit: Any, predictions: pd.DataFrame) -> dict[str, Any]:
        """The column "set" with the labels that reach the limit, in the form of "labels"."""
        return {"set": sets_of_labels(self.class_names, limit, predictions, self.separator)}

    def probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """Each label's probability from the model's outputs, `(rows, classes) float32`."""
        outputs = np.asarray(outputs, "float32").reshape(-1, self.units)
        return scaled(outputs, self.calibration, exclusive=False)

    def describe(self, array: np.ndarray, cell: Any = None) -> dict[str, str]:
        """The classes that the row has."""
        return {"": shares_in_words(self.class_names, array) or "(no labels)"}

    def judge(self, cells: Sequence[Any], predictions: pd.DataFrame) -> Judgement:
        """A row is right if every class is; the larger its largest error, the worse it is."""
        truth = np.stack([self.read(cell) for cell in cells]) > THRESHOLD
        # Only asked for: a table without the column is an error that names it.
        _ = predictions["labels"]
        columns = ["labels_probability" if name == "labels" else name for name in self.class_names]
        shares = predictions[columns].to_numpy("float64", na_value=np.nan)
        return judged_labels(self.class_names, truth, shares, self.thresholds)
