"""The file of `audit --predictions`: class probabilities of a table's rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from multimodal_gen.errors import TableError, counted, shown
from multimodal_gen.inspection.audit.unlikely import probabilities_of
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.rows.cell_numbers import cell_number
from multimodal_gen.rows.table import read_table

# What the first column of such files is called; the second if a class has the first name.
_ROW = ("row", "row_index")


def read_predictions(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Read the file, and give it the index of the table.

    Args:
        path: A file as `predict` writes it: its first column, "row", has the number of each row,
            from 0. Without that column it must have a line for each row, in their order.
        table: The table, as `read_table` reads it.

    Raises:
        TableError: If the file has no such column and another number of lines, or a cell of the
            column is not a row of the table.
    """
    found = read_table(path)
    first = found.columns[0]
    if first not in _ROW:
        if len(found) != len(table):
            raise TableError(
                "--predictions needs a first column 'row' with the number of each row, from 0, or "
                f"a line for each row. Received: --predictions {path}, "
                f"{counted(len(found), 'line')} for {counted(len(table), 'row')}, first column "
                f"{first!r}"
            )
        return found.set_axis(table.index)
    rows = np.empty(len(found), "int64")
    for place, cell in enumerate(found[first].tolist()):
        try:
            number = cell_number(cell)
        except ValueError:
            number = float("nan")
        # NaN, which a missing cell gives, is in no range.
        if not (0 <= number < len(table) and number == int(number)):
            raise TableError(
                f"Column {first!r} of --predictions must hold numbers of rows, from 0 to "
                f"{len(table) - 1:,}. Received: --predictions {path}, {shown(cell)} in line "
                f"{place + 2:,}"
            )
        rows[place] = int(number)
    return found.drop(columns=first).set_axis(table.index.take(rows))


def check_predictions(
    path: Path, predictions: pd.DataFrame, table: pd.DataFrame, target: Target | None
) -> None:
    """Make sure that an audit can use predictions, with errors that name the option.

    Raises:
        ValueError: If the target is not a class, or something is not a probability.
        TableError: If a class has no column, or a row comes twice.
    """
    if target is None or not target.one_class:
        raise ValueError(
            "--predictions shows which classes are likely wrong, so it needs --target class and "
            f"a --label column. Received: --predictions {path}"
        )
    try:
        probabilities_of(predictions, table, target)
    except ValueError as error:
        text = str(error).replace("`predictions`", "--predictions")
        raise type(error)(f"{text}, in {path}") from None
