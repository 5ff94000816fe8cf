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

# A row is reported above this share of better fits in both directions. With 5 % of product titles
# exchanged, five of six reported rows were exchanged ones.
_SHARE = 0.25
# Among so few rows, ranks say little.
_FEWEST = 20


class Pair(Protocol):
    """What a pair of encoders is asked here; a `DualEncoder` can answer."""

    inputs: dict[str, Loader]

    def better_fits(self, table: pd.DataFrame, /) -> pd.DataFrame:
        """The share of the rows with a better cell for each of a row's two."""


def unlike_rows(fits: pd.DataFrame) -> np.ndarray:
    """Positions of the rows whose two cells hardly fit, the worst first.

    Args:
        fits: For both inputs, the share of other rows that fit better; and perhaps "similarity", by
            which rows are ranked: shares among a few hundred rows are often equal.
    """
    shares = fits.drop(columns="similarity", errors="ignore").to_numpy("float64")
    found = np.flatnonzero((shares > _SHARE).all(axis=1))
    badness = -fits["similarity"].to_numpy() if "similarity" in fits else shares.sum(axis=1)
    return np.asarray(found[(-badness[found]).argsort(kind="stable")])


def check_pair(pair: Any) -> None:
    """Raise a TypeError unless it is a pair of encoders, shares of better fits, or None."""
    if pair is None or isinstance(pair, pd.DataFrame) or hasattr(pair, "better_fits"):
        return
    raise TypeError(
        f"`pair` must be a DualEncoder, or what `out_of_fold_fits` returns. Received: pair={pair!r}"
    )


def check_fits(fits: pd.DataFrame, rows: pd.DataFrame) -> None:
    """Find out whether shares of better fits are of rows of a table.

    Raises:
        TableError: If their index is not that of the table or of some of its rows, each once.
        ValueError: If there are not two inputs.
    """
    if len([name for name in fits.columns if name != "similarity"]) != 2:
        raise ValueError(
            "The fits of pairs must have a column for each of two inputs, as `out_of_fold_fits` "
            f"returns them. Received: columns {list(fits.columns)}"
        )
    strange = ~fits.index.isin(rows.index)
    if strange.any() or not fits.index.is_unique or fits.empty:
        first = [*fits.index[strange], *fits.index[fits.index.duplicated()], "no rows"][0]
        raise TableError(
            "The fits of pairs must have the index of the table, or of some of its rows, each "
            f"once. Received: index {first!r}"
        )


def misfits_of(fits: pd.DataFrame, rows: pd.DataFrame, column: str) -> list[Finding]:
    """The rows whose two cells hardly fit, by shares of better fits that are known already.

    Args:
        fits: As above, with labels of the table's index.
        rows: The rows.
        column: What findings name as their column.
    """
    return _findings(fits.reindex(rows.index), np.arange(len(rows)), column)


def _findings(fits: pd.DataFrame, places: np.ndarray, column: str) -> list[Finding]:
    first, second = (name for name in fits.columns if name != "similarity")
    worst = unlike_rows(fits).tolist()
    return [
        Finding(
            int(places[row]),
            column,
            "unlike pair",
            f"number {rank:,} of {len(worst):,}: {fits[first].iloc[row]:.0%} of the other rows "
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
        shares = pair.better_fits(rows.iloc[places])
    return _findings(shares, places, ", ".join(columns))
