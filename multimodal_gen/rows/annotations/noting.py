"""What is told about a file: which format it has, and what is not as the format says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from multimodal_gen.errors import TableError, by_number, counted, shown
from multimodal_gen.rows.cells import is_blank


@dataclass
class Found:
    """A table, and what is said about it.

    Args:
        table: The rows.
        notes: Sentences about what is usual and still worth knowing.
        problems: Sentences about what is not as the format says.
    """

    table: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def note(
        self, number: int, noun: str, one: str, several: str, *, plural: str | None = None
    ) -> None:
        """Say something about a number of things, unless it is 0."""
        if number:
            self.notes.append(_counted(number, noun, one, several, plural))

    def problem(
        self,
        number: int,
        noun: str,
        one: str,
        several: str,
        first: Sequence[Any] = (),
        *,
        plural: str | None = None,
    ) -> None:
        """The same for what is not as it should be, with the first of the things."""
        if number:
            shown_first = f" ({named(first, number)})" if len(first) else ""
            self.problems.append(_counted(number, noun, one, several, plural) + shown_first)

    def blanks(self, column: str, where: str) -> None:
        """Say how many rows have no text in a column.

        Args:
            column: The column, whose name is a noun.
            where: What a row is in the file, counted from 1.
        """
        cells = self.table[column].array.tolist()
        blank = [row for row, cell in enumerate(cells) if is_blank(cell)]
        first = [f"{where} {row + 1:,}" for row in blank[:3]]
        self.problem(len(blank), "row", f"has no {column}", f"have no {column}", first)


def _counted(number: int, noun: str, one: str, several: str, plural: str | None = None) -> str:
    many = f"{number:,} {plural}" if plural and number > 1 else counted(number, noun)
    return f"{many} {by_number(number, one, several)}"


def named(first: Sequence[Any], number: int | None = None) -> str:
    """The first three of some things, and a sign that there are more."""
    texts = [one if isinstance(one, str) else shown(one) for one in first[:3]]
    return ", ".join(texts) + (", ..." if (number or len(first)) > len(texts) else "")


def need(columns: Any, needed: Sequence[str], what: str) -> None:
    """Make sure that columns are there.

    Raises:
        TableError: If not; it says what there is.
    """
    there = list(columns)
    lacking = [name for name in needed if name not in there]
    if lacking:
        raise TableError(f"{what} needs {lacking[0]!r}; there is {sorted(map(str, there))}.")
