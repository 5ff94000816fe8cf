"""What `--target` means: the target that is learned from training rows, and the scores that sum up
how well it went.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.cli.settings import DataSettings
from multimodal_gen.errors import LoadError, TableError, shown
from multimodal_gen.loaders import ClassLabel, MultiLabel, NumericTarget
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.loaders.targets.names import hold_amounts, nearly_all_differ
from multimodal_gen.rows.cells import cell_text, is_blank, is_missing
from multimodal_gen.rows.table import cells_of

# The scores of each kind that tables show; `metrics.json` has the first one at its top.
_SHOWN = {
    "class": ("balanced_accuracy", "accuracy"),
    "number": ("r2", "mean_absolute_error"),
    "labels": ("mean_average_precision", "macro_f1"),
}
# Different whole numbers in a column of classes from which on they are worth a word; with fewer
# rows than this of each, they cannot be split into three parts.
_MANY_NUMBERS, _FEWEST_ROWS = 20, 3
_MOST_NAMES = 10
# What usually stands between labels, and the share of the cells from which on it is not there by
# chance.
_SEPARATORS, _MANY_CELLS = ("|", ";", ",", "/"), 0.1


def check_classes(table: pd.DataFrame, settings: DataSettings) -> list[str]:
    """Make sure that a column of classes does not hold numbers to predict, or a class of its own
    for nearly every row; and that --separator tells labels apart.

    Returns:
        Notes: a sentence where whole numbers are taken as classes, and may be meant as numbers; or
        where every row has one label.

    Raises:
        TableError: If some numbers have a fraction, or the classes are nearly as many as the rows;
            or if another separator stands between the labels.
    """
    if settings.target == "labels" and settings.separator is not None:
        return check_separator(table, settings)
    if settings.target != "class":
        return []
    (column,) = settings.label
    different = {cell for cell in map(_hashable, cells_of(table, column)) if not is_blank(cell)}
    numbers = {_number(cell) for cell in different}
    # Some are names, so the column does not hold numbers.
    if not numbers or None in numbers:
        _refuse_texts(
            [cell for cell in different if isinstance(cell, str)], len(different), table, column
        )
        return []
    count = len(numbers)
    fractions = any(not one.is_integer() for one in numbers if one is not None)
    if count > _MANY_NUMBERS and (fractions or count * _FEWEST_ROWS > len(table)):
        raise TableError(
            f"The cells of {column!r} are numbers to predict, not classes: {count:,} different "
            f"numbers in {len(table):,} rows. Use --target number (in Python, `NumericTarget`). "
            f"Received: --label {column} --target class"
        )
    if count > _MANY_NUMBERS:
        return [
            f"{column}: {count:,} different numbers are taken as classes; --target number predicts "
            "them as numbers"
        ]
    return []


def _refuse_texts(texts: Sequence[str], count: int, table: pd.DataFrame, column: str) -> None:
    # Before the split, whose note on rare classes would name them all.
    received = f"Received: --label {column} --target class"
    many = nearly_all_differ(count, len(table)) or count > _MANY_NUMBERS
    if many and len(texts) == count and hold_amounts(texts):
        fractions = any(re.search(r"\d[.,]\d", text) for text in texts)
        if fractions or count * _FEWEST_ROWS > len(table):
            example = next(cell for cell in cells_of(table, column) if not is_missing(cell))
            raise TableError(
                f"The cells of {column!r} are numbers with a unit or a comma, as in "
                f"{shown(example)}: numbers to predict, not classes: {count:,} different ones in "
                f"{len(table):,} rows. Write plain numbers, as in 3.99. Use --target number (in "
                f"Python, `NumericTarget`). {received}"
            )
    if nearly_all_differ(count, len(table)):
        raise TableError(
            f"{column!r} holds {count:,} different classes in {len(table):,} rows, too few rows of "
            f"each to learn from: is it the right column? {received}"
        )


def check_separator(table: pd.DataFrame, settings: DataSettings) -> list[str]:
    """Make sure that --separator stands between the labels.

    Returns:
        A note where it stands in no cell.

    Raises:
        TableError: If it stands in no cell, and another one in many, which it parts into names that
            come again.
    """
    (column,), given = settings.label, settings.separator
    assert given is not None
    texts = [cell for cell in cells_of(table, column) if isinstance(cell, str) and cell.strip()]
    if not texts or any(given in text for text in texts):
        return []
    found = f"{given!r} stands in no cell of {column!r}"
    counts = {one: sum(one in text for text in texts) for one in _SEPARATORS}
    other = max(counts, key=lambda one: counts[one])
    if not counts[other]:
        return [f"{found}, so every row has one label at most"]
    names = {name.strip() for text in texts for name in text.split(other)}
    found += f"; {other!r} stands in {counts[other]:,} of them"
    # Names such as "hats, caps" have a comma without being lists: their parts are more than they
    # are themselves.
    if counts[other] >= _MANY_CELLS * len(texts) and len(names) <= len(set(texts)):
        raise TableError(f"{found}: --separator {other!r}. Received: --separator {given!r}")
    return [
        f"{found}, which would be --separator {other!r}; as it is, every row has one label at most"
    ]


def make_target(
    settings: DataSettings, train: pd.DataFrame, rows: pd.DataFrame | None = None
) -> ClassLabel | NumericTarget | MultiLabel:
    """The target.

    Args:
        settings: What was asked for.
        train: The training rows, whose statistics numbers are standardised by.
        rows: The rows that name all classes; by default the training rows.

    Raises:
        ValueError: If a cell is missing or is something else than `--target` says.
    """
    names = list(settings.label)
    column = names[0] if len(names) == 1 else names
    rows = train if rows is None else rows
    if settings.target == "class":
        return ClassLabel.from_values(settings.label[0], rows)
    if settings.target == "number":
        return NumericTarget.from_values(column, train)
    if len(names) == 1 and settings.separator is None:
        for label, cell in zip(rows.index, rows[names[0]], strict=True):
            if isinstance(cell, str):
                raise LoadError(
                    "the cell holds labels as text: say what stands between them with "
                    f"--separator, as in --separator '|'. Received: {cell!r}",
                    index=label,
                    column=names[0],
                )
    return MultiLabel.from_values(column, rows, separator=settings.separator)


def class_called(text: str, target: Target) -> Any:
    """The class that `--positive` names, as it stands in `class_names`.

    Raises:
        ValueError: If there is none.
    """
    names = getattr(target, "class_names", ())
    for name in names:
        if cell_text(name) == text:
            return name
    raise ValueError(
        f"--positive must name one of the classes, which are {', '.join(map(cell_text, names))}. "
        f"Received: --positive {text}"
    )


def in_words(target: Target) -> str:
    """A line that says what is predicted."""
    if target.class_names:
        names = target.class_names
        kind = "classes" if target.one_class else "labels"
        shown = ", ".join(map(str, names[:_MOST_NAMES]))
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        return f"  {kind:<9} {len(names)}: {shown}{more}"
    assert isinstance(target, NumericTarget)
    each = [
        f"{name} (mean {mean:.4g}, deviation {scale:.4g})"
        for name, mean, scale in zip(target.names, target.mean, target.scale, strict=True)
    ]
    return f"  {'numbers':<9} {', '.join(each[:_MOST_NAMES])}"


def shown_scores(kind: str, scores: Sequence[str]) -> list[str]:
    """The names of the scores that a table shows; of several numbers each has its own.

    Args:
        kind: "class", "number" or "labels".
        scores: The names of all scores.
    """
    return [
        name
        for wanted in _SHOWN[kind]
        for name in scores
        if name == wanted or name.endswith(f".{wanted}")
    ]


def main_score(kind: str, scores: Mapping[str, float]) -> float | None:
    """The one number that sums up scores: of several numbers, the mean; None where it cannot be
    computed.
    """
    values = [
        scores[name]
        for name in shown_scores(kind, list(scores))
        if name.split(".")[-1] == _SHOWN[kind][0]
    ]
    mean = sum(values) / len(values)
    return mean if math.isfinite(mean) else None


def score_name(kind: str) -> str:
    """The name of what `main_score` gives."""
    return _SHOWN[kind][0]


def _hashable(cell: Any) -> Any:
    return (
        # A list has no hash, and its text is enough to count it.
        cell if isinstance(cell, str | int | float | np.generic) or is_missing(cell) else repr(cell)
    )


def _number(cell: Any) -> float | None:
    # To Python, True is the number 1; in a column of labels it is a class.
    if isinstance(cell, bool | np.bool_):
        return None
    try:
        number = float(cell)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
