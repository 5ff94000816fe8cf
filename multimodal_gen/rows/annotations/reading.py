"""Read a file of annotations that others have made: find out which format it has, and say so."""

from __future__ import annotations

import os
import warnings
from contextlib import suppress
from pathlib import Path

import pandas as pd

from multimodal_gen.errors import TableError, level_of_caller
from multimodal_gen.rows.annotations import (
    coco,
    flickr,
    lines_of_json,
    open_images,
    side_cars,
    urls,
    vqa,
)
from multimodal_gen.rows.annotations.source import Format, Source

FORMATS: tuple[Format, ...] = (
    *coco.FORMATS,
    *flickr.FORMATS,
    *side_cars.FORMATS,
    *open_images.FORMATS,
    *lines_of_json.FORMATS,
    *vqa.FORMATS,
    *urls.FORMATS,
)
# How many files of a folder are looked into for a hint.
_LOOKED_INTO = 20
_BY_NAME = {one.name: one for one in FORMATS}


def read_annotations(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,  # noqa: A002
) -> pd.DataFrame:
    """Read annotations in the format of a well-known data set.

    The table has the columns "image", and "caption", "labels" or "question" and "answer", whatever
    there is; ids, sizes, licences and the like follow. Rows are in the order of the file. Pictures
    with several captions or questions have several rows, so split with
    `split_table(table, group="image")`. The formats and their columns are in docs/annotations.md.

    Which format it is, is found from what the file holds, not from its name.
    `table.attrs["format"]` says it, and `table.attrs["notes"]` is a list of sentences about what is
    in the file: boxes around crowds, pictures without labels, captions that are there twice.

    Args:
        path: A file or a folder.
        format: The format, such as "coco-captions", if it cannot be found.

    Returns:
        A DataFrame with the index 0..n-1. "image" is a path as the file has it, or a URL; if the
        file has only ids, it is the name that the set gives to the picture of that id.

    Raises:
        FileNotFoundError: If there is no such file.
        TableError: If no format fits, or several do, or the file is not as its format says: the
            message names the line, or the list and the entry.

    Warns:
        UserWarning: If something does not belong together: annotations of pictures that are not
            listed, pictures without a caption, names that are not those of pictures. Nothing is
            left out or mended without being counted there.
    """
    path = Path(path)
    received = f"Received: path={os.fspath(path)!r}"
    if format is not None and format not in _BY_NAME:
        raise ValueError(f"`format` must be one of {list(_BY_NAME)}. Received: format={format!r}")
    if not path.exists():
        raise FileNotFoundError(f"There is no such file or folder. {received}")
    source = Source(path)
    try:
        known = _found(source) if format is None else _BY_NAME[format]
    except Exception as error:
        raise TableError(f"The annotations cannot be read. {_said(error)} {received}") from error
    try:
        found = known.read(source)
    except Exception as error:
        raise TableError(
            f"The annotations cannot be read as {known.title}. {_said(error)} {received}"
        ) from error
    table = found.table
    if not len(table):
        raise TableError(f"The file has no annotations, read as {known.title}. {received}")
    table.attrs.update({"format": known.name, "notes": found.problems + found.notes})
    if found.problems:
        warnings.warn(
            f"{path.name!r}, read as {known.title}: {'; '.join(found.problems)}.",
            stacklevel=level_of_caller(),
        )
    return table


def _within(source: Source) -> str:
    # A folder of files of annotations is not read at once: they may say the same, or belong to
    # different parts.
    found = []
    for name in source.files.others[:_LOOKED_INTO] if source.is_folder else ():
        with suppress(Exception):
            file = Source(source.path / name)
            found += [f"{str(name)!r} is {one.title}" for one in FORMATS if one.fits(file)]
    if not found:
        return ""
    return f" In it, {', '.join(found)}: read such a file by its own path."


def has_known_format(path: str | os.PathLike[str]) -> bool:
    """Whether a file is annotations as some format has them; also if that cannot be found out,
    because the file is broken, so that `read_annotations` says what is wrong.
    """
    source = Source(Path(path))
    try:
        return any(one.fits(source) for one in FORMATS)
    except Exception:
        return True


def has_side_cars(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder has pictures directly in it, and a file beside them that annotates each; not
    if it has folders with pictures, which may be classes.
    """
    source = Source(Path(folder))
    flat = source.files.pictures and all(len(one.parts) == 1 for one in source.files.pictures)
    return bool(flat) and any(one.fits(source) for one in side_cars.FORMATS)


def _said(error: Exception) -> str:
    # What a library says, such as Arrow about a broken file, may have several lines.
    return f"{' '.join(str(error).split()).rstrip('.')}."


def _found(source: Source) -> Format:
    fitting = [one for one in FORMATS if one.fits(source)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise TableError(
            f"It may be {' or '.join(f'{one.title} ({one.name!r})' for one in fitting)}: say which "
            "with `format=`."
        )
    within = _within(source)
    raise TableError(
        f"No format fits: it holds {source.seen()}.{within} Known are "
        f"{', '.join(f'{one.name!r}' for one in FORMATS)}; if it is one of them, say so with "
        "`format=`. A table with columns of your own is read by `read_table`."
    )
