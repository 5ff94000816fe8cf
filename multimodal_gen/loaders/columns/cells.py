"""The cells of one column, counted as often as the tests of what it holds ask for it."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from multimodal_gen.errors import shown
from multimodal_gen.rows.cells import cell_text, is_blank

# From this share of cells on, a column is what they are, and the others are bad cells.
NEARLY_ALL = 0.95
_LONGEST = 60


class Verdict(NamedTuple):
    """What a column is taken for, and why, with counts and an example."""

    taken_as: str
    why: str


class Cells:
    """The cells of a column.

    Args:
        column: The column, or some of its rows.

    Attributes:
        name: The column's name.
        rows: How many cells there are.
        present: Those with a value.
    """

    def __init__(self, column: pd.Series) -> None:
        self.name = str(column.name)
        self.rows = len(column)
        self.present: list[Any] = [cell for cell in column.array.tolist() if not is_blank(cell)]

    @property
    def missing(self) -> int:
        """How many cells have no value."""
        return self.rows - len(self.present)

    @cached_property
    def texts(self) -> list[str] | None:
        """The texts of the present cells; None if one is not a single value."""
        try:
            return [cell if type(cell) is str else cell_text(cell) for cell in self.present]
        except TypeError:
            return None

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each text comes, the most frequent first."""
        return Counter(dict(Counter(self.texts or ()).most_common()))

    @property
    def example(self) -> str:
        """The first cell with a value, as people are shown it."""
        return short(self.present[0])

    def some(self, most: int) -> list[Any]:
        """At most so many present cells, evenly spaced."""
        places = np.unique(np.linspace(0, len(self.present) - 1, most).astype("int64"))
        return [self.present[place] for place in places.tolist()]

    def gaps(self) -> str:
        """The number of missing cells, to append to a sentence."""
        return f"; {self.missing:,} missing" if self.missing else ""


def short(cell: Any) -> str:
    """A cell as people are shown it, shortened."""
    text = shown(cell.item() if isinstance(cell, np.generic) else cell)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]}...{text[-1]}"
