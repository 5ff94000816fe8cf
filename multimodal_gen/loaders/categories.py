"""Read categories, such as brands and colours, as ids for an embedding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np

from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.learning import series_of
from multimodal_gen.loaders.targets.known_classes import KnownClasses
from multimodal_gen.loaders.targets.names import different_cells, sorted_names
from multimodal_gen.rows.cells import cell_text, is_blank, shown_name
from multimodal_gen.rows.checks import check_positive
from multimodal_gen.rows.chunks import text_codes
from multimodal_gen.spec import MISSING, RARE, UNSEEN, ArraySpec

# The ids before those of the categories.
_SPECIAL = 3


class CategoryLoader(Loader):
    """Reads the categories of a column as ids: each has its own, learned from training rows.

    Categories differ by the text of their cells, as the classes of a `ClassLabel` do: 1, 1.0 and
    "1" are one category. A missing cell, or a blank text, is a category too, with id 0. Id 1 is for
    values that no training row had, and id 2 for those that only a few had, so that one model can
    read every value.

    Yields `(1,) int32`, kind "category", with `vocabulary_size` the number of ids.

    Args:
        column: The column of categories.
        categories: The categories with ids of their own: the first has id 3, the next 4, and so on.
        rare: The values that share id 2.
    """

    accepts_missing = True
    # Reading a category costs less than looking up a cached file.
    cached = False
    kept_by_row = True

    def __init__(self, column: str, categories: Sequence[Any], *, rare: Sequence[Any] = ()) -> None:
        names = [*categories, *rare]
        for name in names:
            if not isinstance(name, str | int) or is_blank(name):
                raise ValueError(
                    "A category must be a string that is not blank, a whole number or a boolean; "
                    f"`CategoryLoader.from_values` makes them. Received: {name!r} for column "
                    f"{column!r}"
                )
        twice = [text for text, count in Counter(map(cell_text, names)).items() if count > 1]
        if twice:
            raise ValueError(
                f"Each category must be named once, in `categories` or in `rare`. Received: "
                f"{twice[0]!r} more than once for column {column!r}"
            )
        if not categories:
            raise ValueError(
                f"There must be at least one category. Received: categories={categories!r} for "
                f"column {column!r}"
            )
        self.column = column
        self.categories, self.rare = tuple(categories), tuple(rare)
        self.spec = ArraySpec((1,), "int32", "category", _SPECIAL + len(self.categories))
        self._known = KnownClasses(names)

    @classmethod
    def from_values(cls, column: str, values: Iterable[Any], *, min_count: int = 2) -> Self:
        """Learn the categories from training rows: the distinct texts of the cells, sorted.

        Args:
            column: The column of categories.
            values: Its training values, or the table that has it; missing ones are left out.
            min_count: How many rows a value must have to get an id of its own; the others are rare.
                By default only those of a single row are, of which a model can learn nothing but
                the row.

        Raises:
            ValueError: If a cell is a list, an array or bytes, it names the row; or if no value has
                so many rows.
        """
        check_positive(min_count=min_count)
        series = series_of(column, values)
        try:
            codes, texts = text_codes(series.rename(column))
        except TypeError as error:
            raise ValueError(
                f"A category must be a single value. {error} If the numbers of an array belong "
                "together, use an ArrayLoader; text in bytes must be decoded first"
            ) from None
        there = codes >= 0
        rows = dict(zip(texts, np.bincount(codes[there]).tolist(), strict=True))
        names = [
            name if isinstance(name, str | int) else cell_text(name)
            for name in sorted_names(different_cells(series[there]), column)
        ]
        often = [name for name in names if rows[cell_text(name)] >= min_count]
        if not often:
            most = max(rows.values(), default=0)
            raise ValueError(
                f"No value of {column!r} has the {min_count:,} rows to be a category: the most "
                f"frequent of {len(rows):,} has {most:,}. Missing cells: "
                f"{int((~there).sum()):,} of {len(codes):,}. Is it a column of texts or ids? "
                "Received: "
                f"min_count={min_count}"
            )
        rare = [name for name in names if rows[cell_text(name)] < min_count]
        return cls(column, often, rare=rare)

    def read(self, cell: Any) -> np.ndarray:
        """The id of a category, `(1,) int32`.

        Raises:
            LoadError: If the cell is not a single value, such as a list.
        """
        return np.array([self.id_of(cell)], "int32")

    def id_of(self, cell: Any) -> int:
        """The id of a cell: 0 if it is missing, 1 if it was not in training, 2 if it is rare.

        Raises:
            LoadError: If the cell is not a single value, such as a list.
        """
        if is_blank(cell):
            return MISSING
        position = self._known.find(cell)
        if position is None:
            try:
                cell_text(cell)
            except TypeError as error:
                raise LoadError(f"a category must be a single value. {error}") from None
            return UNSEEN
        return RARE if position >= len(self.categories) else _SPECIAL + position

    def describe(self, array: np.ndarray, cell: Any = None) -> dict[str, str]:
        """The category that the model gets, under the name of its column."""
        number = int(array[0])
        if number >= _SPECIAL:
            words = shown_name(self.categories[number - _SPECIAL])
        elif number == MISSING:
            words = "(missing)"
        else:
            what = "not in training" if number == UNSEEN else "rare"
            words = f"({what})" if is_blank(cell) else f"{shown_name(cell)} ({what})"
        return {str(self.column): words}
