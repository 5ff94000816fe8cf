"""Read every picture once, on several threads; results from before come from the records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from multimodal_gen.batch.cache.keys import key_of
from multimodal_gen.inspection.audit.findings import Finding
from multimodal_gen.inspection.audit.items import Pictures
from multimodal_gen.inspection.audit.pictures import PictureReader, UnusableError
from multimodal_gen.inspection.audit.reading import as_load_error, in_words
from multimodal_gen.inspection.audit.records import Records
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.reading import map_chunks
from multimodal_gen.rows.cells import Unreadable, is_missing
from multimodal_gen.rows.table import readable_cells

_CHUNK = 32


def read_pictures(
    pictures: Sequence[Pictures],
    records: Records,
    threads: int,
    progress: Callable[[int], None],
) -> tuple[dict[str, np.ndarray], list[Finding]]:
    """Examine every picture.

    After Ctrl-C, the records of finished pictures are kept.

    Args:
        pictures: Those of each column.
        records: The earlier results; new ones are added.
        threads: Threads that read.
        progress: Called with the number of rows of a column that are done.

    Returns:
        Column -> for each picture, the place of its record, or -1 if it cannot be used; and the
        findings, which name rows.
    """
    of = {one.column: one for one in pictures}
    places = {one.column: np.full(len(one.rows), -1, "int64") for one in pictures}
    told = {one.column: one.progress(progress) for one in pictures}
    known, findings = records.places(), [found for one in pictures for found in one.findings]
    starts = [(one, start) for one in pictures for start in range(0, len(one.rows), _CHUNK)]
    look = partial(_look_at_pictures, known)
    for chunk in map_chunks(look, starts, threads, "audit"):
        findings += of[chunk.column].of_rows(chunk.findings)
        own = places[chunk.column]
        own[list(chunk.known)] = list(chunk.known.values())
        first = records.add(list(chunk.new.values()))
        own[list(chunk.new)] = np.arange(first, first + len(chunk.new))
        told[chunk.column](chunk.cells)
    return places, findings


@dataclass
class _Chunk:
    """What was found in some pictures of a column.

    Args:
        column: The column.
        cells: The number of cells.
        known: Picture -> the place of its record, for those that were examined before.
        new: Picture -> its record, for the other usable ones.
        findings: What is wrong with the rest.
    """

    column: str
    cells: int
    known: dict[int, int] = field(default_factory=dict)
    new: dict[int, np.ndarray] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def _look_at_pictures(known: Mapping[bytes, int], place: tuple[Pictures, int]) -> _Chunk:
    pictures, start = place
    reader, column = pictures.reader, pictures.column
    stop = min(start + _CHUNK, len(pictures.table))
    cells = readable_cells(pictures.table, column, np.arange(start, stop))
    chunk = _Chunk(column, len(cells))
    for row, cell in enumerate(cells, start=start):
        if isinstance(cell, Unreadable):
            said = in_words(as_load_error(cell.error))
            chunk.findings.append(Finding(row, column, "unreadable", said))
            continue
        key = _key(reader.loader, cell)
        if key and key in known:
            chunk.known[row] = known[key]
            continue
        if reader.loader.missing == "blank" and is_missing(cell):
            continue
        found = _look(reader, cell)
        if isinstance(found, tuple):
            chunk.findings.append(Finding(row, column, *found))
        else:
            # Without a key the next audit reads the picture again.
            found["key"] = np.frombuffer(key or bytes(16), "V16")[0]
            chunk.new[row] = found
    return chunk


def _look(reader: PictureReader, cell: Any) -> np.ndarray | tuple[str, str]:
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
