"""The training form of a `ManyLoader`: one item of each cell, another one in other epochs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from multimodal_gen.loaders.base import Loader
from multimodal_gen.spec import ArraySpec, many_of


class DrawnItem(Loader):
    """Reads one item of each cell, `(1, *shape of an item)`, kind "many".

    `choose` takes an item out of the table's cell; all other methods are those of the loader of an
    item, so a cache keeps each item once, and random operations see an ordinary cell.

    Args:
        many: The `ManyLoader` of whole cells.
    """

    def __init__(self, many: Any) -> None:
        self.many, self._one = many, many.item
        self.column, self.missing = many.column, many.missing
        self.spec = many_of(self._one.spec, 1)
        self.cached, self.batch_tolerance = self._one.cached, self._one.batch_tolerance
        self.batch_rows, self.one_process = self._one.batch_rows, self._one.one_process
        self.fetches = self._one.fetches

    def choose(self, cell: Any, epoch: int, stream: Callable[[int], np.random.Generator]) -> Any:
        """The item of this epoch, by `ManyLoader.training`; None if the cell has none."""
        items = self.many.items(cell)
        if not items:
            return None
        if self.many.training == "draw":
            return items[(_word(stream(epoch)) * len(items)) >> 64]
        # A new order after all items have come, so that each comes equally often.
        turn, place = divmod(epoch, len(items))
        words = stream(turn).bit_generator.random_raw(len(items))
        return items[int(np.argsort(words, kind="stable")[place])]

    def locate(self, item: Any, cell: Any) -> str:
        """Which item it is, as "item 2 of 3"."""
        items = self.many.items(cell)
        # By identity first, because arrays have no single truth value.
        place = next((place for place, one in enumerate(items) if one is item), None)
        if place is None and isinstance(item, str):
            place = items.index(item) if item in items else None
        return "" if place is None else f"item {place + 1} of {len(items)}"

    def read(self, cell: Any) -> np.ndarray:
        """Read an item."""
        return self._one.read(cell)[None]

    def read_batch(self, cells: Sequence[Any]) -> list[Any]:
        """Read many items."""
        # A loader may return the error of a cell instead of its array.
        return [
            one if isinstance(one, Exception) else one[None] for one in self._one.read_batch(cells)
        ]

    @property
    def read_spec(self) -> ArraySpec:
        """What `read` returns."""
        return many_of(self._one.read_spec, 1)

    @property
    def reads_together(self) -> bool:
        """Whether items are."""
        return self._one.reads_together

    @property
    def stream(self) -> str | tuple[str, ...]:
        """That of the loader of an item."""
        return self._one.stream

    @property
    def cached_by(self) -> Loader:
        """The loader whose arrays a cache keeps for an item."""
        return self._one.cached_by

    def from_cached(self, array: np.ndarray) -> np.ndarray:
        """The array of an item, as `read` returns it."""
        return self._one.from_cached(array)[None]

    def varies(self, training: bool) -> bool:
        """Whether items are varied."""
        return self._one.varies(training)

    def augment_cell(self, cell: Any, rng: np.random.Generator) -> Any:
        """Vary an item before it is read."""
        return self._one.augment_cell(cell, rng)

    def augment(self, array: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """Vary the array of an item."""
        return self._one.augment(array[0], rng)[None]

    def file_of(self, cell: Any) -> str | None:
        """The file that an item names."""
        return self._one.file_of(cell)

    def version_of(self, cell: Any) -> str | None:
        """The URL and version of an item."""
        return self._one.version_of(cell)

    def fetch_ahead(self, cell: Any, needed: Callable[[], bool] | None = None) -> None:
        """Start to fetch an item."""
        self._one.fetch_ahead(cell, needed)

    def describe(self, array: np.ndarray, cell: Any = None) -> dict[str, str]:
        """As for the whole cell."""
        return self.many.describe(array, cell)

    def draw(self, array: np.ndarray) -> np.ndarray | None:
        """As for the whole cell."""
        return self.many.draw(array)


def _word(stream: np.random.Generator) -> int:
    # Raw words never change between releases of NumPy, while what `integers` makes of them may.
    return int(stream.bit_generator.random_raw())
