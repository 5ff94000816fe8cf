"""One class per row out of several, the usual target."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from multimodal_gen.loaders.base import missing_target_error
from multimodal_gen.loaders.drawing import shares_in_words
from multimodal_gen.loaders.targets.balance import balanced_weights
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.loaders.targets.calibration import checked_scaling, fit_by_folds, scaled
from multimodal_gen.loaders.targets.class_loss_checks import check_loss, names_in_order
from multimodal_gen.loaders.targets.class_scores import scores_of_classes
from multimodal_gen.loaders.targets.conformal import checked_limits, quantiles
from multimodal_gen.loaders.targets.known_classes import KnownClasses
from multimodal_gen.loaders.targets.names import (
    checked_names,
    different_cells,
    labels_of,
    refuse_numbers,
    sorted_names,
    unknown_label,
)
from multimodal_gen.loaders.targets.resampling import resampled_classes
from multimodal_gen.loaders.targets.unlikely import warn_of_unlikely_classes
from multimodal_gen.loaders.targets.variants import Variants, warn_of_variants
from multimodal_gen.rows.cells import cell_text, is_blank
from multimodal_gen.rows.checks import check_choice
from multimodal_gen.rows.chunks import text_codes
from multimodal_gen.rows.sampling import BalancedSampler, Sampler
from multimodal_gen.spec import ArraySpec

if TYPE_CHECKING:
    import keras

__all__ = ["ClassLabel", "Target"]


class ClassLabel(Target):
    """One class out of several.

    Classes differ by the text of their cells: 1, 1.0 and "1" are one class, 1 and True are
    two. Where no class has a cell's text, 1.0 and "1.0" find each other, whichever way the
    table was read. A text of nothing but white space is a missing label.

    Yields, by `label_mode`: "int" the class's position, `() int32`; "categorical" a one-hot vector
    `(classes,) float32`; "binary" 0 or 1, `(1,) float32`, for exactly two classes.

    Args:
        column: The column that holds the class.
        class_names: The classes in the order of the model's outputs; strings, numbers or booleans.
        label_mode: "int", "categorical" or "binary".
        label_smoothing: The share of each row's weight in the loss that is spread over all classes,
            in [0, 1), such as 0.1: for labels of which some are wrong, and against overconfidence.
        focal: Gamma of the focal loss, such as 2: rows that are predicted well count less, so that
            many easy rows do not outweigh few hard ones. 0 is the usual cross-entropy.
        ordered: Whether `class_names` are steps of a scale, as ratings are. Then probabilities far
            from the true class cost more, and `score` adds how many steps predictions are off.
            Probabilities spread to the neighbours. `ClassCrossentropy` has all three formulas.
        calibration: What `Bundle.calibrate` finds: factors and shifts of the classes' logits.
        conformal_limits: What it keeps for `Bundle.sets`: the probability that a class needs to be
            in a set, for each coverage from 0.5 in steps of 0.001.
    """

    # Reading a label costs less than looking up a cached file.
    cached = False
    kept_by_row = True

    def __init__(
        self,
        column: str,
        class_names: Sequence[Any],
        *,
        label_mode: str = "int",
        label_smoothing: float = 0.0,
        focal: float = 0.0,
        ordered: bool = False,
        calibration: Any = None,
        conformal_limits: Any = None,
    ) -> None:
        names = checked_names(class_names, column, least=2)
        check_loss(label_smoothing, focal, ordered, len(names))
        check_choice("label_mode", label_mode, ("int", "categorical", "binary"))
        if label_mode == "binary" and len(names) != 2:
            raise ValueError(
                f'label_mode="binary" needs exactly two classes. Received: class_names={names!r}'
            )
        self.calibration = checked_scaling(calibration, len(names))
        self.conformal_limits = checked_limits(conformal_limits)
        self.column = column
        self.class_names = names
        self.label_mode = label_mode
        self.label_smoothing, self.focal, self.ordered = label_smoothing, focal, ordered
        self.units = 1 if label_mode == "binary" else len(names)
        self.activation = "sigmoid" if label_mode == "binary" else "softmax"
        shape, dtype = {
            "int": ((), "int32"),
            "categorical": ((len(names),), "float32"),
            "binary": ((1,), "float32"),
        }[label_mode]
        self.spec = ArraySpec(shape, dtype, "label")
        self._known = KnownClasses(names)

    @classmethod
    def from_values(
        cls, column: str, values: Iterable[Any], *, label_mode: str = "int", **loss: Any
    ) -> Self:
        """Learn the classes from training rows: the distinct cell texts, sorted; numbers by size.

        Categories of a categorical column that no row has are not classes.

        Args:
            column: The column that holds the class.
            values: Its training values, or the table that has it.
            label_mode: As in the constructor.
            loss: `label_smoothing`, `focal` and `ordered`, as in the constructor.

        Raises:
            ValueError: If a value is missing, blank, a list or bytes, there are fewer than two
                classes, or they look like numbers to predict: decimal numbers or numbers with a
                unit, more than 20 or more than half as many as rows; or with `ordered` they are
                texts, whose order on the scale letters do not tell.

        Warns:
            LabelWarning: If classes differ only in blanks, in upper and lower case or in the
                Unicode form of a letter, such as "Cat" and "cat ". They stay separate. Also if
                nearly every row has a class of its own, as with ids, or all classes are printed
                lists such as "['red', 'mug']".
        """
        series = labels_of(column, values)
        names = sorted_names(different_cells(series), column)
        if len(names) == 1:
            raise ValueError(
                f"Column {column!r} holds only {names[0]!r}; a target needs at least two "
                f"different classes. Is it the right column? Received: {len(series):,} rows of one "
                "class"
            )
        # A model trained on prices as classes would raise no error and predict nothing useful.
        refuse_numbers(names, len(series), column)
        if Variants.among(map(cell_text, names)):
            # Rows are counted only for the warning, as that takes longer than finding the classes.
            codes, texts = text_codes(series)
            rows = dict(zip(texts, np.bincount(codes).tolist(), strict=True))
            warn_of_variants(column, rows, f"ClassLabel({column!r}, names)")
        warn_of_unlikely_classes(column, names, len(series))
        if loss.get("ordered"):
            names = names_in_order(names, series)
        return cls(column, names, label_mode=label_mode, **loss)

    def read(self, cell: Any) -> np.ndarray:
        """The class as an array of `spec`.

        Raises:
            LoadError: If the label is missing or is none of `class_names`.
        """
        position = self.position(cell)
        if self.label_mode == "int":
            return np.array(position, "int32")
        if self.label_mode == "binary":
            return np.array([position], "float32")
        one_hot = np.zeros(len(self.class_names), "float32")
        one_hot[position] = 1.0
        return one_hot

    def position(self, cell: Any) -> int:
        """The class's position in `class_names`."""
        if is_blank(cell):
            raise missing_target_error()
        position = self._known.find(cell)
        if position is None:
            raise unknown_label(cell, self.class_names)
        return position

    def classes_of(self, cells: Sequence[Any]) -> np.ndarray:
        """Each cell's class as a position in `class_names`, `(cells,) int64`; -1 for none."""
        found = map(self._known.find, cells)
        return np.array([-1 if one is None else one for one in found], "int64")

    def class_weight(self, values: Any) -> dict[int, float]:
        """As for every target with classes, by the texts of cells.

        Raises:
            LoadError: If a value is none of `class_names`.
            ValueError: If a value is missing, or a class has no rows.
        """
        assert isinstance(self.column, str)
        series = labels_of(self.column, values)
        # Counts texts first, so that names are looked up once per distinct text and not once per
        # row.
        codes, texts = text_codes(series)
        first = np.zeros(len(texts), "int64")
        first[codes[::-1]] = np.arange(len(codes))[::-1]
        positions = [self.position(cell) for cell in series.iloc[first].tolist()]
        counts = np.bincount(np.array(positions)[codes], minlength=len(self.class_names))
        return balanced_weights(counts, self.class_names, self.column)

    def balanced_sampler(self) -> Sampler:
        """By the texts of the column, without reading it cell by cell."""
        assert isinstance(self.column, str)
        return BalancedSampler(self.column)

    @property
    def loss(self) -> keras.losses.Loss:
        """Cross-entropy on probabilities; its mean counts each row by its sample weight."""
        from multimodal_gen.loaders.targets.class_losses import loss_of_classes

        return loss_of_classes(self.label_mode, self.focal, self.label_smoothing, self.ordered)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The share of rows whose most likely class is right, as "accuracy"."""
        import keras

        accuracies = {
            "int": keras.metrics.SparseCategoricalAccuracy,
            "categorical": keras.metrics.CategoricalAccuracy,
            "binary": keras.metrics.BinaryAccuracy,
        }
        return [accuracies[self.label_mode](name="accuracy")]

    def probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """Class probabilities from the model's outputs, `(rows, classes) float32`, summing to 1."""
        return scaled(self._by_class(outputs), self.calibration, exclusive=True)

    def _by_class(self, outputs: np.ndarray) -> np.ndarray:
        outputs = np.asarray(outputs, "float32").reshape(len(outputs), -1)
        return (
            np.concatenate([1 - outputs, outputs], axis=1)
            if self.label_mode == "binary"
            else outputs
        )

    def decode_outputs(self, outputs: np.ndarray) -> dict[Any, np.ndarray]:
        """The column "label" with the most likely class, then each class's probability by name.

        A class that is itself named "label" gets its probability under "label_probability".
        """
        probabilities = self.probabilities(outputs)
        # Filled in a second step: from names of several types, such as 1 and "a", NumPy would make
        # texts.
        names = np.empty(len(self.class_names), object)
        names[:] = self.class_names
        columns: dict[Any, np.ndarray] = {"label": names[probabilities.argmax(axis=1)]}
        for position, name in enumerate(self.class_names):
            columns["label_probability" if name == "label" else name] = probabilities[:, position]
        return columns

    def score(self, truth: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
        """Accuracy, balanced accuracy (mean recall of classes present), macro F1 and log loss.

        With `ordered` also "mean_steps_off", the mean distance of predicted from true positions.
        """
        positions = self.class_positions(truth)
        return scores_of_classes(positions, self._whole(outputs), ordered=self.ordered)

    def resampled_scores(
        self, truth: np.ndarray, outputs: np.ndarray, counts: np.ndarray
    ) -> dict[str, np.ndarray]:
        """The scores of `score`, of many resamples at once."""
        positions = self.class_positions(truth)
        return resampled_classes(positions, self._whole(outputs), counts, ordered=self.ordered)

    def _whole(self, outputs: np.ndarray) -> np.ndarray:
        probabilities = self.probabilities(outputs).astype("float64")
        # The sums of a float32 or float16 softmax differ from 1 by enough for scikit-learn to warn.
        return probabilities / probabilities.sum(axis=1, keepdims=True)

    def calibrated_by(self, truth: np.ndarray, outputs: np.ndarray) -> Self:
        """With factors of the logits that make these rows most likely; `fit_scaling` says how.

        And with the limits of sets that hold their classes by such probabilities.
        """
        known = np.eye(len(self.class_names))[self.class_positions(truth)]
        scaling, apart = fit_by_folds(known, self._by_class(outputs), exclusive=True)
        limits = -quantiles(-apart[known > 0])
        return self.replace(calibration=scaling, conformal_limits=limits)

    def positions(self, truth: np.ndarray) -> np.ndarray:
        """As `class_positions`."""
        return self.class_positions(truth)

    def describe(self, array: np.ndarray, cell: Any = None) -> dict[str, str]:
        """The class; for mixed rows, all their classes with their shares."""
        if self.label_mode == "int":
            return {"": str(self.class_names[int(array)])}
        # Operations such as MixUp give a row parts of several classes.
        return {"": shares_in_words(self.class_names, self._by_class(array[None])[0])}
