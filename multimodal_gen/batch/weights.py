"""Weights of good rows in the loss: by column, by class, and 0 for rows that only fill up a batch.

Rows that could not be loaded get weight 0 later, in `finishing.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.batch.batch_rows import BatchRows
from multimodal_gen.errors import LoadError, shown
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.rows.cell_numbers import cell_number
from multimodal_gen.rows.cells import cell_text

# Weights become float32, in which a larger number is infinite.
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Weights:
    """The weights of rows, by target.

    Args:
        by_column: Target name -> column of weights, for targets that have one.
        by_class: Target name -> `(classes,)` weights in the order of the model's outputs.
        targets: All targets by name.
        always: Whether to give weights even if none were requested, because rows may be padding.
    """

    by_column: Mapping[str | None, str]
    by_class: Mapping[str | None, np.ndarray]
    targets: Mapping[str | None, Loader]
    always: bool = False

    @property
    def columns(self) -> list[str]:
        """The columns that are read."""
        return list(dict.fromkeys(self.by_column.values()))

    def of(
        self,
        rows: BatchRows,
        targets: Mapping[str | None, np.ndarray],
    ) -> dict[str | None, np.ndarray] | None:
        """Return the weights of rows by target, `(batch,) float32`, or None if all count equally.

        Args:
            rows: The rows of the batch.
            targets: Target name -> array of the target for these rows.

        Raises:
            LoadError: If a weight is not a finite number of at least 0.
        """
        if not targets or not (self.always or self.by_column or self.by_class):
            return None
        weights = {}
        for name, truth in targets.items():
            own = np.ones(len(rows.positions), "float32")
            if name in self.by_column:
                own[:] = _column(rows, self.by_column[name])
            if name in self.by_class:
                target = self.targets[name]
                assert isinstance(target, Target)
                own *= self.by_class[name][target.class_positions(truth)].astype("float32")
            # Last, so that no other weight can count a repeated row.
            own[len(own) - rows.padding :] = 0
            weights[name] = own
        return weights


def weights_by_column(
    sample_weight: Any, targets: Mapping[str | None, Loader]
) -> dict[str | None, str]:
    """Check the argument `sample_weight`, a column or a mapping of target name -> column.

    Raises:
        ValueError: If it is neither, or names an unknown target.
    """
    if sample_weight is None:
        return {}
    if isinstance(sample_weight, str):
        return dict.fromkeys(targets, sample_weight)
    if None in targets or not isinstance(sample_weight, Mapping):
        raise ValueError(
            "`sample_weight` must be a column of the table or, for several targets, map target "
            f"names to columns. Received: sample_weight of type {type(sample_weight).__name__}"
        )
    _check_names("sample_weight", sample_weight, targets)
    return dict(sample_weight)


def weights_by_class(
    class_weight: Any, targets: Mapping[str | None, Loader], table: pd.DataFrame
) -> dict[str | None, np.ndarray]:
    """Check the argument `class_weight`, and return it as arrays.

    Args:
        class_weight: None; "balanced"; a mapping of class -> weight; or, for several targets, a
            mapping of target name -> one of these.
        targets: The targets.
        table: Training rows, whose classes "balanced" counts.

    Raises:
        ValueError: If a target has no classes, a class is unknown or has no weight, or a weight is
            not finite and at least 0.
    """
    if class_weight is None:
        return {}
    if None in targets:
        class_weight = {None: class_weight}
    elif not isinstance(class_weight, Mapping):
        raise ValueError(
            "With several targets, `class_weight` must map target names to weights, as in "
            f"{{{next(iter(targets))!r}: {class_weight!r}}}. Received: "
            f"class_weight={class_weight!r}"
        )
    _check_names("class_weight", class_weight, targets)
    return {
        name: _of_classes(name, one, targets[name], table) for name, one in class_weight.items()
    }


def _of_classes(name: str | None, weights: Any, target: Loader, table: pd.DataFrame) -> np.ndarray:
    of = "" if name is None else f"[{name!r}]"
    if not isinstance(target, Target) or not target.one_class:
        raise ValueError(
            f"`class_weight{of}` needs a target with one class per row, such as ClassLabel. "
            f"Received: {type(target).__name__}"
        )
    if isinstance(weights, str) and weights == "balanced":
        balanced = target.class_weight(table)
        return np.array([balanced[position] for position in range(len(target.class_names))])
    try:
        # By text, like the classes themselves: 1, 1.0 and "1" are one class.
        by_text = (
            {cell_text(one): weight for one, weight in weights.items()}
            if isinstance(weights, Mapping)
            else {}
        )
    # A list has no text; which classes there are is said below.
    except TypeError:
        by_text = {}
    if set(by_text) != set(map(cell_text, target.class_names)):
        raise ValueError(
            f'`class_weight{of}` must be "balanced" or give a weight for each class of '
            f"{list(target.class_names)}. Received: {weights!r}"
        )
    values = np.array([by_text[cell_text(one)] for one in target.class_names], "float64")
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise ValueError(
            "A class weight must be a finite number of at least 0. Received: "
            f"class_weight{of}={weights!r}"
        )
    return values


def _check_names(
    argument: str, given: Mapping[Any, Any], targets: Mapping[str | None, Loader]
) -> None:
    unknown = [name for name in given if name not in targets]
    if unknown:
        raise ValueError(
            f"`{argument}` must name existing targets; they are "
            f"{[name for name in targets if name is not None]}. Received: {unknown}"
        )


def _column(rows: BatchRows, column: str) -> list[float]:
    numbers = []
    for row, cell in enumerate(rows.cells(column)):
        try:
            number = cell_number(cell)
        except ValueError:
            number = np.nan
        # Written so that NaN is refused too.
        if not 0 <= number <= _LARGEST:
            reason = (
                "a sample weight must be a finite float32 number of at least 0. Received: "
                f"{shown(cell)}"
            )
            raise LoadError(reason).at(rows.label(row), column)
        numbers.append(number)
    return numbers
