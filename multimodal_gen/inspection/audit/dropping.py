"""Which rows a clean table does without: unusable ones, leaks, contradictions, and repetitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.inspection.audit.clusters import Alike, Parts
from multimodal_gen.inspection.audit.findings import UNUSABLE, Finding
from multimodal_gen.loaders.base import Loader


@dataclass(frozen=True)
class Contents:
    """What an audit knows of the rows.

    Args:
        rows: The table.
        parts: The part that each row is in.
        loaders: The inputs.
        labels: `(rows,)`, equal for equal labels; None without a target.
        alike: For each column, which rows have like content.
    """

    rows: pd.DataFrame
    parts: Parts
    loaders: Sequence[Loader]
    labels: np.ndarray | None
    alike: Sequence[Alike]


def dropped_rows(findings: Sequence[Finding], contents: Contents) -> np.ndarray:
    """`(rows,) bool`: whether a clean table leaves the row out.

    Of like rows in several parts, the ones in the last part stay; of rows equal in everything, the
    first.
    """
    codes = contents.parts.codes
    dropped = np.zeros(len(contents.rows), bool)
    for one in findings:
        dropped[one.position] |= one.kind in UNUSABLE or one.kind == "conflicting labels"
    leaking = {one.position for one in findings if one.kind == "leakage"}
    for alike in contents.alike:
        last = np.full(int(alike.cluster.max(initial=-1)) + 1, -1, "int64")
        there = (alike.cluster >= 0) & ~dropped
        np.maximum.at(last, alike.cluster[there], codes[there])
        rows = np.flatnonzero(there)
        rows = rows[codes[rows] < last[alike.cluster[rows]]]
        dropped[[row for row in rows.tolist() if row in leaking]] = True
    duplicates = {one.position for one in findings if one.kind == "duplicate"}
    return dropped | _repeated(dropped, duplicates, contents)


def _repeated(dropped: np.ndarray, duplicates: set[int], contents: Contents) -> np.ndarray:
    # Equal in every input, compared as it stands in the table, pictures by their content; and in
    # the label.
    rows = np.array(sorted(row for row in duplicates if not dropped[row]), "int64")
    columns: list[Any] = [] if contents.labels is None else [contents.labels[rows]]
    pictures = {one.column: one.exact[rows] for one in contents.alike}
    for name in dict.fromkeys(name for one in contents.loaders for name in columns_of(one)):
        own = pictures.get(name)
        if own is None:
            own = pd.factorize(contents.rows[name].iloc[rows].map(repr))[0]
        columns.append(own)
    result = np.zeros(len(dropped), bool)
    frame = pd.DataFrame(dict(enumerate(columns)))
    result[rows[frame.duplicated().to_numpy()]] = True
    return result


def columns_of(loader: Loader) -> tuple[str, ...]:
    """The columns that a loader reads."""
    return (loader.column,) if isinstance(loader.column, str) else loader.column
