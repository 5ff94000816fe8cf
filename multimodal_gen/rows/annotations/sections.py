"""Read a .json file of lists of objects, such as COCO's: each list becomes a table, one entry at a
time, so the objects of the whole file are never in memory together.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import pandas as pd

from multimodal_gen.errors import TableError, shown
from multimodal_gen.rows.formats.encoding import require_utf8
from multimodal_gen.rows.formats.json_columns import ROWS, Columns, unique_keys

# Characters read at once.
_CHUNK = 1 << 22
# Characters of the file that an error shows, before and after the place.
_AROUND = 40
_SPACE = " \t\n\r"


@dataclass
class Sections:
    """What a .json file holds, by the keys of its outermost object.

    Args:
        tables: The lists of objects, as tables with a row per entry; a file that is one list has
            it under "".
        values: Everything else.
    """

    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)

    def columns(self, name: str) -> set[str]:
        """The keys of the entries of a list; none if there is no such list."""
        return set(self.tables[name].columns) if name in self.tables else set()


def read_sections(path: Path, left_out: Sequence[str] = ()) -> Sections:
    """Read a file.

    Args:
        path: The file.
        left_out: Keys of entries whose values are not kept, because they are large and of no use
            here.

    Raises:
        TableError: If it is not JSON, or of another shape; the message names the list and the
            entry, counted from 1, and the line.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            return _sections(_Stream(file), left_out)
    except UnicodeDecodeError:
        require_utf8(path)
        raise


def _sections(stream: _Stream, left_out: Sequence[str]) -> Sections:
    found = Sections()
    if stream.next() == "[":
        found.tables[""] = _table(stream, "", left_out)
    elif stream.next() == "{":
        for name in _keys(stream):
            if name in found.tables or name in found.values:
                raise stream.error(f"The key {name!r} appears twice")
            if stream.next() == "[" and stream.opens_objects():
                found.tables[name] = _table(stream, name, left_out)
            else:
                found.values[name] = stream.value(f"The value of {name!r}")
    else:
        raise stream.error("The file is not a JSON object or list")
    if stream.next():
        raise stream.error(
            "There is something after the end of the JSON text; a file with a row in each line "
            "must end in .jsonl"
        )
    return found


def _keys(stream: _Stream) -> Iterator[str]:
    # The keys of the outermost object; whoever asks for the next one has taken the value.
    stream.take("{")
    while stream.next() != "}":
        name = stream.value("A key") if stream.next() == '"' else None
        if name is None:
            raise stream.error("A key is expected")
        stream.take(":")
        yield name
        if stream.next() != "}":
            stream.take(",")
            if stream.next() == "}":
                raise stream.error("A key is expected")
    stream.take("}")


def _table(stream: _Stream, name: str, left_out: Sequence[str]) -> pd.DataFrame:
    columns = Columns()
    of = f" of {name!r}" if name else ""
    stream.take("[")
    while stream.next() != "]":
        entry = stream.value(what := f"Entry {columns.rows + 1:,}{of}")
        block = [entry]
        if stream.next() != "]":
            stream.take(",", f"after entry {columns.rows + 1:,}{of}")
            if stream.next() == "]":
                raise stream.error(f"An entry is expected after the last comma{of}")
            block += stream.entries_like(entry, left_out)
        for number, one in enumerate(block):
            if type(one) is not dict:
                what = f"Entry {columns.rows + number + 1:,}{of}"
                raise stream.error(f"{what} is not an object: {shown(one)}")
            for key in left_out:
                one.pop(key, None)
        for start in range(0, len(block), ROWS):
            columns.add(block[start : start + ROWS])
    stream.take("]")
    return columns.table()


