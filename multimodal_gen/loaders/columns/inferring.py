"""`infer_columns`: a table of what each column of a table is taken for, and why."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from multimodal_gen.loaders.columns.giveaways import Label, gives_away
from multimodal_gen.loaders.columns.kinds import verdict_on
from multimodal_gen.loaders.columns.several import count_empty, separator_of
from multimodal_gen.rows.stores.column import StoredDtype
from multimodal_gen.rows.table import check_columns, check_names

INPUTS = ("image", "images", "text", "texts", "category", "number", "boolean", "date")
OTHERS = ("label", "id", "constant", "gives the label away", "ignored")
# For a larger table, this many rows are examined, evenly spaced.
_MOST_ROWS = 50_000
_LOOKED_AT = 8
# Of columns in files that hold pictures themselves, which all are read.
_MOST_PICTURES = 500


class _Columns(pd.DataFrame):
    # Printed whole, as pandas cuts off reasons of more than 50 characters.
    def __repr__(self) -> str:
        return self.to_string()

    def _repr_html_(self) -> str:
        with pd.option_context("display.max_colwidth", None):
            return str(pd.DataFrame(self)._repr_html_())  # type: ignore[operator]


def infer_columns(
    table: pd.DataFrame,
    label: str | Sequence[str] | None = None,
    *,
    directory: str | os.PathLike[str] | None = None,
    date_format: str | None = None,
) -> pd.DataFrame:
    """Find out what each column of a table holds, and which can be inputs of a model.

    Edit the result, and pass it to `loaders_for`:

        columns = mg.infer_columns(train, "category")
        columns.loc["code", "taken_as"] = "category"
        inputs = mg.loaders_for(columns, train)

    Columns are taken as:

    - "image": pictures in the cells, or paths of pictures, most of which exist.
    - "images": the same, several in a cell: lists, their text as JSON or Python, or paths joined by
      a separator, which at least 5 % of the cells have.
    - "number", "boolean", "date": if 95 % of the cells are; the others are bad cells.
    - "category": texts that most rows share with others, and that are few or short.
    - "text": other texts.
    - "texts": lists of texts; or sentences joined by "|" or ";", as at least 80 % of the cells are.

    Not inputs are:

    - "label": the label.
    - "gives the label away": its values tell the label of at least 98 % of the rows that the most
      frequent label alone would get wrong, or explain 99 % of a number's variance, on the half of
      the rows that was not used to learn what they tell. Each column is tried by itself.
    - "id": words with digits, or whole numbers, that differ in every row.
    - "constant": the same value in all rows, or none.
    - "ignored": anything else, such as cells of several values; `why` says what to do.

    Args:
        table: Training rows; of more than 50,000, as many are looked at, and of pictures that
            `open_table` opened 500.
        label: The column to predict, or several; None if there is none.
        directory: Where relative paths of pictures start; by default the working directory.
        date_format: As in `DateLoader.from_values`, for all columns of dates.

    Returns:
        A row for each column of the table, with its name as the index, and the columns "taken_as",
        "missing" (how many cells have no value) and "why" (with counts and an example).

    Raises:
        TableError: If the table has no rows, or no such column as `label`.
        TypeError: If a column's name is not a string.
    """
    labels = [] if label is None else [label] if isinstance(label, str) else list(label)
    check_names(list(table.columns))
    check_columns(table, list(dict.fromkeys([*labels, *table.columns])))
    some, fewer = _some(table, _MOST_ROWS), _some(table, _MOST_PICTURES)
    known = [Label.of(some[name]) for name in labels]
    # Of the rows of pictures, only if there is such a column.
    few: list[Label] = []
    folder = None if directory is None else os.fspath(directory)
    found = {}
    for name in table.columns:
        large = _holds_files(table[name])
        column = (fewer if large else some)[name]
        if name in labels:
            found[name] = ("label", "to be predicted")
            continue
        kind, why = verdict_on(column, folder, date_format)
        if kind in INPUTS:
            few = few or [Label.of(fewer[one]) for one in labels if large]
            reasons = (gives_away(column, kind, one) for one in (few if large else known))
            reason = next((one for one in reasons if one is not None), None)
            if reason is not None:
                kind, why = "gives the label away", f"{kind}; {reason}"
        found[name] = (kind, why)
    frame = _Columns.from_dict(found, orient="index", columns=["taken_as", "why"])
    kinds = frame["taken_as"].items()
    frame.insert(1, "missing", [count_missing(table[name], kind) for name, kind in kinds])
    frame.index.name = "column"
    return frame


def _some(table: pd.DataFrame, most: int) -> pd.DataFrame:
    if len(table) <= most:
        return table
    return table.iloc[np.unique(np.linspace(0, len(table) - 1, most).astype("int64"))]


def _holds_files(column: pd.Series) -> bool:
    # Whether cells that stay in files are pictures and the like.
    if not isinstance(column.dtype, StoredDtype) or column.dtype.cells not in ("bytes", "other"):
        return False
    cells = _some(column.to_frame(), _LOOKED_AT).iloc[:, 0].array.tolist()
    return any(
        isinstance(one.get("bytes") if isinstance(one, Mapping) else one, bytes) for one in cells
    )


def count_missing(column: pd.Series, kind: str) -> int:
    """How many cells have no value, which an empty text is; or no item, where cells hold several.

    Args:
        column: The cells.
        kind: What they are taken for.
    """
    if kind in ("images", "texts"):
        return count_empty(column, separator_of(column, kind))
    return int(column.isna().sum())
