"""What an audit can find: the kinds of problems, and the table of findings."""

from __future__ import annotations

from typing import Any, NamedTuple

import pandas as pd

# Kind -> what it means, in the order of the report.
KINDS = {
    "missing": "the cell has no value, or there is no such file",
    "empty file": "the file, or the cell of bytes, has no bytes",
    "truncated": "the file ends before the picture does",
    "corrupt": "the file is not a picture, or is damaged",
    "unreadable": "the loader cannot read the cell for another reason",
    "tiny": "a picture much smaller than the others, or with a side below 8 pixels",
    "huge": "a picture much larger than the others, or with more than 64 megapixels",
    "odd mode": "a picture with another colour mode than nearly all others",
    "near blank": "a picture of one colour",
    "wrongly named": "the file's suffix belongs to another format",
    "duplicate": "the same content in another row of this part of the table",
    "near duplicate": (
        "the same content, apart from encoding, size, brightness or slight cropping; for texts, "
        "spelling"
    ),
    "leakage": "the same content, or nearly the same, in another part of the table",
    "conflicting labels": "the same content with another label",
    "empty caption": "a caption without words",
    "long caption": "a caption much longer than the others",
    "repeated caption": "a caption that many rows share and that says nothing about the class",
    "unlike pair": "a picture and a text that probably belong to different rows",
    "unlikely label": "a label that models which did not see the row hardly believe",
    "unseen label": "a label that training rows do not have",
    "extreme number": "a number far outside of its column, or one that stands for a missing value",
    "outlier": "a row that is unlike all others",
}
# Kinds of findings that make a row unusable for training and scoring.
UNUSABLE = frozenset(
    {"missing", "empty file", "truncated", "corrupt", "unreadable", "unseen label"}
)


class Finding(NamedTuple):
    """One problem of one cell.

    Args:
        position: The row's position in the table.
        column: The column.
        kind: One of `KINDS`.
        message: What is wrong, in one sentence.
        item: Where a cell holds several pictures, the place of this one, counting from 0.
    """

    position: int
    column: str
    kind: str
    message: str
    item: int | None = None


def as_frame(findings: list[Finding], index: pd.Index) -> pd.DataFrame:
    """The findings as a table with the columns index, column, kind and message, in row order."""
    order = {kind: place for place, kind in enumerate(KINDS)}
    findings = sorted(findings, key=lambda one: (one.position, order[one.kind]))
    labels = pd.Series([one.position for one in findings], dtype="int64")
    columns: dict[str, Any] = {
        "index": index.take(labels.to_numpy()).to_numpy() if findings else []
    }
    for name in ("column", "kind", "message"):
        columns[name] = pd.Series([getattr(one, name) for one in findings], dtype=object)
    return pd.DataFrame(columns)
