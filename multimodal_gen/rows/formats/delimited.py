"""Read csv and tsv: every cell is the text in the file, so it means the same whatever else its
column holds.

Arrow parses, in parallel and with little memory. It tolerates quotes that move or swallow cells, so
`quoting.py` checks the quotes first. If Arrow reports an error, it rejects the first row with too
many or too few cells, and names its line.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from multimodal_gen.errors import TableError, level_of_caller, shown
from multimodal_gen.rows.formats.encoding import require_utf8
from multimodal_gen.rows.formats.quoting import Header, check_quotes, explain_rows, read_header

# Small blocks keep the memory of what is being parsed small; a row that does not fit into one gets
# larger ones.
_BLOCK = 1 << 20
_LARGEST_BLOCK = 1 << 30
PANDAS_2 = pd.__version__.startswith("2.")


def read_delimited(path: Path, separator: str, na_values: Sequence[str]) -> pd.DataFrame:
    """Read a file of rows with cells between separators, following RFC 4180.

    A cell in double quotes may hold separators, line breaks and doubled quotes. A quote elsewhere
    in a cell is part of its text. Blank lines are skipped, unless there is only one column: then
    each is a row with an empty cell.

    Args:
        path: The file.
        separator: "," or a tab.
        na_values: The texts that are missing cells.

    Raises:
        TableError: If a row has more or fewer cells than the header, a quoted cell does not end
            with a quote, two columns have the same name, or the file is not UTF-8. The message
            names the line.
    """
    header = read_header(path, separator)
    _check_names(header)
    if header.is_last:
        return pd.DataFrame(columns=header.names, dtype=object)
    quotes = check_quotes(path, separator)
    table = _parse(path, separator, na_values, header, newlines=quotes is not None)
    # With a single column, every line looks like a row.
    if (
        len(header.names) > 1
        and quotes is not None
        and quotes.line_ends > len(table) + header.line_ends
    ):
        _warn_of_swallowed_rows(table, separator)
    return table.to_pandas(
        # Each column is freed as soon as pandas has it, or all would be in memory twice.
        types_mapper={pa.large_string(): text_dtype()}.get,
        split_blocks=True,
        self_destruct=True,
    )


def text_dtype() -> Any:
    """Texts stored by Arrow, with NaN for a missing one: pandas 3's own default for texts."""
    if PANDAS_2:
        return pd.api.types.pandas_dtype("string[pyarrow_numpy]")
    return pd.StringDtype("pyarrow", na_value=np.nan)


def _check_names(header: Header) -> None:
    names = header.names
    twice = [name for position, name in enumerate(names) if name in names[:position]]
    if twice:
        places = [position + 1 for position, name in enumerate(names) if name == twice[0]]
        what = f"are all called {twice[0]!r}" if twice[0] else "have no name"
        raise TableError(
            f"Columns {', '.join(map(str, places))} {what}. Give each column its own name in line "
            f"{header.line}, or delete those that are not needed."
        )


def _parse(
    path: Path, separator: str, na_values: Sequence[str], header: Header, newlines: bool
) -> pa.Table:
    convert = csv.ConvertOptions(
        # Large strings: others count bytes in 32 bits, and joining the pieces of a column would
        # fail at 2 GiB.
        column_types=dict.fromkeys(header.names, pa.large_string()),
        null_values=list(na_values),
        strings_can_be_null=bool(na_values),
    )
    parse = csv.ParseOptions(
        delimiter=separator, newlines_in_values=newlines, ignore_empty_lines=len(header.names) > 1
    )
    block = _BLOCK
    while True:
        read = csv.ReadOptions(block_size=block, skip_rows=header.line - 1)
        try:
            # Streaming keeps fewer blocks in memory at a time than `csv.read_csv` and is as fast.
            with csv.open_csv(
                path, read_options=read, parse_options=parse, convert_options=convert
            ) as stream:
                return stream.read_all()
        except pa.ArrowInvalid as error:
            if "straddling" in str(error) and block < _LARGEST_BLOCK:
                block *= 8
                continue
            require_utf8(path)
            explain_rows(path, separator, header.names)
            raise


def _warn_of_swallowed_rows(table: pa.Table, separator: str) -> None:
    # Two stray quotes, one at the beginning of a cell and one at the end of a cell some rows below,
    # turn everything between them into one long cell. Its lines then have as many separators as the
    # rows of this table.
    last = table.num_columns - 1
    for position, name in enumerate(table.column_names):
        column = table.column(position)
        rows = np.flatnonzero(pc.fill_null(pc.match_substring(column, "\n"), False).to_numpy())
        for row in rows.tolist():
            cell = column[row].as_py()
            first, *middle, end = cell.splitlines() or [""]
            plausible = [
                first.count(separator),
                *(line.count(separator) for line in middle),
                end.count(separator),
            ]
            if (middle or separator == "\t") and plausible == [
                last - position,
                *[last] * len(middle),
                position,
            ]:
                warnings.warn(
                    "A cell in quotes holds line breaks, and each of its lines looks like a row: "
                    f"{shown(cell)} at index {row}, column {name!r}. If rows were swallowed, there "
                    "is a stray quote at both ends of it.",
                    stacklevel=level_of_caller(),
                )
                return
