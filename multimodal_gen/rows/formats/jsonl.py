"""Read jsonl: one JSON object per line, whose keys are columns and whose values keep their JSON
types.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from multimodal_gen.errors import TableError, shown
from multimodal_gen.rows.formats.delimited import PANDAS_2, text_dtype
from multimodal_gen.rows.formats.encoding import require_utf8

# Rows held as dicts before they are turned into columns, which need a fraction of the memory.
_ROWS = 4096
# Every whole number up to here has an exact float.
_EXACT = 2**53
# Characters of a line that an error shows, and how many of them stand before the place in question.
_SHOWN, _BEFORE = 100, 60


def read_jsonl(path: Path) -> pd.DataFrame:
    """Read a file with one JSON object per line; null, or an absent key, is a missing cell.

    Blank lines are skipped. This does not use pandas, which converts texts that look like dates or
    numbers.

    Raises:
        TableError: If a line is not a JSON object, has a key twice, or is not UTF-8; the message
            names the line.
    """
    columns: dict[str, list[list[Any] | pa.Array]] = {}
    rows = 0
    for block in _blocks(path):
        for name in dict.fromkeys([*columns, *(name for row in block for name in row)]):
            # A key that first appears here is missing in all rows before.
            pieces = columns.setdefault(name, [[None] * rows])
            pieces.append(_piece([row.get(name) for row in block]))
        rows += len(block)
    names = list(columns)
    # One at a time, so that the list of each column is freed once its Series exists.
    made = [_column(columns.pop(name)) for name in names]
    table = pd.DataFrame(dict(enumerate(made)), index=pd.RangeIndex(rows), copy=False)
    table.columns = pd.Index(names, dtype=None if names else object)
    return table


def _blocks(path: Path) -> Iterator[list[dict[str, Any]]]:
    decode = json.JSONDecoder(object_pairs_hook=_object).decode
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
                block.append(row)
                if len(block) == _ROWS:
                    yield block
                    block = []
    except UnicodeDecodeError:
        require_utf8(path)
        raise
    if block:
        yield block


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Of two equal keys Python silently keeps the last.
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(
            f"the key {next(name for name in names if names.count(name) > 1)!r} appears twice"
        )
    return row


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


def _piece(cells: list[Any]) -> list[Any] | pa.Array:
    # Arrow stores texts in a third of the memory.
    if set(map(type, cells)) <= {str, type(None)}:
        try:
            return pa.array(cells, pa.large_string())
        except UnicodeEncodeError:
            pass
    return cells


def _column(pieces: list[list[Any] | pa.Array]) -> pd.Series:
    if any(isinstance(piece, pa.Array) for piece in pieces) and all(
        isinstance(piece, pa.Array) or all(cell is None for cell in piece) for piece in pieces
    ):
        texts = pa.chunked_array(
            [pa.array(piece, pa.large_string()) for piece in pieces], pa.large_string()
        )
        if texts.null_count < len(texts):
            return texts.to_pandas(
                types_mapper=None if PANDAS_2 else {pa.large_string(): text_dtype()}.get
            )
    cells = [
        cell
        for piece in pieces
        for cell in (piece.to_pylist() if isinstance(piece, pa.Array) else piece)
    ]
    kinds = set(map(type, cells))
    some = kinds - {type(None)}
    if some == {int}:
        # Integers with gaps become a nullable integer column: as floats, those above 2**53 would
        # lose digits.
        try:
            return pd.Series(cells, dtype="Int64" if type(None) in kinds else "int64")
        except OverflowError:
            return pd.Series(cells, dtype=object)
    if some <= {int, float}:
        exact = int not in some or all(abs(cell) <= _EXACT for cell in cells if type(cell) is int)
        return pd.Series(cells, dtype="float64" if exact else object)
    if some == {str}:
        try:
            return pd.Series(cells)
        except UnicodeEncodeError:
            # Half a surrogate pair, such as "\ud83d", does not fit into a string column of pandas,
            # but does into one of objects.
            return pd.Series(cells, dtype=object)
    if kinds == {bool}:
        return pd.Series(np.array(cells))
    return pd.Series(cells, dtype=object)
