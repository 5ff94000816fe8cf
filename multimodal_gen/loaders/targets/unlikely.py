"""Columns that can be classes and are more likely something else: ids, and printed lists."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from multimodal_gen.loaders.targets.label_cells import is_printed, parsing_of
from multimodal_gen.loaders.targets.variants import LabelWarning
from multimodal_gen.rows.checks import nearly_all_differ

_PRINTED = "the cells are printed lists, and each list as a whole is one class"


def ids_in_words(classes: int, rows: int) -> str | None:
    """What is remarkable about the number of classes, if there are nearly as many as rows."""
    if not nearly_all_differ(classes, rows):
        return None
    return (
        f"{classes:,} different classes in {rows:,} rows, like a column of ids: too few rows of "
        "each to learn from"
    )


def printed_lists_note(column: str, cells: Iterable[Any]) -> list[str]:
    """A note if all cells of a column of classes are printed lists.

    Args:
        column: The column.
        cells: Its different cells.
    """
    return [
        f"{column}: {_PRINTED}; --target labels (MultiLabel) predicts the labels in it"
    ] * _printed(cells)


def warn_of_unlikely_classes(
    column: str, names: list[Any], rows: int, *, stacklevel: int = 3
) -> None:
    """Warn if classes learned from a column look like ids or printed lists.

    Args:
        column: The column.
        names: The classes.
        rows: How many rows they were learned from.
        stacklevel: As in `warnings.warn`.

    Warns:
        LabelWarning: With what the column holds, and what to do.
    """
    keep = f"If each is still a class, name the classes: `ClassLabel({column!r}, names)`."
    ids = ids_in_words(len(names), rows)
    if ids is not None:
        said = f"{column!r} holds {ids}. Use a column with repeated classes. {keep}"
        warnings.warn(said, LabelWarning, stacklevel=stacklevel)
    if _printed(names):
        said = (
            f"In {column!r} {_PRINTED}. To predict the labels in it, parse the cells, as with "
            f"`{parsing_of(_array_first(names), repr(column))}`, and use a MultiLabel. {keep}"
        )
        warnings.warn(said, LabelWarning, stacklevel=stacklevel)


def _array_first(names: Sequence[Any]) -> str:
    # A cell that was printed from an array, if there is one: its lists cannot be parsed as others.
    cells = [str(name) for name in names]
    return next((one for one in cells if parsing_of(one) != "ast.literal_eval"), cells[0])


def _printed(cells: Iterable[Any]) -> bool:
    # False without cells.
    found = [isinstance(cell, str) and is_printed(cell, None) for cell in cells]
    return bool(found) and all(found)
