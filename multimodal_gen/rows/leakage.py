"""One picture in several parts of a split: found by its path, its bytes, or its file's content."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.errors import LoadError, by_number, counted, shown
from multimodal_gen.rows.cells import is_missing
from multimodal_gen.rows.chunks import cells_in
from multimodal_gen.rows.table import IMAGE_SUFFIXES, cells_of

# How many cells are looked at to tell whether a column holds pictures: so many places of so many
# rows each, as a cell in a parquet file costs its row group.
_PLACES, _ROWS_EACH = 8, 8
# How many bytes of each file are compared before whole files are.
_HEAD = 4096
# Limits on the cost of comparing files: how many are looked at, and how many bytes are read of
# those that begin alike.
_MOST_FILES = 20_000
_MOST_BYTES = 256 * 2**20
_TESTED = "A model is then tested on pictures that it was trained on"


class LeakageWarning(UserWarning):
    """One picture is in several parts of a split: a model is tested on what it was trained on."""


def picture_columns(table: pd.DataFrame) -> list[str]:
    """The columns that seem to hold pictures: most of up to 64 cells are bytes, or paths with an
    image suffix.
    """
    found: list[str] = []
    if table.empty:
        return found
    for position, name in enumerate(table.columns):
        column = table.iloc[:, position]
        if isinstance(name, str) and not pd.api.types.is_numeric_dtype(column.dtype):
            starts = np.linspace(0, max(len(column) - _ROWS_EACH, 0), _PLACES).astype("int64")
            rows = np.unique(starts[:, None] + np.arange(_ROWS_EACH))
            rows = rows[rows < len(column)]
            cells = [cell for cell in column.array.take(rows).tolist() if not is_missing(cell)]
            if 2 * sum(map(seems_picture, cells)) > len(cells):
                found.append(name)
    return found


def warn_of_shared_pictures(
    table: pd.DataFrame,
    part: np.ndarray,
    columns: Sequence[str],
    *,
    file_of: Callable[[str], str | None] | None = None,
    is_picture: Callable[[str], bool] = lambda path: True,
    given: bool = False,
    grouped: bool = True,
    stacklevel: int = 2,
) -> None:
    """Warn where one picture is in several parts.

    Args:
        table: The rows.
        part: `(rows,) int64`, the part of each row.
        columns: Columns of pictures: paths or URLs, the bytes of files, or mappings with "bytes" or
            "path". Other cells are not compared.
        file_of: Returns the local file that a path names, or None for a URL, or raises a LoadError.
            With it, files with different paths are compared too: by their size, then by their first
            4096 bytes, and if these are equal, as a whole; of each column up to 20,000 pictures are
            checked, and 256 MiB read.
        is_picture: Whether a local file is a picture; asked only about files that are equal, as
            error pages stored under the names of pictures are.
        given: Whether the table assigns rows to parts, so that a group would not keep rows
            together.
        grouped: Whether the column can be the group that keeps rows together, which it cannot if
            rows have several pictures.
        stacklevel: As in `warnings.warn`.

    Warns:
        LeakageWarning: Once for equal paths or bytes, and once for equal files, because the ways
            out differ: the number of such pictures in each column, the first one, and how to keep
            them together.
    """
    shared: list[str] = []
    copied: list[str] = []
    group = ""
    for column in columns:
        keys = _keys(cells_in(table, column), len(table))
        ordered = np.sort(keys)
        # The usual case is that nothing occurs twice, which sorting shows quickly.
        if file_of is None and not (ordered[1:] == ordered[:-1]).any():
            continue
        codes = pd.factorize(keys)[0]
        torn = _torn(codes, part)
        torn[codes[keys == 0]] = False
        if torn.any():
            group = group or column
            count = len(torn) - int((keys == 0).any())
            first = int(torn[codes].argmax())
            other = int(((codes == codes[first]) & (part != part[first])).argmax())
            rows = " and ".join(repr(table.index[[row]].tolist()[0]) for row in (first, other))
            said = f"{torn.sum():,} of {count:,}"
            shared.append(
                f"likewise {said} in {column!r}"
                if shared
                else f"{said} pictures in {column!r} {by_number(int(torn.sum()), 'is', 'are')} in "
                f"several parts, first {_named(_cell(table, column, first))} at index {rows}"
            )
        copies = []
        if file_of is not None:
            different = pd.DataFrame({"code": codes, "part": part}).drop_duplicates().index
            paths = _paths(table, column, different.tolist())
            copies = _copies(paths, codes, part, file_of, is_picture)
        if copies:
            first, other = copies[0]
            copied.append(
                f"likewise {len(copies):,} in {column!r}"
                if copied
                else f"{counted(len(copies), 'picture')} in {column!r} "
                f"{by_number(len(copies), 'is', 'are')} in several parts under different names, "
                f"because the files are equal: first {paths[first]!r} and {paths[other]!r}"
            )
    by_group = _by_group(group, given) if grouped else f"{_TESTED}. {_by_audit(given)}"
    for found, way_out in ((shared, by_group), (copied, _by_audit(given))):
        if found:
            warnings.warn(f"{'; '.join(found)}. {way_out}.", LeakageWarning, stacklevel + 1)


def _by_group(column: str, given: bool) -> str:
    way_out = f"Keep the rows of a picture together with group={column!r} (`--group {column}`)"
    if given:
        way_out = (
            "The table names the parts: fix them there, or use a random split with `--group "
            f"{column}`"
        )
    return f"{_TESTED}. {way_out}"


def _by_audit(given: bool) -> str:
    if given:
        return (
            "The table names the parts: `multimodal-gen audit --drop FILE`, with the same "
            "`--split`, writes a table without these pictures in training, and `--group-column "
            "NAME` adds a column for a random split"
        )
    return (
        "`multimodal-gen audit --drop FILE --group-column NAME` writes a column for `--group` that "
        "keeps them together"
    )


def seems_picture(cell: Any) -> bool:
    """Whether a cell may be a picture: bytes, a mapping with them or a path, or a path or URL with
    the suffix of a picture.
    """
    if isinstance(cell, Mapping):
        return "bytes" in cell or "path" in cell
    if isinstance(cell, str | PurePath):
        return suffix_of(cell) in IMAGE_SUFFIXES
    return isinstance(cell, bytes)


def suffix_of(path: str | PurePath) -> str:
    """The suffix of a path or URL in lower case, such as ".jpg"."""
    # The query of a URL is not part of it.
    return os.path.splitext(os.fspath(path).partition("?")[0])[1].lower()


def _content(cell: Any) -> Any:
    if isinstance(cell, Mapping):
        cell = cell.get("path") if cell.get("bytes") is None else cell["bytes"]
    return os.fspath(cell) if isinstance(cell, PurePath) else cell


def _keys(cells: Iterable[Any], rows: int) -> np.ndarray:
    # A number for each path or bytes, equal for equal ones; 0 stands for cells of other types. A
    # 64-bit hash takes 8 bytes per row, and among a million paths two collide by chance in one of
    # 37 million tables.
    contents = (cell if type(cell) is str else _content(cell) for cell in cells)
    numbers = (hash(cell) if isinstance(cell, str | bytes) else 0 for cell in contents)
    return np.fromiter(numbers, "int64", rows)


def _cell(table: pd.DataFrame, column: str, row: int) -> Any:
    return _content(cells_of(table, column, slice(row, row + 1))[0])


def _paths(table: pd.DataFrame, column: str, rows: list[int]) -> dict[int, str]:
    # The first cells of these rows that are paths, as many as are compared.
    found: dict[int, str] = {}
    for start in range(0, len(rows), _MOST_FILES):
        some = rows[start : start + _MOST_FILES]
        cells = map(_content, cells_of(table, column, np.array(some, "int64")))
        paths = [(row, one) for row, one in zip(some, cells, strict=True) if isinstance(one, str)]
        found.update(paths[: _MOST_FILES - len(found)])
        if len(found) == _MOST_FILES:
            break
    return found


def _named(cell: Any) -> str:
    return shown(cell) if isinstance(cell, str) else "one"


def _torn(codes: np.ndarray, part: np.ndarray) -> np.ndarray:
    # `(codes,) bool`: whether the rows of a code are spread over several parts.
    last = np.full(int(codes.max(initial=-1)) + 1, -1)
    last[codes] = part
    torn = np.zeros(len(last), bool)
    torn[codes[last[codes] != part]] = True
    return torn


def _copies(
    paths: Mapping[int, str],
    codes: np.ndarray,
    part: np.ndarray,
    file_of: Callable[[str], str | None],
    is_picture: Callable[[str], bool],
) -> list[tuple[int, int]]:
    # Pairs of rows in different parts whose files have different paths and the same content: each
    # file but the first of a group, with the first.
    files: dict[int, str] = {}
    sizes: dict[int, int] = {}
    for row, named in paths.items():
        # A file that cannot be opened is reported when it is read, not here.
        with suppress(LoadError, OSError):
            path = file_of(named)
            if path is not None:
                files[row], sizes[row] = path, os.stat(path).st_size
    # Empty files are equal to each other, but they hold no pictures.
    alike = _alike({row: size for row, size in sizes.items() if size}, codes, part)
    heads = {}
    for row in (row for group in alike for row in group):
        with suppress(OSError):
            heads[row] = (sizes[row], _digest(files[row], _HEAD))
    left, whole = _MOST_BYTES, {}
    for group in _alike(heads, codes, part):
        left -= sum(sizes[row] for row in group)
        if left < 0:
            break
        for row in group:
            with suppress(OSError):
                whole[row] = (sizes[row], _digest(files[row], sizes[row]))
    pairs = []
    for group in _alike(whole, codes, part):
        if not is_picture(files[group[0]]):
            continue
        # Rows with the same path are reported by the caller already, so one row per path is enough.
        one = {codes[row]: row for row in reversed(group)}
        first = group[0]
        pairs += [
            (first, row)
            for code, row in sorted(one.items(), key=lambda pair: pair[1])
            if code != codes[first]
        ]
    return pairs


def _alike(keys: Mapping[int, Any], codes: np.ndarray, part: np.ndarray) -> list[list[int]]:
    # Groups of rows with equal keys that span several pictures and several parts.
    groups: dict[Any, list[int]] = {}
    for row, key in keys.items():
        groups.setdefault(key, []).append(row)
    return [
        group
        for group in groups.values()
        if len(group) > 1
        and len({codes[row] for row in group}) > 1
        and len({part[row] for row in group}) > 1
    ]


def _digest(path: str, most: int) -> bytes:
    with open(path, "rb") as file:
        return hashlib.blake2b(file.read(most)).digest()
