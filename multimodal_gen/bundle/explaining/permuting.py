"""What a model puts out when cells of an input are exchanged between rows.

Each input is read and encoded once. What its encoder made of the rows is exchanged, so only the
head of the model runs again; a column among several of an input is exchanged in the table, and this
input alone is read again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.bundle.checks import check_outputs
from multimodal_gen.bundle.explaining.model_parts import Arrays, Parts
from multimodal_gen.bundle.explaining.players import Player
from multimodal_gen.bundle.explaining.reading import arrays_of, read_table, sequence_of

# Rows of one column that are read again together.
_ROWS = 2048


class Permuted:
    """The rows of a table, whose cells are exchanged.

    Args:
        parts: The model.
        table: The rows.
        target: The target or targets of the model.
        batch_size: Rows per batch.
    """

    def __init__(self, parts: Parts, table: pd.DataFrame, target: Any, batch_size: int) -> None:
        self.parts, self.table, self.target, self.batch_size = parts, table, target, batch_size
        parts.batch_size = batch_size
        self.codes: dict[str, Arrays] = {}

    def predict(self, policy: str) -> tuple[Any, dict[int, Any]]:
        """Read, encode and predict all rows.

        Args:
            policy: What to do with a row that cannot be loaded: "raise" or "blank".

        Returns:
            The outputs, and the errors of rows by position.
        """
        players, parts = self.parts.players, self.parts
        sequence = sequence_of(players, self.table, self.batch_size, policy)
        found: dict[str, list[Arrays]] = {name: [] for name in players}
        for number in range(len(sequence)):
            arrays = arrays_of(players, [sequence[number][0]])
            if not number:
                parts.check(arrays)
            for name, own in arrays.items():
                found[name].append(parts.encode(name, own))
        self.codes = {name: _joined(batches) for name, batches in found.items()}
        outputs = parts.outputs(self.codes)
        check_outputs(outputs, self.target)
        return outputs, dict(sequence.assembly.failures.positions)

    def keep(self, rows: np.ndarray) -> None:
        """Go on with some rows only, given by their positions."""
        self.table = self.table.iloc[rows]
        self.codes = {name: [one[rows] for one in own] for name, own in self.codes.items()}

    def exchanged(self, name: str, column: str | None, donors: np.ndarray) -> Any:
        """The outputs where each row has the cells of another one.

        Args:
            name: The player.
            column: The one of its columns that is exchanged; None for all.
            donors: `(rows,)`, the position of the row whose cell each row gets.
        """
        if column is None:
            own = [one[donors] for one in self.codes[name]]
        else:
            own = self._read(self.parts.players[name], column, donors)
        return self.parts.outputs({**self.codes, name: own})

    def _read(self, player: Player, column: str, donors: np.ndarray) -> Arrays:
        table = self.table[list(player.columns)].copy()
        table[column] = table[column].iloc[donors].array
        found = []
        for start in range(0, len(table), _ROWS):
            part = table.iloc[start : start + _ROWS]
            arrays, errors = read_table({player.name: player}, part, self.batch_size)
            codes = self.parts.encode(player.name, arrays[player.name])
            for row in errors:
                # Cells that cannot be read together stay as they were.
                own = [one[start + row] for one in self.codes[player.name]]
                codes = [_with_row(*pair, row) for pair in zip(codes, own, strict=True)]
            found.append(codes)
        return _joined(found)


def _joined(batches: list[Arrays]) -> Arrays:
    return [np.concatenate(own) for own in zip(*batches, strict=True)]


def _with_row(array: np.ndarray, value: np.ndarray, row: int) -> np.ndarray:
    # What a backend gives cannot be written to.
    found = np.array(array)
    found[row] = value
    return found


def donors_of(groups: np.ndarray, repeats: int, seed: int) -> Iterator[np.ndarray]:
    """For each repeat, which row's cells each row gets: never its own, nor those of its group.

    The groups are put in a random order, and every row gets the cells of the row that stands a
    random distance before it, so each row gives its cells once. If one group has more than half of
    the rows, some rows get cells of their own group.

    Args:
        groups: `(rows,) int64`, the group of each row, from 0 on.
        repeats: How often.
        seed: Draws the same rows each time.
    """
    rng = np.random.Generator(np.random.Philox(seed))
    rows = len(groups)
    largest = int(np.bincount(groups).max())
    least = largest if 2 * largest <= rows else 1
    for _ in range(repeats):
        place = rng.permutation(int(groups.max()) + 1)[groups]
        order = np.lexsort((rng.random(rows), place))
        donors = np.empty(rows, "int64")
        donors[order] = np.roll(order, int(rng.integers(least, rows - least + 1)))
        yield donors
