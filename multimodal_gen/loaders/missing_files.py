"""What is near a path without a file: the most likely mistake in it, and how to fix it.

Looked for when there is an error already, in one folder and those in it at most, and never outside
a loader's directory.
"""

from __future__ import annotations

import difflib
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import islice

from multimodal_gen.rows.table import IMAGE_SUFFIXES

# How many names in a folder are looked at, and how many of them are compared letter by letter.
_MOST, _COMPARED = 20_000, 1_000
_ALIKE = 0.75
# How many folders in that folder are looked into.
_MOST_FOLDERS = 50


def what_is_beside(path: str, directory: str | None, root: str | None) -> str:
    """Describe which file a wrong path may have meant, and what to do.

    Args:
        path: The path.
        directory: Where relative paths start, as it was given; None for the working directory.
        root: The folder whose content may be named; None if any may.

    Returns:
        The end of a sentence that begins with "there is no such file: ", or "" where there is
            nothing to say.
    """
    try:
        # Mistakes that affect the whole column come first, then what may be wrong with this path.
        return _likely_slip(path, directory, root) or _beside(path, root)
    except (OSError, ValueError):
        return ""


def _likely_slip(path: str, directory: str | None, root: str | None) -> str:
    # Mistakes that the path itself shows, and whether correcting them finds the file.
    start = "" if directory is None else os.path.join(directory, "")
    own = path.removeprefix(start)
    if "\\" in own and os.sep == "/":
        # Not on Windows, where a backslash separates folders.
        there = (
            " (with '/' the file is there)"
            if _is_file(start + own.replace("\\", "/"), root)
            else ""
        )
        return (
            f"a backslash separates no folders on this system{there}. Write '/', as in "
            "`table[column].str.replace('\\\\', '/')`"
        )
    if directory is not None:
        last = os.path.basename(os.path.normpath(directory))
        first, _, rest = os.path.normpath(own).partition(os.sep)
        if rest and first == last and _is_file(start + rest, root):
            return (
                f"the directory already ends in {last!r}, with which the path begins. Use the "
                "folder above it"
            )
        if os.path.isabs(path) and own == path and _is_file(start + path.lstrip(os.sep), root):
            return (
                "the path begins with a '/', so it is not relative to the directory, but without "
                "it the file is there"
            )
    if own != own.strip() and _is_file(start + own.strip(), root):
        return (
            "the path has blanks around it; without them the file is there: "
            "`table[column].str.strip()`"
        )
    return ""


def _beside(path: str, root: str | None) -> str:
    # Finds the deepest folder that exists, and the name that is missing in it.
    folder, name = os.path.split(os.path.normpath(path))
    is_file = True
    while not os.path.isdir(folder or "."):
        folder, name = os.path.split(folder)
        is_file = False
        if not name:
            return ""
    # A table from somebody else must not be a way to list other folders.
    if not _may_be_told(folder, root):
        return ""
    with os.scandir(folder or ".") as found:
        names = [one.name for one in islice(found, _MOST)]
    if name in names:
        return f"{os.path.join(folder, name)!r} is not a folder"
    where = "beside it is" if is_file else f"there is no folder {name!r}, but"
    for one, difference in _matches(name, names, is_file):
        return f"{where} {one!r}{difference}"
    below = _in_a_folder_below(folder, name, names, root) if is_file else ""
    if below:
        return below
    # Names that differ in a number name other things, however alike they are.
    numbered = sorted(one for one in names if _without_numbers(one) == _without_numbers(name))
    # Only so many names, because the time grows with their number and training waits for this
    # message.
    others = [one for one in names[:_COMPARED] if _without_numbers(one) != _without_numbers(name)]
    close = [] if numbered else difflib.get_close_matches(name, others, 1, _ALIKE)
    if close:
        return f"{where} {close[0]!r}, the most alike"
    if not names:
        return f"the folder {folder or '.'!r} is empty"
    has_none = f"the folder {folder or '.'!r} has no {name!r}, but"
    if len(numbered) == 1:
        return f"{has_none} one of another number, {numbered[0]!r}"
    if numbered:
        first, last = min(numbered, key=_by_number), max(numbered, key=_by_number)
        return f"{has_none} {len(numbered):,} of other numbers, from {first!r} to {last!r}"
    return f"{has_none} others, such as {min(names)!r}"


def _in_a_folder_below(folder: str, name: str, names: Sequence[str], root: str | None) -> str:
    # Ids are often the names of pictures without their folder, and without their extension.
    endings = ["", *sorted(IMAGE_SUFFIXES), ".npy"] if not os.path.splitext(name)[1] else [""]
    inside = [one for one in sorted(names) if os.path.isdir(os.path.join(folder, one))]
    for one in inside[:_MOST_FOLDERS]:
        for ending in endings:
            path = os.path.join(one, name + ending)
            if _is_file(os.path.join(folder, path), root):
                added = f"{one + os.sep!r} + table[column]" + (f" + {ending!r}" if ending else "")
                lacks = "its folder and its extension" if ending else "its folder"
                return f"there is {path!r}: the path lacks {lacks}, which `{added}` adds"
    return ""


def _without_numbers(name: str) -> str:
    return re.sub(r"\d+", "0", name)


def _by_number(name: str) -> list[int]:
    return [int(one) for one in re.findall(r"\d+", name)]


def _matches(name: str, names: list[str], is_file: bool) -> Iterator[tuple[str, str]]:
    # Yields names that differ from the wanted one in a single respect, with that respect, the most
    # likely first.
    stem = os.path.splitext(name)[0]
    for one in sorted(names):
        if is_file and one.startswith(f"{name}."):
            ending = one.removeprefix(name)
            yield one, f": the extension is missing, which `table[column] + {ending!r}` adds"
    for one in names:
        if _composed(one) == _composed(name):
            yield one, ", the same letters in another form of Unicode"
    for one in names:
        if _folded(one) == _folded(name):
            yield one, ": upper and lower case count"
    for one in sorted(names) if is_file else ():
        other = os.path.splitext(one)[0]
        if other == stem:
            yield one, ", of another ending"
        elif stem.isdigit() and other.isdigit() and int(other) == int(stem):
            yield (
                one,
                ", with leading zeros, which are lost if ids are read as numbers: read the column "
                "with dtype=str",
            )
        elif _without_numbers(other) == _without_numbers(stem) and (
            _by_number(other) == _by_number(stem)
        ):
            yield one, ": its number has other leading zeros"
    for one in sorted(names) if is_file else ():
        if _folded(os.path.splitext(one)[0]) in (_folded(stem), _folded(name)):
            yield one, ": upper and lower case count, and so does the ending"


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _folded(name: str) -> str:
    return _composed(name).casefold()


def _is_file(path: str, root: str | None) -> bool:
    return _may_be_told(os.path.dirname(path), root) and os.path.isfile(path)


def _may_be_told(folder: str, root: str | None) -> bool:
    if root is None:
        return True
    real, top = os.path.realpath(folder), os.path.realpath(root)
    return real == top or real.startswith(os.path.join(top, ""))
