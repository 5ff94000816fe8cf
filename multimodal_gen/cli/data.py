"""Turn a table and a few options into rows and loaders: the choices that the command line makes.

Splits, vocabularies and classes are made by the modules that this one calls. Nothing here knows
about models, and nothing prints: results go to a `Reporter`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from multimodal_gen.augment import (
    Augmentation,
    RandomBrightness,
    RandomContrast,
    RandomFlip,
    RandomRotation,
    RandomSaturation,
    RandomTranslation,
    RandomZoom,
)
from multimodal_gen.cli.bad_rows import plain_reason
from multimodal_gen.cli.encoders import with_encoders
from multimodal_gen.cli.option_values import table_folder
from multimodal_gen.cli.parts import Parts, given_parts, parts_are_given
from multimodal_gen.cli.reporter import Reporter
from multimodal_gen.cli.settings import INPUT_OPTIONS, DataSettings
from multimodal_gen.cli.target_choice import in_words, make_target
from multimodal_gen.errors import LoadError
from multimodal_gen.loaders import (
    ClassLabel,
    ImageLoader,
    Loader,
    ManyLoader,
    MultiLabel,
    NumericTarget,
    TextLoader,
)
from multimodal_gen.loaders.columns.cells import Cells
from multimodal_gen.loaders.columns.choosing import (
    loaders_for,
    several_pictures,
    several_texts,
)
from multimodal_gen.loaders.columns.naming import input_names as names_of_inputs
from multimodal_gen.loaders.columns.readable import (
    category_loader,
    date_loader,
    numeric_loader,
    readable_texts,
)
from multimodal_gen.loaders.columns.several import by_item, separator_of, several
from multimodal_gen.spec import mask_names

# Changes under which most captions stay true; `table_notes.py` warns of words for sides.
AUGMENT = (RandomFlip("horizontal"), RandomTranslation(0.05, 0.05))
# Geometry and light as they vary between photos, but never the hue, because captions and labels
# name colours.
STRONG_AUGMENT = (
    RandomFlip("horizontal"),
    RandomTranslation(0.1, 0.1),
    RandomRotation(15 / 360),
    RandomZoom(0.2),
    RandomBrightness(0.15),
    RandomContrast(0.2),
    RandomSaturation(0.3),
)
# What --augment does to pictures.
AUGMENTS: dict[str, tuple[Any, ...]] = {"none": (), "default": AUGMENT, "strong": STRONG_AUGMENT}


def make_loaders(
    settings: DataSettings, parts: Parts, reporter: Reporter
) -> tuple[dict[str, Loader], ClassLabel | NumericTarget | MultiLabel]:
    """Inputs and target; vocabulary and statistics come from the training rows.

    With a random split, classes come from all rows, because the only row of a class may be a test
    row. If the table assigns rows to parts, they come from the training rows.
    """
    train = parts.train
    rows = _rows_to_learn_classes(settings, parts)
    inputs = encoded_inputs(settings, column_inputs(settings, train))
    target = make_target(settings, train, rows)
    reporter.say(in_words(target))
    for note in _notes_on_several(settings, train):
        reporter.say(f"note: {note}")
    masks = mask_names(inputs)
    for name, loader in inputs.items():
        mask = f", with {masks[name]!r}" if name in masks else ""
        reporter.say(f"  {name:<9} {loader.spec} from {loader.column!r}{mask}")
    return inputs, target


def column_inputs(settings: DataSettings, train: pd.DataFrame) -> dict[str, Loader]:
    """The inputs of the columns, without encoders; they learn from the training rows."""
    return named_inputs(settings, train) if settings.gaps is None else _found(settings, train)


def encoded_inputs(settings: DataSettings, inputs: dict[str, Loader]) -> dict[str, Loader]:
    """The inputs with those of --image-encoder and --text-encoder."""
    return with_encoders(settings, inputs, input_names(settings))


def named_inputs(settings: DataSettings, train: pd.DataFrame) -> dict[str, Loader]:
    """The inputs that options name. They learn from the cells that can be read: the others are
    found when all cells are.

    Args:
        settings: The settings.
        train: The training rows.

    Raises:
        LoadError, ValueError: If no cell of a column can be read.
    """
    names, augment = input_names(settings), AUGMENTS[settings.augment]
    inputs: dict[str, Loader] = {}
    for column in settings.image:
        pictures = picture_loader(settings, column, augment)
        inputs[names["image", column]] = pictures
    for column in settings.images:
        inputs[names["images", column]] = several_pictures(
            train[column],
            picture_loader(settings, column, augment).replace(missing="error"),
            separator=separator_in(train[column], "images", settings),
            missing=settings.missing,
        )
    for column in settings.caption:
        inputs[names["caption", column]] = TextLoader.from_texts(
            column,
            readable_texts(train[column]),
            output_mode=settings.output_mode,
            missing=settings.missing,
        )
    for column in settings.captions:
        inputs[names["captions", column]] = captions_loader(settings, train[column])
    if settings.number:
        inputs["number"] = numeric_loader(settings.number, train, missing=settings.number_missing)
    for column in settings.category:
        inputs[names["category", column]] = category_loader(train[column])
    for column in settings.date:
        inputs[names["date", column]] = date_loader(
            train[column], settings.date_format, settings.number_missing
        )
    return inputs


def _notes_on_several(settings: DataSettings, train: pd.DataFrame) -> list[str]:
    # Columns of --image whose cells, which would all be bad, hold several.
    notes = []
    for column in settings.image:
        found = several(Cells(train[column]), picture_folder(settings))
        if found is not None and found.taken_as == "images":
            notes.append(f"{column}: {found.why}; name the column with --images {column}")
    return notes


def _found(settings: DataSettings, train: pd.DataFrame) -> dict[str, Loader]:
    # The inputs that `inference.py` has found.
    words = {"caption": "text", "captions": "texts"}
    taken = {
        column: words.get(option, option)
        for option in INPUT_OPTIONS
        for column in getattr(settings, option)
    }
    columns = pd.DataFrame({"taken_as": pd.Series(taken, dtype=object)})
    columns["missing"] = [int(name in (settings.gaps or ())) for name in columns.index]
    return loaders_for(
        columns,
        train,
        directory=picture_folder(settings),
        image_size=settings.image_size,
        augment=AUGMENTS[settings.augment],
        output_mode=settings.output_mode,
        missing=None if settings.missing == "error" else settings.missing,
        number_missing=None if settings.number_missing == "error" else settings.number_missing,
        date_format=settings.date_format,
    )


def items_in(column: pd.Series, kind: str, settings: DataSettings) -> pd.Series:
    """The items of cells that hold several, each under the label of its row.

    Args:
        column: A column of --images or --captions.
        kind: "images" or "texts".
        settings: The settings, which may name the separator.
    """
    return by_item(column, separator_in(column, kind, settings))


def separator_in(column: pd.Series, kind: str, settings: DataSettings) -> str | None:
    """What separates the items of a column's cells: that of --item-separator if any has it."""
    given = settings.item_separator
    if given is not None and any(isinstance(cell, str) and given in cell for cell in column):
        return given
    return separator_of(column, kind)


