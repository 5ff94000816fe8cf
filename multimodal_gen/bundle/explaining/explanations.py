"""What `Bundle.explain` returns: the explanations of the rows of a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

import pandas as pd

from multimodal_gen.bundle.explaining.results import Explanation

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Explanations:
    """The explanations of the rows of a table, in their order.

    Args:
        rows: One for each row.
        index: The table's index.
        background: What stood for inputs that are left out, in words.
    """

    def __init__(self, rows: Sequence[Explanation], index: pd.Index, background: str) -> None:
        self._rows, self.index, self.background = list(rows), index, background

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Explanation]:
        return iter(self._rows)

    @overload
    def __getitem__(self, place: int) -> Explanation: ...

    @overload
    def __getitem__(self, place: slice) -> Explanations: ...

    def __getitem__(self, place: int | slice) -> Explanation | Explanations:
        """The explanation at a position, or those of a range of positions."""
        if isinstance(place, slice):
            return Explanations(self._rows[place], self.index[place], self.background)
        return self._rows[place]

    def to_frame(self) -> pd.DataFrame:
        """All shares, words and columns as a table, one row for each.

        Returns:
            The columns "row" (the index in the table), "of", "part" ("input", "word" or "column"),
            "input" (its name; None of a column), "name" (the input, word or column), "item",
            "start" and "end" (of a word, otherwise missing), "weight" (of an input its share),
            "alone" and "needed" (of an input). Rows that could not be explained have one line with
            the part "error" and the error as its name.
        """
        lines: list[dict[str, Any]] = []
        for one in self._rows:
            common = {"row": one.row, "of": one.of}
            if one.error is not None:
                lines.append({**common, "part": "error", "name": one.error})
            for name, shares in one.inputs.iterrows():
                extra = {"alone": shares["alone"], "needed": shares["needed"]}
                line = {"part": "input", "input": name, "name": name, "weight": shares["share"]}
                lines.append({**common, **line, **extra})
            for name, words in one.words.items():
                for word in words:
                    line = {"part": "word", "input": name, "name": word.text, "item": word.item}
                    span = {"start": word.start, "end": word.end, "weight": word.weight}
                    lines.append({**common, **line, **span})
            for name, value in one.columns.items():
                lines.append({**common, "part": "column", "name": name, "weight": value})
        order = ["row", "of", "part", "input", "name", "item", "start", "end", "weight"]
        frame = pd.DataFrame(lines, columns=[*order, "alone", "needed"])
        return frame.astype(dict.fromkeys(("item", "start", "end"), "Int64"))

    def show(self, *, rows: int = 8) -> Figure:
        """Draw a card for each row: heat on its pictures, coloured words, and bars.

        Args:
            rows: The most rows to draw; the first ones.

        Returns:
            A figure, which a notebook displays.
        """
        from multimodal_gen.bundle.explaining.cards import draw_explanations

        return draw_explanations(self._rows, self.background, rows)

    def __repr__(self) -> str:
        some = "\n".join(map(repr, self._rows[:3]))
        more = f"\n... and {len(self) - 3:,} more" if len(self) > 3 else ""
        return f"{some}{more}"
