"""What a column of numbers, categories, dates or arrays adds to a prediction."""

from __future__ import annotations

from typing import Any

import numpy as np

from multimodal_gen.bundle.explaining.engine import Batch, Engine
from multimodal_gen.bundle.explaining.pictures import cells_of
from multimodal_gen.bundle.explaining.reading import read_cells
from multimodal_gen.loaders.base import Loader

# Rows of the background whose cells stand for a column of several.
_ROWS = 8


def column_values(
    engine: Engine, batch: Batch, name: str, needed: np.ndarray
) -> dict[str, np.ndarray]:
    """Column -> what the value loses without it, `(rows,)`.

    A column of an input that reads several is replaced by that of other rows; without a background
    it is missing, where the loader takes that. NaN where neither can be done.

    Args:
        engine: The engine.
        batch: The rows.
        name: The input.
        needed: `(rows,)`, what is lost without the whole input.
    """
    loader = engine.inputs[name]
    if isinstance(loader.column, str):
        return {loader.column: needed}
    cells = cells_of(batch, loader)
    others = _others(engine, batch, loader)
    found = {}
    for place, column in enumerate(loader.column):
        changed = [
            (*cell[:place], other[place], *cell[place + 1 :])
            for row, cell in enumerate(cells)
            for other in others[row]
        ]
        rows = np.repeat(np.arange(len(cells)), len(others[0]))
        arrays, errors = read_cells(name, loader, changed, engine.batch_size)
        codes = engine.parts.encode(name, arrays)
        values = engine.changed(batch, name, codes, rows)
        values[list(errors)] = np.nan
        found[column] = batch.values - values.reshape(len(cells), -1).mean(axis=1)
    return found


def _others(engine: Engine, batch: Batch, loader: Loader) -> list[list[Any]]:
    # For each row, the cells that stand for its own.
    table = engine.background_table
    if table is None or batch.background.shape[1] == 0:
        return [[(None,) * len(loader.column)]] * len(batch.table)
    cells = list(zip(*(table[one] for one in loader.column), strict=True))
    return [[cells[place] for place in own[:_ROWS]] for own in batch.background]
