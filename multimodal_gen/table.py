"""Read a table of paths, captions and labels, check it, take cells out of it. Never looks into files they name."""

from __future__ import annotations

import difflib
import glob
import json
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.errors import TableError

IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jfif", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".avif", ".ppm", ".pgm", ".pbm")
)


def read_table(path: str | os.PathLike[str], *, na_values: Sequence[str] = ("",)) -> pd.DataFrame:
    """Read a table from a file, or from a folder with one folder a class.

    Args:
        path: A `.csv`, `.tsv`, `.jsonl` (one JSON object a line) or `.parquet` file, or a folder. In a folder, every
            picture below `folder/CLASS/` becomes a row, sorted by path, with the columns "image" (path relative to the
            folder), "caption" (the text of a side-car file of the same name ending in `.txt`, or empty) and "label"
            (CLASS).
        na_values: For csv and tsv: the cells that count as missing. By default only an empty one, so that a caption
            "NA" or "None" stays what it is.

    Returns:
        A DataFrame with the index 0..n-1.

    Raises:
        FileNotFoundError: If there is no such file.
        TableError: If the file has another suffix, cannot be parsed, or has no rows.
    """
    path = Path(path)
    if path.is_dir():
        table = _read_class_folders(path)
    elif not path.exists():
        raise FileNotFoundError(f"There is no table. Received: path={os.fspath(path)!r}")
    else:
        table = _read_file(path, na_values)
    if table.empty:
        raise TableError(f"The table has no rows. Received: path={os.fspath(path)!r}")
    return table


def _read_file(path: Path, na_values: Sequence[str]) -> pd.DataFrame:
    suffix = path.suffix.lower()
    try:
        if suffix in (".csv", ".tsv"):
            separator = "," if suffix == ".csv" else "\t"
            return pd.read_csv(
                path, sep=separator, keep_default_na=False, na_values=list(na_values), encoding="utf-8-sig"
            )
        if suffix in (".jsonl", ".ndjson"):
            # Not by pandas: it takes texts that look like dates or numbers for such.
            with path.open(encoding="utf-8-sig") as lines:
                return pd.DataFrame([json.loads(line) for line in lines if line.strip()])
        if suffix in (".parquet", ".pq"):
            return pd.read_parquet(path)
    except Exception as error:
        kind = {".csv": " A csv file is UTF-8 text with commas.", ".tsv": " A tsv file is UTF-8 text with tabs."}
        raise TableError(
            f"The table cannot be read: {' '.join(str(error).split()).rstrip('.')}.{kind.get(suffix, '')} Others can "
            f"be read with pandas, as a sequence takes any DataFrame. Received: path={os.fspath(path)!r}"
        ) from error
    raise TableError(
        f"A table is a .csv, .tsv, .jsonl or .parquet file or a folder. Received: path={os.fspath(path)!r}"
    )


def _read_class_folders(root: Path) -> pd.DataFrame:
    rows, passed_over = [], []
    for file in sorted(root.rglob("*")):
        relative = file.relative_to(root)
        if any(part.startswith(".") for part in relative.parts):
            continue
        if file.is_dir():
            if file.is_symlink():
                passed_over.append(relative.as_posix())
            continue
        if file.suffix.lower() in IMAGE_SUFFIXES and len(relative.parts) > 1:
            side_car = file.with_suffix(".txt")
            caption = side_car.read_text("utf-8").strip() if side_car.is_file() else ""
            rows.append((relative.as_posix(), caption, relative.parts[0]))
        elif not (file.suffix.lower() == ".txt" and _has_picture(file)):
            passed_over.append(relative.as_posix())
    if not rows:
        raise TableError(
            f"There is no picture in any class folder, as in CLASS/1.jpg. Received: path={os.fspath(root)!r}"
        )
    bare = [row[0] for row in rows if not row[1]]
    if 0 < len(bare) < len(rows):
        warnings.warn(
            f"{len(bare)} of the {len(rows)} pictures below {os.fspath(root)!r} have no caption, as their .txt file is "
            f"missing or empty, {bare[0]!r} first.",
            stacklevel=3,
        )
    if passed_over:
        warnings.warn(
            f"{len(passed_over)} file(s) below {os.fspath(root)!r} are neither pictures in a class folder nor captions "
            f"of one, or links to folders, which are not followed, and are left out, {passed_over[0]!r} first.",
            stacklevel=3,
        )
    return pd.DataFrame(rows, columns=["image", "caption", "label"])


def _has_picture(side_car: Path) -> bool:
    return any(side_car.with_suffix(suffix).exists() for suffix in IMAGE_SUFFIXES) or any(
        other.suffix.lower() in IMAGE_SUFFIXES for other in side_car.parent.glob(f"{glob.escape(side_car.stem)}.*")
    )


def check_columns(table: Any, columns: Sequence[str]) -> None:
    """Make sure that a table has rows and the named columns, each once.

    Raises:
        TypeError: If it is not a DataFrame.
        TableError: If it has no rows, or a column is missing or there twice; it lists the columns there are.
    """
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"The table must be a pandas DataFrame. Received: {type(table).__name__}")
    if not len(table):
        raise TableError(f"The table has no rows. Received: columns={list(table.columns)}")
    for column in columns:
        found = int((table.columns == column).sum())
        if found > 1:
            raise TableError(f"The table has {found} columns of one name. Received: column={column!r}")
        if not found:
            names = [str(name) for name in table.columns]
            close = difflib.get_close_matches(str(column), names, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise TableError(f"The table has no such column; it has {names}.{hint} Received: column={column!r}")


def cells_of(table: pd.DataFrame, column: str | tuple[str, ...], rows: slice | np.ndarray | None = None) -> list[Any]:
    """The cells that a loader of a column reads, as plain objects; of several columns, a tuple a row.

    Args:
        table: The table.
        column: Name of the column or columns.
        rows: Positions of the rows, or a slice of them; all by default.
    """
    if not isinstance(column, str):
        return list(zip(*(cells_of(table, one, rows) for one in column), strict=True))
    array = table[column].array
    if isinstance(rows, np.ndarray):
        array = array.take(rows)
    elif rows is not None:
        array = array[rows]
    return array.tolist()
