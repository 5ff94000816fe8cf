"""What `Bundle.explain` returns: an explanation of each row, and all of them together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, overload

import numpy as np
import pandas as pd


class Word(NamedTuple):
    """A word of a cell.

    Args:
        text: The word as the cell has it: `cell[start:end]`, or of several texts in a cell
            `items[item][start:end]`.
        start: Its first character.
        end: The character after its last.
        item: Which of several texts in the cell, counting from 0.
        weight: How much it speaks for what is explained, in its unit; negative if against.
    """

    text: str
    start: int
    end: int
    item: int
    weight: float


@dataclass(frozen=True)
class Explanation:
    """Why a row is predicted as it is.

    What is explained is a number: the probability of a class, or a predicted number in the units of
    the table. All weights and values are differences of this number. Positive ones speak for it.

    Attributes:
        row: The row's index in the table.
        error: Why the row could not be explained; then all below is empty. None otherwise.
        predicted: What the target says: a class, a list of classes, or a number.
        of: The class that is explained, or the name of the number.
        value: Its probability, or the number; NaN with an error.
        baseline: What it would be without any input.
        inputs: One row per input: "share", its Shapley value, which add up to `value - baseline`;
            "alone", what the input changes if it is the only one; and "needed", what is lost
            without it.
        words: Input -> the words of its text; for inputs that are texts.
        heat: Input -> a map for each of its pictures, `(height, width) float32` in [-1, 1], in the
            pixels of `pictures`; the largest by size is 1 or -1. For inputs that are pictures.
        pictures: Input -> each of its pictures as the model is given it, `(height, width, 3)
            uint8`.
        texts: Input -> its texts.
        columns: Column -> what is lost without it; for all other inputs. NaN if that is unknown.
    """

    row: Any
    error: str | None = None
    predicted: Any = None
    of: Any = None
    value: float = float("nan")
    baseline: float = float("nan")
    inputs: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=["share", "alone", "needed"], dtype=float)
    )
    words: dict[str, list[Word]] = field(default_factory=dict)
    heat: dict[str, list[np.ndarray]] = field(default_factory=dict)
    pictures: dict[str, list[np.ndarray]] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)
    columns: dict[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        if self.error is not None:
            return f"Explanation of row {self.row!r}: {self.error}"
        shares = ", ".join(f"{name} {one:+.3g}" for name, one in self.inputs["share"].items())
        lines = [
            f"Explanation of row {self.row!r}: {self.of!r} {self.value:.3g}, without inputs "
            f"{self.baseline:.3g}; {shares}"
        ]
        for name, words in self.words.items():
            heaviest = sorted(words, key=lambda one: -abs(one.weight))[:5]
            shown = ", ".join(f"{one.text!r} {one.weight:+.2g}" for one in heaviest)
            lines.append(f"  {name}: {shown}")
        lines += [f"  {name}: {value:+.3g}" for name, value in self.columns.items()]
        return "\n".join(lines)


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

    def __repr__(self) -> str:
        some = "\n".join(map(repr, self._rows[:3]))
        more = f"\n... and {len(self) - 3:,} more" if len(self) > 3 else ""
        return f"{some}{more}"
