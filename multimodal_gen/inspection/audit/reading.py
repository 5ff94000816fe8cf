"""Read the cells that are no pictures once, and say what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

from multimodal_gen.errors import LoadError
from multimodal_gen.inspection.audit.digests import digest, numbered
from multimodal_gen.inspection.audit.findings import Finding
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.cell_errors import read_at
from multimodal_gen.rows.cells import Unreadable, is_missing
from multimodal_gen.rows.table import readable_cells_in


def read_others(
    table: pd.DataFrame, loader: Loader, progress: Callable[[int], None]
) -> tuple[list[Finding], np.ndarray]:
    """Read every cell of a loader that needs no records, and find the cells it rejects.

    Returns:
        The findings; and `(rows,) int64`, equal numbers for equal arrays, -1 if there is none.
    """
    column = name_of(loader)
    findings = []
    # Only digests, because the arrays of a whole table may not fit into memory.
    digests, there = np.zeros(len(table), "uint64"), np.zeros(len(table), bool)
    for row, cell in enumerate(readable_cells_in(table, loader.column)):
        if loader.missing == "blank" and is_missing(cell):
            progress(1)
            continue
        try:
            if isinstance(cell, Unreadable):
                raise as_load_error(cell.error)
            array = read_at(loader, cell, table.index[row])
            digests[row], there[row] = digest(array.tobytes()), True
        except LoadError as error:
            missing = not isinstance(cell, tuple) and is_missing(cell)
            findings.append(
                Finding(row, column, "missing" if missing else "unreadable", in_words(error))
            )
        progress(1)
    return findings, numbered(digests, there)


def blank_notes(table: pd.DataFrame, loaders: Iterable[Loader]) -> list[str]:
    """How many rows lack each input that may be missing, in words."""
    notes = []
    for loader in loaders:
        if loader.missing == "blank":
            blank = sum(map(is_missing, readable_cells_in(table, loader.column)))
            rows = "1 row has no value, and is"
            rows = rows if blank == 1 else f"{blank:,} rows have no value, and are"
            if blank:
                notes.append(f"{name_of(loader)}: {rows} blank in training")
    return notes


def name_of(loader: Loader) -> str:
    """The column of a loader in words, or all of them."""
    return loader.column if isinstance(loader.column, str) else ", ".join(loader.column)


def as_load_error(error: Exception) -> LoadError:
    """What was raised of a cell that the files of a table do not give, as what `read` raises."""
    return error if isinstance(error, LoadError) else LoadError(str(error))


def in_words(error: LoadError) -> str:
    """The reason of an error in one line, with the path if there is one."""
    reason = " ".join(str(error.reason).split())
    return reason if error.path is None else f"{reason.rstrip('.')} ({error.path})"
