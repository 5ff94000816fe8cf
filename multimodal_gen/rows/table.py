"""Read a table of paths, captions and labels, check it, take cells out of it.

Never opens the files that cells name.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.errors import LoadError, TableError
from multimodal_gen.rows.cells import Unreadable
from multimodal_gen.rows.chunks import chunk_slices, rows_of_chunk
from multimodal_gen.rows.formats.compressed import decompressed, is_compressed_text
from multimodal_gen.rows.formats.delimited import read_delimited
from multimodal_gen.rows.formats.folders import IMAGE_SUFFIXES as IMAGE_SUFFIXES
from multimodal_gen.rows.formats.folders import read_folders
from multimodal_gen.rows.formats.jsonl import read_jsonl
from multimodal_gen.rows.formats.metadata import read_metadata
from multimodal_gen.rows.formats.parquet import read_parquet
from multimodal_gen.rows.formats.separators import wrong_separator


def read_table(path: str | os.PathLike[str], *, na_values: Sequence[str] = ("",)) -> pd.DataFrame:
    """Read a table from a file, or from a folder of pictures.

    The rows of the file are the rows of the table, in the same order, and columns keep their names.
    Every cell of a csv or tsv file is the text in the file: 00012 stays 00012, and "0" is the same
    label whether or not the column also has an "x". What needs numbers reads them from the texts;
    for your own computations, use `pd.to_numeric(table["price"])`. In jsonl and parquet, numbers
    are numbers.

    Args:
        path: A `.csv`, `.tsv`, `.jsonl` (one JSON object per line) or `.parquet` file, or a folder.
            Texts may be compressed, as in `.csv.gz`. In a folder, every picture below
            `folder/CLASS/` becomes a row, sorted by path, with the columns "image" (path relative
            to the folder), "caption" (the text of a side-car file of the same name ending in
            `.txt`, or empty) and "label" (CLASS). For `folder/train/CLASS/`, `folder/test/CLASS/`
            and the like, "split" is the first folder.
            If there is a file metadata.csv or metadata.jsonl with a column `file_name`, it is the
            table, and "image" is added.
        na_values: For csv and tsv: the texts that count as missing. By default only an empty cell,
            so a caption "NA" or "None" is kept.

    Returns:
        A DataFrame with the index 0..n-1.

    Raises:
        FileNotFoundError: If there is no such file.
        TableError: If the file has another suffix, cannot be parsed, has two columns with the same
            name, or has no rows. It names the line that caused it, if there is one.
    """
    path = Path(path)
    if path.is_dir():
        table = read_metadata(path, _read_file, na_values)
        if table is None:
            table = read_folders(path)
    elif not path.exists():
        raise FileNotFoundError(
            f"There is no such file or folder. Received: path={os.fspath(path)!r}"
        )
    else:
        table = _read_file(path, na_values)
    if not len(table):
        raise TableError(f"The table has no rows. Received: path={os.fspath(path)!r}")
    if not len(table.columns):
        raise TableError(f"The table has no columns. Received: path={os.fspath(path)!r}")
    return table


def _read_file(path: Path, na_values: Sequence[str]) -> pd.DataFrame:
    try:
        if is_compressed_text(path):
            with decompressed(path) as plain:
                table = _parsed(plain, na_values)
        else:
            table = _parsed(path, na_values)
    except TableError as error:
        raise TableError(
            f"The table cannot be read. {error} Received: path={os.fspath(path)!r}"
        ) from None
    except Exception as error:
        raise TableError(
            f"The table cannot be read: {' '.join(str(error).split()).rstrip('.')}. If pandas can "
            f"read the file, pass its DataFrame instead. Received: path={os.fspath(path)!r}"
        ) from error
    if table is None:
        raise TableError(
            "A table must be a .csv, .tsv, .jsonl or .parquet file, or a folder. "
            f"{_way_out(path)} Received: path={os.fspath(path)!r}"
        )
    return table


def _parsed(path: Path, na_values: Sequence[str]) -> pd.DataFrame | None:
    # None if the suffix is not known.
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return read_delimited(path, "," if suffix == ".csv" else "\t", na_values)
    if suffix in (".jsonl", ".ndjson"):
        return read_jsonl(path)
    if suffix in (".parquet", ".pq"):
        return read_parquet(path)
    return None


# Rows of a column for each one that is taken out, from which on they are taken one by one.
_FAR = 100


def check_columns(table: Any, columns: Sequence[str]) -> None:
    """Make sure that a table has rows and the named columns, each once.

    Raises:
        TypeError: If it is not a DataFrame, or the name of a column is not a string.
        TableError: If it has no rows, or a column is missing or appears twice; it lists the
            existing columns.
    """
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"The table must be a pandas DataFrame. Received: {type(table).__name__}")
    check_names(columns)
    if not len(table):
        raise TableError(f"The table has no rows. Received: columns={list(table.columns)}")
    for column in columns:
        found = int((table.columns == column).sum())
        if found > 1:
            raise TableError(
                f"The table has {found} columns with the same name. Received: column={column!r}"
            )
        if not found:
            names = [str(name) for name in table.columns]
            close = difflib.get_close_matches(str(column), names, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            hint = f" {seems}" if (seems := wrong_separator(names)) else hint
            raise TableError(
                f"The table has no such column; it has {names}.{hint} Received: column={column!r}"
            )


def check_names(columns: Sequence[Any]) -> None:
    """Make sure that column names are strings; in a table without a header they are not.

    Raises:
        TypeError: If one is not; the message says how to rename them.
    """
    for column in columns:
        if not isinstance(column, str):
            raise TypeError(
                "A column name must be a string. A table read with `header=None` has numbers as "
                "names; rename its columns with `table.columns = table.columns.astype(str)`. "
                f"Received: column={column!r}"
            )


def cells_of(
    table: pd.DataFrame, column: str | tuple[str, ...], rows: slice | np.ndarray | None = None
) -> list[Any]:
    """The cells that a loader of a column reads, as plain objects; for several columns, a tuple per
    row.

    Args:
        table: The table.
        column: Name of the column or columns.
        rows: Positions of the rows, or a slice; all rows by default.
    """
    if not isinstance(column, str):
        return list(zip(*(cells_of(table, one, rows) for one in column), strict=True))
    array = table[column].array
    if isinstance(rows, np.ndarray):
        if len(rows) * _FAR < len(array) and getattr(array.dtype, "storage", "") == "pyarrow":
            # Arrow joins all pieces of a column to take some rows out of it, and what is read from
            # a file has many (Arrow issue 39565; not needed once that is closed).
            return [array[row] for row in rows.tolist()]
        array = array.take(rows)
    elif rows is not None:
        array = array[rows]
    return array.tolist()


def with_origin(
    error: LoadError, table: pd.DataFrame, column: str | tuple[str, ...], row: int
) -> LoadError:
    """An error of a cell with the file that the cell itself is kept in, if it names no other.

    Args:
        error: The error.
        table: The table.
        column: The column of the cell; of several, the first.
        row: Position of the row.
    """
    name = column if isinstance(column, str) else column[0]
    find = getattr(table[name].array, "origin", None)
    if error.path is not None or find is None:
        return error
    return error.at_path(find(row))


def readable_cells(
    table: pd.DataFrame, column: str | tuple[str, ...], rows: np.ndarray
) -> list[Any]:
    """The result of `cells_of`, with `Unreadable` for what the files of the table do not give.

    Args:
        table: The table.
        column: Name of the column or columns.
        rows: Positions of the rows.
    """
    try:
        return cells_of(table, column, rows)
    except LoadError:
        # One by one, which shows the rows that are bad.
        return [
            _readable_cell(table, column, rows[place : place + 1]) for place in range(len(rows))
        ]


def readable_cells_in(table: pd.DataFrame, column: str | tuple[str, ...]) -> Iterator[Any]:
    """All cells of a column, as `readable_cells` gives them, few of them in memory at a time.

    Args:
        table: The table.
        column: Name of the column or columns.
    """
    names = (column,) if isinstance(column, str) else column
    size = min(rows_of_chunk(table[name]) for name in names)
    for part in chunk_slices(len(table), size):
        yield from readable_cells(table, column, np.arange(part.start, part.stop))


def _readable_cell(table: pd.DataFrame, column: str | tuple[str, ...], row: np.ndarray) -> Any:
    try:
        return cells_of(table, column, row)[0]
    except LoadError as error:
        return Unreadable(None, error)


def _way_out(path: str | os.PathLike[str]) -> str:
    # What to do with a file of another format.
    ending = os.path.splitext(os.fspath(path))[1].lower()
    if ending in (".xlsx", ".xls", ".xlsm", ".ods"):
        return "Save its sheet as .csv, or pass the DataFrame of `pandas.read_excel`."
    if ending in (".zip", ".rar", ".7z"):
        return "Unpack the archive, and name the table or the folder that was in it."
    if ending in (".tar", ".arrow", ".feather", ".tfrecord", ".lance"):
        return f"A {ending} file is opened by `open_table`."
    return (
        "Annotations in other files, such as COCO's .json or Flickr's .token, are read by "
        "`read_annotations`."
    )
