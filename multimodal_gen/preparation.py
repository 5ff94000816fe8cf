"""From a table and a few words to rows and loaders: the choices that a command line makes for its user.

Splits, vocabularies and classes are the business of the modules that this one calls; nothing here knows a model, and
nothing prints: what is found is told to a `Reporter`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import pandas as pd

from multimodal_gen.augment import RandomFlip, RandomTranslation
from multimodal_gen.errors import TableError
from multimodal_gen.loaders import ClassLabel, ImageLoader, Loader, NumericLoader, TextLoader
from multimodal_gen.part_checks import split_quietly as split_table
from multimodal_gen.presence import mask_names
from multimodal_gen.table import check_columns, read_table

AUGMENT = (RandomFlip("horizontal"), RandomTranslation(0.05, 0.05))
SPLIT_NAMES: tuple[tuple[str, ...], ...] = (
    ("train", "training"),
    ("val", "valid", "validation", "dev"),
    ("test", "testing"),
)


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Which table, which columns, which rows for what.

    Args:
        table: A file or folder that `read_table` takes.
        image: The column of pictures, or None.
        caption: The column of captions, or None.
        missing: What a missing picture or caption is: "error", or "blank" to tell the model that it is not there.
        number: Columns of numbers, read as one input.
        number_missing: What a missing number is: "error", or "mean" to read it as the mean of the training rows.
        label: The column of the class.
        directory: Where relative picture paths start; by default the table's folder.
        split: A column that says which rows are for training, validation and test; by default the split is random.
        split_names: The words for training, validation and test in that column, where they are not the usual ones.
        fractions: Shares of training, validation and test rows of a random split, stratified by the label.
        group: A column whose equal values stay together in a random split.
        image_size: `(height, width)`.
        text: "ngrams" or "tokens".
        batch_size: Rows of a batch.
        seed: Fixes the split, the order of rows, augmentation and the model's first weights.
    """

    table: str
    image: str | None
    caption: str | None
    missing: str
    number: tuple[str, ...]
    number_missing: str
    label: str
    directory: str | None
    split: str | None
    split_names: tuple[str, ...] | None
    fractions: tuple[float, ...]
    group: str | None
    image_size: tuple[int, int]
    text: str
    batch_size: int
    seed: int

    def __post_init__(self) -> None:
        if self.image is None and self.caption is None and not self.number:
            raise ValueError("At least one input is needed: --image, --caption or --number. Received: none")
        if len(self.fractions) != 3:
            raise ValueError(
                f"`fractions` must be three: training, validation, test. Received: fractions={self.fractions}"
            )


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


class Parts(NamedTuple):
    """The rows of a table by purpose."""

    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame


def read_parts(settings: DataSettings, reporter: Reporter) -> Parts:
    """Read the table, check its columns, and split it."""
    table = read_table(settings.table)
    columns = [settings.image, settings.caption, *settings.number, settings.label, settings.split, settings.group]
    check_columns(table, [column for column in columns if column is not None])
    if settings.split is not None:
        parts, how = given_parts(table, settings.split, settings.split_names), f"by column {settings.split!r}"
        if parts.validation.empty:
            train, validation = split_table(
                parts.train, (0.85, 0.15), stratify=settings.label, group=settings.group, seed=settings.seed
            )
            parts, how = Parts(train, validation, parts.test), f"{how}, validation drawn from its training rows"
        if parts.train.empty or parts.test.empty:
            raise TableError(f"The split must leave training and test rows. Received: column={settings.split!r}")
    else:
        parts = Parts(
            *split_table(table, settings.fractions, stratify=settings.label, group=settings.group, seed=settings.seed)
        )
        how = f"at random with seed {settings.seed}, stratified by {settings.label!r}"
    reporter.say(f"{settings.table}: {len(table):,} rows")
    sizes = [f"{len(part):,}" for part in parts]
    reporter.say(f"  split     {sizes[0]} training, {sizes[1]} validation, {sizes[2]} test ({how})")
    return parts


def given_parts(table: pd.DataFrame, column: str, names: Sequence[str] | None = None) -> Parts:
    """The parts that a column names.

    Args:
        table: The table.
        column: The column.
        names: The words for training, validation and test (or training and test). By default the usual ones.

    Raises:
        TableError: If the column has another word.
    """
    check_columns(table, [column])
    if names is None:
        words = SPLIT_NAMES
        cells = table[column].astype(str).str.strip().str.lower()
    else:
        if len(names) not in (2, 3):
            raise ValueError(f"`split_names` must be two or three words. Received: split_names={tuple(names)}")
        words = ((names[0],), tuple(names[1:-1]), (names[-1],))
        cells = table[column].astype(str)
    known = [word for group in words for word in group]
    strange = ~cells.isin(known)
    if strange.any():
        raise TableError(
            f"Column {column!r} must hold one of {known} in every row. "
            f"Received: {table[column][strange].iloc[0]!r} at index {table.index[strange].tolist()[0]!r}"
        )
    return Parts(*(table[cells.isin(group)] for group in words))


def make_loaders(
    settings: DataSettings, train: pd.DataFrame, reporter: Reporter
) -> tuple[dict[str, Loader], ClassLabel]:
    """Inputs and target; vocabulary, statistics and classes come from the training rows."""
    inputs: dict[str, Loader] = {}
    if settings.image is not None:
        source = Path(settings.table)
        directory = settings.directory or str(source if source.is_dir() else source.parent)
        inputs["image"] = ImageLoader(
            settings.image,
            directory=directory,
            image_size=settings.image_size,
            augment=AUGMENT,
            missing=settings.missing,
        )
    if settings.caption is not None:
        inputs["caption"] = TextLoader.from_texts(
            settings.caption, train[settings.caption], output_mode=settings.text, missing=settings.missing
        )
    if settings.number:
        names = list(settings.number)
        column = names[0] if len(names) == 1 else names
        inputs["number"] = NumericLoader.from_values(column, train[names], missing=settings.number_missing)
    target = ClassLabel.from_values(settings.label, train[settings.label])
    most = 10
    shown = ", ".join(map(str, target.class_names[:most]))
    more = f" and {len(target.class_names) - most} more" if len(target.class_names) > most else ""
    reporter.say(f"  classes   {len(target.class_names)}: {shown}{more}")
    masks = mask_names(inputs)
    for name, loader in inputs.items():
        mask = f", with {masks[name]!r}" if name in masks else ""
        reporter.say(f"  {name:<9} {loader.spec} from {loader.column!r}{mask}")
    return inputs, target
