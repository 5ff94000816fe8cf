"""Reads the arrays of players: of tables, and of cells that no table holds, such as a caption
without one of its words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.bundle.explaining.model_parts import Arrays
from multimodal_gen.bundle.explaining.players import Player
from multimodal_gen.sequence.sequence import MultimodalSequence
from multimodal_gen.spec import mask_name, mask_of


def sequence_of(
    players: Mapping[str, Player], table: pd.DataFrame, batch_size: int, on_error: str = "blank"
) -> MultimodalSequence:
    """The inputs of a table, read as predictions do.

    Args:
        players: Name -> inputs.
        table: The rows.
        batch_size: Rows that are read together.
        on_error: "blank", so that the arrays of a row that cannot be read are zeros, or "raise".
    """
    return MultimodalSequence(
        table,
        {name: loader for one in players.values() for name, loader in one.inputs.items()},
        batch_size=batch_size,
        inputs_as="dict",
        on_error=on_error,
        max_error_rate=1.0,
    )


def arrays_of(
    players: Mapping[str, Player], batches: Sequence[Mapping[str, np.ndarray]]
) -> dict[str, Arrays]:
    """Player -> its arrays `(rows, ...)`, of some batches of `sequence_of`."""
    found = {}
    for name, player in players.items():
        own = [key for one in player.inputs for key in (one, mask_name(one))]
        keys = [key for key in own if key in batches[0]]
        found[name] = [np.concatenate([batch[key] for batch in batches]) for key in keys]
    return found


def read_table(
    players: Mapping[str, Player], table: pd.DataFrame, batch_size: int
) -> tuple[dict[str, Arrays], dict[int, str]]:
    """Read the inputs of a table.

    Args:
        players: Name -> inputs.
        table: The rows.
        batch_size: Rows that are read together.

    Returns:
        Player -> its arrays `(rows, ...)`, and the error of each row that cannot be read, whose
        arrays are zeros.
    """
    sequence = sequence_of(players, table, batch_size)
    batches = [sequence[number][0] for number in range(len(sequence))]
    return arrays_of(players, batches), dict(sequence.assembly.failures.positions)


def read_cells(
    player: Player, cells: Sequence[Any], batch_size: int
) -> tuple[Arrays, dict[int, str]]:
    """Read cells of one player: its arrays, and the errors by place.

    Args:
        player: The player.
        cells: As `Player.cells` returns them; a tuple each, if it reads several columns.
        batch_size: Cells that are read together.
    """
    several = len(player.columns) > 1
    values: dict[str, Any] = {}
    for place, one in enumerate(player.columns):
        own = np.empty(len(cells), object)
        for row, cell in enumerate(cells):
            own[row] = cell[place] if several else cell
        # As objects: pandas would make NaN of None among numbers, and arrays of lists.
        values[one] = pd.Series(own, dtype=object)
    arrays, errors = read_table({player.name: player}, pd.DataFrame(values), batch_size)
    return arrays[player.name], errors


def blank_arrays(player: Player) -> Arrays:
    """What stands for a player that a row lacks, as one row: zeros, with masks of zeros.

    Without a mask a model would take zeros for a black picture, so that of bytes is grey.
    """
    arrays = []
    for loader in player.inputs.values():
        spec, masked = loader.spec, loader.missing == "blank"
        grey = not masked and spec.each.kind == "image" and spec.dtype == "uint8"
        arrays.append(np.full((1, *spec.shape), 127 if grey else 0, spec.dtype))
        if masked or spec.kind == "many":
            mask = mask_of(spec)
            # Where a model cannot know that an input is missing, it is there.
            arrays.append(np.full((1, *mask.shape), 0.0 if masked else 1.0, mask.dtype))
    return arrays
