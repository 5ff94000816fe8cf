"""Split a command's table into parts: by a column, by folders, or at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from multimodal_gen.cli.columns import (
    check_named_columns,
    refuse_missing_groups,
    refuse_missing_labels,
)
from multimodal_gen.cli.given_table import read_given, rows_in_words
from multimodal_gen.cli.label_checks import check_classes
from multimodal_gen.cli.part_checks import rare_classes_note
from multimodal_gen.cli.part_checks import split_quietly as split_table
from multimodal_gen.cli.reporter import Reporter
from multimodal_gen.cli.settings import INPUT_OPTIONS, DataSettings
from multimodal_gen.cli.unlabelled import without_unlabelled
from multimodal_gen.errors import TableError
from multimodal_gen.rows.chunks import chunks_of, text_codes
from multimodal_gen.rows.table import check_columns

SPLIT_NAMES: tuple[tuple[str, ...], ...] = (
    ("train", "training"),
    ("val", "valid", "validation", "dev"),
    ("test", "testing"),
)
# Names that such a column has in files from elsewhere.
_PART_COLUMNS = ("split", "subset", "partition")


class Parts(NamedTuple):
    """The rows of a table by part."""

    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame


def read_parts(
    settings: DataSettings, reporter: Reporter, left_out: list[pd.DataFrame] | None = None
) -> Parts:
    """Read the table, check its columns, and split it.

    Args:
        settings: The settings.
        reporter: Gets the reports.
        left_out: Gets the rows without a label that --on-error skip leaves out, if there are any.
    """
    table = read_given(settings.table)
    settings = replace(settings, split=split_column(settings, table, reporter))
    check_named_columns(table, settings)
    if left_out is not None:
        table, unlabelled = without_unlabelled(table, settings, reporter)
        left_out += [] if unlabelled.empty else [unlabelled]
    if settings.split is None:
        refuse_missing_labels(table, settings)
        refuse_missing_groups(table, settings.group)
    notes = check_classes(table, settings)
    drawn: dict[str, pd.DataFrame] = {}
    # Numbers and lists of labels have no classes to stratify by.
    strata = settings.label[0] if settings.target == "class" else None
    if settings.split is not None:
        try:
            parts = given_parts(table, settings.split, settings.split_names)
        except TableError as error:
            raise TableError(
                f"{error}. If these words are correct, name them with --split-names"
            ) from None
        # Of validation and test rows they are found when these are read, and may be left out.
        refuse_missing_labels(parts.train, settings)
        # Early stopping needs validation rows, and must not see test rows.
        if parts.validation.empty:
            train, validation = split_table(
                parts.train, (0.85, 0.15), stratify=strata, group=settings.group, seed=settings.seed
            )
            parts = Parts(train, validation, parts.test)
            drawn = {"training": train, "validation": validation}
        if parts.train.empty or parts.test.empty:
            raise TableError(
                f"The split must leave training and test rows. Received: column={settings.split!r}"
            )
    else:
        parts = Parts(
            *split_table(
                table, settings.fractions, stratify=strata, group=settings.group, seed=settings.seed
            )
        )
        drawn = dict(zip(("training", "validation", "test"), parts, strict=True))
    if strata is not None and drawn:
        notes += rare_classes_note(drawn, strata)
    reporter.say(f"{settings.table}: {rows_in_words(table)}")
    sizes = [f"{len(part):,}" for part in parts]
    how = split_in_words(settings, parts)
    reporter.say(f"  split     {sizes[0]} training, {sizes[1]} validation, {sizes[2]} test ({how})")
    for note in notes:
        reporter.say(f"note: {note}")
    return parts


def split_in_words(settings: DataSettings, parts: Parts) -> str:
    """How the rows were assigned to parts.

    Args:
        settings: The settings.
        parts: The parts.
    """
    if parts_are_given(settings, parts):
        column = settings.split or "split"
        given = given_parts(parts.validation, column, settings.split_names)
        drawn = "" if given.train.empty else ", validation drawn from its training rows"
        return f"by column {column!r}{drawn}"
    strata = f", stratified by {settings.label[0]!r}" if settings.target == "class" else ""
    return f"at random with seed {settings.seed}{strata}"


def split_column(settings: DataSettings, table: pd.DataFrame, reporter: Reporter) -> str | None:
    """The column that names the parts: from --split, or from folders called train and test.

    Args:
        settings: The settings.
        table: The table.
        reporter: Gets a note if only one of these folders exists, and if a file has such a column,
            which is used only if --split names it.
    """
    if settings.split is not None:
        return settings.split
    if not Path(settings.table).is_dir():
        # Columns that are inputs, labels or groups do not name parts.
        used = {
            *(name for option in INPUT_OPTIONS for name in getattr(settings, option)),
            *settings.label,
            settings.group,
        }
        for column in table.columns:
            if (
                str(column).strip().casefold() in _PART_COLUMNS
                and column not in used
                and _names_parts(table[column])
            ):
                reporter.say(f"note: column {column!r} names parts; use them with --split {column}")
        return None
    if "split" not in table.columns:
        return None
    if _names_parts(table["split"]):
        return "split"
    words = sorted({str(cell) for cell in table["split"].dropna()})
    reporter.say(
        f"note: column 'split' is not used, because it does not name both train and test, only "
        f"{', '.join(map(repr, words))}"
    )
    return None


def parts_are_given(settings: DataSettings, parts: Parts) -> bool:
    """Whether a column or the table's folders assign rows to parts, so that --group does not."""
    if settings.split is not None:
        return True
    if not Path(settings.table).is_dir() or "split" not in parts.train.columns:
        return False
    return _names_parts(pd.concat([part["split"] for part in parts]))


def _names_parts(column: pd.Series) -> bool:
    # Whether all cells are usual words for parts, including some for training and for test.
    pieces = (part.dropna().unique() for part in chunks_of(column))
    found = {str(cell).strip().lower() for cells in pieces for cell in cells}
    return (
        found <= set().union(*SPLIT_NAMES)
        and bool(found & {*SPLIT_NAMES[0]})
        and bool(found & {*SPLIT_NAMES[2]})
    )


def given_parts(table: pd.DataFrame, column: str, names: Sequence[str] | None = None) -> Parts:
    """The parts that a column names.

    Args:
        table: The table.
        column: The column.
        names: The words for training, validation and test (or training and test). By default the
            usual ones.

    Raises:
        TableError: If the column contains another word.
    """
    check_columns(table, [column])
    codes, texts = text_codes(table[column])
    if names is None:
        words = SPLIT_NAMES
        # The usual words match in any case, words of your own only exactly.
        texts = [text.strip().lower() for text in texts]
    else:
        if len(names) not in (2, 3):
            raise ValueError(
                f"`split_names` must be two or three words. Received: split_names={tuple(names)}"
            )
        # Two words mean training and test; of three, the middle one is validation.
        words = ((names[0],), tuple(names[1:-1]), (names[-1],))
    known = [word for group in words for word in group]
    # The last is for missing cells, whose code is -1.
    strange = np.array([*(text not in known for text in texts), True])[codes]
    if strange.any():
        raise TableError(
            f"Column {column!r} must contain one of {known} in every row. Received: "
            f"{table[column][strange].iloc[0]!r} at index {table.index[strange].tolist()[0]!r}"
        )
    chosen = [np.array([*(text in group for text in texts), False]) for group in words]
    return Parts(*(table[of_text[codes]] for of_text in chosen))
