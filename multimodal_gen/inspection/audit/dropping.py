"""Which rows a clean table leaves out: unusable ones, leaks, contradictions, and repetitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from multimodal_gen.inspection.audit.clusters import Alike, Parts
from multimodal_gen.inspection.audit.findings import UNUSABLE, Finding
from multimodal_gen.inspection.audit.whole_rows import contradictory, repeated
from multimodal_gen.loaders.base import Loader


@dataclass(frozen=True)
class Contents:
    """What an audit knows about the rows.

    Args:
        parts: The part that each row is in.
        labels: `(rows,) int64`, equal for equal labels; None without a target.
        alike: For each column, which rows have the same or similar content.
        whole: Which rows are equal in every input; None if that may be chance.
    """

    parts: Parts
    labels: np.ndarray | None
    alike: Sequence[Alike]
    whole: Alike | None


def dropped_rows(
    findings: Sequence[Finding], contents: Contents, ignore: Sequence[str]
) -> np.ndarray:
    """`(rows,) bool`: whether a clean table leaves the row out.

    If similar rows are in several parts, those in the last part are kept; of rows that are equal in
    everything, the first.

    Args:
        findings: The findings, without ignored kinds.
        contents: What is known about the rows.
        ignore: Kinds that are not problems.
    """
    codes = contents.parts.codes
    dropped = np.zeros(len(codes), bool)
    for one in findings:
        dropped[one.position] |= one.kind in UNUSABLE or one.kind == "conflicting labels"
    whole = None if contents.whole is None else contents.whole.exact
    if whole is not None and "conflicting labels" not in ignore:
        dropped |= contradictory(whole, contents.labels)
    # Taken from the findings, so that an ignored kind drops nothing.
    leaking = {one.position for one in findings if one.kind == "leakage"}
    for alike in contents.alike:
        # For each cluster, the last part that contains it: test rows stay and training rows go.
        last = np.full(int(alike.cluster.max(initial=-1)) + 1, -1, "int64")
        own = alike.positions
        there = (alike.cluster >= 0) & ~dropped[own]
        np.maximum.at(last, alike.cluster[there], codes[own[there]])
        places = np.flatnonzero(there)
        rows = own[places[codes[own[places]] < last[alike.cluster[places]]]]
        dropped[[row for row in rows.tolist() if row in leaking]] = True
    if whole is None or "duplicate" in ignore:
        return dropped
    return dropped | repeated(np.where(dropped, -1, whole), contents.labels, codes)


def columns_of(loader: Loader) -> tuple[str, ...]:
    """The columns that a loader reads."""
    return (loader.column,) if isinstance(loader.column, str) else loader.column
