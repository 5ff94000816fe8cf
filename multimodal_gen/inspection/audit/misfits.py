"""Rows whose picture and text fit those of other rows better, by a pair of encoders."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
import pandas as pd

from multimodal_gen.errors import TableError
from multimodal_gen.inspection.audit.findings import UNUSABLE, Finding
from multimodal_gen.loaders.base import Loader
from multimodal_gen.rows.cells import is_missing

# Of the rows that are reported, at least this share is expected to be exchanged ones.
_SHARE = 0.5
# The columns of fits beside those of the two inputs.
_BESIDE = ("similarity", "exchanged")
# Among so few rows, ranks say little.
_FEWEST = 20


class Pair(Protocol):
    """What a pair of encoders is asked here; a `DualEncoder` can answer."""

    inputs: dict[str, Loader]

    def fits(self, table: pd.DataFrame, /) -> pd.DataFrame:
        """How well the two cells of each row fit."""


def unlike_rows(fits: pd.DataFrame) -> np.ndarray:
    """Positions of the rows whose two cells hardly fit, the worst first.

    As many as at least half of are exchanged, as their probabilities promise: a bound of the
    expected false discovery rate (Efron, "Large-scale inference", 2010, chapter 5).

    Args:
        fits: For both inputs, the share of other rows that fit better, and "exchanged", the
            probability that the row's cells belong to different rows.
    """
    chances = fits["exchanged"].to_numpy("float64")
    worst = np.argsort(-chances, kind="stable")
    worst = worst[~np.isnan(chances[worst])]
    expected = np.cumsum(chances[worst]) / np.arange(1, len(worst) + 1)
    return np.asarray(worst[expected >= _SHARE])


def check_pair(pair: Any) -> None:
    """Raise a TypeError unless it is a pair of encoders, shares of better fits, or None."""
    if pair is None or isinstance(pair, pd.DataFrame) or hasattr(pair, "better_fits"):
        return
    raise TypeError(
        f"`pair` must be a DualEncoder, or what `out_of_fold_fits` returns. Received: pair={pair!r}"
    )


def check_fits(fits: pd.DataFrame, rows: pd.DataFrame) -> None:
    """Find out whether fits are of rows of a table.

    Raises:
        TableError: If their index is not that of the table or of some of its rows, each once.
        ValueError: If there are not two inputs, or a column is missing.
    """
    if len(_inputs_of(fits)) != 2 or "exchanged" not in fits.columns:
        raise ValueError(
            'The fits of pairs must have a column for each of two inputs, and "exchanged", as '
            f"`out_of_fold_fits` returns them. Received: columns {list(fits.columns)}"
        )
    strange = ~fits.index.isin(rows.index)
    if strange.any() or not fits.index.is_unique or fits.empty:
        first = [*fits.index[strange], *fits.index[fits.index.duplicated()], "no rows"][0]
        raise TableError(
            "The fits of pairs must have the index of the table, or of some of its rows, each "
            f"once. Received: index {first!r}"
        )


def misfits_of(fits: pd.DataFrame, rows: pd.DataFrame, column: str) -> list[Finding]:
    """The rows whose two cells hardly fit, by fits that are known already.

    Args:
        fits: As above, with labels of the table's index.
        rows: The rows.
        column: What findings name as their column.
    """
    return _findings(fits.reindex(rows.index), np.arange(len(rows)), column)


def _inputs_of(fits: pd.DataFrame) -> list[str]:
    return [name for name in fits.columns if name not in _BESIDE]


def _percent(chance: float) -> str:
    # One that is not certain does not read as certain.
    return "more than 99%" if chance > 0.99 else f"{chance:.0%}"


def _findings(fits: pd.DataFrame, places: np.ndarray, column: str) -> list[Finding]:
    first, second = _inputs_of(fits)
    worst = unlike_rows(fits).tolist()
    return [
        Finding(
            int(places[row]),
            column,
            "unlike pair",
            f"number {rank:,} of {len(worst):,}: exchanged with a probability of "
            f"{_percent(fits['exchanged'].iloc[row])}; {fits[first].iloc[row]:.0%} of other rows "
            f"have a better {second} for this {first}, and {fits[second].iloc[row]:.0%} a better "
            f"{first} for this {second}",
        )
        for rank, row in enumerate(worst, 1)
    ]


def misfits(rows: pd.DataFrame, pair: Pair, findings: Iterable[Finding]) -> list[Finding]:
    """Find the rows whose two cells hardly fit.

    Args:
        rows: The rows.
        pair: What makes vectors of them, trained on other rows.
        findings: Problems that were found before; rows that cannot be read are left out.
    """
    columns = [str(one.column) for one in pair.inputs.values()]
    lost = {one.position for one in findings if one.kind in UNUSABLE and one.column in columns}
    whole = ~np.logical_or.reduce([rows[one].map(is_missing).to_numpy(bool) for one in columns])
    whole[list(lost)] = False
    places = np.flatnonzero(whole)
    if len(places) < _FEWEST:
        return []
    with warnings.catch_warnings():
        # Of rows that only the loaders of the pair cannot read; they are no misfits.
        warnings.simplefilter("ignore")
        fits = pair.fits(rows.iloc[places])
    return _findings(fits, places, ", ".join(columns))
