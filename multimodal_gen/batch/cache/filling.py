"""Fill a cache ahead of training: every cell is read once, on several threads.

Training fills a cache as it goes along; doing it beforehand tells the size first, finds every bad cell, and can be
stopped and resumed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pandas as pd

from multimodal_gen.batch.cache import ArrayCache, LoaderCache
from multimodal_gen.batch.threads import available_cores
from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.cell_errors import read_at
from multimodal_gen.rows.table import cells_of, check_columns

_CHUNK = 32
_MOST_ERRORS = 100


@dataclass(frozen=True)
class Filled:
    """What filling a cache came to.

    Args:
        cells: How many cells were read or were there already.
        bad: How many could not be read.
        errors: At most 100 of those, in the order of the table.
        incomplete: Whether something could not be kept, for want of room or of the right to write.
    """

    cells: int
    bad: int
    errors: tuple[LoadError, ...]
    incomplete: bool


def fill_cache(
    table: pd.DataFrame,
    loaders: Iterable[Loader],
    cache: ArrayCache,
    *,
    threads: int | None = None,
    progress: Callable[[], None] = lambda: None,
) -> Filled:
    """Read every cell once, so that all that is worth it is in the cache.

    Stopped by Ctrl-C, it keeps what is done, and goes on from there when called again.

    Args:
        table: The rows.
        loaders: Inputs and targets. Those that are not worth it are left out.
        cache: Where to.
        threads: Threads that decode; by default one a core.
        progress: Called once for each row that is done, from several threads.
    """
    loaders = list(loaders)
    found = [cache.of(loader, num_rows=len(table)) for loader in loaders]
    caches = [one for one in found if one is not None]
    for one in caches:
        check_columns(table, [str(one.loader.column)])
    starts = iter(range(0, len(table), _CHUNK) if caches else ())
    errors: list[tuple[int, int, LoadError]] = []
    bad, done, stopped, lock = 0, 0, threading.Event(), threading.Lock()

    def work() -> None:
        nonlocal bad, done
        while not stopped.is_set():
            with lock:
                start = next(starts, None)
            if start is None:
                return
            rows = table.iloc[start : start + _CHUNK]
            new = [(start + row, number, error) for number, one in enumerate(caches) for row, error in _fill(one, rows)]
            with lock:
                errors.extend(new[: _MOST_ERRORS - len(errors)])
                bad, done = bad + len(new), done + len(rows) * len(caches) - len(new)
            for _ in range(len(rows)):
                progress()

    threads = threads or available_cores()
    try:
        with ThreadPoolExecutor(threads, thread_name_prefix="filling") as pool:
            try:
                for future in [pool.submit(work) for _ in range(threads)]:
                    future.result()
            finally:
                stopped.set()
    finally:
        cache.close()
    return Filled(done, bad, tuple(error for *_, error in sorted(errors, key=lambda one: one[:2])), cache.incomplete)


def _fill(cache: LoaderCache, rows: pd.DataFrame) -> list[tuple[int, LoadError]]:
    if cache.loader.missing == "blank":
        # What is missing is no bad cell then, and nothing to keep.
        rows = rows[rows[cache.loader.column].notna()]
    cells = cells_of(rows, cache.loader.column)
    if type(cache.loader).read_batch is not Loader.read_batch:
        try:
            cache.read_batch(cells)
            return []
        except Exception:
            # Somewhere among them is a bad cell: reading one by one finds which.
            pass
    errors = []
    for row, (cell, label) in enumerate(zip(cells, rows.index.tolist(), strict=True)):
        try:
            read_at(cache.loader, cell, label, cache.read)
        except LoadError as error:
            errors.append((row, error))
    return errors
