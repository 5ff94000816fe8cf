"""Read jsonl: one JSON object per line, whose keys are columns and whose values keep their JSON
types.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from multimodal_gen.errors import TableError, shown
from multimodal_gen.rows.formats.encoding import require_utf8
from multimodal_gen.rows.formats.json_columns import ROWS, Columns, unique_keys

# Characters of a line that an error shows, and how many of them stand before the place in question.
_SHOWN, _BEFORE = 100, 60


def read_jsonl(path: Path, left_out: Sequence[str] = ()) -> pd.DataFrame:
    """Read a file with one JSON object per line; null, or an absent key, is a missing cell.

    Blank lines are skipped. This does not use pandas, which converts texts that look like dates or
    numbers.

    Args:
        path: The file.
        left_out: Keys whose values are not kept.

    Raises:
        TableError: If a line is not a JSON object, has a key twice, or is not UTF-8; the message
            names the line.
    """
    columns = Columns()
    for block in _blocks(path, left_out):
        columns.add(block)
    return columns.table()


def _blocks(path: Path, left_out: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
    decode = json.JSONDecoder(object_pairs_hook=unique_keys).decode
    block: list[dict[str, Any]] = []
    number = 0
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.isspace():
                    continue
                try:
                    row = decode(line)
                except (ValueError, RecursionError) as error:
                    raise _refused(number, line, error) from None
                if type(row) is not dict:
                    raise _no_object(number, line, row)
                for name in left_out:
                    row.pop(name, None)
                block.append(row)
                if len(block) == ROWS:
                    yield block
                    block = []
    except UnicodeDecodeError:
        require_utf8(path)
        raise
    if block:
        yield block


def _refused(number: int, line: str, error: Exception) -> TableError:
    reason = "lists are nested too deeply" if isinstance(error, RecursionError) else str(error)
    found = _clipped(line)
    if isinstance(error, json.JSONDecodeError):
        # Python says "line 1 column 9", but means the place within this line of the file.
        where = f"at character {error.pos + 1:,} of the line"
        ended = error.pos >= len(line.rstrip())
        if ended:
            where = "at the end of the line"
        reason = f"{error.msg.removesuffix(' at')} {where}"
        found = _around(line, error.pos)
        # A text may go on to the end of its line although it is not cut off there, if it holds a
        # line break.
        inside = error.msg.startswith("Unterminated string") or (
            ended and error.msg.startswith("Invalid control character")
        )
        if (ended or inside) and line.strip() not in ("[", "{", "[{"):
            what = "inside a text" if inside else "before its object does"
            return TableError(
                f"Line {number} is not a JSON object: the line ends {what}, as if it were cut off. "
                "Write the file again, with a line break inside a text as \\n, or complete or "
                f"remove the line. Received: {reason}, in {found}"
            )
    hint = f" {_WHOLE}" if number == 1 and line.strip() in ("[", "{", "[{") else ""
    return TableError(f"Line {number} is not a JSON object: {reason}, in {found}.{hint}")


def _no_object(number: int, line: str, value: Any) -> TableError:
    what = {list: "a list", str: "a text", bool: "a boolean", type(None): "null"}.get(
        type(value), "a number"
    )
    hint = f" {_WHOLE}" if number == 1 and isinstance(value, list) else ""
    return TableError(
        f"Line {number} is {what}, but a jsonl file needs one JSON object per line: "
        f"{_clipped(line)}.{hint}"
    )


_WHOLE = "Read a file that is a single JSON array with `pd.DataFrame(json.load(open(path)))`."


def _around(line: str, place: int) -> str:
    # Of a long line, what stands around a place in it.
    start = max(place - _BEFORE, 0) if len(line.rstrip()) > _SHOWN else 0
    return _clipped(f"...{line[start:]}" if start else line)


def _clipped(line: str) -> str:
    line = line.strip()
    return shown(line if len(line) <= _SHOWN else f"{line[:_SHOWN]}...")
