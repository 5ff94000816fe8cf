"""What a cell of several labels holds: a list or a separated text, but not a printed list."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.errors import LoadError, counted, shown
from multimodal_gen.loaders.targets.names import checked_names
from multimodal_gen.rows.cells import cell_text, is_missing
from multimodal_gen.rows.checks import check_once
from multimodal_gen.rows.table import check_columns

# How `str` and JSON print a list, tuple, set or array of texts, numbers or mappings, as csv files
# contain it.
_PRINTED = re.compile(
    r"""\[\s*\]
    | [\[({] \s* (np\.\w+\()? ['"] .* ['"] \)? ,? \s* [\])}]
    | [\[({] \s* (np\.\w+\()? (\d|True|False|true|false) [\w\s,.()]* \]
    | [\[(] \s* \{ .* \} ,? \s* [\])]
    | \{ .* : .* \}
    | [\w.]+ \( \s* [\[({] .* [\])}] .* \)
    | (frozen)?set\(\s*\)""",
    re.DOTALL | re.VERBOSE,
)
_PAIRS = {"[": "]", "{": "}", "(": ")"}
_TRUTHS = {"0": 0.0, "0.0": 0.0, "false": 0.0, "1": 1.0, "1.0": 1.0, "true": 1.0}


def split_labels(cell: Any, separator: str | None) -> list[Any]:
    """Return the labels of a cell, unchanged.

    Args:
        cell: A list, tuple, set or array of labels; with a separator also a text, and then a
            missing cell is one without labels, as csv files hold no other empty text.
        separator: The text between labels, or None.

    Raises:
        LoadError: If the cell, or a label in it, is missing, or the cell is something else than
            labels.
    """
    if isinstance(cell, str):
        if is_printed(cell, separator):
            raise _printed(cell)
        if separator is None:
            raise LoadError(
                "expected a list of labels. Split strings by giving a separator, as in "
                '`separator="|"`. '
                f"Received: {shown(cell)}"
            )
        return [part for part in map(str.strip, cell.split(separator)) if part]
    if is_missing(cell):
        if separator is not None:
            return []
        raise LoadError(
            "the labels are missing (None or NaN). Drop the row if they are unknown, or have such "
            'rows skipped with `on_error="skip"` (`--on-error skip`); if it has '
            "none, use an empty list: `table[column] = [cell if there else [] for cell, "
            "there in zip(table[column], table[column].notna())]`."
        )
    if not isinstance(cell, list | tuple | set | frozenset) and not (
        isinstance(cell, np.ndarray) and cell.ndim == 1
    ):
        raise LoadError(
            f"expected a list, tuple, set or array of labels. Received: {type(cell).__name__} "
            f"{shown(cell)}"
        )
    for label in cell:
        if not isinstance(label, str | int | np.integer | np.bool_):
            named = " Take one value of each mapping." if isinstance(label, dict) else ""
            raise LoadError(
                f"a label must be a string, an integer or a boolean.{named} Received: "
                f"{shown(label)} in {shown(cell)}"
            )
        if isinstance(label, str) and not label.strip():
            raise LoadError(
                "a label must not be blank. Leave it out; a row without labels is an empty list. "
                f"Received: {shown(label)} in {shown(cell)}"
            )
    return list(cell)


def is_printed(cell: str, separator: str | None) -> bool:
    """Whether a text is a printed list: in brackets, and not just labels in brackets."""
    text = cell.strip()
    # Nearly all texts leave here, before a pattern is tried.
    if text[-1:] not in ("]", "}", ")"):
        return False
    if _PRINTED.fullmatch(text):
        return True
    if not in_brackets(text):
        return False
    return separator is None or ("," in text and (text[0] != "(" or separator == ","))


def in_brackets(text: str) -> bool:
    """Whether one pair of brackets holds the whole text."""
    if _PAIRS.get(text[:1]) != text[-1:]:
        return False
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter in "[{(") - (letter in "]})")
        if not depth:
            return place == len(text) - 1
    return False


def refuse_prints(cells: Iterable[Any]) -> None:
    """Refuse a column of texts that are all in square or curly brackets: lists of one label.

    Raises:
        LoadError: It shows the first one.
    """
    first = None
    for cell in cells:
        text = cell.strip() if isinstance(cell, str) else ""
        # A single class may have brackets in its name; a whole column in brackets consists of
        # printed lists.
        if text and not (text[0] in "[{" and in_brackets(text)):
            return
        first = first or text
    if first:
        raise _printed(first)


def on_or_off(cell: Any) -> float:
    """Return 1.0 or 0.0 for a cell that holds 0 or 1, False or True, or their texts.

    Raises:
        LoadError: If it says something else.
    """
    try:
        return _TRUTHS[cell_text(cell).strip().lower()]
    except (KeyError, TypeError):
        found = "a missing cell" if is_missing(cell) else shown(cell)
        raise LoadError(
            f"each class column must hold 0 or 1 (False or True) in every row. Received: {found}"
        ) from None


def parsing_of(cell: str, column: str | None = None) -> str:
    """Python that makes lists of the printed lists of a column.

    Args:
        cell: One of its cells.
        column: The column, as Python writes it; without it, a function of a cell will do.
    """
    if re.search(r"""['"]\s+['"]""", cell) is None:
        return "ast.literal_eval" if column is None else f"table[{column}].map(ast.literal_eval)"
    # Printed from an array, as a parquet file gives it: without commas Python joins neighbours.
    commas = """.str.replace(r"(['\\"])\\s+(?=['\\"])", r"\\1, ", regex=True)"""
    return f"table[{column or 'column'}]{commas}.map(ast.literal_eval)"


def _printed(cell: str) -> LoadError:
    text = cell.strip()
    parse = (
        f"Parse the column with `{parsing_of(cell)}`, or store the table as jsonl or "
        "parquet, which keep lists"
    )
    if "{" in text and ":" in text:
        parse += (
            "; of mappings take one value each, as in `[one['name'] for one in "
            "ast.literal_eval(cell)]`"
        )
    elif not _PRINTED.fullmatch(text):
        parse = (
            "Remove the brackets with `table[column].map(lambda cell: cell.strip('[]{}()') if "
            "isinstance(cell, str) else cell)` and set `separator=','`, or store the table as "
            "jsonl or parquet, which keep lists"
        )
    return LoadError(
        f"expected labels, but this is the print of a list, as `to_csv` writes it. {parse}. "
        f"Received: {shown(cell)}"
    )


def columns_of_labels(
    column: Any, class_names: Any, separator: str | None
) -> tuple[Any, tuple[Any, ...]]:
    """Return the column of labels, or a tuple of several, and the names of the classes.

    Raises:
        ValueError: If a column is named twice, several have a separator or another number of
            classes, a single one has no names of classes, or a name cannot be read again.
    """
    several = not isinstance(column, str)
    check_separator(separator)
    if several and separator is not None:
        raise ValueError(
            f"A `separator` is for one column of labels; with several columns, each is a "
            f"class. Received: separator={separator!r}, column={column!r}"
        )
    if class_names is None and not several:
        raise ValueError(
            "`class_names` must name the classes of a single column; `MultiLabel.from_values` "
            f"learns them. Received: class_names=None, column={column!r}"
        )
    if several:
        check_once(tuple(column))
    found = tuple(column) if several else column
    names = checked_names(found if class_names is None else class_names, column, least=1)
    if several and len(names) != len(found):
        raise ValueError(
            f"With several columns, each is one class. Received: {len(names)} names for "
            f"{len(found)} columns, class_names={names!r}"
        )
    if separator is not None:
        check_readable(names, separator)
    return found, names


def check_label_columns(names: tuple[str, ...], values: Any) -> pd.DataFrame:
    """Return columns of labels; refuse those that hold anything but 0 and 1, or no 1 at all.

    Args:
        names: The columns.
        values: A table, or rows of 0 and 1 in the order of the names.

    Raises:
        ValueError: If so; it names the row and the column.
    """
    if isinstance(values, pd.DataFrame):
        check_columns(values, names)
        frame = values[list(names)]
    else:
        frame = pd.DataFrame(values if isinstance(values, np.ndarray) else list(values))
        if frame.shape[1] != len(names):
            raise ValueError(
                f"`values` must have a column for each name. Received: column={list(names)}, "
                f"{counted(frame.shape[1], 'column')}"
            )
        frame.columns = pd.Index(names)
    some = False
    for name in names:
        for label, cell in frame[name].items():
            try:
                some |= on_or_off(cell) > 0
            except LoadError as error:
                raise error.at(label, name) from None
    if not some:
        raise ValueError(
            f"At least one row must have a label. Received: {len(frame)} rows without any in "
            f"{list(names)}"
        )
    return frame


def columns_from(cell: Any, column: str, separator: str | None) -> str:
    """A line of code that makes columns of cells like this one."""
    cells = f"table[{column!r}]"
    if not isinstance(cell, str):
        return f"table[names] = np.stack({cells})"
    return (
        f"table[names] = [{'list(cell)' if separator is None else f'cell.split({separator!r})'} "
        f"for cell in {cells}]"
    )


def check_separator(separator: str | None) -> None:
    """Refuse a separator that is not a string, or empty."""
    if separator is not None and not (isinstance(separator, str) and separator):
        raise ValueError(
            f"`separator` must be a string that is not empty. Received: separator={separator!r}"
        )


def check_readable(names: Sequence[Any], separator: str) -> None:
    """Refuse classes that could not be read back once joined by the separator."""
    for name in map(cell_text, names):
        if is_printed(name, separator) or split_labels(name, separator) != [name]:
            raise ValueError(
                "With a `separator` a class must not contain it, be empty, begin or end with white "
                "space, or look like a printed list, because it could not be read back. Use "
                f"another separator, or lists. Received: separator={separator!r}, class {name!r}"
            )
