"""What was predicted for the rows of a table beside what is true, in words, and which rows are worst; draws nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.errors import LoadError
from multimodal_gen.inspection.layout import GREEN, GREY, INK, RED
from multimodal_gen.loaders import ClassLabel, MultiLabel, NumericTarget
from multimodal_gen.rows.table import cells_of

_MIDDLE = 0.5
_Words = list[tuple[str, str, str]]


@dataclass(frozen=True)
class Verdicts:
    """What is to be said of every row.

    Args:
        right: `(rows,) bool`; all false for numbers, which are never quite right.
        worst_first: `(rows,) int64`: the wrong rows by position, the most confident mistake or largest error first.
        title: Says how many are right, or how large errors are.
        kind: What rows of `worst_first` are called.
        words: Position -> paragraphs: text, colour and weight.
    """

    right: np.ndarray
    worst_first: np.ndarray
    title: str
    kind: str
    words: Callable[[int], _Words]


def verdicts_on(target: Any, table: pd.DataFrame, predictions: pd.DataFrame) -> Verdicts:
    """Compare predictions with the truth.

    Args:
        target: A `ClassLabel`, `NumericTarget` or `MultiLabel`.
        table: The rows, with the target's column.
        predictions: What `Bundle.predict` gave for them.

    Raises:
        ValueError: If the target is something else, or the predictions are not of this table and target.
    """
    if not isinstance(target, ClassLabel | NumericTarget | MultiLabel):
        raise ValueError(
            f"`sequence` must have a ClassLabel, NumericTarget or MultiLabel as its target. Received: target={target!r}"
        )
    needed = "label" if isinstance(target, ClassLabel) else "labels" if isinstance(target, MultiLabel) else None
    wanted = [needed] if needed is not None else list(target.names)  # type: ignore[union-attr]
    if not set(wanted) <= set(predictions) or not predictions.index.equals(table.index):
        named = f"column {wanted[0]!r}" if len(wanted) == 1 else f"columns {wanted}"
        raise ValueError(
            f"`predictions` must be what Bundle.predict gives for the sequence's table: its index and a {named}. "
            f"Received: {len(predictions)} predictions for {len(table)} rows, columns={list(predictions.columns)[:5]}"
        )
    cells = cells_of(table, target.column)
    if isinstance(target, ClassLabel):
        return _of_classes(target, cells, predictions)
    return (
        _of_numbers(target, cells, predictions)
        if isinstance(target, NumericTarget)
        else _of_labels(target, cells, predictions)
    )


def true_classes(target: ClassLabel, cells: list[Any]) -> np.ndarray:
    """The class of each cell as it stands in `class_names`; a cell that names none as it is, `(rows,) object`."""
    classes = np.empty(len(cells), object)
    for row, cell in enumerate(cells):
        try:
            classes[row] = target.class_names[target.position(cell)]
        except LoadError:
            classes[row] = cell
    return classes


def _of_classes(target: ClassLabel, cells: list[Any], predictions: pd.DataFrame) -> Verdicts:
    truths, guesses = true_classes(target, cells), predictions["label"].to_numpy(object)
    right = np.array([truth == guess for truth, guess in zip(truths, guesses, strict=True)], bool)
    shares = np.full(len(cells), np.nan)
    for name in target.class_names:
        column = "label_probability" if name == "label" else name
        if column in predictions:
            said = guesses == name
            shares[said] = predictions[column].to_numpy("float64", na_value=np.nan)[said]

    def words(row: int) -> _Words:
        share = "" if np.isnan(shares[row]) else f" ({shares[row]:.0%})"
        if right[row]:
            return [(f"✓ {guesses[row]}{share}", GREEN, "bold")]
        return [(f"✗ said {guesses[row]}{share}", RED, "bold"), (f"is {truths[row]}", INK, "bold")]

    title = f"{right.sum():,} of {len(cells):,} rows right"
    return Verdicts(right, _worst(~right, shares), title, "wrong rows, the most confident first", words)


def _of_labels(target: MultiLabel, cells: list[Any], predictions: pd.DataFrame) -> Verdicts:
    truth = np.stack([target.read(cell) for cell in cells]) > _MIDDLE
    names = list(target.class_names)
    columns = ["labels_probability" if name == "labels" else name for name in names]
    shares = predictions[columns].to_numpy("float64", na_value=np.nan)
    guesses = shares > _MIDDLE
    right = (truth == guesses).all(axis=1)

    def listed(row: np.ndarray) -> str:
        return ", ".join(str(name) for name, there in zip(names, row, strict=True) if there) or "no label"

    def words(row: int) -> _Words:
        if right[row]:
            return [(f"✓ {listed(guesses[row])}", GREEN, "bold")]
        return [(f"✗ said {listed(guesses[row])}", RED, "bold"), (f"is {listed(truth[row])}", INK, "bold")]

    title = f"{right.sum():,} of {len(cells):,} rows right in every label"
    confidence = np.abs(shares - truth).max(axis=1)
    return Verdicts(right, _worst(~right, confidence), title, "wrong rows, the most confident first", words)


def _of_numbers(target: NumericTarget, cells: list[Any], predictions: pd.DataFrame) -> Verdicts:
    truth = target.unscale(np.stack([target.read(cell) for cell in cells]))
    guesses = predictions[list(target.names)].to_numpy("float64", na_value=np.nan)
    errors = np.abs(guesses - truth)

    def words(row: int) -> _Words:
        return [
            (f"{name}: said {guess:,.5g}, is {true:,.5g}", INK, "bold")
            for name, guess, true in zip(target.names, guesses[row], truth[row], strict=True)
        ] + [("off by " + ", ".join(f"{error:,.4g}" for error in errors[row]), GREY, "normal")]

    means = ", ".join(f"{name} {mean:,.4g}" for name, mean in zip(target.names, errors.mean(axis=0), strict=True))
    every = np.ones(len(cells), bool)
    worst = _worst(every, (errors / target.scale).max(axis=1))
    return Verdicts(~every, worst, f"mean absolute error: {means}", "rows, the largest error first", words)


def _worst(wrong: np.ndarray, badness: np.ndarray) -> np.ndarray:
    rows = np.flatnonzero(wrong)
    order: np.ndarray = rows[np.argsort(-np.nan_to_num(badness[rows], nan=-np.inf), kind="stable")]
    return order
