"""The cache of a loader whose cells hold several items: each item is kept once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.base import Loader


class ItemsCache:
    """Reads cells like a loader, and keeps the arrays of their items. Created by `ArrayCache.of`.

    Args:
        items: The `LoaderCache` of the loader of an item.
        loader: The loader of cells, whose `item` that is.
    """

    # Items of a batch lie apart, so none can be gathered in one call.
    warm = False

    def __init__(self, items: Any, loader: Any) -> None:
        self._items = items
        self.loader: Loader = loader
        self._many = loader

    def fetch_ahead(self, cell: Any) -> None:
        """Start to fetch the items that are read."""
        # `read` will say what is wrong with a cell.
        with suppress(LoadError):
            for item in self._many.items(cell)[: self._many.at_most]:
                self._items.fetch_ahead(item)

    def gather(self, cells: Sequence[Any]) -> np.ndarray | None:
        """Return None: see `warm`."""
        return None

    def read(self, cell: Any) -> np.ndarray:
        """Return the array of `loader.read(cell)`."""
        array: np.ndarray = self._many.joined(cell, self._items.read)
        return array

    def read_batch(self, cells: Sequence[Any]) -> list[np.ndarray]:
        """Return the arrays of `loader.read_batch(cells)`."""
        arrays: list[np.ndarray] = self._many.joined_batch(cells, self._items.read_batch)
        return arrays
