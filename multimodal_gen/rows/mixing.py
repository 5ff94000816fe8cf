"""`Mix`: how much of each batch the sources of a table have, such as the tables it was made of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.errors import TableError
from multimodal_gen.rows.checks import check_positive
from multimodal_gen.rows.chunks import text_codes
from multimodal_gen.rows.mixture import Mixture
from multimodal_gen.rows.sampling import Sampler, draw_weights
from multimodal_gen.rows.table import check_columns


class Mix(Sampler):
    """Give each source of a table a fixed share of every batch and of every epoch.

    The share is rounded up or down to whole rows in each batch, and likewise in all full batches of
    an epoch together. The rows of a source come in random order, each once before any of them comes
    again: a small source is gone through several times in an epoch, and a large one goes on in the
    next epoch where it stopped. A batch depends on the seed, the epoch and its number alone.

    Args:
        shares: Source -> share, greater than 0, in any unit: `{"a": 0.7, "b": 0.3}` and `{"a": 7,
            "b": 3}` are the same. Or a list of such mappings for the first epochs, of which the
            last goes on; a source that a mapping does not name has no row in its epochs.
        column: The column of sources, as `concat_tables` makes it.
        rows: Rows of an epoch; by default as many as the table has.

    Raises:
        ValueError: If a share is not a finite number greater than 0, or there is none.

    Example:
        table = mg.concat_tables({"shop": shop, "web": web})
        mg.MultimodalSequence(table, inputs, target, sampler=mg.Mix({"shop": 0.7, "web": 0.3}))
    """

    def __init__(
        self,
        shares: Mapping[str, float] | Sequence[Mapping[str, float]],
        *,
        column: str = "source",
        rows: int | None = None,
    ) -> None:
        by_epoch: list[Any] = list(shares) if isinstance(shares, list | tuple) else [shares]
        if not by_epoch:
            raise ValueError("`shares` must name at least one source. Received: shares=[]")
        for one in by_epoch:
            _check_shares(one, shares)
        if rows is not None:
            check_positive(rows=rows)
        self.shares, self.column, self.rows = shares, column, rows
        self._by_epoch: list[Mapping[str, float]] = by_epoch

    def weights(self, table: pd.DataFrame) -> np.ndarray:
        """The share of the row's source in the first epoch, divided by the rows of that source.

        Raises:
            TableError: As `mixture`.
        """
        mixture = self.mixture(table)
        weights = np.zeros(len(table))
        for rows, share in zip(mixture.positions, mixture.shares[0], strict=True):
            weights[np.asarray(rows)] = share / len(rows)
        return weights

    def mixture(self, table: pd.DataFrame) -> Mixture:
        """The rows of each source in a table, with its shares.

        Raises:
            TableError: If there is no such column, a row has no source, a source has no rows, or
                rows have a source without a share.
        """
        check_columns(table, [self.column])
        codes, found = text_codes(table[self.column])
        if (codes < 0).any():
            raise TableError(
                "A mix needs a source in every row. Received: a missing value at index "
                f"{table.index[codes < 0][:1].tolist()[0]!r}, column {self.column!r}"
            )
        names = list(dict.fromkeys(name for one in self._by_epoch for name in one))
        absent = [name for name in names if name not in found]
        if absent:
            raise TableError(
                f"Every source must have rows; the table has {_listed(found)} in {self.column!r}. "
                f"Received: a share for {_listed(absent)}"
            )
        unnamed = [name for name in found if name not in names]
        if unnamed:
            raise TableError(
                "Every source of the table must have a share; drop the rows of others, as with "
                f"`table[table[{self.column!r}] != {unnamed[0]!r}]`. Received: shares for "
                f"{_listed(names)}, and also rows of {_listed(unnamed)}"
            )
        return Mixture(
            tuple(names),
            tuple(_positions(codes, found.index(name)) for name in names),
            tuple(tuple(float(one.get(name, 0)) for name in names) for one in self._by_epoch),
            len(table) if self.rows is None else int(self.rows),
        )


def drawn(sampler: Sampler | None, table: pd.DataFrame) -> tuple[np.ndarray | None, Mixture | None]:
    """What a plan draws a table's rows by: a weight for each, or sources with shares, or neither.

    Raises:
        TableError: As `draw_weights` and `Mix.mixture`.
    """
    if isinstance(sampler, Mix):
        return None, sampler.mixture(table)
    return draw_weights(sampler, table), None


def _check_shares(shares: Any, received: Any) -> None:
    if not isinstance(shares, Mapping) or not shares:
        raise ValueError(
            '`shares` must map sources to numbers, as in {"a": 0.7, "b": 0.3}, or be a list of '
            f"such mappings, one for each of the first epochs. Received: shares={received!r}"
        )
    for name, share in shares.items():
        number = isinstance(share, Real) and not isinstance(share, bool)
        if not isinstance(name, str) or not number or not 0 < share < math.inf:
            raise ValueError(
                "The share of a source must be a finite number greater than 0; leave out a source "
                f"that should not come. Received: {name!r}: {share!r}"
            )


def _positions(codes: np.ndarray, code: int) -> range | np.ndarray:
    # Where all follow one another, as after `concat_tables`, two numbers say which they are.
    rows = np.flatnonzero(codes == code)
    if rows[-1] - rows[0] + 1 == len(rows):
        return range(int(rows[0]), int(rows[-1]) + 1)
    return rows


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:10])) + (", ..." if len(names) > 10 else "")
