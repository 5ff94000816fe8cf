"""Fills a cache before training: every cell is read once, on several threads.

Training also fills a cache as it runs. Filling it before shows the size, finds every bad cell, and
can be interrupted and resumed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from multimodal_gen.batch.cache import ArrayCache, LoaderCache
from multimodal_gen.batch.threads import default_threads
from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.reading import map_chunks, read_rows
from multimodal_gen.rows.table import cells_of, check_columns

# Small enough that Ctrl-C loses little and all threads have work until the end.
_CHUNK = 32
_MOST_ERRORS = 100


@dataclass(frozen=True)
class Filled:
    """The result of filling a cache.

    Args:
        cells: Number of cells that were read or already there.
        bad: Number of cells that could not be read.
        errors: At most 100 of their errors, in the order of the table.
        incomplete: Whether something could not be kept, for lack of room or permission.
    """

    cells: int
    bad: int
    errors: tuple[LoadError, ...]
    incomplete: bool


def fill_cache(
    table: pd.DataFrame,
    loaders: Iterable[Loader],
    cache: ArrayCache | str | os.PathLike[str],
    *,
    threads: int | None = None,
    progress: Callable[[], None] = lambda: None,
) -> Filled:
    """Read every cell once, so that everything worth keeping is in the cache.

    After Ctrl-C it keeps what is done, and resumes there when called again. An encoder of features
    runs on whole groups of rows, while other threads decode.

    Args:
        table: The rows.
        loaders: Inputs and targets; those not worth caching are ignored.
        cache: The directory of the cache, as for `MultimodalSequence(cache=)`.
        threads: Threads that decode; by default one per core, up to 8.
        progress: Called once per finished row, as the `update` of a `tqdm` bar.

    Returns:
        How many cells are there, and the errors of those that cannot be read.

    Raises:
        TableError: If the table lacks a column.

    Example:
        mg.fill_cache(table, inputs.values(), "cache")
    """
    if not isinstance(cache, ArrayCache):
        cache = ArrayCache(cache)
    loaders = list(loaders)
    found = [cache.of(loader, num_rows=len(table)) for loader in loaders]
    caches = [one for one in found if one is not None]
    for one in caches:
        check_columns(table, _columns(one.loader))
    encoders = [rows for one in caches if (rows := one.loader.batch_rows) is not None]
    size = max([_CHUNK, *encoders])
    starts = range(0, len(table) if caches else 0, size)
    parts = (table.iloc[start : start + size] for start in starts)
    # One thread more where an encoder runs, as the others decode meanwhile.
    workers = (threads or default_threads()) + bool(encoders)
    bad, done = 0, 0
    errors: list[LoadError] = []
    try:
        # Closed before the cache is: after Ctrl-C, threads still finish the chunks they are at.
        with closing(map_chunks(partial(_fill_all, caches), parts, workers, "filling")) as chunks:
            for rows, new in chunks:
                errors += new[: _MOST_ERRORS - len(errors)]
                bad, done = bad + len(new), done + rows * len(caches) - len(new)
                for _ in range(rows):
                    progress()
    finally:
        cache.close()
    return Filled(done, bad, tuple(errors), cache.incomplete)


def _fill_all(caches: Sequence[LoaderCache], rows: pd.DataFrame) -> tuple[int, list[LoadError]]:
    # The number of rows, and their errors ordered by row.
    errors = [(row, error) for one in caches for row, error in _fill(one, rows)]
    return len(rows), [error for _, error in sorted(errors, key=lambda one: one[0])]


def _fill(cache: LoaderCache, rows: pd.DataFrame) -> list[tuple[int, LoadError]]:
    there = np.ones(len(rows), bool)
    if cache.loader.missing == "blank":
        # A missing cell is not an error then, and there is nothing to keep.
        there = rows[_columns(cache.loader)].notna().all(axis=1).to_numpy()
    numbers, rows = np.flatnonzero(there).tolist(), rows[there]
    cells, labels = cells_of(rows, cache.loader.column), rows.index.tolist()
    read = zip(numbers, read_rows(cache.loader, cells, labels, cache), strict=True)
    return [(row, found) for row, found in read if isinstance(found, LoadError)]


def _columns(loader: Loader) -> list[str]:
    return [loader.column] if isinstance(loader.column, str) else list(loader.column)
