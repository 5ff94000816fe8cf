"""What a column of numbers, categories, dates or arrays adds to a prediction."""

from __future__ import annotations

from typing import Any

import numpy as np

from multimodal_gen.bundle.explaining.engine import Batch, Engine
from multimodal_gen.bundle.explaining.players import Player
from multimodal_gen.bundle.explaining.reading import read_cells

# Rows of the background whose cells stand for a column of several.
_ROWS = 8


def column_values(
    engine: Engine, batch: Batch, name: str, needed: np.ndarray
) -> dict[str, np.ndarray]:
    """Column -> what the value loses without it, `(rows,)`.

    A column of a player that reads several is replaced by that of other rows; without a background
    it is missing, where the loader takes that. NaN where neither can be done.

    Args:
        engine: The engine.
        batch: The rows.
        name: The player.
        needed: `(rows,)`, what is lost without the whole player.
    """
    player = engine.players[name]
    if len(player.columns) == 1:
        return {player.columns[0]: needed}
    cells = player.cells(batch.table)
    others = _others(engine, batch, player)
    found = {}
    for place, column in enumerate(player.columns):
        changed = [
            (*cell[:place], other[place], *cell[place + 1 :])
            for row, cell in enumerate(cells)
            for other in others[row]
        ]
        rows = np.repeat(np.arange(len(cells)), len(others[0]))
        arrays, errors = read_cells(player, changed, engine.batch_size)
        codes = engine.parts.encode(name, arrays)
        values = engine.changed(batch, name, codes, rows)
        values[list(errors)] = np.nan
        found[column] = batch.values - values.reshape(len(cells), -1).mean(axis=1)
    return found


def _others(engine: Engine, batch: Batch, player: Player) -> list[list[Any]]:
    # For each row, the cells that stand for its own.
    table = engine.background_table
    if table is None or batch.background.shape[1] == 0:
        return [[(None,) * len(player.columns)]] * len(batch.table)
    cells = player.cells(table)
    return [[cells[place] for place in own[:_ROWS]] for own in batch.background]
