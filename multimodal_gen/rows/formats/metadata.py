"""Make a table from a folder in which metadata.csv or metadata.jsonl names the pictures.

That is the layout that the `datasets` library calls "imagefolder"
(https://huggingface.co/docs/datasets/image_dataset): the file is next to the pictures, in the
folder itself or in one folder per part of a split, and a column `file_name`, or several
`*_file_name`, holds paths relative to it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from multimodal_gen.errors import TableError, level_of_caller
from multimodal_gen.rows.cells import is_missing
from multimodal_gen.rows.formats.folders import SPLIT_FOLDERS, find_files

NAMES = ("metadata.csv", "metadata.jsonl")


def read_metadata(
    root: Path, read: Callable[[Path, Sequence[str]], pd.DataFrame], na_values: Sequence[str]
) -> pd.DataFrame | None:
    """The table in a folder's metadata files, or None if there are none.

    It has the files' columns. For `file_name` it also has "image", the path relative to `root`, and
    for `front_file_name` likewise "front". If a file already has such a column with other cells,
    that is kept, a warning says so, and the paths of all parts are in "image_path" or "front_path".
    If each part of a split has its own file, the training rows come first, and "split" is the
    folder's name.

    Args:
        root: The folder.
        read: Reads one file.
        na_values: Passed to `read`.

    Raises:
        TableError: If a folder has both files, only some parts of a split have one, a file has no
            `file_name`, or both names for the paths are taken.
    """
    own = _file_in(root)
    if own is not None:
        parts = {"": _read(own, read, na_values)}
        _add_paths(parts)
        return _told(root, parts)
    folders = {
        one.name: one
        for one in sorted(root.iterdir())
        if one.is_dir() and one.name.lower() in SPLIT_FOLDERS
    }
    files = {name: _file_in(folder) for name, folder in folders.items()}
    lacking = [name for name, file in files.items() if file is None]
    if len(lacking) == len(files):
        return None
    if lacking:
        raise TableError(
            f"{next(name for name in files if name not in lacking)!r} has a metadata file, but "
            f"{lacking[0]!r} does not. Add one, or move the folder elsewhere. Received: "
            f"path={os.fspath(root)!r}"
        )
    parts = {}
    for name in sorted(files, key=lambda name: SPLIT_FOLDERS.index(name.lower())):
        file = files[name]
        assert file is not None
        parts[name] = _read(file, read, na_values)
    _add_paths(parts)
    for name, part in parts.items():
        if "split" not in part:
            part["split"] = name
    return _told(root, parts)


def _told(root: Path, parts: dict[str, pd.DataFrame]) -> pd.DataFrame:
    # The table made of its parts by folder; a warning says which pictures have no row in it.
    named = {
        _below(folder, cell)
        for folder, part in parts.items()
        for name in part.columns
        if _is_path(name)
        for cell in part[name].array.tolist()
    }
    left = [path.as_posix() for path in find_files(root).pictures if path.as_posix() not in named]
    if left:
        pictures = (
            "1 picture that its metadata does"
            if len(left) == 1
            else f"{len(left)} pictures that metadata do"
        )
        warnings.warn(
            f"Left out below {os.fspath(root)!r}: {pictures} not name "
            f"({', '.join(map(repr, left[:3]))}{', ...' if len(left) > 3 else ''}).",
            stacklevel=level_of_caller(),
        )
    return parts[""] if "" in parts else pd.concat(list(parts.values()), ignore_index=True)


def _file_in(folder: Path) -> Path | None:
    there = [folder / name for name in NAMES if (folder / name).is_file()]
    if len(there) > 1:
        raise TableError(
            f"There are two metadata files: {NAMES[0]} and {NAMES[1]}. Delete one. Received: "
            f"path={os.fspath(folder)!r}"
        )
    return there[0] if there else None


def _read(
    file: Path, read: Callable[[Path, Sequence[str]], pd.DataFrame], na_values: Sequence[str]
) -> pd.DataFrame:
    table = read(file, na_values)
    if not any(_is_path(name) for name in table.columns):
        raise TableError(
            "A metadata file needs a column `file_name`, the path of the picture relative to it; "
            f"its columns are {list(table.columns)}. If it is meant for something else, rename the "
            f"file. Received: path={os.fspath(file)!r}"
        )
    return table


def _is_path(name: str) -> bool:
    return name == "file_name" or name.endswith("_file_name")


def _column_of(name: str) -> str:
    return name.removesuffix("file_name").removesuffix("_") or "image"


def _add_paths(parts: dict[str, pd.DataFrame]) -> None:
    # A column means the same in the whole table, so its new name is chosen for all parts together.
    for name in dict.fromkeys(
        name for part in parts.values() for name in part.columns if _is_path(name)
    ):
        column = _column_of(name)
        paths = {
            folder: pd.Series(
                [_below(folder, cell) for cell in part[name].array.tolist()], index=part.index
            )
            for folder, part in parts.items()
            if name in part
        }
        if any(
            column in part and _texts(part[column]) != _texts(paths.get(folder))
            for folder, part in parts.items()
        ):
            # The file means something else by this name, such as a title or a number, so the column
            # of paths gets another name.
            taken, column = column, f"{column}_path"
            if any(column in part for part in parts.values()):
                raise TableError(
                    f"Rename {taken!r} or {column!r}, because the paths of {name!r} need one of "
                    "these names."
                )
            warnings.warn(
                f"The metadata already have a column {taken!r}, which is kept: the paths of "
                f"{name!r} are in {column!r}.",
                stacklevel=level_of_caller(),
            )
        for folder, own in paths.items():
            if column not in parts[folder]:
                parts[folder][column] = own


def _texts(column: pd.Series | None) -> list[str | None]:
    return (
        []
        if column is None
        else [None if is_missing(cell) else str(cell) for cell in column.array.tolist()]
    )


def _below(folder: str, cell: Any) -> Any:
    return (
        PurePosixPath(folder, cell).as_posix()
        if isinstance(cell, str)
        else None
        if is_missing(cell)
        else cell
    )
