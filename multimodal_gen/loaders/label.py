"""What a model learns to predict: loaders in the y position.

A `Target` also tells the model how its output must look (`units`, `activation`, `loss`) and turns the
model's outputs back into words. Keras is imported only when `loss` is asked for.
"""

from __future__ import annotations

import abc
import difflib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.base import ArraySpec, Loader, is_missing, missing_error

if TYPE_CHECKING:
    import keras


class Target(Loader):
    """A loader in the y position.

    Attributes:
        units: How many numbers the model must put out for a row.
        activation: Name of the Keras activation of those outputs, or None for raw numbers.
        loss: The Keras loss that fits them; rows of sample weight 0 do not count in its mean.
    """

    units: int
    activation: str | None

    @property
    @abc.abstractmethod
    def loss(self) -> keras.losses.Loss:
        """The loss between what `read` gives and what the model puts out."""

    @abc.abstractmethod
    def score(self, truth: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
        """Scores by name of the model's outputs `(rows, units)` against what `read` gave for the same rows."""

    @abc.abstractmethod
    def decode_outputs(self, outputs: np.ndarray) -> dict[Any, np.ndarray]:
        """Columns of a table of predictions, from the model's outputs of shape `(rows, units)`."""


class ClassLabel(Target):
    """One class out of several.

    Yields, by `label_mode`: "int" the class's position, `() int32`; "categorical" a one-hot vector
    `(classes,) float32`; "binary" 0 or 1, `(1,) float32`, for exactly two classes.

    Args:
        column: The column that holds the class.
        class_names: The classes in the order of the model's outputs; strings, integers or booleans.
        label_mode: "int", "categorical" or "binary".
    """

    def __init__(self, column: str, class_names: Sequence[Any], *, label_mode: str = "int") -> None:
        names = tuple(name.item() if isinstance(name, np.generic) else name for name in class_names)
        if len(set(names)) != len(names) or len(names) < 2:
            raise ValueError(f"`class_names` must be two or more different classes. Received: class_names={names!r}")
        for name in names:
            if not isinstance(name, str | int):
                raise ValueError(
                    "A class must be a string, an integer or a boolean; convert the column with `.astype(str)` or "
                    f"`.astype(int)`. Received: {name!r} of type {type(name).__name__} in {column!r}"
                )
        if label_mode not in ("int", "categorical", "binary"):
            raise ValueError(
                f'`label_mode` must be "int", "categorical" or "binary". Received: label_mode={label_mode!r}'
            )
        if label_mode == "binary" and len(names) != 2:
            raise ValueError(f'label_mode="binary" needs exactly two classes. Received: class_names={names!r}')
        self.column = column
        self.class_names = names
        self.label_mode = label_mode
        self.units = 1 if label_mode == "binary" else len(names)
        self.activation = "sigmoid" if label_mode == "binary" else "softmax"
        shape, dtype = {"int": ((), "int32"), "categorical": ((len(names),), "float32"), "binary": ((1,), "float32")}[
            label_mode
        ]
        self.spec = ArraySpec(shape, dtype, "label")
        self._positions = {name: position for position, name in enumerate(names)}

    @classmethod
    def from_values(cls, column: str, values: Iterable[Any], *, label_mode: str = "int") -> Self:
        """Learn the classes from training rows: every different value, sorted.

        Raises:
            ValueError: If a value is missing, the values cannot be sorted, or there are fewer than two classes.
        """
        series = pd.Series(values) if not isinstance(values, pd.Series) else values
        if series.isna().any():
            index = series.index[series.isna().to_numpy()].tolist()[0]
            raise ValueError(f"Labels must not be missing. Received: a missing value at index {index!r} of {column!r}")
        names = [name.item() if isinstance(name, np.generic) else name for name in series.unique()]
        try:
            return cls(column, sorted(names), label_mode=label_mode)
        except TypeError:
            kinds = sorted({type(name).__name__ for name in names})
            raise ValueError(f"Labels must be all of one type. Received: {' and '.join(kinds)} in {column!r}") from None

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
        if is_missing(cell):
            raise missing_error()
        try:
            return self._positions[cell]
        except (KeyError, TypeError):
            raise LoadError(self._unknown(cell)) from None

    def _unknown(self, cell: Any) -> str:
        names = [str(name) for name in self.class_names]
        if str(cell) in names:
            known = type(self.class_names[0]).__name__
            return f"the label {cell!r} is of type {type(cell).__name__}, but the classes are of type {known}."
        close = difflib.get_close_matches(str(cell), names, n=1)
        known = ", ".join(repr(name) for name in self.class_names[:20]) + (", ..." if len(names) > 20 else "")
        hint = f" Did you mean {close[0]!r}?" if close else ""
        return f"the label {cell!r} is not one of the {len(names)} known classes: {known}.{hint}"

    @property
    def loss(self) -> keras.losses.Loss:
        """Cross-entropy on probabilities; its mean counts each row by its sample weight."""
        import keras

        losses = {
            "int": keras.losses.SparseCategoricalCrossentropy,
            "categorical": keras.losses.CategoricalCrossentropy,
            "binary": keras.losses.BinaryCrossentropy,
        }
        return losses[self.label_mode](reduction="mean_with_sample_weight")

    def probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """One column a class, `(rows, classes) float32` summing to 1, from the model's outputs."""
        outputs = np.asarray(outputs, "float32").reshape(len(outputs), -1)
        return np.concatenate([1 - outputs, outputs], axis=1) if self.label_mode == "binary" else outputs

    def decode_outputs(self, outputs: np.ndarray) -> dict[Any, np.ndarray]:
        """The column "label" with the likeliest class, then a probability for each class under its own name.

        A class that is itself named "label" gets its probability under "label_probability".
        """
        probabilities = self.probabilities(outputs)
        names = np.empty(len(self.class_names), object)
        names[:] = self.class_names
        columns: dict[Any, np.ndarray] = {"label": names[probabilities.argmax(axis=1)]}
        for position, name in enumerate(self.class_names):
            columns["label_probability" if name == "label" else name] = probabilities[:, position]
        return columns

    def score(self, truth: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
        """Accuracy, balanced accuracy (mean recall of the classes present), macro F1 and log loss."""
        from sklearn import metrics

        probabilities = self.probabilities(outputs).astype("float64")
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        positions = self.positions(truth)
        guesses = probabilities.argmax(axis=1)
        present = np.unique(positions)
        recalls = [float(np.mean(guesses[positions == one] == one)) for one in present]
        return {
            "accuracy": float(metrics.accuracy_score(positions, guesses)),
            "balanced_accuracy": float(np.mean(recalls)),
            "macro_f1": float(metrics.f1_score(positions, guesses, average="macro", zero_division=0.0)),
            "log_loss": float(metrics.log_loss(positions, probabilities, labels=range(len(self.class_names)))),
        }

    def positions(self, truth: np.ndarray) -> np.ndarray:
        """Positions in `class_names`, `(rows,) int64`, from rows of what `read` gives."""
        truth = np.asarray(truth)
        if self.label_mode == "categorical":
            return truth.argmax(axis=1)
        return truth.reshape(len(truth)).astype("int64")
