"""Mean and scatter of what a loader reads, gathered in one pass that holds few arrays at a time."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import partial
from typing import Self

import numpy as np
import pandas as pd
from tqdm import tqdm

from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.cell_errors import read_at
from multimodal_gen.loaders.reading import map_chunks
from multimodal_gen.rows.table import cells_of, check_columns

_MAX_THREADS = 4
# How much one task reads at most.
_CHUNK_VALUES, _CHUNK_ROWS = 2**20, 256


@dataclass(frozen=True)
class Moments:
    """Mean and scatter of observations; those of two parts combine to those of the whole.

    Args:
        count: How many observations there are.
        mean: Their mean, `(values,) float64`.
        scatter: The sums of the products of their deviations from the mean, `(values, values)
            float64`: their covariance times `count`.
    """

    count: int
    mean: np.ndarray
    scatter: np.ndarray

    @classmethod
    def of(cls, observations: np.ndarray) -> Self:
        """Of `(count, values)` numbers, at least one observation."""
        # Transposed, so that the innermost axis is long: pixels have only three values.
        deviations = np.array(observations.T, "float64", order="C")
        mean = deviations.mean(axis=1)
        deviations -= mean[:, None]
        return cls(len(observations), mean, deviations @ deviations.T)

    def __add__(self, other: Moments) -> Moments:
        """Combine both (Chan, Golub and LeVeque, 1983), stable where sums of squares are not."""
        count, step = self.count + other.count, other.mean - self.mean
        between = np.outer(step, step * (self.count * other.count / count))
        return Moments(
            count, self.mean + step * (other.count / count), self.scatter + other.scatter + between
        )


def moments_of_table(loader: Loader, table: pd.DataFrame, values: int, verbose: int) -> Moments:
    """Moments of all arrays a loader reads from a table, in one pass that holds few at a time.

    Args:
        loader: A loader of one column.
        table: The rows.
        values: How many values an observation has. An array is cut into as many observations as it
            holds: the length of its last axis makes an observation of each pixel, its size one of
            the array.
        verbose: 0 for silence, 1 for a progress bar.

    Raises:
        LoadError: If a cell cannot be loaded; it names the row's index, the column and the path.
        TableError: If the table has no rows or no such column.
    """
    assert isinstance(loader.column, str)
    check_columns(table, [loader.column])
    if loader.missing == "blank":
        # Missing pictures have no pixels to learn from.
        table = table[table[loader.column].notna()]
        check_columns(table, [loader.column])
    size = min(_CHUNK_ROWS, max(1, _CHUNK_VALUES // math.prod(loader.spec.shape)))

    chunks = [range(start, min(start + size, len(table))) for start in range(0, len(table), size)]
    threads = min(_MAX_THREADS, os.cpu_count() or 1)
    total: Moments | None = None
    with tqdm(
        total=len(table), desc="learning normalization", unit="row", disable=not verbose
    ) as bar:
        found = map_chunks(partial(_moments_of, loader, table, values), chunks, threads, "moments")
        for rows, moments in zip(chunks, found, strict=True):
            # Added in the order of the chunks, so that rounding does not depend on the speed of
            # threads.
            total = moments if total is None else total + moments
            bar.update(len(rows))
    assert total is not None
    return total


def _moments_of(loader: Loader, table: pd.DataFrame, values: int, rows: range) -> Moments:
    part = slice(rows.start, rows.stop)
    cells, labels = cells_of(table, loader.column, part), table.index[part].tolist()
    images = [read_at(loader, cell, label) for cell, label in zip(cells, labels, strict=True)]
    return Moments.of(np.concatenate([image.reshape(-1, values) for image in images]))
