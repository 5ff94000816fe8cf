"""How well the two cells of rows fit, by pairs of encoders that were not trained on these rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import pandas as pd

from multimodal_gen.bundle.exchanged import probability_of_exchange
from multimodal_gen.bundle.pair_items import items_in, row_codes
from multimodal_gen.bundle.retrieval import places_of
from multimodal_gen.loaders.base import Loader


class Encoders(Protocol):
    """A pair of encoders, such as a `DualEncoder`."""

    @property
    def inputs(self) -> dict[str, Loader]:
        """Input name -> loader."""

    def _vectors(self, table: pd.DataFrame, batch_size: int) -> dict[str, np.ndarray]:
        """Input name -> its vectors."""


def better_fits_of(
    inputs: Mapping[str, Loader], table: pd.DataFrame, vectors: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    """For each cell the share of the other rows whose other cell fits it better.

    Args:
        inputs: Name -> loader of the two inputs.
        table: The rows.
        vectors: Input name -> its vectors of the rows, NaN for rows that could not be read.

    Returns:
        As `DualEncoder.better_fits`.
    """
    lost = np.logical_or.reduce([np.isnan(one).any(axis=1) for one in vectors.values()])
    good = np.flatnonzero(~lost)
    same = [row_codes(items_in(table.iloc[good], one), len(good)) for one in inputs.values()]
    shares = pd.DataFrame(np.nan, table.index, list(vectors))
    for place, (query, other) in enumerate((tuple(vectors), tuple(vectors)[::-1])):
        worse = places_of(vectors[query][good], vectors[other][good], same, own=True)
        shares.iloc[good, place] = worse / max(len(good) - 1, 1)
    return shares


def fits_of(judged: Sequence[tuple[Encoders, pd.DataFrame]], batch_size: int = 64) -> pd.DataFrame:
    """How well the cells of rows fit, each by a pair that was not trained on it.

    Args:
        judged: Pairs of encoders with the same inputs, and the rows that each judges.
        batch_size: Rows per batch.

    Returns:
        The columns of `DualEncoder.better_fits`; "similarity", the cosine of a row's two vectors;
            and "exchanged", the probability that its cells belong to different rows, for which all
            rows are judged together. NaN for rows that cannot be loaded.
    """
    parts, pairs = [], []
    for pair, rows in judged:
        vectors = pair._vectors(rows, batch_size)
        first, second = vectors.values()
        own = better_fits_of(pair.inputs, rows, vectors)
        parts.append(own.assign(similarity=(first * second).sum(axis=1)))
        pairs.append((first, second))
    return pd.concat(parts).assign(exchanged=probability_of_exchange(pairs))
