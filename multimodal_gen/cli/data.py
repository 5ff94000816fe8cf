"""From a table and a few words to rows and loaders: the choices that a command line makes for its
user.

Splits, vocabularies and classes are the business of the modules that this one calls; nothing here
knows a model, and nothing prints: what is found is told to a `Reporter`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pandas as pd

from multimodal_gen.augment import (
    RandomBrightness,
    RandomContrast,
    RandomFlip,
    RandomRotation,
    RandomSaturation,
    RandomTranslation,
    RandomZoom,
)
from multimodal_gen.cli.part_checks import split_quietly as split_table
from multimodal_gen.cli.settings import DataSettings
from multimodal_gen.cli.target_choice import check_classes, in_words, make_target
from multimodal_gen.errors import LoadError, TableError
from multimodal_gen.loaders import (
    ClassLabel,
    ImageLoader,
    Loader,
    MultiLabel,
    NumericLoader,
    NumericTarget,
    TextLoader,
)
from multimodal_gen.rows.cells import column_texts
from multimodal_gen.rows.table import check_columns, read_table
from multimodal_gen.spec import mask_names

AUGMENT = (RandomFlip("horizontal"), RandomTranslation(0.05, 0.05))
# Geometry that a photo could have, and light; never the hue, as captions and labels name colours.
STRONG_AUGMENT = (
    RandomFlip("horizontal"),
    RandomTranslation(0.1, 0.1),
    RandomRotation(15 / 360),
    RandomZoom(0.2),
    RandomBrightness(0.15),
    RandomContrast(0.2),
    RandomSaturation(0.3),
)
_AUGMENTS: dict[str, tuple[Any, ...]] = {"none": (), "default": AUGMENT, "strong": STRONG_AUGMENT}
SPLIT_NAMES: tuple[tuple[str, ...], ...] = (
    ("train", "training"),
    ("val", "valid", "validation", "dev"),
    ("test", "testing"),
)
# What a column of such words is called in files that others make.
_PART_COLUMNS = ("split", "subset", "partition")
# What `metrics.json` calls a model on all inputs, and everything else.
_RESERVED = {"both", "all", "details"}


class Reporter(Protocol):
    """Who is told how a run goes."""

    def say(self, line: str) -> None:
        """One line about what was found or done."""

    def begin(self, title: str, steps: int, epochs: int | None = None) -> None:
        """A longer piece of work begins, of so many steps in all."""

    def advance(self) -> None:
        """One step is done."""

    def epoch(self, number: int, logs: dict[str, float]) -> None:
        """An epoch is done; they count from 1."""

    def end(self) -> None:
        """The piece of work is done."""

    def finish(self, what: str) -> None:
        """A model is trained and scored, and its results are written."""


class Parts(NamedTuple):
    """The rows of a table by purpose."""

    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame


def read_parts(settings: DataSettings, reporter: Reporter) -> Parts:
    """Read the table, check its columns, and split it."""
    table = read_table(settings.table)
    settings = replace(settings, split=split_column(settings, table, reporter))
    columns = [
        *settings.image,
        *settings.caption,
        *settings.number,
        *settings.label,
        settings.split,
        settings.group,
    ]
    check_columns(table, [column for column in columns if column is not None])
    notes = check_classes(table, settings)
    strata = settings.label[0] if settings.target == "class" else None
    if settings.split is not None:
        try:
            parts = given_parts(table, settings.split, settings.split_names)
        except TableError as error:
            raise TableError(
                f"{error}. If these are its words, name them with --split-names"
            ) from None
        how = f"by column {settings.split!r}"
        if parts.validation.empty:
            train, validation = split_table(
                parts.train, (0.85, 0.15), stratify=strata, group=settings.group, seed=settings.seed
            )
            parts, how = (
                Parts(train, validation, parts.test),
                f"{how}, validation drawn from its training rows",
            )
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
        how = f"at random with seed {settings.seed}" + (
            f", stratified by {strata!r}" if strata is not None else ""
        )
    reporter.say(f"{settings.table}: {len(table):,} rows")
    sizes = [f"{len(part):,}" for part in parts]
    reporter.say(f"  split     {sizes[0]} training, {sizes[1]} validation, {sizes[2]} test ({how})")
    for note in notes:
        reporter.say(f"note: {note}")
    return parts


def split_column(settings: DataSettings, table: pd.DataFrame, reporter: Reporter) -> str | None:
    """The column that names the parts: that of --split, or the one that folders called train and
    test make.

    Args:
        settings: What was asked for.
        table: What was read.
        reporter: Who is told if there are such folders, but not both; and if a file has such a
            column, which is not used unless --split names it.
    """
    if settings.split is not None:
        return settings.split
    if not Path(settings.table).is_dir():
        used = {
            *settings.image,
            *settings.caption,
            *settings.number,
            *settings.label,
            settings.group,
        }
        for column in table.columns:
            if (
                str(column).strip().casefold() in _PART_COLUMNS
                and column not in used
                and _names_parts(table[column])
            ):
                reporter.say(f"note: column {column!r} names parts; --split {column} keeps to them")
        return None
    if "split" not in table.columns:
        return None
    if _names_parts(table["split"]):
        return "split"
    words = sorted({str(cell) for cell in table["split"].dropna()})
    reporter.say(
        f"  the parts {', '.join(words)} of column 'split' are not used, as there are none for "
        "train and test"
    )
    return None


def parts_are_given(settings: DataSettings, parts: Parts) -> bool:
    """Whether a column, or the folders of the table, say which rows are for what, so that --group
    does not.
    """
    if settings.split is not None:
        return True
    if not Path(settings.table).is_dir() or "split" not in parts.train.columns:
        return False
    return _names_parts(pd.concat([part["split"] for part in parts]))


def _names_parts(column: pd.Series) -> bool:
    # Whether the cells are usual words for parts, those for training and test among them.
    found = {str(cell).strip().lower() for cell in column.dropna().unique()}
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
        TableError: If the column has another word.
    """
    check_columns(table, [column])
    if names is None:
        words = SPLIT_NAMES
        cells = pd.Series(column_texts(table[column]), table.index).str.strip().str.lower()
    else:
        if len(names) not in (2, 3):
            raise ValueError(
                f"`split_names` must be two or three words. Received: split_names={tuple(names)}"
            )
        words = ((names[0],), tuple(names[1:-1]), (names[-1],))
        cells = pd.Series(column_texts(table[column]), table.index)
    known = [word for group in words for word in group]
    strange = ~cells.isin(known)
    if strange.any():
        raise TableError(
            f"Column {column!r} must hold one of {known} in every row. Received: "
            f"{table[column][strange].iloc[0]!r} at index {table.index[strange].tolist()[0]!r}"
        )
    return Parts(*(table[cells.isin(group)] for group in words))


