"""Whether a cache holds the arrays of a table, judged by a sample of its rows."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from multimodal_gen.batch.cache.keys import key_of
from multimodal_gen.batch.cache.store import LoaderCache
from multimodal_gen.rows.cells import is_missing
from multimodal_gen.rows.table import cells_of

# Looking up this many rows takes a few milliseconds, once per epoch.
_SAMPLE = 64
# Not all, because cells that cannot be read are never kept.
_SHARE = 0.9


def is_filled(caches: Iterable[LoaderCache], table: pd.DataFrame) -> bool:
    """Return whether each cache holds the arrays of nearly all rows.

    Args:
        caches: The caches of the loaders that read the table.
        table: The table.
    """
    rows = np.unique(np.linspace(0, len(table) - 1, _SAMPLE).astype(np.int64))
    return all(_holds(cache, table, rows) for cache in caches)


def _holds(cache: LoaderCache, table: pd.DataFrame, rows: np.ndarray) -> bool:
    cells = [c for c in cells_of(table, cache.loader.column, rows) if not is_missing(c)]
    cache.folder.look_again()
    cache.look()
    keys = [key_of(cache.loader.cached_by, cell) for cell in cells]
    held = sum(key is not None and cache.folder.find(key) is not None for key in keys)
    return held >= _SHARE * len(cells)