class _Stream:
    # A JSON text of which only the part that is being read is in memory.
    def __init__(self, file: TextIO) -> None:
        self._file, self._text, self._at, self._ended = file, "", 0, False
        # Whether many entries at once have been tried in the text that is in memory.
        self._tried = False
        # Line feeds in the text that is no longer in memory.
        self._lines = 0
        self._decode = json.JSONDecoder(object_pairs_hook=unique_keys).raw_decode

    def next(self) -> str:
        """The next character that is no white space; "" at the end."""
        while True:
            while self._at < len(self._text):
                character = self._text[self._at]
                if character not in _SPACE:
                    return character
                self._at += 1
            if self._ended:
                return ""
            self._more()

    def take(self, character: str, where: str = "") -> None:
        """Go past a character, which must be the next one."""
        if self.next() != character:
            raise self.error(f"{character!r} is expected{f' {where}' if where else ''}")
        self._at += 1

    def opens_objects(self) -> bool:
        """Whether the list that begins here is empty, or its first entry an object."""
        self._tried = False
        while not self._ended and not self._text[self._at + 1 :].strip(_SPACE):
            self._more()
        return self._text[self._at + 1 : self._at + 1000].lstrip(_SPACE)[:1] in ("{", "]", "")

    def value(self, what: str) -> Any:
        """Take the value that begins here."""
        self.next()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._ended:
                    # It may only be cut off where the part in memory ends.
                    self._more()
                    continue
                raise self._refused(what, error) from None
            except ValueError as error:
                raise self.error(f"{what} cannot be read: {error}") from None
            except RecursionError:
                raise self.error(f"{what} is nested too deeply") from None
            if end < len(self._text) or self._ended:
                self._at = end
                return value
            self._more()

    def entries_like(self, entry: Any, left_out: Sequence[str]) -> list[Any]:
        """Take as many of the entries that begin here as are in memory, in one go.

        Args:
            entry: The entry before them. They are taken if they begin with the same key.
            left_out: Keys whose lists of numbers may be replaced.

        Returns:
            The entries; none if it is not that simple. Then they are to be taken one by one.
        """
        if not entry or type(entry) is not dict or self._tried:
            return []
        self._tried = True
        # Where the last one begins: all before it are whole, unless this is inside of one, and then
        # what stands before it is no JSON.
        end = self._text.rfind(f"{{{json.dumps(next(iter(entry)))}", self._at)
        part = self._text[self._at : end].rstrip(_SPACE) if end > self._at else ""
        if not part.endswith(","):
            return []
        for name in left_out:
            part = re.sub(rf'"{name}"\s*:\s*\[[][\d\s.,eE+-]*\]', f'"{name}":0', part)
        whole = f"[{part[:-1]}]"
        try:
            entries, read = self._decode(whole, 0)
        except (ValueError, RecursionError):
            return []
        if read < len(whole):
            # The list ends in between: the last one that begins alike is of a later list.
            return []
        self._at, self._tried = end, False
        return list(entries)

    def error(self, said: str) -> TableError:
        """An error that shows the place."""
        return self._error(said, self._at)

    def _error(self, said: str, at: int) -> TableError:
        line = self._lines + self._text.count("\n", 0, at) + 1
        if not self._text[at:].strip(_SPACE):
            return TableError(
                f"{said}: the file ends there, in line {line:,}, as if it were cut off. Download "
                "or write it again."
            )
        before = self._text[max(at - _AROUND, 0) : at]
        after = f" stands after {shown(before)}" if before else " stands there"
        return TableError(
            f"{said}: in line {line:,}, {shown(self._text[at : at + _AROUND])}{after}."
        )

    def _refused(self, what: str, error: json.JSONDecodeError) -> TableError:
        said = f"{what} cannot be read, {error.msg.removesuffix(' at').lower()}"
        cut = error.msg.startswith("Unterminated string")
        return self._error(said, len(self._text) if cut else error.pos)

    def _more(self) -> None:
        left = self._text[self._at :]
        # As much again as a value that did not fit, so that reading a large one takes linear time.
        new = self._file.read(max(_CHUNK, len(left)))
        self._lines += self._text.count("\n", 0, self._at)
        self._text, self._at, self._ended, self._tried = left + new, 0, not new, False
