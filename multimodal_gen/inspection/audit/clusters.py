"""Rows with the same content, or nearly the same: which belong together, and what that means within
and across parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd

from multimodal_gen.inspection.audit.alike import are_copies, differences, may_be_copies
from multimodal_gen.inspection.audit.findings import Finding
from multimodal_gen.inspection.audit.neighbours import nearest

_NEIGHBOURS = 8
# Pairs are looked at if less than _MOST_LEFT is left unexplained before moving them into place, and
# less than _MOST_OF_FIFTH of what is left for neighbour 5.
_MOST_LEFT, _MOST_OF_FIFTH = 0.4, 0.75
_CHUNK, _FEW = 500, 100
_MOST_COMPARED = 1000


@dataclass(frozen=True)
class Parts:
    """Which part of the table each row is in.

    Args:
        names: The parts, training first and test last.
        codes: `(rows,) int64`, positions in `names`.
    """

    names: tuple[str, ...]
    codes: np.ndarray


@dataclass(frozen=True)
class Alike:
    """Which rows of a column have the same content.

    Args:
        column: The column.
        exact: `(rows,) int64`: rows with exactly the same content have the same number; -1 for rows
            that do not count.
        cluster: `(rows,) int64`: the same, but rows with nearly the same content also share a
            number.
        rows: Where cells hold several pictures, `exact` and `cluster` are of pictures, and this is
            the row of each, `(pictures,) int64`.
    """

    column: str
    exact: np.ndarray
    cluster: np.ndarray
    rows: np.ndarray | None = None

    @property
    def positions(self) -> np.ndarray:
        """The row of each number in `exact` and `cluster`."""
        return np.arange(len(self.cluster)) if self.rows is None else self.rows


def joined(count: int, pairs: np.ndarray) -> np.ndarray:
    """Group numbers, `(count,) int64`, of things connected by `(pairs, 2)` of positions."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype("int64")


def alike_pictures(
    column: str,
    read: Callable[[int], np.ndarray],
    records: np.ndarray,
    places: np.ndarray,
    least_spread: float,
    threads: int,
) -> Alike:
    """Find pictures that are equal, or copies of one another.

    Args:
        column: Their column.
        read: Returns the picture of a row, `(64, 64, 3) uint8`, for the few that may be copies.
        records: All records.
        places: For each row, the place of its record, or -1.
        least_spread: Pictures whose pixels deviate by less are skipped, because all blank pictures
            are alike.
        threads: Threads that compare.
    """
    rows = np.flatnonzero(places >= 0)
    if len(rows):
        rows = rows[np.asarray(records["spread"])[places[rows]] >= least_spread]
    counted = np.full(len(places), -1, "int64")
    counted[rows] = places[rows]
    exact = contents_of(records, counted)
    if not len(rows):
        return Alike(column, exact, exact)
    # One row per content, because equal files need no comparison.
    _, first = np.unique(exact[rows], return_index=True)
    chosen = rows[first]
    pairs = _copies(lambda place: read(int(chosen[place])), records, places[chosen], threads)
    cluster = exact.copy()
    cluster[rows] = joined(len(chosen), pairs)[exact[rows]]
    return Alike(column, exact, cluster)


def contents_of(records: np.ndarray, places: np.ndarray) -> np.ndarray:
    """`(rows,) int64`: equal numbers for pictures whose files have the same bytes, counting from 0;
    -1 for rows without a record.

    Args:
        records: All records.
        places: For each row, the place of its record, or -1.
    """
    contents = np.full(len(places), -1, "int64")
    rows = np.flatnonzero(places >= 0)
    if len(rows):
        digests = np.ascontiguousarray(np.asarray(records["digest"])[places[rows]])
        halves = digests.view("<u8").reshape(-1, 2)
        contents[rows] = np.unique(halves, axis=0, return_inverse=True)[1].reshape(-1)
    return contents


def _copies(
    read: Callable[[int], np.ndarray], records: np.ndarray, places: np.ndarray, threads: int
) -> np.ndarray:
    # Returns pairs of positions in `places` whose pictures are copies.
    if len(places) < 2:
        return np.zeros((0, 2), "int64")
    bits = np.ascontiguousarray(np.asarray(records["bits"])[places])
    found, _ = nearest(bits, _NEIGHBOURS)
    count = len(places)
    left = np.full(found.shape, np.inf, "float32")

    def small(which: np.ndarray) -> np.ndarray:
        # A quarter of the pixels is enough to rule out most pairs.
        pixels = records["pixels"][places[which]].astype("float32")
        rows = pixels[:, ::2] + pixels[:, 1::2]
        halved: np.ndarray = (rows[:, :, ::2] + rows[:, :, 1::2]) / 4
        return halved

    def measure(start: int) -> None:
        part = found[start : start + _CHUNK]
        row, place = np.nonzero(part >= 0)
        left[start + row, place] = differences(small(start + row), small(part[row, place]))

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(measure, range(0, count, _CHUNK)))
    fifth = np.sort(left, axis=1)[:, min(5, found.shape[1] - 1)]
    # With fewer neighbours there is no such value; 1.0 is typical of different pictures.
    fifth[~np.isfinite(fifth)] = 1.0
    row, place = np.nonzero(
        left < np.minimum(_MOST_LEFT, _MOST_OF_FIFTH * np.maximum(fifth[:, None], 0.0))
    )
    # Keeps each pair once, whichever of the two found the other.
    pairs = np.unique(np.sort(np.stack([row, found[row, place]], axis=1), axis=1), axis=0)

    def looked_at(start: int) -> np.ndarray:
        ones, others = pairs[start : start + _CHUNK].T
        likely, certain = may_be_copies(
            records["pixels"][places[ones]], records["pixels"][places[others]]
        )
        return likely.astype("int64") + certain

    def confirmed(start: int) -> np.ndarray:
        # Only doubtful pairs are read again, at a larger size than their records hold.
        ones, others = doubtful[start : start + _FEW].T
        usual = np.minimum(fifth[ones], fifth[others])
        one, other = (np.stack([read(int(place)) for place in which]) for which in (ones, others))
        return are_copies(one, other, usual)

    none = np.zeros(0, "int64")
    with ThreadPoolExecutor(threads) as pool:
        grade = np.concatenate([none, *pool.map(looked_at, range(0, len(pairs), _CHUNK))])
        doubtful = pairs[grade == 1]
        same = np.concatenate([none, *pool.map(confirmed, range(0, len(doubtful), _FEW))]).astype(
            bool
        )
    return np.concatenate([pairs[grade == 2], doubtful[same]])


