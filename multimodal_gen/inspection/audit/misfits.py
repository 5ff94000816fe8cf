"""Rows whose picture and text fit those of other rows better, by a pair of encoders."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Protocol

import numpy as np
import pandas as pd

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
    found = np.flatnonzero((shares.to_numpy() > _SHARE).all(axis=1))
    first, second = shares.columns
    return [
        Finding(
            int(places[row]),
            ", ".join(columns),
            "unlike pair",
            f"{shares[first].iloc[row]:.0%} of the other rows have a better {second} for this "
            f"{first}, and {shares[second].iloc[row]:.0%} a better {first} for this {second}",
        )
        for row in found
    ]
