"""Folders in which a file stands beside each picture: a .json of its own, a .txt with its caption,
or one file of metadata for all, as the `datasets` library has them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from multimodal_gen.errors import TableError
from multimodal_gen.rows.annotations.noting import Found
from multimodal_gen.rows.annotations.source import Format, Source
from multimodal_gen.rows.cells import is_missing
from multimodal_gen.rows.formats.encoding import require_utf8
from multimodal_gen.rows.formats.folders import SPLIT_FOLDERS, read_caption
from multimodal_gen.rows.formats.json_columns import ROWS, Columns, unique_keys
from multimodal_gen.rows.formats.metadata import NAMES
from multimodal_gen.rows.table import read_table


def _fits_metadata(source: Source) -> bool:
    if not source.is_folder:
        return source.path.name in NAMES and any(
            name == "file_name" or name.endswith("_file_name") for name in source.names
        )
    parts = [one for one in source.path.iterdir() if one.name.lower() in SPLIT_FOLDERS]
    return any((folder / name).is_file() for folder in (source.path, *parts) for name in NAMES)


def _fits_json(source: Source) -> bool:
    return bool(_with(source, ".json"))


def _fits_txt(source: Source) -> bool:
    return bool(_with(source, ".txt")) and not _fits_json(source) and not _fits_metadata(source)


def _fits_classes(source: Source) -> bool:
    # With texts beside the pictures it may be either: what folders mean cannot be seen.
    pictures = source.files.pictures
    below = bool(pictures) and all(len(path.parts) > 1 for path in pictures)
    return below and not _fits_json(source) and not _fits_metadata(source)


def _with(source: Source, suffix: str) -> list[Path]:
    # The pictures that have a file with this suffix.
    return [
        one for one in source.files.pictures if (source.path / one).with_suffix(suffix).is_file()
    ]


def _read_folder(source: Source) -> Found:
    # These say themselves what they leave out.
    return Found(read_table(source.path if source.is_folder else source.path.parent))


def _read_txt(source: Source) -> Found:
    # A row per picture, sorted by path.
    return _read(source, ())


def _read_json(source: Source) -> Found:
    return _read(source, _with(source, ".json"))


def _read(source: Source, with_json: Sequence[Path]) -> Found:
    pictures = source.files.pictures
    if not pictures:
        raise TableError("There is no picture in the folder, or below it.")
    objects = set(with_json)
    columns = Columns()
    for start in range(0, len(pictures), ROWS):
        columns.add(
            [
                _object(source.path / one) if one in objects else {}
                for one in pictures[start : start + ROWS]
            ]
        )
    table = columns.table()
    texts = _with(source, ".txt")
    own: dict[str, list[Any]] = {"image": [one.as_posix() for one in pictures]}
    if texts or not with_json:
        own["caption"] = [read_caption(source.path / one) for one in pictures]
    for place, (name, cells) in enumerate(own.items()):
        if name in table:
            if all(
                is_missing(one) or one == ours for one, ours in zip(table[name], cells, strict=True)
            ):
                del table[name]
            else:
                # What the objects mean by this name stays, under another one.
                table = table.rename(columns={name: f"json_{name}"})
        table.insert(place, name, cells)
    found = Found(table)
    if with_json:
        bare = [one.as_posix() for one in pictures if one not in objects]
        found.problem(len(bare), "picture", "has no .json", "have no .json", bare)
    if "caption" in own:
        found.blanks("caption", "row")
    found.problem(
        len(source.files.others) - len(with_json),
        "file",
        "belongs to no picture",
        "belong to no picture",
        _alone(source, objects),
    )
    return found


def _alone(source: Source, objects: set[Path]) -> list[str]:
    belong = {one.with_suffix(".json").as_posix() for one in objects}
    return [one for one in source.files.others if one not in belong][:3]


def _object(picture: Path) -> dict[str, Any]:
    path = picture.with_suffix(".json")
    try:
        found = json.loads(path.read_text("utf-8-sig"), object_pairs_hook=unique_keys)
    except UnicodeDecodeError:
        require_utf8(path)
        raise
    except (ValueError, RecursionError) as error:
        raise TableError(f"{os.fspath(path)!r} is not a JSON object: {error}.") from None
    if not isinstance(found, dict):
        raise TableError(f"{os.fspath(path)!r} is not a JSON object, but a {type(found).__name__}.")
    return found


FORMATS = (
    Format("imagefolder", "imagefolder with metadata", _fits_metadata, _read_folder),
    Format("json-per-picture", "a .json beside each picture", _fits_json, _read_json),
    Format("txt-per-picture", "a .txt beside each picture", _fits_txt, _read_txt),
    Format("class-folders", "a folder per class", _fits_classes, _read_folder),
)