def describe(
    alike: Alike,
    index: pd.Index,
    parts: Parts,
    labels: np.ndarray | None,
    label_of: Callable[[int], str],
    what: str,
    which: Sequence[str] | None = None,
) -> list[Finding]:
    """Turn rows that belong together into findings: within a part, across parts, and with different
    labels.

    Args:
        alike: Which rows belong together.
        index: The table's index.
        parts: Which part each row is in.
        labels: `(rows,) int64` from `read_labels`, or None if another label is not a contradiction.
        label_of: Returns a row's label in words.
        what: What the rows have in common, such as "picture".
        which: If all this is about items of cells, the number of each, as "item 2 of 3". Items of
            one row are not compared.
    """
    findings, own_rows = [], alike.positions
    for rows in groups(alike.cluster):
        near = _compared(rows, parts.codes, labels)
        of_part, of_content = parts.codes[near], alike.exact[near]
        for row in rows:
            others = own_rows[near] != own_rows[row]
            same = others & (of_content == alike.exact[row])
            within, across = (
                others & (of_part == parts.codes[row]),
                others & (of_part != parts.codes[row]),
            )
            for kind, chosen in (("duplicate", within & same), ("near duplicate", within & ~same)):
                if chosen.any():
                    like = "the same" if kind == "duplicate" else "nearly the same"
                    message = f"{like} {what} as index {_label(index, near[chosen], which)}"
                    findings.append(Finding(int(row), alike.column, kind, message))
                    break
            if across.any():
                # Prefers a row with the same content to one that is only similar.
                other = near[across][np.argmax(same[across])]
                like = "the same" if (same & across).any() else "nearly the same"
                own, theirs = parts.names[parts.codes[row]], parts.names[parts.codes[other]]
                place = _label(index, np.array([other]), which)
                message = f"{like} {what} as index {place} of {theirs!r}, this one is in {own!r}"
                findings.append(Finding(int(row), alike.column, "leakage", message))
            if labels is not None and labels[row] >= 0:
                against = others & (labels[near] >= 0) & (labels[near] != labels[row])
                if against.any():
                    other = near[against][np.argmax(same[against])]
                    message = (
                        f"{label_of(int(row))} here, and {label_of(int(other))} at index "
                        f"{_label(index, np.array([other]), which)} for "
                        f"{'' if same[against].any() else 'nearly '}the same {what}"
                    )
                    findings.append(Finding(int(row), alike.column, "conflicting labels", message))
    return findings


def _compared(rows: np.ndarray, codes: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    # If very many rows share a picture, each is compared with some of them only. These include two
    # rows of each part and one of two labels, so nothing is missed.
    if len(rows) <= _MOST_COMPARED:
        return rows
    chosen = [rows[:_MOST_COMPARED]]
    chosen += [rows[codes[rows] == part][:2] for part in np.unique(codes[rows])]
    if labels is not None:
        own = labels[rows]
        chosen += [rows[own == label][:1] for label in np.unique(own[own >= 0])[:2]]
    return np.unique(np.concatenate(chosen))


def groups(numbers: np.ndarray) -> list[np.ndarray]:
    """The positions of each number that appears more than once, except -1."""
    order = np.argsort(numbers, kind="stable")
    order = order[numbers[order] >= 0]
    same = np.diff(numbers[order], prepend=-1, append=-1) == 0
    order = order[same[:-1] | same[1:]]
    starts = np.flatnonzero(np.diff(numbers[order], prepend=-1))
    return np.split(order, starts[1:]) if len(order) else []


def _label(index: pd.Index, rows: np.ndarray, which: Sequence[str] | None) -> str:
    first = int(rows[0])
    item = "" if which is None else f", {which[first]},"
    more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
    return f"{index[[first]].tolist()[0]!r}{item}{more}".rstrip(",")


def chained(alike: Alike) -> np.ndarray:
    """`(pairs, 2)`: pairs of neighbours that connect all rows of each cluster."""
    cluster = alike.cluster
    order = np.argsort(cluster, kind="stable")
    order = order[cluster[order] >= 0]
    same = cluster[order[1:]] == cluster[order[:-1]]
    # Linking each row to the next joins a cluster as linking all pairs does, with far fewer pairs.
    pairs: np.ndarray = np.stack([order[:-1][same], order[1:][same]], axis=1)
    return alike.positions[pairs]
