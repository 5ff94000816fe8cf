"""Read the files of an untrusted bundle: only regular files, of limited size and depth."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from multimodal_gen.errors import BundleError

# Bytes of a description, which take some thirty times as much memory once parsed, and of a
# tokenizer.
MOST_JSON, _MOST_TEXT = 2**25, 2**27
# Mappings and lists within each other; a model of models has some twenty.
_MOST_DEPTH = 200
# Folders that are named where one is missing.
_MOST_NAMES = 3


@contextmanager
def new_folder(folder: Path) -> Iterator[None]:
    """Make a folder and its parents; if an error follows, remove the new folders that are empty."""
    made = []
    for one in (folder, *folder.parents):
        if one.exists():
            break
        made.append(one)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):
            for one in made:
                one.rmdir()
        raise


def check_file(path: Path) -> int:
    """Make sure that a path names a regular file and not a link, and return its size in bytes.

    Raises:
        BundleError: If it is something else.
        FileNotFoundError: If there is nothing.
    """
    # Not `stat`, which follows a link to what it points at.
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        what = (
            "a link, which may lead anywhere; replace it with the file it leads to"
            if path.is_symlink()
            else "not a file"
        )
        raise BundleError(
            f"A bundle must consist of regular files. Received: {path.name} is {what}"
        )
    return status.st_size


def read_text(path: Path) -> str:
    """The text in a file of a bundle.

    Raises:
        BundleError: If it is not a regular file, or is very large.
        OSError: If it cannot be read.
        UnicodeDecodeError: If it is not UTF-8.
    """
    size = check_file(path)
    if size > _MOST_TEXT:
        raise BundleError(f"{path.name} must have at most {_MOST_TEXT:,} bytes. Received: {size:,}")
    return path.read_text("utf-8", "surrogatepass")


def why_missing(folder: Path, name: str) -> str:
    """Why a file of a folder cannot be found, in a sentence, and which folders nearby have one.

    Args:
        folder: The folder.
        name: The file, such as "bundle.json".
    """
    if not folder.exists():
        said, around = "There is no such folder", folder.parent
    elif folder.is_dir():
        said, around = f"There is no {name} in the folder", folder
        if not any(folder.iterdir()):
            said += ", which is empty, as that of a training that has not ended is"
    else:
        return f"This is a file; what is needed is a folder that has {name}"
    with suppress(OSError):
        there = sorted(one.name for one in around.iterdir() if (one / name).is_file())
        nearest = get_close_matches(folder.name, there, _MOST_NAMES, 0.0)
        if nearest:
            has = "has one" if len(nearest) == 1 else "have one"
            said += f"; {' and '.join(repr(str(around / one)) for one in nearest)} {has}"
    return said


def parse_json(text: str | bytes, name: str) -> Any:
    """Values from JSON.

    Args:
        text: The JSON.
        name: Its name in errors.

    Raises:
        BundleError: If it is not valid, very long, or nested too deeply.
    """
    if len(text) > MOST_JSON:
        raise BundleError(f"{name} must have at most {MOST_JSON:,} bytes. Received: {len(text):,}")
    try:
        value = json.loads(text)
    # Python's parser recurses, and fails some thousand levels deep.
    except RecursionError:
        raise _too_deep(name) from None
    except ValueError as error:
        raise BundleError(f"{name} cannot be read: {error}.") from error
    # Level by level, because a recursive function would fail the same way.
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > _MOST_DEPTH:
            raise _too_deep(name)
        level = [
            inner
            for outer in level
            for inner in (
                outer.values()
                if isinstance(outer, dict)
                else outer
                if isinstance(outer, list)
                else ()
            )
            if isinstance(inner, dict | list)
        ]
    return value


def _too_deep(name: str) -> BundleError:
    return BundleError(f"{name} must be nested at most {_MOST_DEPTH} levels deep. Received: more")


def placed(error: BundleError, folder: str | os.PathLike[str]) -> BundleError:
    """The same error, naming the bundle's folder too."""
    text, path = str(error), f"path={os.fspath(folder)!r}"
    return BundleError(f"{text}, {path}" if "Received: " in text else f"{text} Received: {path}")
