"""Rejects a csv or tsv file, and names the line: a stray quote, or a row with too many or too few
cells. It follows RFC 4180 strictly, which Arrow does not check.

A cell that begins with a quote must end with one, followed by a separator, a line end or the end of
the file. Any other quote is part of its cell's text. Nothing here keeps more than a block of the
file in memory.
"""

from __future__ import annotations

import codecs
import mmap
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from multimodal_gen.errors import TableError, shown
from multimodal_gen.rows.formats.encoding import require_utf8
from multimodal_gen.rows.formats.separators import wrong_separator

_BLOCK = 1 << 20
_QUOTE, _LINE_FEED, _RETURN = b'"\n\r'


@dataclass(frozen=True)
class Header:
    """The first row of a file.

    Args:
        names: The names of the columns.
        line: The line in which it begins, counted from 1.
        line_ends: The number of line feeds up to its end.
        is_last: Whether nothing comes after it.
    """

    names: list[str]
    line: int
    line_ends: int
    is_last: bool


@dataclass(frozen=True)
class Quotes:
    """What is known about a file with quotes.

    Args:
        line_ends: The number of line feeds in it.
    """

    line_ends: int


@dataclass(frozen=True)
class _Row:
    cells: list[bytes]
    start: int
    end: int


def read_header(path: Path, separator: str) -> Header:
    """The names of the columns: the cells of the first line that is not blank.

    Raises:
        TableError: If there is none, it is not UTF-8 text, or a quoted name does not end with a
            quote.
    """
    if not path.stat().st_size:
        raise TableError("The file is empty.")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        row = next(_rows(text, separator, blank=False), None)
        if row is None:
            raise TableError("The file is empty.")
        line = _line_of(text, row.start)
        if b"\0" in b"".join(row.cells) or text[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise TableError(
                "It looks like UTF-16 text, not UTF-8. Save it as UTF-8, or read it with "
                '`encoding="utf-16"`.'
            )
        try:
            names = [cell.decode("utf-8") for cell in row.cells]
        except UnicodeDecodeError:
            require_utf8(path)
            raise
        return Header(names, line, text[: row.end].count(b"\n"), row.end == len(text))


def check_quotes(path: Path, separator: str) -> Quotes | None:
    """Make sure that every cell that begins with a quote ends with one.

    Returns:
        None if no cell begins with a quote.

    Raises:
        TableError: If one does not; the message names the line.
    """
    with path.open("rb") as file:
        if not any(b'"' in block for block in iter(partial(file.read, _BLOCK), b"")):
            return None
    line_ends, opened, paired = _scan(path, separator)
    if opened and not paired:
        _search(path, separator)
    return Quotes(line_ends) if opened else None


def _scan(path: Path, separator: str) -> tuple[int, bool, bool]:
    # Returns the number of line feeds, whether any quote has a border before it, and whether all
    # quotes are paired. In a well-formed file quotes open and close in turn, and a doubled quote
    # counts as a close and an open. So the file is well-formed if every odd quote follows a border
    # or a quote and every even one is followed by one, which NumPy checks quickly.
    border = np.zeros(256, bool)
    border[[ord(separator), _LINE_FEED, _RETURN]] = True
    beside = border.copy()
    beside[_QUOTE] = True
    line_ends, inside, opened, paired = 0, False, False, True
    # The byte before the block, and whether it is a closing quote whose next byte is still to be
    # checked.
    before, closing = b"\n", False
    with path.open("rb") as file:
        if file.read(3) != codecs.BOM_UTF8:
            file.seek(0)
        while block := file.read(_BLOCK):
            line_ends += block.count(b"\n")
            text = np.frombuffer(before + block, np.uint8)
            places = np.flatnonzero(text[1:] == _QUOTE) + 1
            paired &= not closing or bool(beside[text[1]])
            opened = opened or bool(border[text[places - 1]].any())
            if paired:
                opens, closes = places[inside::2], places[not inside :: 2]
                closing = bool(len(closes)) and int(closes[-1]) == len(text) - 1
                closes = closes[: len(closes) - closing]
                paired = bool(beside[text[opens - 1]].all() and beside[text[closes + 1]].all())
                inside ^= bool(len(places) % 2)
            before = block[-1:]
    return line_ends, opened, paired and not inside


def _search(path: Path, separator: str) -> None:
    # A quote after a border, what it encloses, and, if all is well, a quote before a border.
    mark = re.escape(separator.encode())
    behind = rb'(?:[^"]++|"")*+("(?![^%b\r\n]))?+' % mark
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        start = 0
        if text[:4] == codecs.BOM_UTF8 + b'"':
            first = re.compile(b'"' + behind).match(text, 3)
            assert first is not None
            if first[1] is None:
                raise _unpaired(text, 3, first.end(), separator)
            start = first.end()
        for found in re.compile(rb'"(?<![^%b\r\n]")' % mark + behind).finditer(text, start):
            if found[1] is None:
                raise _unpaired(text, found.start(), found.end(), separator)


def explain_rows(path: Path, separator: str, names: Sequence[str]) -> None:
    """Raise an error for the first row with more or fewer cells than there are columns, if there is
    one.

    Args:
        path: The file.
        separator: "," or a tab.
        names: The names of the columns.

    Raises:
        TableError: It names the line.
    """
    mark, columns = {",": "comma", "\t": "tab"}[separator], len(names)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        for row in _rows(text, separator, blank=columns == 1):
            found = len(row.cells)
            if found == columns:
                continue
            if found == columns + 1 and not row.cells[-1]:
                advice = (
                    f"It ends with a {mark}: delete that in every line, or add a column to the "
                    "header."
                )
            elif found > columns:
                advice = f"A cell that contains a {mark} must be in double quotes."
            elif not b"".join(row.cells).strip():
                advice = "Delete it."
            else:
                advice = (
                    "Every row needs a cell for each column; write an empty cell as nothing "
                    f"between two {mark}s."
                )
            advice = wrong_separator(names) or advice
            line, last = (
                _line_of(text, row.start),
                _line_of(text, row.start + len(text[row.start : row.end].rstrip())),
            )
            if last > line:
                advice = (
                    f"It ends in line {last}, because a quoted cell contains line breaks: is there "
                    f"a stray quote? {advice}"
                )
            there = "is 1 column" if columns == 1 else f"are {columns} columns"
            raise TableError(
                f"Line {line} has {found} {'cell' if found == 1 else 'cells'}, but there {there}: "
                f"{_clipped(text[row.start : row.end])}. {advice}"
            )


def _rows(text: mmap.mmap, separator: str, *, blank: bool) -> Iterator[_Row]:
    # Yields rows with the bytes of their cells, and blank lines too if `blank` is set.
    mark = re.escape(separator.encode())
    cell = re.compile(
        rb'(?:"((?:[^"]++|"")*+)"(?=[%b\r\n]|\Z)|([^%b\r\n]*+))(%b|\r\n|\r|\n|\Z)'
        % (mark, mark, mark)
    )
    start = place = 3 if text[:3] == codecs.BOM_UTF8 else 0
    cells: list[bytes] = []
    while place < len(text) or cells:
        found = cell.match(text, place)
        assert found is not None
        if found[2] is not None and found[2].startswith(b'"'):
            raise _unpaired(text, place, None, separator)
        cells.append(found[1].replace(b'""', b'"') if found[2] is None else found[2])
        place = found.end()
        if found[3] == separator.encode():
            continue
        if blank or len(cells) > 1 or found.start(3) > start:
            yield _Row(cells, start, place)
        start, cells = place, []


def _unpaired(text: mmap.mmap, start: int, end: int | None, separator: str) -> TableError:
    # The cell begins with the quote at `start`; at `end` there is a quote that does not end it, or
    # the end of the file.
    mark = {",": "comma", "\t": "tab"}[separator]
    line = _line_of(text, start)
    if end is None:
        body = re.compile(rb'(?:[^"]++|"")*+').match(text, start + 1)
        assert body is not None
        end = body.end()
    if end == len(text):
        what = (
            f"A quote opens a cell in line {line} and is never closed: "
            f"{_clipped(text[start : start + 200])}"
        )
    else:
        at = _line_of(text, end)
        until = (
            ""
            if at == line
            else f"; the next quote, in line {at}, is not followed by a {mark} or a line end"
        )
        what = (
            f"A cell in line {line} begins with a quote but does not end with one{until}: "
            f"{_clipped(text[start : start + 200])}"
        )
    sign = text[end + 1 : end + 2].decode("latin-1")
    if start in (0, 3) and sign != separator:
        # A header whose quoted names are separated by another character.
        end_of_line = re.compile(rb"[^\r\n]*+").match(text, start)
        assert end_of_line is not None
        seems = (
            wrong_separator([end_of_line[0].decode("utf-8", "backslashreplace")])
            if sign in ";|,\t" and sign
            else ""
        )
        if seems:
            return TableError(seems)
    plain = "" if separator == "," else " sep='\\t',"
    return TableError(
        f'{what}. Such a cell must be in quotes, with its own quotes doubled, as in "a 5"" nail". '
        f"If quotes are plain text here, read it with `pd.read_csv(path,{plain} quoting=3, "
        "dtype=str, keep_default_na=False, na_values=[''])`."
    )


def _clipped(raw: bytes) -> str:
    # The first line of it, as errors show it.
    text = raw.decode("utf-8", "backslashreplace").splitlines()[0]
    return shown(text if len(text) <= 100 else f"{text[:100]}...")


def _line_of(text: mmap.mmap, place: int) -> int:
    # The line number of a position, counted from 1 as in editors.
    before = text[:place]
    return before.count(b"\n") + before.count(b"\r") - before.count(b"\r\n") + 1
