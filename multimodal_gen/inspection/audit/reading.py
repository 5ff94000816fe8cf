"""Read every cell once, on several threads; results from before come from the records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.batch.cache.keys import key_of
from multimodal_gen.errors import LoadError
from multimodal_gen.inspection.audit.findings import Finding
from multimodal_gen.inspection.audit.pictures import PictureReader, UnusableError
from multimodal_gen.inspection.audit.records import Records
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.cell_errors import read_at
from multimodal_gen.loaders.reading import map_chunks
from multimodal_gen.rows.cells import is_missing
from multimodal_gen.rows.table import cells_of

_CHUNK = 32


def read_pictures(
    table: pd.DataFrame,
    readers: Iterable[PictureReader],
    records: Records,
    threads: int,
    progress: Callable[[int], None],
) -> tuple[dict[str, np.ndarray], list[Finding]]:
    """Examine every picture.

    After Ctrl-C, the records of finished pictures are kept.

    Args:
        table: The rows.
        readers: One for each column of pictures.
        records: The earlier results; new ones are added.
        threads: Threads that read.
        progress: Called with the number of cells just done.

    Returns:
        Column -> for each row, the place of its record, or -1 if it cannot be used; and the
        findings.
    """
    readers = list(readers)
    places = {str(reader.loader.column): np.full(len(table), -1, "int64") for reader in readers}
    known, findings = records.places(), []
    starts = [(reader, start) for reader in readers for start in range(0, len(table), _CHUNK)]
    look = partial(_look_at_rows, table, known)
    for chunk in map_chunks(look, starts, threads, "audit"):
        findings += chunk.findings
        own = places[chunk.column]
        own[list(chunk.known)] = list(chunk.known.values())
        first = records.add(list(chunk.new.values()))
        own[list(chunk.new)] = np.arange(first, first + len(chunk.new))
        progress(chunk.cells)
    return places, findings


@dataclass
class _Chunk:
    """What was found in some rows of a column.

    Args:
        column: The column.
        cells: The number of cells.
        known: Row -> the place of its record, for pictures that were examined before.
        new: Row -> its record, for the other usable pictures.
        findings: What is wrong with the rest.
    """

    column: str
    cells: int
    known: dict[int, int] = field(default_factory=dict)
    new: dict[int, np.ndarray] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def _look_at_rows(
    table: pd.DataFrame, known: Mapping[bytes, int], place: tuple[PictureReader, int]
) -> _Chunk:
    reader, start = place
    column = str(reader.loader.column)
    cells = cells_of(table, column, slice(start, start + _CHUNK))
    chunk = _Chunk(column, len(cells))
    for row, cell in enumerate(cells, start=start):
        key = _key(reader.loader, cell)
        if key and key in known:
            chunk.known[row] = known[key]
            continue
        if reader.loader.missing == "blank" and is_missing(cell):
            continue
        found = _look(reader, cell, table.index[row])
        if isinstance(found, tuple):
            chunk.findings.append(Finding(row, column, *found))
        else:
            # Without a key the next audit reads the picture again.
            found["key"] = np.frombuffer(key or bytes(16), "V16")[0]
            chunk.new[row] = found
    return chunk


def read_others(
    table: pd.DataFrame, loader: Loader, progress: Callable[[int], None]
) -> tuple[list[Finding], np.ndarray]:
    """Read every cell of a loader that needs no records, and find the cells it rejects.

    Returns:
        The findings; and `(rows,) int64`, equal numbers for equal arrays, -1 if there is none.
    """
    column = name_of(loader)
    findings = []
    known: dict[bytes, int] = {}
    contents = np.full(len(table), -1, "int64")
    for row, cell in enumerate(cells_of(table, loader.column)):
        if loader.missing == "blank" and is_missing(cell):
            progress(1)
            continue
        try:
            array = read_at(loader, cell, table.index[row])
            # Only a digest, because the arrays of a whole table may not fit into memory.
            digest = blake2b(array.tobytes(), digest_size=16).digest()
            contents[row] = known.setdefault(digest, len(known))
        except LoadError as error:
            missing = not isinstance(cell, tuple) and is_missing(cell)
            findings.append(
                Finding(row, column, "missing" if missing else "unreadable", in_words(error))
            )
        progress(1)
    return findings, contents


def blank_notes(table: pd.DataFrame, loaders: Iterable[Loader]) -> list[str]:
    """How many rows lack each input that may be missing, in words."""
    notes = []
    for loader in loaders:
        if loader.missing == "blank":
            blank = sum(map(is_missing, cells_of(table, loader.column)))
            rows = "1 row has no value, and is"
            rows = rows if blank == 1 else f"{blank:,} rows have no value, and are"
            if blank:
                notes.append(f"{name_of(loader)}: {rows} blank in training")
    return notes


def name_of(loader: Loader) -> str:
    """The column of a loader in words, or all of them."""
    return loader.column if isinstance(loader.column, str) else ", ".join(loader.column)


def in_words(error: LoadError) -> str:
    """The reason of an error in one line, with the path if there is one."""
    reason = " ".join(str(error.reason).split())
    return reason if error.path is None else f"{reason.rstrip('.')} ({error.path})"


def _look(reader: PictureReader, cell: Any, index: Any) -> np.ndarray | tuple[str, str]:
    if is_missing(cell) or (isinstance(cell, str) and not cell):
        return "missing", "the cell has no value"
    try:
        return reader.look(cell)
    except UnusableError as error:
        return error.kind, in_words(error.error)


def _key(loader: Loader, cell: Any) -> bytes | None:
    try:
        return key_of(loader, cell)
    except Exception:
        return None
