"""Any number of classes at once, such as the tags of a picture."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from multimodal_gen.errors import LoadError, shown
from multimodal_gen.loaders.base import ArraySpec, is_missing
from multimodal_gen.loaders.target import (
    Target,
    checked_names,
    plain_name,
    refuse_missing,
    sorted_names,
    unknown_label,
)
from multimodal_gen.loaders.values import series_of

if TYPE_CHECKING:
    import keras

_THRESHOLD = 0.5
# What `str` makes of a list, tuple, set or array of texts or numbers, as csv files hold it.
_PRINTED = re.compile(
    r"""\[\s*\]
    | [\[({] \s* (np\.\w+\()? ['"] .* ['"] \)? ,? \s* [\])}]
    | \[ \s* (np\.\w+\()? (\d|True|False) [\w\s,.()]* \]""",
    re.DOTALL | re.VERBOSE,
)


class MultiLabel(Target):
    """Which of several classes a row has: none, one, some or all of them.

    A cell is a list, tuple, set or array of labels, or with a `separator` also a string such as "red|round", around
    whose labels white space does not count. An empty list or string is a row without labels; the order, and a label
    that comes twice, mean nothing.

    Yields `(classes,) float32` of 0 and 1, kind "label".

    Args:
        column: The column that holds the labels.
        class_names: The classes in the order of the model's outputs; strings, integers or booleans.
        separator: What stands between labels in a string.
    """

    accepts_missing = True
    cached = False
    kept_by_row = True

    def __init__(self, column: str, class_names: Sequence[Any], *, separator: str | None = None) -> None:
        _check_separator(separator)
        names = checked_names(class_names, column, least=1)
        self.column = column
        self.class_names = names
        self.separator = separator
        self.units = len(names)
        self.activation = "sigmoid"
        self.spec = ArraySpec((len(names),), "float32", "label")
        self._positions = {name: position for position, name in enumerate(names)}

    @classmethod
    def from_values(cls, column: str, values: Iterable[Any], *, separator: str | None = None) -> Self:
        """Learn the classes from training rows: every different label, sorted.

        Args:
            column: The column that holds the labels.
            values: Its training cells, or the table that has it.
            separator: As in the constructor.

        Raises:
            ValueError: If a value is missing or is not labels, the rows are multi-hot, no row has a label, or labels
                cannot be sorted.
        """
        _check_separator(separator)
        series = series_of(column, values)
        rows, index = series.tolist(), series.index
        refuse_missing(np.array([is_missing(row) for row in rows], bool), index, column, "Labels")
        if _is_multi_hot(rows):
            raise ValueError(
                "Labels must be names, and these rows are 0 and 1 for each class. Make lists of the names that are on: "
                f"`table[{column!r}] = [[name for name, on in zip(names, row) if on] for row in "
                f"table[{column!r}]]`, with `names` in the order of the zeros and ones. "
                f"Received: {rows[0]!r} at index {index[[0]].tolist()[0]!r} of {column!r}"
            )
        names: set[Any] = set()
        for label, row in zip(index, rows, strict=True):
            try:
                names.update(map(plain_name, split_labels(row, separator)))
            except LoadError as error:
                raise error.at(label, column) from None
        if not names:
            raise ValueError(
                f"At least one row must have a label. Received: {len(rows)} rows without any in {column!r}"
            )
        return cls(column, sorted_names(names, column), separator=separator)

    def read(self, cell: Any) -> np.ndarray:
        """A 1 for each class that the row has.

        Raises:
            LoadError: If the cell is missing or is not labels, or a label is none of `class_names`.
        """
        array = np.zeros(len(self.class_names), "float32")
        for label in split_labels(cell, self.separator):
            position = self._positions.get(label)
            if position is None:
                raise unknown_label(label, self.class_names)
            array[position] = 1.0
        return array

    @property
    def loss(self) -> keras.losses.Loss:
        """Binary cross-entropy, the mean over classes; its mean over rows counts each by its sample weight."""
        import keras

        return keras.losses.BinaryCrossentropy(reduction="mean_with_sample_weight")

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The share of right decisions at 0.5, and the mean over classes of the area under the ROC curve."""
        import keras

        return [
            keras.metrics.BinaryAccuracy(name="binary_accuracy", threshold=_THRESHOLD),
            keras.metrics.AUC(name="auc", multi_label=True, num_labels=self.units),
        ]

    def decode_outputs(self, outputs: np.ndarray) -> dict[Any, np.ndarray]:
        """The column "labels" with the list of classes above 0.5, then each class's probability under its own name.

        A class that is itself named "labels" gets its probability under "labels_probability".
        """
        outputs = np.asarray(outputs, "float32").reshape(-1, self.units)
        labels = np.empty(len(outputs), object)
        for row, above in enumerate(outputs > _THRESHOLD):
            labels[row] = [name for name, has in zip(self.class_names, above, strict=True) if has]
        columns: dict[Any, np.ndarray] = {"labels": labels}
        for position, name in enumerate(self.class_names):
            columns["labels_probability" if name == "labels" else name] = outputs[:, position]
        return columns

    def score(self, truth: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
        """Micro and macro F1 at 0.5, mean average precision, and the share of rows that are right in every class.

        Macro F1 is over the classes that a row has or is said to have; mean average precision over those that a row
        has. Where no row has or is said to have any, the F1 are 1 and the precision is NaN.
        """
        from sklearn import metrics

        truth = np.asarray(truth) > _THRESHOLD
        outputs = np.asarray(outputs, "float64").reshape(truth.shape)
        guesses = outputs > _THRESHOLD
        has = truth.any(axis=0)
        seen = has | guesses.any(axis=0)
        micro = metrics.f1_score(truth, guesses, average="micro", zero_division=1.0)
        macro, precision = 1.0, float("nan")
        if seen.any():
            macro = metrics.f1_score(truth[:, seen], guesses[:, seen], average="macro", zero_division=0.0)
        if has.any():
            precision = metrics.average_precision_score(truth[:, has], outputs[:, has], average="macro")
        return {
            "micro_f1": float(micro),
            "macro_f1": float(macro),
            "mean_average_precision": float(precision),
            "subset_accuracy": float((truth == guesses).all(axis=1).mean()),
        }


def split_labels(cell: Any, separator: str | None) -> list[Any]:
    """The labels of a cell, as they stand there.

    Raises:
        LoadError: If the cell, or a label in it, is missing, or the cell is something else than labels.
    """
    if isinstance(cell, str):
        if _PRINTED.fullmatch(cell.strip()):
            raise LoadError(
                "expected labels, and this is the print of a list, as `to_csv` writes it. Parse the column with "
                "`ast.literal_eval`, or store the table as jsonl or parquet, which keep lists. "
                f"Received: {shown(cell)}"
            )
        if separator is None:
            raise LoadError(
                'expected a list of labels. Split strings by giving a separator, as in `separator="|"`. '
                f"Received: {shown(cell)}"
            )
        return [part for part in map(str.strip, cell.split(separator)) if part]
    if is_missing(cell):
        raise LoadError(
            "the labels are missing (None or NaN). Drop the row, or, if it has none, say so with an empty list or an "
            'empty string: `table[column] = table[column].fillna("")` where there is a separator.'
        )
    if not isinstance(cell, list | tuple | set | frozenset) and not (isinstance(cell, np.ndarray) and cell.ndim == 1):
        raise LoadError(
            f"expected a list, tuple, set or array of labels. Received: {type(cell).__name__} {shown(cell)}"
        )
    for label in cell:
        if not isinstance(label, str | int | np.integer | np.bool_):
            raise LoadError(
                f"a label must be a string, an integer or a boolean. Received: {shown(label)} in {shown(cell)}"
            )
    return list(cell)


def _is_multi_hot(rows: Sequence[Any]) -> bool:
    # Read as names, these would be the same target in all rows.
    if not all(isinstance(row, list | tuple) or (isinstance(row, np.ndarray) and row.ndim) for row in rows):
        return False
    if len(rows[0]) < 2 or any(len(row) != len(rows[0]) for row in rows):
        return False
    kinds = int | float | np.integer | np.floating | np.bool_
    return all(isinstance(label, kinds) and label in (0, 1) for row in rows for label in row)


def _check_separator(separator: str | None) -> None:
    if separator is not None and not (isinstance(separator, str) and separator):
        raise ValueError(f"`separator` must be a string that is not empty. Received: separator={separator!r}")
