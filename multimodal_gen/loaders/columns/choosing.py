"""`loaders_for`: the loaders of the columns that a table of columns names as inputs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pandas as pd

from multimodal_gen.errors import TableError
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.columns.inferring import INPUTS, OTHERS
from multimodal_gen.loaders.columns.naming import input_names
from multimodal_gen.loaders.columns.readable import (
    category_loader,
    date_loader,
    numeric_loader,
    readable_items,
    readable_texts,
)
from multimodal_gen.loaders.columns.several import MOST_ITEMS, most_items, separator_of
from multimodal_gen.loaders.image.loader import ImageLoader
from multimodal_gen.loaders.many import ManyLoader
from multimodal_gen.loaders.text.loader import TextLoader
from multimodal_gen.rows.checks import check_choice
from multimodal_gen.rows.table import check_columns

# Up to so many pictures of a row are read together in training. In turns they cost as much as one,
# but a class that only one of them tells is learned less well (benchmarks/README.md).
_ALL = 4


def loaders_for(
    columns: pd.DataFrame,
    table: pd.DataFrame,
    *,
    directory: str | os.PathLike[str] | None = None,
    image_size: tuple[int, int] = (64, 64),
    augment: Sequence[Any] = (),
    output_mode: str = "ngrams",
    missing: str | None = None,
    number_missing: str | None = None,
    date_format: str | None = None,
) -> dict[str, Loader]:
    """Make a loader for each column that is to be an input; they learn from training rows.

    Pictures, texts, categories and dates are an input each. Numbers and booleans together are the
    input "number", with `scaling="quantile"`. A single column of pictures is the input "image", a
    single one of texts is "caption"; "images" and "captions" if cells hold several. Other inputs
    have the names of their columns, with everything but ASCII letters and digits replaced by "_".

    Cells of several pictures or texts are read by a `ManyLoader`, whose `at_most` is the most that
    a training row has, up to 8, with the separator that stands between them, if they are not lists.
    In training it reads all of them; of more than 4 pictures, one in turns.

    If `columns` counts missing values, pictures and texts are read with `missing="blank"`, numbers
    and dates with `missing="flag"`; otherwise a missing value is an error. For categories it is a
    value of its own. Cells that cannot be read, such as a text in a column of numbers, are left out
    of what is learned, and are errors when they are read.

    Args:
        columns: The result of `infer_columns`, or a table like it: the names of the columns as the
            index, and "taken_as". What is not an input is left out.
        table: The training rows.
        directory: Where relative paths of pictures start; by default the working directory.
        image_size: `(height, width)` of the pictures.
        augment: Operations on pictures in training, as in `ImageLoader`.
        output_mode: How texts are read, as in `TextLoader.from_texts`.
        missing: How missing pictures and texts are read, in all columns; by default as above.
        number_missing: Likewise for numbers and dates.
        date_format: As in `DateLoader.from_values`, for all columns of dates.

    Returns:
        Input name -> loader, as `MultimodalSequence` and `build_fusion_classifier` take them.

    Raises:
        TableError: If no column is to be an input, or the table lacks one.
        ValueError: If a column is taken as something that there is no word for, or cannot be read
            as that; it names the row.
    """
    taken = {str(name): word for name, word in columns["taken_as"].items()}
    for name, word in taken.items():
        check_choice(f"columns.loc[{name!r}, 'taken_as']", word, [*INPUTS, *OTHERS])
    of = {kind: [name for name in taken if taken[name] == kind] for kind in INPUTS}
    used = [one for kind in INPUTS for one in of[kind]]
    if not used:
        raise TableError(
            "No column is taken as an input. Set `taken_as` of one to one of "
            f"{list(INPUTS)}. Received: {taken}"
        )
    check_columns(table, used)
    counts = columns["missing"].to_dict() if "missing" in columns else {}
    gaps = {name for name, count in counts.items() if count > 0}
    numbers = [name for name in taken if taken[name] in ("number", "boolean")]
    captions = {"caption": of["text"], "captions": of["texts"]}
    names = input_names({**of, **captions, "number": numbers})
    how = {name: "blank" if name in gaps else "error" for name in taken}
    how |= {} if missing is None else dict.fromkeys(taken, missing)
    inputs: dict[str, Loader] = {}
    pictures: dict[str, Any] = {
        "directory": directory,
        "image_size": image_size,
        "augment": augment,
    }
    for name in of["image"]:
        inputs[names["image", name]] = ImageLoader(name, missing=how[name], **pictures)
    for name in of["images"]:
        inputs[names["images", name]] = several_pictures(
            table[name], ImageLoader(name, **pictures), missing=how[name]
        )
    for name in of["text"]:
        inputs[names["caption", name]] = TextLoader.from_texts(
            name, readable_texts(table[name]), output_mode=output_mode, missing=how[name]
        )
    for name in of["texts"]:
        inputs[names["captions", name]] = several_texts(
            table[name], output_mode=output_mode, missing=how[name]
        )
    if numbers:
        flags = number_missing or ("flag" if gaps.intersection(numbers) else "error")
        inputs["number"] = numeric_loader(numbers, table, missing=flags, scaling="quantile")
    for name in of["category"]:
        inputs[names["category", name]] = category_loader(table[name])
    for name in of["date"]:
        flags = number_missing or ("flag" if name in gaps else "error")
        inputs[names["date", name]] = date_loader(table[name], date_format, flags)
    return inputs


def several_pictures(
    column: pd.Series, loader: ImageLoader, *, separator: str | None = None, missing: str
) -> ManyLoader:
    """A loader of cells with several pictures.

    Args:
        column: The training cells.
        loader: The loader of one picture.
        separator: What stands between pictures; by default it is found.
        missing: As in `ManyLoader`.
    """
    between = separator_of(column, "images") if separator is None else separator
    most = most_items(column, between)
    training = "all" if most <= _ALL else "turns"
    return ManyLoader(loader, at_most=most, separator=between, training=training, missing=missing)


def several_texts(
    column: pd.Series, *, output_mode: str, separator: str | None = None, missing: str
) -> ManyLoader:
    """A loader of cells with several texts, which learns from all texts of the training cells.

    Args:
        column: The training cells.
        output_mode: As in `TextLoader.from_texts`.
        separator: What stands between texts; by default it is found.
        missing: As in `ManyLoader`.
    """
    between = separator_of(column, "texts") if separator is None else separator
    loader = ManyLoader.from_texts(
        str(column.name),
        readable_items(column, between),
        separator=between,
        training="all",
        missing=missing,
        output_mode=output_mode,
    )
    return loader.replace(at_most=min(loader.at_most, MOST_ITEMS))
