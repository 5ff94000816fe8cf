"""The pictures of a column, one after the other, also where cells hold several.

Everything is found picture by picture, and said of their rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.errors import LoadError, by_number
from multimodal_gen.inspection.audit.clusters import Alike, Parts
from multimodal_gen.inspection.audit.findings import Finding
from multimodal_gen.inspection.audit.pictures import PictureReader
from multimodal_gen.inspection.audit.reading import as_load_error, in_words
from multimodal_gen.loaders.many import ManyLoader
from multimodal_gen.rows.cells import Unreadable, is_missing
from multimodal_gen.rows.table import readable_cells_in


@dataclass(frozen=True)
class Pictures:
    """The pictures of a column.

    Attributes:
        reader: What reads one.
        table: They under the column's name, in the order of the rows.
        rows: `(pictures,) int64`, the row of each.
        which: The number of each in its cell, as "item 2 of 3"; None if a cell holds one.
        findings: What is wrong with cells that cannot be split.
        index: That of the audited table.
    """

    reader: PictureReader
    table: pd.DataFrame
    rows: np.ndarray
    which: list[str] | None
    findings: list[Finding]
    index: pd.Index

    @classmethod
    def of(cls, rows: pd.DataFrame, reader: PictureReader) -> Pictures:
        """The pictures in the cells that a reader's loader reads."""
        if reader.many is None:
            return cls(reader, rows, np.arange(len(rows)), None, [], rows.index)
        column = str(reader.loader.column)
        found: list[Any] = []
        places: list[int] = []
        which: list[str] = []
        findings = []
        for row, cell in enumerate(readable_cells_in(rows, column)):
            try:
                if isinstance(cell, Unreadable):
                    raise as_load_error(cell.error)
                own = reader.many.items(cell)
            except LoadError as error:
                kind = "missing" if is_missing(cell) else "unreadable"
                findings.append(Finding(row, column, kind, in_words(error)))
                continue
            found += own
            places += [row] * len(own)
            which += [f"item {place + 1} of {len(own)}" for place in range(len(own))]
        cells = np.empty(len(found), object)
        cells[:] = found
        # By position, because labels of rows come several times.
        table = pd.DataFrame({column: pd.Series(cells, dtype=object)})
        return cls(reader, table, np.array(places, "int64"), which, findings, rows.index)

    @property
    def column(self) -> str:
        """The column."""
        return str(self.reader.loader.column)

    @property
    def numbers(self) -> list[int]:
        """The place of each picture in its cell, counting from 0."""
        starts = np.searchsorted(self.rows, self.rows)
        return (np.arange(len(self.rows)) - starts).tolist()

    @property
    def cells(self) -> Any:
        """The picture at each place."""
        return self.table[self.column].array

    def of_rows(self, found: Iterable[Finding]) -> list[Finding]:
        """Findings about pictures as findings about their rows, which name the item."""
        which, numbers = self.which, self.numbers
        if which is None:
            return list(found)
        return [
            one._replace(
                position=int(self.rows[one.position]),
                message=f"{which[one.position]}: {one.message}",
                item=numbers[one.position],
            )
            for one in found
        ]

    def progress(self, told: Callable[[int], None]) -> Callable[[int], None]:
        """Turn a number of pictures that are done into the number of rows that are."""
        if self.which is None:
            return told
        done = 0

        def pictures_done(count: int) -> None:
            nonlocal done
            before = done * len(self.index) // max(len(self.rows), 1)
            done += count
            rows = done * len(self.index) // max(len(self.rows), 1) - before
            if rows:
                told(rows)

        return pictures_done

    def parts(self, parts: Parts) -> Parts:
        """The part that each picture is in."""
        return replace(parts, codes=parts.codes[self.rows])

    def alike(self, found: Alike) -> Alike:
        """Which pictures are alike, with the row of each."""
        return found if self.which is None else replace(found, rows=self.rows)

    def repetitions(self, contents: np.ndarray) -> list[str]:
        """A note on rows that hold a picture more than once.

        Args:
            contents: Equal numbers for equal pictures; -1 for one that cannot be used.
        """
        frame = pd.DataFrame({"row": self.rows, "content": contents})
        again = frame[(contents >= 0) & frame.duplicated()]["row"].unique()
        if not len(again):
            return []
        have = by_number(len(again), "row holds", "rows hold")
        first = repr(self.index[[int(again[0])]].tolist()[0])
        return [
            f"{self.column}: {len(again):,} {have} the same picture more than once, the first at "
            f"index {first}"
        ]

    def contents(self, contents: np.ndarray) -> np.ndarray:
        """`(rows,) int64`: equal numbers for rows whose pictures are equal, one by one; -1 for rows
        without any, or with one that cannot be used.

        Args:
            contents: The same for each picture.
        """
        if self.which is None:
            return contents
        own: list[list[int]] = [[] for _ in self.index]
        for row, content in zip(self.rows.tolist(), contents.tolist(), strict=True):
            own[row].append(content)
        numbers = pd.factorize(pd.Series([tuple(one) for one in own], dtype=object))[0]
        usable = np.array([bool(one) and min(one) >= 0 for one in own], bool)
        return np.where(usable, numbers, -1).astype("int64")


def picture_reader(loader: Any) -> PictureReader | None:
    """The reader of a loader of pictures, one or several in a cell; None for other loaders."""
    if not isinstance(loader.column, str) or loader.spec.each.kind != "image":
        return None
    many = loader if isinstance(loader, ManyLoader) else None
    return PictureReader(loader.item if isinstance(loader, ManyLoader) else loader, many)
