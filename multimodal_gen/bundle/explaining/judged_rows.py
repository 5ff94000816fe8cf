"""The rows that models are judged on while cells are exchanged: of one bundle, or of each fold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.bundle.explaining.model_parts import Parts
from multimodal_gen.bundle.explaining.permuting import Permuted, donors_of
from multimodal_gen.bundle.held_out import Rows, with_truth
from multimodal_gen.errors import counted


@dataclass(frozen=True, eq=False)
class Judged:
    """Rows that one model is judged on.

    Attributes:
        bundle: The model with its loaders and target.
        parts: Its parts.
        table: The rows, which it was not trained on.
    """

    bundle: Any
    parts: Parts
    table: pd.DataFrame


class RowsOfModel:
    """The rows of one model, which are read and encoded once.

    Args:
        judged: The model and its rows.
        groups: `(rows,)`, the group of each row.
        batch_size: Rows per batch.
        on_error: What to do with a bad row: "raise", or "skip".
        seed: Seed of the exchanges.

    Attributes:
        rows: Name of a target -> the rows that can be scored.
        groups: `(rows,)`, the group of each of these.
        left_out: How many could not be scored.
    """

    def __init__(
        self, judged: Judged, groups: np.ndarray, batch_size: int, on_error: str, seed: int
    ) -> None:
        bundle, self.seed = judged.bundle, seed
        self.permuted = Permuted(judged.parts, judged.table, bundle.target, batch_size)
        rows = with_truth(bundle, judged.table, batch_size, on_error, self.permuted.predict)
        if len(rows.positions) < 2:
            raise ValueError(
                "Cells can be exchanged between two rows or more. Received: a table of "
                f"{counted(len(rows.positions), 'row')} that can be scored"
            )
        self.permuted.keep(rows.positions)
        self.groups, self.left_out = groups[rows.positions], rows.left_out
        self.rows = dict(rows.by_target)

    def exchanged(self, player: str, column: str | None, repeats: int) -> Iterator[Any]:
        """The outputs of each repeat.

        Args:
            player: Whose cells are exchanged between the rows.
            column: The one of its columns; None for all.
            repeats: How often.
        """
        _, own = np.unique(self.groups, return_inverse=True)
        for donors in donors_of(own, repeats, self.seed):
            yield self.permuted.exchanged(player, column, donors)


def together(rows: Sequence[Rows]) -> Rows:
    """The rows of several models with the same target, one after the other."""
    truth, outputs = (
        np.concatenate([getattr(one, name) for one in rows]) for name in ("truth", "outputs")
    )
    return Rows(rows[0].target, truth, outputs)
