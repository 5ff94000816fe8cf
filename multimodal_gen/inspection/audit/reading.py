"""Every cell read once, by several threads, with what was read before taken from the records."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
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
    """Look at every picture.

    Stopped by Ctrl-C, the records of what was done are kept.

    Args:
        table: The rows.
        readers: One for each column of pictures.
        records: What was found before; what is new is added.
        threads: Threads that read.
        progress: Called with a number of cells that are done, from several threads.

    Returns:
        Column -> for each row, the place of its record, or -1 where it cannot be used; and the findings.
    """
    readers = list(readers)
    places = {str(reader.loader.column): np.full(len(table), -1, "int64") for reader in readers}
    known, findings, lock, stopped = records.places(), [], threading.Lock(), threading.Event()
    starts = iter([(reader, start) for reader in readers for start in range(0, len(table), _CHUNK)])

    def work() -> None:
        while not stopped.is_set():
            with lock:
                reader, start = next(starts, (None, 0))
            if reader is None:
                return
            column = str(reader.loader.column)
            cells = cells_of(table, column, slice(start, start + _CHUNK))
            keys = [_key(reader.loader, cell) for cell in cells]
            new, rows = [], []
            for row, (cell, key) in enumerate(zip(cells, keys, strict=True), start=start):
                place = known.get(key, -1) if key else -1
                if place >= 0:
                    places[column][row] = place
                    continue
                if reader.loader.missing == "blank" and is_missing(cell):
                    continue
                found = _look(reader, cell, table.index[row])
                if isinstance(found, tuple):
                    with lock:
                        findings.append(Finding(row, column, *found))
                else:
                    found["key"] = np.frombuffer(key or bytes(16), "V16")[0]
                    new.append(found)
                    rows.append(row)
            with lock:
                first = records.add(new)
            places[column][rows] = np.arange(first, first + len(new))
            progress(len(cells))

    with ThreadPoolExecutor(threads, thread_name_prefix="audit") as pool:
        try:
            for future in [pool.submit(work) for _ in range(threads)]:
                future.result()
        finally:
            stopped.set()
            pool.shutdown()
    return places, findings


def read_others(table: pd.DataFrame, loader: Loader, progress: Callable[[int], None]) -> list[Finding]:
    """Read every cell of a loader that is cheap to read, or that nothing more is known of; find those it refuses."""
    column = name_of(loader)
    findings = []
    for row, cell in enumerate(cells_of(table, loader.column)):
        if loader.missing == "blank" and is_missing(cell):
            progress(1)
            continue
        try:
            read_at(loader, cell, table.index[row])
        except LoadError as error:
            missing = not isinstance(cell, tuple) and is_missing(cell)
            findings.append(Finding(row, column, "missing" if missing else "unreadable", in_words(error)))
        progress(1)
    return findings


def name_of(loader: Loader) -> str:
    """The column of a loader in words; of several, all of them."""
    return loader.column if isinstance(loader.column, str) else ", ".join(loader.column)


def in_words(error: LoadError) -> str:
    """The reason of an error in one line, with the path where there is one."""
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
