"""Which rows of a table a run was trained on: digests of its rows, kept beside its bundle.

Scores of such rows are too good, and only the run knows them: a table may have been cut, sorted or
joined with others since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.bundle.bundle import Bundle
from multimodal_gen.bundle.judging.sets import by_name
from multimodal_gen.errors import by_number, counted
from multimodal_gen.rows.cells import cell_text, is_missing
from multimodal_gen.rows.table import cells_of

FILE = "seen_rows.npz"
# The most digests that are kept, 2 MiB. Of more rows, those with the lowest digests are compared:
# which these are depends on the row alone, so they are the same ones in every table.
_MOST = 2**18
_LARGEST = 2**64 - 1
# Rows whose cells are in memory at once, as they may be pictures.
_CHUNK = 1000
_MOST_NAMES = 4


def write_seen(
    folder: Path, bundle: Bundle, train: pd.DataFrame, validation: pd.DataFrame | None = None
) -> None:
    """Write the digests of the rows that a run has seen, 8 bytes for each, at most 2 MiB.

    Args:
        folder: The folder of the run.
        bundle: What was trained; a row is what its inputs and its target read.
        train: The training rows.
        validation: The validation rows, if they were apart: by them an epoch was kept,
            probabilities were calibrated and thresholds were chosen.
    """
    columns = _columns(bundle)
    other = train.iloc[:0] if validation is None else validation
    highest = _LARGEST * _MOST // max(len(train) + len(other), _MOST)
    own, held = (_digests(part, columns, highest) for part in (train, other))
    np.savez(folder / FILE, training=own, validation=held, highest=np.uint64(highest))


def seen_in(folder: Path, bundle: Bundle, rows: pd.DataFrame) -> dict[str, int]:
    """How many rows of a table a run has seen, by part: "training" and "validation"; and
    "compared", how many could be compared, which are all up to 262,144 rows that it has seen.

    Only cells are compared: pictures in files by their paths. Rows that are equal in all that the
    run reads cannot be told apart: of these, at most as many count as it had.

    Args:
        folder: The folder of the run.
        bundle: Its bundle.
        rows: The table; if a column that the run has read is not there, nothing is known.

    Returns:
        Nothing if the folder keeps no digests, as those of other versions do.
    """
    columns = _columns(bundle)
    if not (folder / FILE).is_file() or not set(columns) <= set(rows.columns):
        return {}
    with np.load(folder / FILE, allow_pickle=False) as kept:
        found = _digests(rows, columns, int(kept["highest"]))
        own = pd.Series(found).value_counts()
        counts = {part: _shared(own, kept[part]) for part in ("training", "validation")}
    return {**counts, "compared": len(found)}


def seen_in_words(
    found: Mapping[str, int], bundle: Bundle, rows: int, run: str = "this run"
) -> str | None:
    """A line about rows that a run has seen; None if there are none.

    Args:
        found: What `seen_in` returned.
        bundle: The bundle of the run.
        rows: How many rows there are.
        run: What the run is called.
    """
    parts = {part: found.get(part, 0) for part in ("training", "validation")}
    if not any(parts.values()):
        return None
    some = counted(rows, "row")
    if found["compared"] < rows:
        some = f"{counted(found['compared'], 'row')} that can be compared"
    said = " and ".join(
        f"{count:,} of {some} {by_number(count, 'is a', 'are')} {part} "
        f"{by_number(count, 'row', 'rows')}"
        for part, count in parts.items()
        if count
    )
    names = list(map(repr, _columns(bundle)))
    if (more := len(names) - _MOST_NAMES) > 1:
        names = [*names[:_MOST_NAMES], f"{more:,} more columns"]
    *most, last = names
    same = f"{', '.join(most)} and {last}" if most else last
    return f"note: {said} of {run}, or equal to one in {same}: the scores are too good"


def _columns(bundle: Bundle) -> list[str]:
    read = [*bundle.inputs.values(), *by_name(bundle.target).values()]
    names = [(one.column,) if isinstance(one.column, str) else one.column for one in read]
    return list(dict.fromkeys(chain.from_iterable(names)))


def _shared(own: pd.Series, kept: np.ndarray) -> int:
    theirs = pd.Series(kept).value_counts()
    both = own.index.intersection(theirs.index)
    return int(np.minimum(own[both].to_numpy(), theirs[both].to_numpy()).sum())


def _digests(rows: pd.DataFrame, columns: Sequence[str], highest: int) -> np.ndarray:
    # (rows,) uint64, without those above the highest.
    found = [np.zeros(0, "uint64")]
    for start in range(0, len(rows), _CHUNK):
        part = slice(start, start + _CHUNK)
        cells = [cells_of(rows, column, part) for column in columns]
        own = b"".join(
            blake2b(b"\0".join(map(_bytes, row)), digest_size=8).digest()
            for row in zip(*cells, strict=True)
        )
        digests = np.frombuffer(own, "<u8")
        found.append(digests[digests <= np.uint64(highest)])
    return np.concatenate(found)


def _bytes(cell: Any) -> bytes:
    # The same bytes for the same cell of any kind, each with its length where several are joined.
    if isinstance(cell, bytes):
        return cell
    if isinstance(cell, np.ndarray):
        return cell.tobytes()
    if isinstance(cell, Mapping):
        cell = sorted(map(repr, cell.items()))
    if isinstance(cell, list | tuple | set | frozenset):
        parts = [_bytes(one) for one in cell]
        return b"".join(b"%d:%b" % (len(one), one) for one in parts)
    if is_missing(cell):
        return b""
    return cell_text(cell).encode("utf-8", "surrogatepass")
