"""The explained number of a row when some of its inputs are replaced: what all explanations ask.

Inputs that read the same columns are replaced together, as one player. One that is left out is what
the model knows as missing, where its loaders have `missing="blank"`. Otherwise it comes from other
rows, the background, and the value is the mean over them; or it is blank, where there is no
background.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.bundle.explaining.model_parts import Arrays, Parts
from multimodal_gen.bundle.explaining.reading import blank_arrays, read_table
from multimodal_gen.bundle.explaining.shapley import coalitions, shapley
from multimodal_gen.bundle.explaining.subjects import Subject

# Rows of the background. Of a model that cannot be cut, each costs a run of the whole model for
# each set of inputs: so there are fewer, and at most so many runs for a row.
_BACKGROUND, _BACKGROUND_WHOLE, _RUNS_WHOLE = 32, 8, 64
# With fewer other rows, their mean says too little about what is usual.
FEWEST = 8
# Rows that the head gets at once.
_HEAD_ROWS = 8192


@dataclass(frozen=True)
class Batch:
    """Rows that are explained together.

    Args:
        table: The rows.
        arrays: Player -> its arrays.
        codes: Player -> what its encoder made of them.
        outputs: The model's outputs.
        explained: The class or number that is explained of each row.
        values: `(rows,)`, its value.
        background: `(rows, variants)`, which rows of the background stand for a missing input of
            each row; never the row itself.
    """

    table: pd.DataFrame
    arrays: dict[str, Arrays]
    codes: dict[str, Arrays]
    outputs: Any
    explained: list[Any]
    values: np.ndarray
    background: np.ndarray


class Engine:
    """A model and the background.

    Args:
        parts: The model.
        subject: What is explained.
        batch_size: Rows per batch.
    """

    def __init__(self, parts: Parts, subject: Subject, batch_size: int) -> None:
        self.parts, self.subject, self.batch_size = parts, subject, batch_size
        self.players = parts.players
        parts.batch_size = batch_size
        self.masked = {name for name, one in self.players.items() if one.masked}
        self.background_table: pd.DataFrame | None = None
        self._absent: dict[str, Arrays] = {}
        self._places = np.zeros(0, "int64")

    def take_background(self, table: pd.DataFrame, places: np.ndarray | None) -> None:
        """Read and encode the rows that stand for missing inputs.

        Args:
            table: Rows, of which up to 32 are drawn; the same in every call.
            places: Where they stand among the rows that are explained, if they are among them.
        """
        most = _BACKGROUND
        if self.parts.is_whole:
            sets = len(coalitions(len(self.players)))
            most = max(1, min(_BACKGROUND_WHOLE, _RUNS_WHOLE // sets))
        rng = np.random.Generator(np.random.Philox(key=len(table)))
        # One more among the rows explained, as a row does not stand for itself.
        chosen = np.sort(rng.permutation(len(table))[: most + (places is not None)])
        part = table.iloc[chosen]
        arrays, errors = read_table(self.players, part, self.batch_size)
        good = np.array([row for row in range(len(part)) if row not in errors], "int64")
        if len(good) < min(len(chosen), FEWEST):
            return
        self.background_table = part.iloc[good]
        self._places = np.full(len(good), -1) if places is None else places[chosen][good]
        for name, own in arrays.items():
            self._absent[name] = self.parts.encode(name, [one[good] for one in own])

    def prepare(self) -> None:
        """Encode what stands for inputs that are missing, where that is not the background."""
        for name, player in self.players.items():
            if name in self.masked or name not in self._absent:
                self._absent[name] = self.parts.encode(name, blank_arrays(player))

    def batch(self, table: pd.DataFrame, arrays: dict[str, Arrays], places: np.ndarray) -> Batch:
        """Encode rows that were read.

        Args:
            table: The rows.
            arrays: Their arrays.
            places: Where they stand among all rows that are explained.
        """
        codes = {name: self.parts.encode(name, own) for name, own in arrays.items()}
        outputs = self.parts.outputs(codes)
        explained = self.subject.explained(outputs)
        values = self.subject.values(outputs, explained)
        variants = len(self._places) - int((self._places >= 0).any())
        background = np.zeros((len(table), variants), "int64")
        for row, place in enumerate(places):
            others = np.flatnonzero(self._places != place)
            background[row] = others[:variants]
        return Batch(table, arrays, codes, outputs, explained, values, background)

    def changed(self, batch: Batch, name: str, codes: Arrays, rows: np.ndarray) -> np.ndarray:
        """The values of rows with another player.

        Args:
            batch: The rows.
            name: The player that is replaced.
            codes: What its encoder made of the replacement, `(variants, ...)`.
            rows: Which row each of the variants is of.

        Returns:
            `(variants,)`.
        """
        found = []
        for start in range(0, len(rows), _HEAD_ROWS):
            part = rows[start : start + _HEAD_ROWS]
            given = {key: [one[part] for one in own] for key, own in batch.codes.items()}
            given[name] = [one[start : start + _HEAD_ROWS] for one in codes]
            found.append(self._values(batch, given, part))
        return np.concatenate(found) if found else np.zeros(0)

    def _values(self, batch: Batch, codes: Mapping[str, Arrays], rows: np.ndarray) -> np.ndarray:
        explained = [batch.explained[row] for row in rows]
        return self.subject.values(self.parts.outputs(codes), explained)

    def with_only(self, batch: Batch, present: Sequence[str]) -> np.ndarray:
        """The values of the rows where all inputs but these are missing, `(rows,)`."""
        rows = len(batch.values)
        absent = [name for name in self.players if name not in present]
        if not absent:
            return batch.values
        drawn = any(self._is_drawn(name) for name in absent)
        variants = batch.background.shape[1] if drawn else 1
        total = np.zeros(rows)
        step = max(1, _HEAD_ROWS // rows)
        for start in range(0, variants, step):
            count = min(step, variants - start)
            place = np.repeat(np.arange(rows), count)
            codes = {}
            for name in self.players:
                if name in present:
                    codes[name] = [one[place] for one in batch.codes[name]]
                elif self._is_drawn(name):
                    chosen = batch.background[:, start : start + count].ravel()
                    codes[name] = [one[chosen] for one in self._absent[name]]
                else:
                    codes[name] = [np.repeat(one, len(place), 0) for one in self._absent[name]]
            total += self._values(batch, codes, place).reshape(rows, count).sum(axis=1)
        mean: np.ndarray = total / variants
        return mean

    def _is_drawn(self, name: str) -> bool:
        return self.background_table is not None and name not in self.masked

    def shares(self, batch: Batch) -> dict[str, np.ndarray]:
        """What each player adds to the value.

        Returns:
            "share" `(players, rows)`, the Shapley values; "alone", what an input adds to nothing;
            "needed", what is lost without it; and "baseline" `(rows,)`, the value without any.
        """
        names = list(self.players)
        values = {}
        for members in coalitions(len(names)):
            present = [name for place, name in enumerate(names) if members >> place & 1]
            values[members] = self.with_only(batch, present)
        alone = [
            self.with_only(batch, [name]) if (one := values.get(1 << place)) is None else one
            for place, name in enumerate(names)
        ]
        whole = (1 << len(names)) - 1
        without = [
            self.with_only(batch, [key for key in names if key != name])
            if (one := values.get(whole & ~(1 << place))) is None
            else one
            for place, name in enumerate(names)
        ]
        return {
            "share": shapley(values, len(names)),
            "alone": np.stack(alone) - values[0],
            "needed": batch.values - np.stack(without),
            "baseline": values[0],
        }