def make_loaders(
    settings: DataSettings, parts: Parts, reporter: Reporter
) -> tuple[dict[str, Loader], ClassLabel | NumericTarget | MultiLabel]:
    """Inputs and target; vocabulary and statistics come from the training rows.

    So do classes, and from the rows that a random split could as well have made training rows: one
    that has a single row is a class too where that row is a test row. Where the table says which
    rows are for what, it is not.
    """
    train = parts.train
    rows = _rows_to_learn_classes(settings, parts)
    names = input_names(settings)
    inputs: dict[str, Loader] = {}
    for column in settings.image:
        inputs[names["image", column]] = ImageLoader(
            column,
            directory=picture_folder(settings),
            image_size=settings.image_size,
            augment=_AUGMENTS[settings.augment],
            missing=settings.missing,
        )
    for column in settings.caption:
        inputs[names["caption", column]] = TextLoader.from_texts(
            column, train[column], output_mode=settings.text, missing=settings.missing
        )
    if settings.number:
        columns = list(settings.number)
        inputs["number"] = NumericLoader.from_values(
            columns[0] if len(columns) == 1 else columns,
            train[columns],
            missing=settings.number_missing,
        )
    target = make_target(settings, train, rows)
    reporter.say(in_words(target))
    masks = mask_names(inputs)
    for name, loader in inputs.items():
        mask = f", with {masks[name]!r}" if name in masks else ""
        reporter.say(f"  {name:<9} {loader.spec} from {loader.column!r}{mask}")
    return inputs, target


def _rows_to_learn_classes(settings: DataSettings, parts: Parts) -> pd.DataFrame:
    if not parts_are_given(settings, parts):
        return pd.concat(parts)
    # Of the training rows, validation's may have been drawn.
    return given_parts(pd.concat(parts[:2]), settings.split or "split", settings.split_names).train


def picture_folder(settings: DataSettings) -> str:
    """Where relative picture paths start; below the working directory, relative to it, as bundles
    keep it.
    """
    source = Path(settings.table)
    folder = settings.directory or str(source if source.is_dir() else source.parent)
    if "://" in folder or not Path(folder).is_absolute():
        return folder
    here = Path.cwd()
    return str(Path(folder).relative_to(here)) if Path(folder).is_relative_to(here) else folder


def input_names(settings: DataSettings) -> dict[tuple[str, str], str]:
    """The names of the inputs of pictures and captions, by kind ("image" or "caption") and column.

    A single column of a kind is called by its kind. Several are called by their own names, in which
    anything but letters, digits and underscores of ASCII is replaced, as Keras demands; where
    another has that name already, with the kind before it.
    """
    columns = {"image": settings.image, "caption": settings.caption, "number": settings.number[:1]}
    taken = {kind for kind, own in columns.items() if len(own) == 1} | _RESERVED
    names = {}
    for kind in ("image", "caption"):
        own = columns[kind]
        for place, column in enumerate(own, 1):
            name = re.sub(r"[^0-9A-Za-z_]+", "_", column).strip("_") or f"{kind}_{place}"
            if len(own) == 1:
                name = kind
            elif name in taken:
                name = f"{kind}_{name}" if f"{kind}_{name}" not in taken else f"{kind}_{place}"
            names[kind, column] = name
            taken.add(name)
    return names


def lost_all(error: LoadError, rows: int, folder: str | None) -> LoadError:
    """The error of a table of which no row can be loaded: where files are not found, the folder is
    the wrong one.

    Args:
        error: The error of the first row.
        rows: How many rows there are.
        folder: Where relative paths start.
    """
    reason = f"{error.reason.rstrip('.')}. Not one of the {rows:,} rows can be loaded"
    if error.path is not None and "no such file" in error.reason:
        reason += f": is --directory {folder} the folder where the paths in {error.column!r} start?"
    return LoadError(reason, index=error.index, column=error.column, path=error.path)
