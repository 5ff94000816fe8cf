"""Write the clean table of an audit: the kept rows, with every cell unchanged, or an error before
the audit.

If the suffix stays the same, the kept lines (jsonl) or the kept rows with their types (parquet) are
copied. Everything else is written as the text of its cells, and rejected if that text would be read
back differently.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.errors import TableError, shown
from multimodal_gen.rows.cells import cell_text, is_missing
from multimodal_gen.rows.table import read_table

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
_SPECIAL = re.compile('[\\r\\n",\t]')
_SEPARATORS = {".csv": ",", ".tsv": "\t"}


class CleanTable:
    """Writes rows of a table into a file that `read_table` reads back to the same cells.

    Args:
        source: The file or folder that the table was read from.
        table: The table.
        path: The file to write, with one of `SUFFIXES`.

    Raises:
        TableError: If the file cannot hold a cell of the table; it names the row and the column.
            Nothing is left behind.
    """

    def __init__(self, source: Path, table: pd.DataFrame, path: Path) -> None:
        self.source, self.table, self.path = source, table, path
        self.suffix = path.suffix.lower()
        self.copied = source.is_file() and _can_be_copied(source, self.suffix, len(table))
        path.parent.mkdir(parents=True, exist_ok=True)
        # Finds out now, before hours of reading pictures, what the file cannot hold.
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".clean-") as folder:
            if not self.copied:
                trial = Path(folder) / f"trial{self.suffix}"
                self._write(trial, self.table)
                self._check(trial)

    def write(self, kept: np.ndarray, added: pd.Series | None = None) -> None:
        """Write the file, in one step at the end, so that it is never incomplete.

        Args:
            kept: `(rows,) bool`.
            added: A named column of whole numbers to add, for all rows; or None.
        """
        with tempfile.TemporaryDirectory(dir=self.path.parent, prefix=".clean-") as folder:
            file = Path(folder) / f"table{self.suffix}"
            if not self.copied:
                whole = (
                    self.table
                    if added is None
                    else self.table.assign(**{str(added.name): added.to_numpy()})
                )
                self._write(file, whole[kept])
            elif self.suffix == ".jsonl":
                self._copy_lines(file, kept, added)
            else:
                self._copy_rows(file, kept, added)
            # Atomic: readers see the old file or the new one.
            os.replace(file, self.path)

    def _copy_lines(self, file: Path, kept: np.ndarray, added: pd.Series | None) -> None:
        numbers = (
            [""] * len(kept)
            if added is None
            else [f"{json.dumps(added.name)}: {one}" for one in added.tolist()]
        )
        with file.open("wb") as out:
            for keep, number, line in zip(
                kept.tolist(), numbers, _json_lines(self.source), strict=True
            ):
                if keep and number:
                    body = line.removesuffix(b"}").rstrip()
                    line = body + (b"" if body == b"{" else b", ") + number.encode() + b"}"
                if keep:
                    out.write(line + b"\n")

    def _copy_rows(self, file: Path, kept: np.ndarray, added: pd.Series | None) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.source) as source:
            schema, start = source.schema_arrow, 0
            if added is not None:
                schema = schema.append(pa.field(str(added.name), pa.int64()))
            with pq.ParquetWriter(file, schema) as writer:
                for place in range(source.num_row_groups):
                    group = source.read_row_group(place)
                    rows, start = slice(start, start + len(group)), start + len(group)
                    if added is not None:
                        group = group.append_column(
                            str(added.name), pa.array(added.to_numpy()[rows], pa.int64())
                        )
                    writer.write_table(group.filter(pa.array(kept[rows])))

    def _write(self, file: Path, table: pd.DataFrame) -> None:
        if self.suffix == ".parquet":
            try:
                table.to_parquet(file, index=False)
            except Exception as error:
                raise TableError(
                    f"A .parquet file cannot hold this table: {' '.join(str(error).split())}. "
                    f"Write a .jsonl file. Received: --drop {self.path}"
                ) from error
        elif self.suffix == ".jsonl":
            names = list(map(str, table.columns))
            with file.open("w", encoding="utf-8") as out:
                for cells in self._rows(table, _json_value):
                    out.write(
                        # JSON has no NaN, but Python would write one.
                        json.dumps(dict(zip(names, cells, strict=True)), allow_nan=False) + "\n"
                    )
        else:
            # A lone surrogate cannot be encoded as UTF-8; comparing the file with the table finds
            # its cell.
            with file.open("w", encoding="utf-8", errors="backslashreplace", newline="") as out:
                for cells in chain([tuple(map(str, table.columns))], self._rows(table, _text)):
                    line = _SEPARATORS[self.suffix].join(map(_quoted, cells))
                    # Other readers skip empty lines, so an empty row is written as "".
                    out.write((line or '""') + "\n")

    def _check(self, file: Path) -> None:
        again = read_table(file)
        wanted, found = list(map(str, self.table.columns)), list(again.columns)
        if wanted != found or len(self.table) != len(again):
            raise TableError(
                f"A {self.suffix} file would be read with {len(again):,} rows of the columns "
                f"{found} instead of {len(self.table):,} of {wanted}. Received: --drop {self.path}"
            )
        for name, written in zip(self.table.columns, again.columns, strict=True):
            before, after = self.table[name], again[written]
            if self.suffix == ".parquet":
                continue
            value = _json_value if self.suffix == ".jsonl" else _text
            for row, (one, other) in enumerate(
                zip(before.array.tolist(), after.array.tolist(), strict=True)
            ):
                if not (is_missing(one) and is_missing(other)) and value(one) != other:
                    raise self._refusal(one, row, name, f"it would be read back as {shown(other)}")

    def _rows(self, table: pd.DataFrame, value: Any) -> Iterator[tuple[Any, ...]]:
        columns = [table[name].array.tolist() for name in table.columns]
        for row, cells in enumerate(zip(*columns, strict=True)):
            try:
                yield tuple(map(value, cells))
            except (TypeError, ValueError) as error:
                bad = next(place for place, cell in enumerate(cells) if not _holds(value, cell))
                raise self._refusal(
                    cells[bad], row, table.columns[bad], str(error).rstrip(".")
                ) from None

    def _refusal(self, cell: Any, row: int, column: Any, why: str) -> TableError:
        same = self.source.suffix.lower() == self.suffix
        ways = " or ".join(suffix for suffix in (".jsonl", ".parquet") if suffix != self.suffix)
        advice = (
            f"the suffix {ways}"
            if self.source.is_dir() or same
            else "the suffix of the table itself"
        )
        return TableError(
            f"A {self.suffix} file cannot hold the cell at index "
            f"{self.table.index[[row]].tolist()[0]!r}, column {column!r}: {why}. Use {advice} for "
            f"--drop. Received: {shown(cell)}, --drop {self.path}"
        )


def _can_be_copied(source: Path, suffix: str, rows: int) -> bool:
    if suffix == ".parquet":
        return source.suffix.lower() in (".parquet", ".pq")
    if suffix == ".jsonl" and source.suffix.lower() in (".jsonl", ".ndjson"):
        return (
            sum(line.startswith(b"{") and line.endswith(b"}") for line in _json_lines(source))
            == rows
        )
    return False


def _json_lines(source: Path) -> Iterator[bytes]:
    # Yields the lines with rows, without whitespace around the JSON.
    with source.open("rb") as lines:
        yield from (
            line for line in (raw.removeprefix(b"\xef\xbb\xbf").strip() for raw in lines) if line
        )


def _text(cell: Any) -> str | None:
    return None if is_missing(cell) else cell_text(cell)


def _quoted(text: str | None) -> str:
    # Not the csv module: before Python 3.13 it does not quote a carriage return.
    if text is None:
        return ""
    return '"' + text.replace('"', '""') + '"' if _SPECIAL.search(text) else text


def _json_value(cell: Any) -> Any:
    # The cell as JSON can hold it, including lists and mappings.
    if is_missing(cell):
        return None
    if isinstance(cell, np.ndarray | np.generic):
        cell = cell.tolist()
    if isinstance(cell, dict):
        if not all(isinstance(name, str) for name in cell):
            raise TypeError("in JSON the names of a mapping are texts")
        return {name: _json_value(part) for name, part in cell.items()}
    if isinstance(cell, list | tuple):
        return [_json_value(part) for part in cell]
    if isinstance(cell, float) and not np.isfinite(cell):
        raise ValueError("JSON has no infinite number")
    return cell if isinstance(cell, str | bool | int | float) else cell_text(cell)


def _holds(value: Any, cell: Any) -> bool:
    try:
        value(cell)
    except (TypeError, ValueError):
        return False
    return True
