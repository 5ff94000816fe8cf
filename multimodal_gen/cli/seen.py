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


def write_seen(
    folder: Path, bundle: Bundle, train: pd.DataFrame, validation: pd.DataFrame | None = None
) -> None:
    """Write the digests of the rows that a run has seen, 8 bytes for each.

    Args:
        folder: The folder of the run.
        bundle: What was trained; a row is what its inputs and its target read.
        train: The training rows.
        validation: The validation rows, if they were apart: by them an epoch was kept,
            probabilities were calibrated and thresholds were chosen.
    """
    columns = _columns(bundle)
    own = _digests(train, columns)
    other = np.zeros(0, "uint64") if validation is None else _digests(validation, columns)
    np.savez(folder / FILE, training=own, validation=other)


def seen_in(folder: Path, bundle: Bundle, rows: pd.DataFrame) -> dict[str, int]:
    """How many rows of a table a run has seen, by part: "training" and "validation".

    Rows that are equal in all that the run reads cannot be told apart: of these, at most as many
    count as it had.

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
    own = pd.Series(_digests(rows, columns)).value_counts()
    with np.load(folder / FILE, allow_pickle=False) as kept:
        return {part: _shared(own, kept[part]) for part in ("training", "validation")}


def seen_in_words(found: Mapping[str, int], rows: int, run: str = "this run") -> str | None:
    """A line about rows that a run has seen; None if there are none.

    Args:
        found: What `seen_in` returned.
        rows: How many rows there are.
        run: What the run is called.
    """
    training, validation = (found.get(part, 0) for part in ("training", "validation"))
    if not training + validation:
        return None
    parts = {"training": training, "validation": validation}
    said = " and ".join(
        f"{count:,} of {counted(rows, 'row')} {by_number(count, 'is a', 'are')} {part} "
        f"{by_number(count, 'row', 'rows')}"
        for part, count in parts.items()
        if count
    )
    return f"note: {said} of {run}, or equal to one: the scores are too good"


def _columns(bundle: Bundle) -> list[str]:
    read = [*bundle.inputs.values(), *by_name(bundle.target).values()]
    names = [(one.column,) if isinstance(one.column, str) else one.column for one in read]
    return list(dict.fromkeys(chain.from_iterable(names)))


def _shared(own: pd.Series, kept: np.ndarray) -> int:
    theirs = pd.Series(kept).value_counts()
    both = own.index.intersection(theirs.index)
    return int(np.minimum(own[both].to_numpy(), theirs[both].to_numpy()).sum())


def _digests(rows: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    cells = [cells_of(rows, column) for column in columns]
    found = (
        blake2b(b"\0".join(map(_bytes, row)), digest_size=8) for row in zip(*cells, strict=True)
    )
    return np.array([int.from_bytes(one.digest(), "little") for one in found], "uint64")


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
