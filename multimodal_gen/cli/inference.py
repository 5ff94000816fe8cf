"""Find the inputs of a table if no option names them, and say what each column was taken for."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, TypeVar

import pandas as pd

from multimodal_gen.cli.data import picture_folder
from multimodal_gen.cli.reporter import Reporter
from multimodal_gen.cli.settings import INPUT_OPTIONS, DataSettings
from multimodal_gen.errors import TableError
from multimodal_gen.loaders.columns.inferring import count_missing, infer_columns
from multimodal_gen.loaders.columns.pictures import ABSENT

Settings = TypeVar("Settings", bound=DataSettings)
# The inputs whose missing cells --missing and --number-missing are about, and what becomes of those
# of inputs that were found; for a category, being missing is one more.
_BLANK = ("image", "images", "caption", "captions")
_FLAGGED = ("number", "date")
_OPTION_OF = {
    "image": "image",
    "images": "images",
    "text": "caption",
    "texts": "captions",
    "number": "number",
    "boolean": "number",
    "category": "category",
    "date": "date",
}


def with_inputs(
    settings: Settings, train: pd.DataFrame, rows: pd.DataFrame, reporter: Reporter
) -> Settings:
    """The settings with columns of inputs: those that options name, or else those that are found.

    Args:
        settings: The settings.
        train: The training rows, which tell what a column holds.
        rows: All rows, which tell where values are missing.
        reporter: Gets a line for each column.

    Raises:
        TableError: If no column can be an input, or pictures are not where they are looked for.
    """
    if settings.names_inputs:
        return settings
    labels = [name for name in settings.label if name in train.columns]
    others = [name for name in (settings.split, settings.group) if name in train.columns]
    columns = infer_columns(
        train.drop(columns=others),
        labels,
        directory=picture_folder(settings),
        date_format=settings.date_format,
    )
    reporter.say("No option names an input, so each column is taken for what it holds:")
    width = max(map(len, columns.index))
    for name, row in columns.iterrows():
        reporter.say(f"  {name:<{width}}  {row['taken_as']}: {row['why']}")
    found: dict[str, list[str]] = {option: [] for option in INPUT_OPTIONS}
    for name, kind in columns["taken_as"].items():
        if kind in _OPTION_OF:
            found[_OPTION_OF[kind]].append(str(name))
    options = " ".join(
        f"--{option} {shlex.quote(name)}" for option, names in found.items() for name in names
    )
    if not found["image"] and not found["images"]:
        _refuse_absent_pictures(columns, settings, options)
    if not options:
        raise TableError(
            "No column of the table can be an input. Name the inputs with --image, --caption, "
            "--number, --category or --date; with --images and --captions where cells hold several."
            f" Received: {len(columns):,} columns"
        )
    used = [name for names in found.values() for name in names]
    gaps = tuple(name for name in used if count_missing(rows[name], columns["taken_as"][name]))
    chosen: dict[str, Any] = {option: tuple(names) for option, names in found.items()}
    settings = replace(settings, gaps=gaps, **chosen)
    for name, value in gaps_as(asdict(settings)).items():
        if value != getattr(settings, name):
            options += f" --{name.replace('_', '-')} {value}"
    reporter.say(f"  to choose yourself, name the inputs: {options}")
    return settings


def gaps_as(settings: Mapping[str, Any]) -> dict[str, str]:
    """The settings `missing` and `number_missing` as inputs that were found have them: where the
    options leave them at "error", those with missing cells are "blank" or "flag".

    Args:
        settings: The settings; those of inputs that were named are returned as they are.
    """
    found = {name: settings[name] for name in ("missing", "number_missing") if name in settings}
    gaps = set(settings.get("gaps") or ())
    for name, value, kinds in (("missing", "blank", _BLANK), ("number_missing", "flag", _FLAGGED)):
        if found.get(name) == "error" and any(
            gaps.intersection(settings.get(kind) or ()) for kind in kinds
        ):
            found[name] = value
    return found


def _refuse_absent_pictures(columns: pd.DataFrame, settings: DataSettings, options: str) -> None:
    # A wrong folder would otherwise cost all pictures, and no more than a line would say so.
    ignored = columns[columns["taken_as"] == "ignored"]
    for name, why in ignored["why"].items():
        if ABSENT in why:
            without = f" To train without them, name the inputs: {options}." if options else ""
            raise TableError(
                f"The pictures of {name!r} are not found: {why}. Are the paths relative to "
                f"--directory?{without} Received: --directory {picture_folder(settings)}"
            )
