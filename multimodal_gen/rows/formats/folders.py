"""Make a table from a folder of pictures: one folder per class, possibly below one per part of a
split.

If a file metadata.csv or metadata.jsonl names the pictures, `metadata.py` makes the table from
that.
"""

from __future__ import annotations

import glob
import os
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from multimodal_gen.errors import TableError, by_number, counted, level_of_caller
from multimodal_gen.rows.formats.encoding import require_utf8

IMAGE_SUFFIXES = frozenset(
    (
        ".jpg",
        ".jpeg",
        ".jfif",
        ".png",
        ".gif",
        ".bmp",
        ".webp",
        ".tif",
        ".tiff",
        ".avif",
        ".ppm",
        ".pgm",
        ".pbm",
    )
)
# Folder names that mean a part of a split; `cli/parts.py` knows the same words.
SPLIT_FOLDERS = ("train", "training", "val", "valid", "validation", "dev", "test", "testing")


@dataclass
class Found:
    """What is below a folder, without hidden files.

    Args:
        pictures: Paths of pictures, relative to the folder and sorted.
        links: Links to folders, which are not followed.
        others: Everything that is neither a picture nor the caption of one.
    """

    pictures: list[Path] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def read_folders(root: Path) -> pd.DataFrame:
    """A row for each picture below a class folder, sorted by path.

    Columns are "image" (the path relative to the folder), "caption" (the text of a file of the same
    name ending in `.txt`, or empty) and "label" (the class folder). If the only folders with
    pictures have the names of parts of a split, and classes are below them, there is also a column
    "split", the name of that folder; if pictures are directly in them, there is no "label".

    Raises:
        TableError: If there is no such picture, a caption is not UTF-8 text, or there is another
            folder next to parts that contain classes.
    """
    found = find_files(root)
    tops = {path.parts[0] for path in found.pictures if len(path.parts) > 1}
    parts = {top for top in tops if top.lower() in SPLIT_FOLDERS}
    _check_parts(root, parts, tops, found)
    split = bool(tops) and parts == tops
    depth = 1
    if split and any(len(path.parts) > 2 for path in found.pictures):
        depth = 2
    inside = [path for path in found.pictures if len(path.parts) > depth]
    outside = [path.as_posix() for path in found.pictures if len(path.parts) <= depth]
    if not inside:
        raise TableError(
            f"No class folder contains a picture, as in CLASS/1.jpg.{_way_out(root, outside)} "
            f"Received: path={os.fspath(root)!r}"
        )
    table = pd.DataFrame({"image": [path.as_posix() for path in inside]})
    table["caption"] = [read_caption(root / path) for path in inside]
    if split:
        table["split"] = [path.parts[0] for path in inside]
    if not split or depth == 2:
        table["label"] = [path.parts[depth - 1] for path in inside]
    _tell(root, table, outside, found)
    return table


def _way_out(root: Path, outside: list[str]) -> str:
    # For a folder whose pictures lie directly in it.
    if not outside:
        return ""
    beside = (
        (root / one).with_suffix(suffix).is_file()
        for one in outside
        for suffix in (".txt", ".json")
    )
    if any(beside):
        return " `read_annotations` reads pictures that have a file of the same name beside them."
    there = counted(len(outside), "picture")
    return f" {there} directly in it can be named in a table, or sorted into class folders."


def _check_parts(root: Path, parts: set[str], tops: set[str], found: Found) -> None:
    # Refuses a folder that mixes parts of a split with other folders: read as classes, "train" and
    # "test" would become labels for a model to learn.
    of_training = {one for one in parts if one.lower().startswith("train")}
    below = any(path.parts[0] in parts and len(path.parts) > 2 for path in found.pictures)
    if of_training and parts > of_training and parts < tops and below:
        raise TableError(
            f"The folders {sorted(parts)} are parts of a split, and {sorted(tops - parts)} are "
            f"not. Move them elsewhere, or rename them to one of {list(SPLIT_FOLDERS)}. "
            f"Received: path={os.fspath(root)!r}"
        )


def find_files(root: Path) -> Found:
    """List the files in a folder and in all folders below it."""
    found = Found()
    for file in sorted(root.rglob("*")):
        relative = file.relative_to(root)
        if any(part.startswith(".") for part in relative.parts):
            continue
        if file.is_dir():
            if file.is_symlink():
                found.links.append(relative.as_posix())
        elif file.suffix.lower() in IMAGE_SUFFIXES:
            found.pictures.append(relative)
        elif not (file.suffix.lower() == ".txt" and _has_picture(file)):
            found.others.append(relative.as_posix())
    return found


def read_caption(picture: Path) -> str:
    """The text of the file beside a picture that ends in `.txt`; "" if there is none.

    Raises:
        TableError: If it is not UTF-8 text.
    """
    side_car = picture.with_suffix(".txt")
    if not side_car.is_file():
        return ""
    try:
        return side_car.read_text("utf-8-sig").strip()
    except UnicodeDecodeError:
        try:
            require_utf8(side_car)
        except TableError as error:
            raise TableError(
                f"A caption cannot be read. {error} Received: path={os.fspath(side_car)!r}"
            ) from None
        raise


def _has_picture(side_car: Path) -> bool:
    return any(side_car.with_suffix(suffix).exists() for suffix in IMAGE_SUFFIXES) or any(
        other.suffix.lower() in IMAGE_SUFFIXES
        for other in side_car.parent.glob(f"{glob.escape(side_car.stem)}.*")
    )


def _tell(root: Path, table: pd.DataFrame, outside: list[str], found: Found) -> None:
    bare = table["image"][table["caption"] == ""].tolist()
    if 0 < len(bare) < len(table):
        warnings.warn(
            f"{len(bare)} of the {len(table)} pictures below {os.fspath(root)!r} "
            f"{by_number(len(bare), 'has', 'have')} no caption, because the .txt file is "
            f"missing or empty, {bare[0]!r} first.",
            stacklevel=level_of_caller(),
        )
    kinds = [
        (outside, "picture outside the class folders", "pictures outside the class folders"),
        (
            found.others,
            "file that is neither a picture nor a caption",
            "files that are neither pictures nor captions",
        ),
        (
            found.links,
            "link to a folder, because links are not followed",
            "links to folders, because links are not followed",
        ),
    ]
    left = [
        f"{len(names)} {one if len(names) == 1 else many} ({_some(names)})"
        for names, one, many in kinds
        if names
    ]
    if left:
        warnings.warn(
            f"Left out below {os.fspath(root)!r}: {'; '.join(left)}.", stacklevel=level_of_caller()
        )


def _some(names: list[str]) -> str:
    return ", ".join(map(repr, names[:3])) + (", ..." if len(names) > 3 else "")
