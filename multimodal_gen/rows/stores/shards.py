"""Which files a pattern names, what tells them apart from other files, and what changed since."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

from multimodal_gen.errors import LoadError, TableError, counted

_RANGE = re.compile(r"(\d+)\.\.(\d+)")
# Names of missing files that an error lists.
_SHOWN = 3


def files_of(pattern: str) -> list[str]:
    """The files that a pattern names, in its order; for `*`, by name, numbers by their value.

    Args:
        pattern: A path, with `{000..031}` for numbers, `{a,b}` for alternatives, or `*`, `?` and
            `[...]` for what there is.

    Raises:
        FileNotFoundError: If there is none.
        TableError: If one that is named by braces is missing.
    """
    if os.path.exists(pattern):
        return [pattern]
    found: list[str] = []
    names = expanded(pattern)
    missing = []
    for name in names:
        if os.path.exists(name):
            found.append(name)
        elif glob.has_magic(name):
            found += sorted(glob.glob(name, recursive=True), key=_by_number)
        else:
            missing.append(name)
    if missing and found:
        shown = ", ".join(map(repr, missing[:_SHOWN]))
        more = f" and {len(missing) - _SHOWN:,} more" if len(missing) > _SHOWN else ""
        raise TableError(
            f"{counted(len(missing), 'file')} of {len(names):,} "
            f"{'is' if len(missing) == 1 else 'are'} missing: {shown}{more}. Get them, or name the "
            f"files there are. Received: path={pattern!r}"
        )
    if not found and pattern == names[0] and not glob.has_magic(pattern):
        raise FileNotFoundError(f"There is no such file or folder. Received: path={pattern!r}")
    if not found:
        looked = f"{names[0]!r} to {names[-1]!r}" if len(names) > 1 else repr(names[0])
        raise FileNotFoundError(
            f"No file has such a name; looked for {looked}. Received: path={pattern!r}"
        )
    return found


def expanded(pattern: str) -> list[str]:
    """The names that braces stand for: `{000..031}` for numbers, `{a,b}` for alternatives."""
    pieces = re.split(r"\{([^{}]*)\}", pattern)
    choices: list[list[str]] = []
    for place, piece in enumerate(pieces):
        numbers = _RANGE.fullmatch(piece)
        if place % 2 == 0:
            choices.append([piece])
        elif numbers:
            low, high = numbers.groups()
            width = len(low) if low.startswith("0") or len(low) == len(high) else 0
            choices.append([str(one).zfill(width) for one in range(int(low), int(high) + 1)])
        elif "," in piece:
            choices.append(piece.split(","))
        else:
            choices.append([f"{{{piece}}}"])
    return ["".join(one) for one in itertools.product(*choices)]


def stamp(path: str | os.PathLike[str] | int) -> tuple[int, int]:
    """Size and time of a file, by its path or by its number if it is open: a file whose stamp
    differs has been changed.
    """
    about = os.stat(path)
    return about.st_size, about.st_mtime_ns


@contextmanager
def unchanged(path: str, known: tuple[int, int]) -> Iterator[BinaryIO]:
    """Open a file without a buffer, if it is still the one that the table was opened on.

    Args:
        path: The file.
        known: Its stamp when the table was opened.

    Raises:
        LoadError: If it has changed, or is gone.
    """
    try:
        file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed below
    except OSError as error:
        raise _gone(path, error) from error
    with file:
        check_unchanged(path, known, file.fileno())
        yield file


def check_unchanged(path: str, known: tuple[int, int], opened: int | None = None) -> None:
    """Make sure that a file is still the one that the table was opened on.

    Args:
        path: The file.
        known: Its stamp when the table was opened.
        opened: The number of the file if it is open; otherwise it is looked for.

    Raises:
        LoadError: If it has changed, or is gone.
    """
    try:
        found = stamp(path if opened is None else opened)
    except OSError as error:
        raise _gone(path, error) from error
    if found != known:
        raise LoadError(
            "the file has changed since the table was opened. Open the table again with "
            "`open_table`",
            path=path,
        )


def _gone(path: str, error: OSError) -> LoadError:
    return LoadError(
        f"the file cannot be opened any more: {error.strerror}. Put it back, or open the table "
        "again with `open_table`",
        path=path,
    )


def fingerprint_of(paths: Sequence[str], stamps: Iterable[tuple[int, int]]) -> str:
    """A digest of the names, sizes and times of files."""
    digest = blake2b(digest_size=16)
    for path, (size, time) in zip(paths, stamps, strict=True):
        digest.update(f"{Path(path).name} {size} {time}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _by_number(name: str) -> list[tuple[int, int, str]]:
    return [
        (0, int(piece), piece) if piece.isdigit() else (1, 0, piece)
        for piece in re.split(r"(\d+)", name)
        if piece
    ]
