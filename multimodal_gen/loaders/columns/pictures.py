"""Whether the cells of a column are pictures that can be read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from PIL import Image

from multimodal_gen.errors import LoadError, counted
from multimodal_gen.loaders.columns.cells import Cells, Verdict, short
from multimodal_gen.loaders.file_loader import named
from multimodal_gen.loaders.files import Place
from multimodal_gen.loaders.image.loader import ImageLoader
from multimodal_gen.loaders.remote.urls import Urls
from multimodal_gen.rows.leakage import seems_picture, suffix_of

# How many cells are looked at, of how many paths the files are looked for, and how many pictures in
# memory are decoded.
_LOOKED_AT, _FILES, _DECODED = 64, 20, 5
_MOST_BYTES = 1 << 26
ABSENT = "are paths of pictures"
_SOUNDS = frozenset((".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".m4a"))
_VIDEOS = frozenset((".mp4", ".webm", ".mkv", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".wmv"))
_OTHER_FILES = (
    (_SOUNDS, "sounds", "an AudioLoader"),
    (_VIDEOS, "videos", "a ClipLoader"),
)


def pictures(cells: Cells, directory: str | None) -> Verdict | None:
    """A verdict if most of the cells are pictures, or paths or URLs with the suffix of one.

    Args:
        cells: The cells.
        directory: Where relative paths start.
    """
    some = cells.some(_LOOKED_AT)
    seen = [cell for cell in some if seems_picture(cell) or isinstance(cell, Image.Image)]
    if 2 * len(seen) <= len(some):
        return None
    problem = problem_with(seen, directory)
    if problem is not None:
        return Verdict("ignored", problem)
    count, gaps = f"{len(cells.present):,}", cells.gaps()
    if not _are_named(seen):
        return Verdict("image", f"{count} pictures in the cells themselves{gaps}")
    return Verdict("image", f"{count} paths of pictures, such as {_example(seen)}{gaps}")


def sounds_or_videos(cells: Cells) -> Verdict | None:
    """A verdict if most of the cells are paths or URLs with the suffix of a sound or a video.

    Args:
        cells: The cells.
    """
    some = cells.some(_LOOKED_AT)
    paths = [one for one in map(named, some) if isinstance(one, str | PurePath)]
    for suffixes, what, loader in _OTHER_FILES:
        seen = [one for one in paths if suffix_of(one) in suffixes]
        if 2 * len(seen) > len(some):
            return Verdict(
                "ignored", f"paths of {what}, such as {short(seen[0])}: read them with {loader}"
            )
    return None


def problem_with(seen: Sequence[Any], directory: str | None) -> str | None:
    """Why cells that seem to be pictures cannot be read as such, in words; None if they can.

    Args:
        seen: Some cells, or items of cells: pictures, or paths or URLs with the suffix of one.
        directory: Where relative paths start; of URLs, what they begin with.
    """
    if not _are_named(seen):
        tried = seen[:: max(len(seen) // _DECODED, 1)][:_DECODED]
        good = sum(_can_be_read(cell, directory) for cell in tried)
        if 2 * good > len(tried):
            return None
        return f"none of {len(tried)} cells looked at holds a picture"
    paths = [path for path in map(named, seen) if isinstance(path, str | PurePath)]
    urls = Urls(directory, ())
    if urls.directory is not None:
        return _problem_with_urls(urls, [Place(directory).path_of(path) for path in paths])
    if sum("://" in os.fspath(path) for path in paths) * 2 > len(paths):
        scheme = os.fspath(paths[0]).partition("://")[0]
        return (
            f"URLs of pictures, such as {_example(seen)}: to read them, say so with the directory "
            f"{scheme}://, or the part of the URLs that all begin with"
        )
    tried = paths[:: max(len(paths) // _FILES, 1)][:_FILES]
    there = sum(os.path.isfile(os.path.join(directory or "", path)) for path in tried)
    if 2 * there > len(tried):
        return None
    files = f"{there} of {counted(len(tried), 'file')} looked for {_are(there)} there"
    where = "the working directory" if directory is None else repr(directory)
    return f"they {ABSENT}, such as {_example(seen)}, but {files} in {where}"


def _problem_with_urls(urls: Urls, paths: Sequence[Any]) -> str | None:
    # All are asked for before the first is waited for.
    tried = paths[:: max(len(paths) // _DECODED, 1)][:_DECODED]
    for url in tried:
        urls.fetch_ahead(url, _MOST_BYTES)
    reasons = []
    for url in tried:
        try:
            urls.read(url, _MOST_BYTES)
        except LoadError as error:
            reasons.append(f"{url}: {error.reason.rstrip('.')}")
    if 2 * len(reasons) < len(tried):
        return None
    bad = f"{len(reasons)} of {len(tried)} looked for cannot be read"
    return f"they {ABSENT}, but {bad}: {reasons[0]}"


def _are_named(seen: Sequence[Any]) -> bool:
    paths = sum(isinstance(named(cell), str | PurePath) for cell in seen)
    return 2 * paths > len(seen)


def _example(seen: Sequence[Any]) -> str:
    return short(_without_bytes(seen[0]))


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _without_bytes(cell: Any) -> Any:
    return cell.get("path") if isinstance(cell, Mapping) else cell


def _can_be_read(cell: Any, directory: str | None) -> bool:
    try:
        ImageLoader("picture", directory=directory, image_size=(8, 8)).read(cell)
    except LoadError:
        return False
    return True
