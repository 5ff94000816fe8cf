"""What `Bundle.explain` finds out about one row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

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
