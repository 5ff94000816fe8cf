"""`ManyLoader`: several pictures, captions or other items in one cell.

The loader of one item does the work; `many_cells.py` finds the items of a cell, and `drawn_item.py`
is what a training sequence reads with if it is to see one item of each row at a time.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np

from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.base import Loader, check_missing
from multimodal_gen.loaders.drawing import side_by_side
from multimodal_gen.loaders.drawn_item import DrawnItem
from multimodal_gen.loaders.many_cells import check_item, item_error, items_of, learned_items
from multimodal_gen.loaders.text.loader import TextLoader
from multimodal_gen.rows.checks import check_choice, check_positive
from multimodal_gen.spec import ArraySpec, many_of

_TRAINING = ("turns", "draw", "all")


class ManyLoader(Loader):
    """Reads cells that hold several items: the photos of a product, the captions of a picture.

    A cell is a list, a tuple, or an array of items along its first axis; or the text of a list, as
    JSON (`["a.jpg", "b.jpg"]`) or as pandas writes it into a csv file (`['a.jpg', 'b.jpg']`). With
    a `separator`, a text holds items joined by it; white space around them does not count, and
    blank parts are left out. An item is whatever the loader of an item reads.

    When evaluating and predicting, a model gets the first `at_most` items of every row. In
    training, it gets one item of each row at a time, unless `training="all"`: one item costs as
    much as a column of single items does, each item is seen with the row's label, and a model that
    pools items by their mean can be evaluated on any number of them.

    Yields `(at_most, *shape of an item)`, kind "many"; in training `(1, *shape of an item)` unless
    `training="all"`. A mask tells how many items there are: another input of the model, named
    "{name}_present", `(batch, at_most) float32`, in training `(batch, 1)`. The places of absent
    items hold the row's items again, from the first on, so that batch statistics see only real
    items; the array of a row without any is zeros.

    Args:
        loader: The loader of one item.
        at_most: How many items a row has at most when evaluating; further ones are left out.
            `from_values` and `from_texts` learn it.
        separator: The text between items, such as ";", if cells are joined texts.
        training: What a training sequence reads: "turns" for one item, so that each has come once
            after as many epochs as the row has items, in an order of the row's own; "draw" for one
            item, drawn anew in each epoch; "all" for what is read when evaluating, as pooling by
            attention needs. "turns" and "draw" use all items of a cell, also those after `at_most`.
        missing: How to treat a cell without items (None, NaN, an empty list): "error", or "blank"
            for zeros and a mask of zeros. With "blank", missing items in a list are left out.

    Raises:
        TypeError: If `loader` is not a loader.
        ValueError: If `loader` reads several columns, is itself a ManyLoader, varies with another
            one, or has `missing="blank"`; or another argument is out of its range.

    Example:
        photos = ManyLoader(ImageLoader("photos", image_size=(64, 64)), at_most=4, separator=";")
        captions = ManyLoader.from_texts("captions", train)
    """

    def __init__(
        self,
        loader: Loader,
        *,
        at_most: int,
        separator: str | None = None,
        training: str = "turns",
        missing: str = "error",
    ) -> None:
        check_item(loader)
        check_positive(at_most=at_most)
        check_choice("training", training, _TRAINING)
        if separator is not None and (not isinstance(separator, str) or not separator):
            raise ValueError(
                f"`separator` must be a text, or None. Received: separator={separator!r}"
            )
        self.item = loader
        self.column, self.missing = loader.column, check_missing(missing)
        self.at_most, self.separator, self.training = int(at_most), separator, training
        self.spec = many_of(loader.spec, self.at_most)
        self.cached, self.kept_by_row = loader.cached, loader.kept_by_row
        self.batch_tolerance = loader.batch_tolerance
        self.batch_rows, self.one_process = loader.batch_rows, loader.one_process
        self.fetches = loader.fetches

    @classmethod
    def from_values(
        cls,
        loader: Loader,
        values: Any,
        *,
        separator: str | None = None,
        training: str = "turns",
        missing: str = "error",
    ) -> Self:
        """Learn from training rows how many items a row has at most.

        Args:
            loader: The loader of one item.
            values: The training cells, or the table that has them. Cells that cannot be read do not
                count here: a sequence treats them as its `on_error` says.
            separator: As in the constructor.
            training: As in the constructor.
            missing: As in the constructor.

        Raises:
            LoadError: If no cell has an item; it has the reason of the first.
        """
        # Refused now, and not after all cells have been looked at.
        first = cls(loader, at_most=1, separator=separator, training=training, missing=missing)
        _, most = learned_items(str(loader.column), values, separator)
        return first.replace(at_most=most)

    @classmethod
    def from_texts(
        cls,
        column: str,
        texts: Any,
        *,
        separator: str | None = None,
        training: str = "turns",
        missing: str = "error",
        **options: Any,
    ) -> Self:
        """Learn a vocabulary from all captions of the training rows, and their greatest number.

        Args:
            column: The column of captions.
            texts: The training cells, or the table that has them.
            separator: As in the constructor.
            training: As in the constructor.
            missing: As in the constructor.
            options: Further arguments of `TextLoader.from_texts`, such as `output_mode`.

        Raises:
            LoadError: If no cell has a caption, or one is not text.
            ValueError: As `TextLoader.from_texts`.
        """
        items, most = learned_items(column, texts, separator)
        loader = TextLoader.from_texts(column, items, **options)
        return cls(loader, at_most=most, separator=separator, training=training, missing=missing)

    def for_training(self) -> Loader:
        """The loader of one item of each cell, or with `training="all"` this one."""
        return self if self.training == "all" else DrawnItem(self)

    def items(self, cell: Any) -> list[Any]:
        """All items of a cell, in their order.

        Raises:
            LoadError: If it has none, unless `missing` is "blank", or is not a list of items.
        """
        return items_of(cell, self.separator, self.missing)

    def count(self, cell: Any) -> int:
        """How many items of a cell the array holds."""
        return min(len(self.items(cell)), self.at_most)

    def read(self, cell: Any) -> np.ndarray:
        """Read the first `at_most` items of a cell.

        Raises:
            LoadError: If the cell or one of its items cannot be read; it says which item.
        """
        return self.joined(cell, self.item.read)

    def read_batch(self, cells: Sequence[Any]) -> list[Any]:
        """Read the items of many cells at once."""
        return self.joined_batch(cells, self.item.read_batch)

    def joined(self, cell: Any, read: Callable[[Any], np.ndarray]) -> np.ndarray:
        """The array of a cell, whose items are read by `read`, such as a cache's."""
        items = self.items(cell)
        arrays = []
        for place, item in enumerate(items[: self.at_most]):
            try:
                arrays.append(read(item))
            except Exception as error:
                raise item_error(error, f"item {place + 1} of {len(items)}", item) from error
        return self._stacked(arrays)

    def joined_batch(
        self, cells: Sequence[Any], read_batch: Callable[[Sequence[Any]], list[Any]]
    ) -> list[Any]:
        """As `joined`, for many cells whose items are all read in one call.

        If it returns an error instead of an item, the cell's array is that error.
        """
        items = [self.items(cell) for cell in cells]
        used = [own[: self.at_most] for own in items]
        arrays = iter(read_batch([item for own in used for item in own]))
        return [
            self._joined([next(arrays) for _ in own], whole)
            for own, whole in zip(used, items, strict=True)
        ]

    def _joined(self, arrays: Sequence[Any], items: Sequence[Any]) -> Any:
        for place, one in enumerate(arrays):
            if isinstance(one, Exception):
                return item_error(one, f"item {place + 1} of {len(items)}", items[place])
        return self._stacked(arrays)

    def _stacked(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        if not arrays:
            return np.zeros(self.read_spec.shape, self.read_spec.dtype)
        return np.stack([arrays[place % len(arrays)] for place in range(self.at_most)])

    @property
    def read_spec(self) -> ArraySpec:
        """What `read` returns."""
        return many_of(self.item.read_spec, self.at_most)

    @property
    def reads_together(self) -> bool:
        """Whether items are."""
        return self.item.reads_together

    @property
    def stream(self) -> str | tuple[str, ...]:
        """That of the loader of an item."""
        return self.item.stream

    def varies(self, training: bool) -> bool:
        """Whether items are varied."""
        return self.item.varies(training)

    def augment_cell(self, cell: Any, rng: np.random.Generator) -> Any:
        """Vary every item before it is read, one after the other."""
        try:
            items = self.items(cell)[: self.at_most]
        except LoadError:
            # `read` will say what is wrong.
            return cell
        varied = [self.item.augment_cell(item, rng) for item in items]
        # The table's own cell, if nothing changed: what is known of it stays valid.
        return cell if all(map(operator.is_, varied, items)) else varied

    def augment(self, array: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """Vary the array of every item, one after the other."""
        return np.stack([self.item.augment(one, rng) for one in array])

    def file_of(self, cell: Any) -> str | None:
        """None: each item may name a file of its own, and a cache keeps items."""
        return None

    def fetch_ahead(self, cell: Any, needed: Callable[[], bool] | None = None) -> None:
        """Start to fetch every item that is read."""
        for item in self._known_items(cell)[: self.at_most]:
            self.item.fetch_ahead(item, needed)

    def describe(self, array: np.ndarray, cell: Any = None) -> dict[str, str]:
        """The words of each item, one after the other, numbered if there are several.

        Args:
            array: `(items, *shape of an item)`: in training, one item.
            cell: The table's cell.
        """
        items = self._known_items(cell)
        shown = _distinct(array)
        words: dict[str, list[str]] = {}
        for place, one in enumerate(shown):
            # In training it is not known which item of the cell the array shows.
            whole = len(array) == self.at_most and place < len(items)
            for title, text in self.item.describe(one, items[place] if whole else None).items():
                words.setdefault(title, []).append(text)
        several = len(shown) > 1
        return {
            title: " ".join(f"({place + 1}) {text}" for place, text in enumerate(texts))
            if several
            else texts[0]
            for title, texts in words.items()
        }

    def draw(self, array: np.ndarray) -> np.ndarray | None:
        """The pictures of the items side by side; None if words say more."""
        pictures = [self.item.draw(one) for one in _distinct(array)]
        return side_by_side([one for one in pictures if one is not None])

    def _known_items(self, cell: Any) -> list[Any]:
        try:
            return self.items(cell)
        except LoadError:
            return []


def _distinct(array: np.ndarray) -> np.ndarray:
    # Without the items that are repeated to fill the array.
    for count in range(1, len(array)):
        if all(np.array_equal(array[at], array[at % count]) for at in range(count, len(array))):
            return array[:count]
    return array
