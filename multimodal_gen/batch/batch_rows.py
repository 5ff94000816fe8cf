"""The rows of one batch: their positions, and their cells and labels from the table.

A thread looks cells up in the table when it starts the batch (`TableRows`). A worker process does
not have the table: it is given the cells of its batches (`GivenRows`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from multimodal_gen.errors import LoadError
from multimodal_gen.rows.cells import is_unreadable
from multimodal_gen.rows.plan import Plan
from multimodal_gen.rows.table import readable_cells, with_origin


class BatchRows(Protocol):
    """What a batch must know of its rows.

    Attributes:
        positions: Positions of the rows in the table, `(rows,)`.
        padding: Number of rows at the end that only fill up the batch.
        excluded: `(rows,) bool`: rows that are left out though they can be loaded.
    """

    @property
    def positions(self) -> np.ndarray: ...  # noqa: D102 - see above

    @property
    def padding(self) -> int: ...  # noqa: D102

    @property
    def excluded(self) -> np.ndarray: ...  # noqa: D102

    def cells(self, column: str | tuple[str, ...]) -> list[Any]:
        """Return the cells of a column; of several columns, one tuple per row. What the table's
        files do not give is `Unreadable`.
        """

    def label(self, row: int) -> Any:
        """Return the label of a row of the batch in the table's own index."""

    def located(self, error: LoadError, row: int) -> LoadError:
        """Return the error of a cell with the file that the table keeps it in, if that is known."""

    def bucket(self) -> int:
        """Return the greatest bucket of the batch's rows, over all ranks."""


class TableRows:
    """The rows of a batch that a plan chooses from a table.

    Args:
        table: The table.
        plan: Which rows the batch has.
        epoch: The epoch, counting from 0.
        index: The position of the batch in its epoch.
        excluded: Positions of rows that are left out.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        plan: Plan,
        epoch: int,
        index: int,
        excluded: frozenset[int] = frozenset(),
    ) -> None:
        self._table, self._plan, self._place = table, plan, (epoch, index)
        self.positions, self.padding = plan.batch(epoch, index)
        self.excluded = np.isin(self.positions, list(excluded))

    def cells(self, column: str | tuple[str, ...]) -> list[Any]:
        """See `BatchRows`."""
        return readable_cells(self._table, column, self.positions)

    def label(self, row: int) -> Any:
        """See `BatchRows`."""
        return self._table.index[self.positions[row : row + 1]].tolist()[0]

    def located(self, error: LoadError, row: int) -> LoadError:
        """See `BatchRows`."""
        assert error.column is not None
        return with_origin(error, self._table, error.column, int(self.positions[row]))

    def bucket(self) -> int:
        """See `BatchRows`."""
        return self._plan.bucket(*self._place)

    def given(self, columns: Sequence[str], bucketed: bool) -> GivenRows:
        """Return the same rows without the table.

        Args:
            columns: The columns that are read.
            bucketed: Whether `bucket` will be called.
        """
        # Once per column, though several loaders may read it.
        cells = {column: self.cells(column) for column in dict.fromkeys(columns)}
        labels = self._table.index[self.positions].tolist()
        bucket = self.bucket() if bucketed else None
        return GivenRows(self.positions, self.padding, self.excluded, cells, labels, bucket)


@dataclass(frozen=True, eq=False)
class GivenRows:
    """The rows of a batch with their cells.

    Args:
        positions: Positions of the rows in the table, `(rows,)`.
        padding: Number of rows at the end that only fill up the batch.
        excluded: `(rows,) bool`: rows that are left out though they can be loaded.
        by_column: Column -> cells.
        labels: Labels of the rows in the table's own index.
        greatest_bucket: The greatest bucket of the batch's rows, or None without buckets.
    """

    positions: np.ndarray
    padding: int
    excluded: np.ndarray
    by_column: Mapping[str, list[Any]]
    labels: list[Any]
    greatest_bucket: int | None = None

    def cells(self, column: str | tuple[str, ...]) -> list[Any]:
        """See `BatchRows`."""
        if isinstance(column, str):
            # A copy, because operations on samples replace cells in place.
            return list(self.by_column[column])
        several = zip(*(self.by_column[one] for one in column), strict=True)
        # A row of which one cell cannot be had cannot be read.
        return [next(filter(is_unreadable, cells), cells) for cells in several]

    def label(self, row: int) -> Any:
        """See `BatchRows`."""
        return self.labels[row]

    def located(self, error: LoadError, row: int) -> LoadError:
        """See `BatchRows`. The process that has the table does it."""
        return error

    def bucket(self) -> int:
        """See `BatchRows`."""
        assert self.greatest_bucket is not None
        return self.greatest_bucket
