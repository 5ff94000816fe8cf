"""How many rows each class has, and what makes classes count equally: weights and a sampler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.learning import series_of
from multimodal_gen.rows.cells import Unreadable
from multimodal_gen.rows.chunks import chunk_slices, chunks_of
from multimodal_gen.rows.sampling import Sampler
from multimodal_gen.rows.table import cells_of, check_columns, readable_cells_in

# Cells that are looked up together.
_AT_ONCE = 1000


def classes_of_rows(target: Any, values: Any) -> np.ndarray:
    """The class of every row, `(rows,) int64`.

    Args:
        target: A `Target` with one class per row.
        values: A table, or the cells of the target's column.

    Raises:
        LoadError: If a cell is missing, or is none of the classes; it names the row.
    """
    if isinstance(values, pd.DataFrame):
        columns = [target.column] if isinstance(target.column, str) else list(target.column)
        check_columns(values, columns)
        found = [
            _classes(target, cells_of(values, target.column, part), values.index[part])
            for part in chunk_slices(len(values))
        ]
    elif isinstance(target.column, str):
        found = [
            _classes(target, part.tolist(), part.index)
            for part in chunks_of(series_of(target.column, values))
        ]
    else:
        cells = list(values)
        found = [_classes(target, cells, pd.RangeIndex(len(cells)))]
    return np.concatenate(found)


def classes_where_known(target: Any, table: pd.DataFrame) -> np.ndarray:
    """The class of every row, `(rows,) int64`; -1 where its cell is none of the classes, or cannot
    be read. Few cells are in memory at a time.

    Args:
        target: A `Target` with one class per row.
        table: The table.
    """
    cells = readable_cells_in(table, target.column)
    found = [np.empty(0, "int64")]
    while part := list(islice(cells, _AT_ONCE)):
        known = [None if isinstance(cell, Unreadable) else cell for cell in part]
        found.append(target.classes_of(known))
    return np.concatenate(found).astype("int64")


def _classes(target: Any, cells: list[Any], index: pd.Index) -> np.ndarray:
    classes: np.ndarray = target.classes_of(cells)
    unknown = np.flatnonzero(classes < 0)
    if len(unknown):
        row = int(unknown[0])
        raise LoadError(
            f"the cell holds none of the classes {list(target.class_names)}: "
            f"{_reason(target, cells[row])}"
        ).at(index[[row]].tolist()[0], target.column)
    return classes


def _reason(target: Any, cell: Any) -> str:
    try:
        target.read(cell)
    except Exception as error:
        return error.reason if isinstance(error, LoadError) else f"{type(error).__name__}: {error}"
    return "it is missing, or has no class"


def balanced_weights(
    counts: np.ndarray, class_names: Sequence[Any], column: str | tuple[str, ...]
) -> dict[int, float]:
    """Weights that make classes count equally, `rows / (classes * rows of the class)`.

    Raises:
        ValueError: If a class has no rows.
    """
    absent = [name for name, count in zip(class_names, counts, strict=True) if not count]
    # A division by zero would give the class the weight infinity.
    if absent:
        raise ValueError(
            "A class without rows cannot be weighted by its count. Remove it from `class_names`, "
            f"or set the weights yourself. Received: no rows of {absent} in {column!r}"
        )
    return dict(enumerate((counts.sum() / (len(counts) * counts)).tolist()))


@dataclass(frozen=True)
class ClassSampler(Sampler):
    """Draws every class of a target equally often, however the target defines its classes.

    Args:
        target: The target.
    """

    target: Any

    def weights(self, table: pd.DataFrame) -> np.ndarray:
        """One divided by the number of rows of the row's class.

        Raises:
            LoadError: If a row has none of the classes; it names the row.
        """
        classes = classes_of_rows(self.target, table)
        return np.asarray(1.0 / np.bincount(classes)[classes])
