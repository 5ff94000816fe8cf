"""Rows without a label that can be read: left out by `train --on-error skip`, refused otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from multimodal_gen.cli.bad_rows import plain_reason
from multimodal_gen.cli.reporter import Reporter
from multimodal_gen.cli.settings import DataSettings, RunSettings
from multimodal_gen.errors import LoadError, by_number
from multimodal_gen.loaders import NumericTarget
from multimodal_gen.loaders.missing_cells import missing_target_error
from multimodal_gen.loaders.targets.label_cells import on_or_off, split_labels
from multimodal_gen.rows.cells import is_blank
from multimodal_gen.rows.chunks import cells_in
from multimodal_gen.rows.table import cells_of


def without_unlabelled(
    table: pd.DataFrame, settings: DataSettings, reporter: Reporter
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Leave out rows whose label is missing or cannot be read, if --on-error is skip.

    Args:
        table: The table.
        settings: The settings.
        reporter: Gets the number of such rows.

    Returns:
        The other rows; and the rows that are left out, with the columns of
        `MultimodalSequence.failures` except "epoch". If no label can be read, the column is wrong,
        and all rows are returned, for the checks that say so.

    Raises:
        LoadError: If the rows are more than --max-error-rate allows; it names the first. Also if
            there are some, and --on-error is raise; for missing labels and for columns that hold
            something else there are other checks.
    """
    assert isinstance(settings, RunSettings)
    bad = unlabelled(table, settings)
    if len(bad) == len(table):
        bad = []
    if settings.on_error == "raise":
        _refuse_few(bad, table, settings)
        bad = []
    failures = pd.DataFrame(
        [(one.index, one.column, one.path, one.reason) for _, one in bad],
        columns=["index", "column", "path", "error"],
    )
    if not bad:
        return table, failures
    first, rate = bad[0][1], settings.max_error_rate
    have = by_number(len(bad), "has", "have")
    if len(bad) > rate * len(table):
        reason, received, rest = plain_reason(first.reason).partition("Received: ")
        raise LoadError(
            f"{reason.strip()} {len(bad):,} of {len(table):,} rows {have} no label that can be "
            f"read. That is more than the allowed share of {rate:g}: fix them, or raise "
            f"--max-error-rate. {received}{rest}".strip(),
            index=first.index,
            column=first.column,
        )
    reporter.say(
        f"{len(bad):,} of {len(table):,} rows {have} no label that "
        f"can be read and {by_number(len(bad), 'is', 'are')} left out: see failures.csv."
    )
    kept = pd.Series(True, range(len(table)))
    kept[[place for place, _ in bad]] = False
    return table[kept.to_numpy()], failures


def _refuse_few(
    bad: Sequence[tuple[int, LoadError]], table: pd.DataFrame, settings: RunSettings
) -> None:
    bad = [(place, error) for place, error in bad if not _is_for_others(table, error, settings)]
    if not 0 < len(bad) <= settings.max_error_rate * len(table):
        return
    first = bad[0][1]
    reason, received, rest = plain_reason(first.reason).partition("Received: ")
    have = by_number(len(bad), "has", "have")
    them = by_number(len(bad), "it", "them")
    raise LoadError(
        f"{reason.strip(' .')}. {len(bad):,} of {len(table):,} rows {have} no label that can be "
        f"read. Fix {them}, or leave {them} out with --on-error skip; `multimodal-gen audit` finds "
        f"all problems. {received}{rest}".strip(),
        index=first.index,
        column=first.column,
    )


def _is_for_others(table: pd.DataFrame, error: LoadError, settings: DataSettings) -> bool:
    # Missing labels are counted by another check, and texts of labels are looked at together.
    assert error.column is not None
    cell = cells_of(table.loc[[error.index]], error.column)[0]
    several = settings.target == "labels" and len(settings.label) == 1
    return is_blank(cell) or (several and isinstance(cell, str))


def unlabelled(table: pd.DataFrame, settings: DataSettings) -> list[tuple[int, LoadError]]:
    """The places of the rows without a label that can be read, in order, each with what is wrong.

    Args:
        table: The table.
        settings: The settings.
    """
    found: dict[int, LoadError] = {}
    for column in settings.label:
        for place, cell in enumerate(cells_in(table, column)):
            try:
                _check_label(cell, settings)
            except (LoadError, TypeError, ValueError) as error:
                bad = error if isinstance(error, LoadError) else LoadError(str(error))
                found.setdefault(place, bad.at(table.index[place], column))
    return sorted(found.items())


def _check_label(cell: Any, settings: DataSettings) -> None:
    if settings.target == "labels":
        if len(settings.label) > 1:
            on_or_off(cell)
        elif settings.separator is not None or not isinstance(cell, str):
            # A missing --separator is the fault of no row.
            split_labels(cell, settings.separator)
    elif is_blank(cell):
        raise missing_target_error()
    elif settings.target == "class":
        if isinstance(cell, bytes) or pd.api.types.is_list_like(cell):
            raise LoadError(f"expected one class. Received: {type(cell).__name__} {cell!r}")
    elif not pd.api.types.is_list_like(cell):
        # Arrays of numbers are checked where their length is known.
        NumericTarget("label").read(cell)
