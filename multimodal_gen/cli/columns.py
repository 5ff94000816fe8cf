"""Check that a table has the columns that options name, and that every row has label and group."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from multimodal_gen.cli.settings import DataSettings
from multimodal_gen.errors import TableError, by_number, counted
from multimodal_gen.rows.cells import is_blank
from multimodal_gen.rows.chunks import cells_in
from multimodal_gen.rows.leakage import seems_picture
from multimodal_gen.rows.table import check_columns

# How many cells are looked at, to tell whether a column holds pictures.
_LOOKED_AT = 50


def check_named_columns(table: pd.DataFrame, settings: DataSettings, *, label: bool = True) -> None:
    """Make sure that the table has every column that an option names.

    Args:
        table: The table.
        settings: The settings.
        label: Whether it must have the columns of --label too.

    Raises:
        TableError: If one is missing, or no cell has the separator of items; the message names the
            option.
    """
    options = {
        "image": settings.image,
        "images": settings.images,
        "caption": settings.caption,
        "captions": settings.captions,
        "number": settings.number,
        "category": settings.category,
        "date": settings.date,
        "label": settings.label if label else (),
        "split": (settings.split,),
        "group": (settings.group,),
    }
    for option, columns in options.items():
        for column in columns:
            if column is None:
                continue
            try:
                check_columns(table, [column])
            except TableError as error:
                said, received, _ = str(error).partition("Received: column=")
                if not received:
                    raise
                # The usual reason is that nobody has named it.
                usual = option == "label" and column == "label"
                hint = "Name the column to predict with --label COLUMN. " if usual else ""
                raise TableError(f"{said}{hint}Received: --{option} {column}") from None
    _refuse_exchanged(table, settings)
    between = settings.item_separator
    cells = (
        cell for name in (*settings.images, *settings.captions) for cell in cells_in(table, name)
    )
    if between is not None and not any(isinstance(cell, str) and between in cell for cell in cells):
        raise TableError(
            "No cell of --images and --captions has this separator; without the option, it is "
            f"found. Received: --item-separator {between!r}"
        )


def _refuse_exchanged(table: pd.DataFrame, settings: DataSettings) -> None:
    # Every cell would be a picture that cannot be read, which says nothing of the other column.
    for column in settings.image:
        if _holds_pictures(table[column]):
            continue
        for other in settings.caption:
            if _holds_pictures(table[other]):
                raise TableError(
                    f"Column {other!r} holds the pictures, and column {column!r} none: name them "
                    f"with --image {other} --caption {column}. Received: --image {column} "
                    f"--caption {other}"
                )


def _holds_pictures(column: pd.Series) -> bool:
    some = [cell for cell in column.iloc[:_LOOKED_AT].tolist() if not is_blank(cell)]
    return 2 * sum(map(seems_picture, some)) > len(some)


def refuse_missing_labels(rows: pd.DataFrame, settings: DataSettings) -> None:
    """Refuse rows without the label that training needs, in the words of the command line.

    Raises:
        TableError: With the number of such rows, the first one, and what to do.
    """
    if settings.target == "labels" and len(settings.label) == 1:
        # There an empty cell may mean that no label applies.
        return
    skip = "; or leave out such rows with --on-error skip" if hasattr(settings, "on_error") else ""
    for column in settings.label:
        gone = _without_value(rows, column)
        if len(gone) == len(rows):
            raise TableError(
                f"None of the {len(rows):,} rows has a value in the column to predict: is it the "
                f"right one? Received: --label {column}"
            )
        if gone:
            raise TableError(
                f"{_said(gone, rows, 'to predict')}. Fill {_them(gone)}, or write a "
                f"table without {_them(gone)}: `multimodal-gen audit` with the same columns and "
                f"--drop TABLE_OUT{skip}. Received: --label {column}"
            )


def refuse_missing_groups(rows: pd.DataFrame, column: str | None) -> None:
    """Refuse rows without a group, which could not be kept together with any other.

    Raises:
        TableError: With the number of such rows, the first one, and what to do.
    """
    gone = [] if column is None else _without_value(rows, column)
    if gone:
        raise TableError(
            f"{_said(gone, rows, 'of groups')}. Fill {_them(gone)}, each with a value "
            f"of its own if it belongs to no group. Received: --group {column}"
        )


def _without_value(rows: pd.DataFrame, column: str) -> list[int]:
    return [place for place, cell in enumerate(cells_in(rows, column)) if is_blank(cell)]


def _said(gone: Sequence[int], rows: pd.DataFrame, what: str) -> str:
    first = repr(rows.index[[gone[0]]].tolist()[0])
    where = f"the first at index {first}" if len(gone) > 1 else f"at index {first}"
    have = by_number(len(gone), "has", "have")
    count = f"{len(gone):,} of {counted(len(rows), 'row')}"
    return f"{count} {have} no value in the column {what}, {where}"


def _them(gone: Sequence[int]) -> str:
    return by_number(len(gone), "it", "them")
