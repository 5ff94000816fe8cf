"""The result of an audit: problems, notes, duplicates, and the table without unusable rows."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from multimodal_gen.errors import TableError, counted
from multimodal_gen.inspection.audit.findings import KINDS, Finding
from multimodal_gen.inspection.audit.pictures import PictureReader


@dataclass(frozen=True)
class View:
    """What a page shows in addition to the findings.

    Args:
        table: The rows that were audited.
        readers: The readers of the pictures.
        findings: The findings.
        clusters: `(rows,) int64`, as in `Audit.duplicates`.
    """

    table: pd.DataFrame
    readers: list[PictureReader]
    findings: list[Finding]
    clusters: np.ndarray


@dataclass(frozen=True, repr=False)
class Audit:
    """What `audit` found.

    Attributes:
        problems: One row per finding, in the order of the table: `index` (the row's label in the
            table's index), `column`, `kind` and `message`.
        notes: What holds for a whole column, in sentences: class balance, truncated or unknown
            tokens, captions that give the class away, expected repetitions.
        duplicates: int64 on the table's index: rows with the same content, or nearly the same, have
            the same number, all others their own. Add it to the table as a column for
            `split_table(group=...)`.
        dropped: bool on the table's index: the rows that `clean` leaves out.
        ranked_labels: With `predictions`, one row for each row that has some, the least likely
            label first: "label", its "probability", "likelier", the likeliest other class,
            "likelier_probability", and "unlikely", whether it is among the problems. Without them,
            no row.
    """

    problems: pd.DataFrame
    notes: tuple[str, ...]
    duplicates: pd.Series
    dropped: pd.Series
    ranked_labels: pd.DataFrame
    view: View = field(compare=False)
    _draw: Callable[[Audit], str] = field(compare=False)

    @property
    def counts(self) -> dict[str, int]:
        """Kind -> number of findings, for the kinds that were found."""
        found = self.problems["kind"].value_counts()
        return {kind: int(found[kind]) for kind in KINDS if kind in found}

    def clean(self, table: pd.DataFrame) -> pd.DataFrame:
        """The table without the rows that cannot be used; the other rows are unchanged.

        It leaves out rows with a cell that is missing or cannot be read, or with a label that
        training rows do not have; all rows with the same content but conflicting labels; all but
        the first of rows that are equal in every input and the label; and if the same content is in
        two parts of the table, the rows in the earlier part, so that test rows stay. Everything
        else is left for you to decide.

        Args:
            table: The table that was audited, or rows of it.

        Raises:
            TableError: If it has rows that were not audited.
        """
        strange = ~table.index.isin(self.dropped.index)
        if strange.any():
            raise TableError(
                "Only audited rows can be cleaned. Received: index "
                f"{table.index[strange].tolist()[0]!r}, which was not audited"
            )
        return table[~self.dropped.loc[table.index].to_numpy()]

    def write_problems(self, path: str | os.PathLike[str]) -> None:
        """Write `problems` as csv in UTF-8."""
        # Half a surrogate pair, left over from broken decoding, cannot be encoded as UTF-8.
        self.problems.to_csv(path, index=False, encoding="utf-8", errors="backslashreplace")

    def write_page(self, path: str | os.PathLike[str]) -> None:
        """Write one self-contained HTML file with the counts, the notes, and pictures of the worst
        cases.
        """
        with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(self._draw(self))

    @property
    def _total(self) -> str:
        return f"{counted(len(self.problems), 'problem')} in {counted(len(self.duplicates), 'row')}"

    def __repr__(self) -> str:
        return f"Audit({self._total})"

    def __str__(self) -> str:
        lines = [f"{kind:<20}{count:>9,}" for kind, count in self.counts.items()]
        return "\n".join([self._total, *lines, *(f"note: {note}" for note in self.notes)])