def captions_loader(settings: DataSettings, column: pd.Series) -> ManyLoader:
    """The loader of a column of several captions in a cell.

    Raises:
        LoadError: If no cell can be split; it names the option for it.
    """
    try:
        return several_texts(
            column,
            output_mode=settings.output_mode,
            separator=separator_in(column, "texts", settings),
            missing=settings.missing,
        )
    except LoadError as error:
        said, received, rest = plain_reason(error.reason).partition("Received: ")
        way_out = "If its items are joined by a separator, name it with --item-separator."
        raise LoadError(
            f"{said.rstrip(' .')}. {way_out} {received}{rest}",
            index=error.index,
            column=error.column,
        ) from None


def picture_loader(
    settings: DataSettings, column: str, augment: Sequence[Augmentation] = ()
) -> ImageLoader:
    """The loader of a column of pictures."""
    return ImageLoader(
        column,
        directory=picture_folder(settings),
        image_size=settings.image_size,
        augment=augment,
        missing=settings.missing,
    )


def _rows_to_learn_classes(settings: DataSettings, parts: Parts) -> pd.DataFrame:
    if not parts_are_given(settings, parts):
        return pd.concat(parts)
    # Validation rows may have been drawn from the training rows, so both are joined before the
    # column is read again.
    return given_parts(pd.concat(parts[:2]), settings.split or "split", settings.split_names).train


def picture_folder(settings: DataSettings) -> str:
    """The folder of relative picture paths; inside the working directory, relative to it, as
    bundles store it.
    """
    folder = table_folder(settings.table, settings.directory)
    if "://" in folder or not Path(folder).is_absolute():
        return folder
    here = Path.cwd()
    return str(Path(folder).relative_to(here)) if Path(folder).is_relative_to(here) else folder


def input_names(settings: DataSettings) -> dict[tuple[str, str], str]:
    """The names of the inputs by the option and the column, except for that of all numbers."""
    return names_of_inputs({option: getattr(settings, option) for option in INPUT_OPTIONS})
