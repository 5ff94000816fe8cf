"""The list of rows that could not be loaded or must not be trained on, and the limit on how many
there may be.

Rows are only recorded here. `draft.py` decides what happens to a row when its cell cannot be read,
and `finishing.py` sets its weight to 0 or leaves it out, as `on_error` says. It is never replaced
by another row.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any

import pandas as pd

from multimodal_gen.errors import LoadError, TableError, by_number, counted

POLICIES = ("raise", "skip", "blank")
_COLUMNS = ["index", "column", "path", "error", "epoch"]
# Bad rows may be next to each other, so their share among fewer rows than this says little.
_ROWS_TO_JUDGE_BY = 10_000


class Found:
    """What one batch tells a `FailureLog`, when it is taken: one that nobody asks for, after an
    early end, does not count.
    """

    def __init__(self) -> None:
        self.cells: list[tuple[int, LoadError, int]] = []
        self.rows = 0

    def add(self, position: int, error: LoadError, epoch: int) -> None:
        """Add a cell that could not be loaded."""
        self.cells.append((int(position), error, epoch))

    def count(self, rows: int) -> None:
        """Add to the number of rows that have been read."""
        self.rows += rows

    def tell(self, log: FailureLog) -> None:
        """Tell a log.

        Raises:
            TableError: If too many rows are lost.
        """
        for position, error, epoch in self.cells:
            log.add(position, error, epoch)
        log.count(self.rows)


class FailureLog:
    """The cells of one table that could not be loaded, each once. Thread-safe.

    Args:
        num_rows: Rows of the table.
        max_error_rate: Greatest share of the rows read so far that may be lost.
    """

    def __init__(self, num_rows: int, max_error_rate: float) -> None:
        self._num_rows, self._max_error_rate = num_rows, max_error_rate
        self._lock = threading.Lock()
        self._found: dict[tuple[int, str], tuple[LoadError, int]] = {}
        self._lost: set[int] = set()
        # Copied when it changes, as batches in progress hold it.
        self._excluded: frozenset[int] = frozenset()
        self._read = 0

    def count(self, rows: int) -> None:
        """Add to the number of rows that have been read."""
        with self._lock:
            self._read += rows

    def add(self, position: int, error: LoadError, epoch: int) -> None:
        """Add a cell, unless it is already listed.

        Args:
            position: Position of the row in the table.
            error: What is wrong with the cell. Without a column, no cell is to blame: the row can
                be loaded, and is left out from now on.
            epoch: The epoch, counting from 0.

        Raises:
            TableError: If too many rows are lost.
        """
        with self._lock:
            # The first epoch stays, so that the list does not change when a row fails again.
            self._found.setdefault((int(position), str(error.column)), (error, epoch))
            self._lost.add(int(position))
            if error.column is None:
                self._excluded |= {int(position)}
            lost, read = len(self._lost), min(self._num_rows, max(self._read, _ROWS_TO_JUDGE_BY))
            if lost <= self._max_error_rate * read:
                return
            # The first in the table, so the message does not depend on which thread was faster.
            first = min(self._found.items(), key=lambda item: item[0])[1][0]
            bad = "loaded, or trained on" if self._excluded else "loaded"
        raise TableError(
            f"{counted(lost, 'row')} cannot be {bad}: more than a share of "
            f"{self._max_error_rate:g} of the {read:,} rows that count so far. "
            "`sequence.failures` lists them; fix them, drop them with `leave_out(table, "
            "sequence.failures)`, or allow more with "
            f"`max_error_rate`. The first: {first} Received: "
            f"max_error_rate={self._max_error_rate!r}"
        )

    def frame(self) -> pd.DataFrame:
        """Return one row per cell, in the order of the table; see `MultimodalSequence.failures`."""
        with self._lock:
            # By position, as threads find them in any order.
            found = sorted(self._found.items(), key=lambda item: item[0])
        rows = [
            (error.index, error.column, error.path, error.reason, epoch)
            for _, (error, epoch) in found
        ]
        frame = pd.DataFrame(rows, columns=_COLUMNS)
        # In a column of texts, pandas 3 would make NaN of a cell without a file.
        frame["path"] = pd.Series([row[2] for row in rows], dtype=object)
        return frame

    @property
    def positions(self) -> dict[int, str]:
        """Position in the table -> error messages of the row."""
        with self._lock:
            found = sorted(self._found.items(), key=lambda item: item[0])
        reasons: dict[int, str] = {}
        for (position, _), (error, _) in found:
            reasons[position] = (
                f"{reasons[position]}; {error}" if position in reasons else str(error)
            )
        return reasons

    def error_of(self, position: int) -> LoadError | None:
        """Return the first error of the row at a position of the table, or None."""
        with self._lock:
            return next(
                (error for (row, _), (error, _) in self._found.items() if row == position), None
            )

    @property
    def excluded(self) -> frozenset[int]:
        """Positions of the rows that are left out though they can be loaded."""
        return self._excluded

    def to_json(self) -> list[list[Any]]:
        """Return the JSON values that `restore` takes."""
        with self._lock:
            found = list(self._found.items())
        return [
            [
                position,
                list(one.column) if isinstance(one.column, tuple) else one.column,
                one.path,
                one.reason,
                epoch,
            ]
            for (position, _), (one, epoch) in found
        ]

    def restore(self, found: list[list[Any]], index: pd.Index) -> None:
        """Add what `to_json` returned in an earlier process, for a table with the same index."""
        for position, column, path, reason, epoch in found:
            place = tuple(column) if isinstance(column, list) else column
            error = LoadError(reason, index=index[position], column=place, path=path)
            with self._lock:
                self._found[position, str(place)] = error, epoch
                self._lost.add(position)
                if place is None:
                    self._excluded |= {position}

    def __len__(self) -> int:
        """Number of lost rows."""
        return len(self._lost)

    def __str__(self) -> str:
        return f"{len(self):,} {'row' if len(self) == 1 else 'rows'}"

    def __getstate__(self) -> dict[str, Any]:
        # A lock cannot be pickled.
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())


def leave_out(table: pd.DataFrame, failures: pd.DataFrame | str | os.PathLike[str]) -> pd.DataFrame:
    """Return the table without rows that are known to be bad.

    Args:
        table: A table with a unique index.
        failures: `MultimodalSequence.failures`, any table with a column "index" of labels of
            `table`, or the path of such a csv file, for instance failures.csv of the command line.

    Returns:
        The other rows, in their order.

    Raises:
        TableError: If a label is not in the table or not unique, or the list comes from an audit.

    Example:
        train = mg.leave_out(train, "runs/first/failures.csv")
    """
    if not isinstance(failures, pd.DataFrame):
        path = os.fspath(failures)
        # A label of the index may be the text "NA".
        failures = pd.read_csv(path, dtype={"index": str}, keep_default_na=False)
        where = f", path={path!r}"
    else:
        where = ""
    if "kind" in failures:
        raise TableError(
            "These are the problems of an audit, most of which do not mean that a row must go. "
            "Use `report.clean(table)`, or --drop on the command line. Received: columns "
            f"{list(failures)}{where}"
        )
    if "index" not in failures:
        raise TableError(
            f"`failures` must have a column 'index'. Received: columns {list(failures)}{where}"
        )
    # One bad row would take all rows of its label with it.
    if not table.index.is_unique:
        raise TableError(
            "The table's index must be unique to drop rows by it; use "
            "`table.reset_index(drop=True)` before the failures are listed."
        )
    # A csv file holds texts, while an index may hold numbers or dates.
    words = pd.Index(table.index.map(str))
    dates = isinstance(table.index, pd.DatetimeIndex)
    bad = set(map(str, _as_dates(failures["index"]) if dates else failures["index"]))
    unknown = sorted(bad - set(words))
    if unknown:
        raise TableError(
            f"The failures belong to another table: {len(unknown)} of their {len(bad)} labels "
            f"{by_number(len(unknown), 'is', 'are')} not in the table's index. Received: "
            f"{unknown[:5]}{where}"
        )
    return table[~words.isin(bad)]


def _as_dates(labels: pd.Series) -> Any:
    # pandas writes midnight without hours to a csv file.
    try:
        return pd.to_datetime(labels, format="mixed")
    except (ValueError, TypeError):
        return labels
