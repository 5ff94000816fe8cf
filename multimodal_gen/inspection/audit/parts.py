"""The parts of a table: named by a column, given as tables, or all rows as one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from multimodal_gen.errors import TableError
from multimodal_gen.inspection.audit.clusters import Parts
from multimodal_gen.rows.cells import is_missing
from multimodal_gen.rows.chunks import cells_of_series
from multimodal_gen.rows.table import check_columns

_TRAINING, _VALIDATION, _TEST = (
    ("train", "training"),
    ("val", "valid", "validation", "dev"),
    ("test", "testing"),
)


def parts_of(
    table: pd.DataFrame | Mapping[str, pd.DataFrame], split: str | None
) -> tuple[pd.DataFrame, Parts]:
    """All rows, and which part each is in.

    Args:
        table: The table, or its parts by name, training first.
        split: The column that names the part; a row without one is for training.

    Raises:
        ValueError: If there are both tables and a column.
        TableError: If the column is missing, there are no rows, or the index is not unique.
    """
    if isinstance(table, Mapping):
        if split is not None:
            raise ValueError(
                "Give a table and `split`, or several tables by name. Received: both, "
                f"split={split!r}"
            )
        if not table:
            raise ValueError("Give at least one table. Received: an empty mapping")
        for one in table.values():
            check_columns(one, [])
        rows = pd.concat(list(table.values()))
        codes = np.repeat(np.arange(len(table)), [len(one) for one in table.values()])
        parts = Parts(tuple(map(str, table)), codes)
    elif split is None:
        check_columns(table, [])
        rows, parts = table, Parts(("all",), np.zeros(len(table), "int64"))
    else:
        check_columns(table, [split])
        rows, parts = table, _by_column(table[split])
    if not rows.index.is_unique:
        twice = rows.index[rows.index.duplicated()].tolist()[0]
        raise TableError(
            "The index must be unique, or findings could not name their row. Use "
            f"`table.reset_index(drop=True)` before it is split. Received: index {twice!r} more "
            "than once"
        )
    return rows, parts


def _by_column(cells: pd.Series) -> Parts:
    codes: dict[str, int] = {}
    names = ("train" if is_missing(cell) else str(cell) for cell in cells_of_series(cells))
    found = np.fromiter((codes.setdefault(name, len(codes)) for name in names), "int64", len(cells))
    counts = dict(zip(codes, np.bincount(found).tolist(), strict=True))
    known = (*_TRAINING, *_VALIDATION, *_TEST)

    def rank(name: str) -> tuple[int, int, str]:
        word = name.strip().lower()
        # Parts with unknown names come after training, the largest first.
        return known.index(word) if word in known else len(_TRAINING) - 1, -counts[name], name

    ordered = sorted(counts, key=rank)
    # If no name says which part is for training, it is the largest.
    if not any(name.strip().lower() in _TRAINING for name in ordered):
        ordered.sort(key=lambda name: (-counts[name], name))
    place = {name: code for code, name in enumerate(ordered)}
    return Parts(tuple(ordered), np.array([place[name] for name in codes], "int64")[found])
