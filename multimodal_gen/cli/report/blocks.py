"""What a report is made of: sections of sentences, tables, pictures and cases, in plain text.

`sections.py` makes them of facts, `page.py` turns them into HTML, and `card.py` into Markdown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from multimodal_gen.bundle.explaining.results import Explanation


@dataclass(frozen=True)
class Words:
    """A paragraph.

    Args:
        text: Its text; what is between backticks is code.
        first: Whether it is what a reader should see first.
    """

    text: str
    first: bool = False


@dataclass(frozen=True)
class Points:
    """A list of sentences."""

    sentences: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        columns: What is above each column.
        rows: The cells.
        words: How many columns, from the left, hold words; the others hold numbers.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1


@dataclass(frozen=True)
class Picture:
    """A picture in the folder of the run.

    Args:
        file: Its name.
        words: What it shows.
        whole: Whether it is made as narrow as the page, or keeps its size and is scrolled.
    """

    file: str
    words: str
    whole: bool = True


@dataclass(frozen=True)
class Cases:
    """Rows with their explanations.

    Args:
        cases: For each row what is said of it, and its explanation.
        table: The same rows as a table, for readers without pictures.
    """

    cases: Sequence[tuple[str, Explanation]]
    table: Table


Block = Words | Points | Table | Picture | Cases


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Args:
        title: Its heading.
        blocks: What is in it; a section of nothing is left out.
    """

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Report:
    """A report.

    Args:
        title: Its heading.
        summary: What stands above all sections.
        sections: The sections, in the order in which they are read.
    """

    title: str
    summary: Sequence[Block]
    sections: Sequence[Section]
