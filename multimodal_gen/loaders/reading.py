"""Read a loader's cells with their errors: some rows, or chunks of a table on several threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.cell_errors import placed, read_at
from multimodal_gen.rows.cells import is_missing

Chunk = TypeVar("Chunk")
Result = TypeVar("Result")
# Chunks in progress per thread, so that one slow chunk does not hold up the threads at once.
_AHEAD = 4


def read_rows(
    loader: Loader, cells: Sequence[Any], labels: Sequence[Any], source: Any = None
) -> Iterator[np.ndarray | LoadError]:
    """Return each cell's array, or the error that names its row and column.

    All cells are read at once if that is faster for the loader. If this fails, some cell is bad,
    and they are read one by one to find it.

    Args:
        loader: The loader.
        cells: Cells of its column; missing ones are errors, unless the loader reads them.
        labels: For each cell, the row's label in the table's own index.
        source: What has `read` and `read_batch` instead of the loader, such as a cache of it.
    """
    source = loader if source is None else source
    found: dict[int, Any] = {}
    if loader.reads_together:
        there = [
            row for row, one in enumerate(cells) if loader.accepts_missing or not is_missing(one)
        ]
        try:
            arrays = source.read_batch([cells[row] for row in there])
            found = dict(zip(there, arrays, strict=True))
        # Reading one by one finds the bad cell and raises the proper error.
        except Exception:
            found = {}
    for row, (cell, label) in enumerate(zip(cells, labels, strict=True)):
        if row in found and not isinstance(found[row], Exception):
            yield found[row]
        elif row in found:
            yield placed(found[row], loader, cell, label)
        else:
            try:
                yield read_at(loader, cell, label, source.read)
            except LoadError as error:
                yield error


def map_chunks(
    function: Callable[[Chunk], Result], chunks: Iterable[Chunk], threads: int, name: str
) -> Generator[Result]:
    """Apply a function to each chunk on several threads, and yield the results in order.

    Only a few results wait at a time, so that memory does not grow with the number of chunks. If
    the caller stops early, by an error or Ctrl-C, chunks that have not begun are given up.

    Args:
        function: Called on a thread.
        chunks: What it is called with.
        threads: How many threads.
        name: What the threads are called.

    Raises:
        Exception: What the function raised for the first chunk for which it did.
    """
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix=name) as pool:
        try:
            for chunk in chunks:
                pending.append(pool.submit(function, chunk))
                # Waits for results in order, so that sums do not depend on which thread was faster.
                if len(pending) > _AHEAD * threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
