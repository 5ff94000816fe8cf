"""The table that a command is given: read into memory, or left on disk where it is in shards; or
made of annotations.
"""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from multimodal_gen.errors import TableError, counted
from multimodal_gen.rows.annotations.reading import (
    has_known_format,
    has_side_cars,
    read_annotations,
)
from multimodal_gen.rows.stores.opening import open_table
from multimodal_gen.rows.table import read_table

# Bytes from which on a parquet file stays on disk: in memory it may take ten times as many.
_LARGE = 2**28
# Files that are no tables, and in which data sets are annotated.
_ANNOTATIONS = (".json", ".token", ".txt")


def read_given(path: str | os.PathLike[str]) -> pd.DataFrame:
    """What `read_table` reads; of anything else, such as `"shards-{000..031}.tar"` or a large
    parquet file, what `open_table` opens, or `read_annotations` reads, such as COCO's
    `captions.json` or a folder of pictures with a text beside each.
    """
    given = Path(path)
    # `open_table` reads it too. In memory it is faster, as the whole table is read anyway.
    parquet = given.suffix.lower() in (".parquet", ".pq") and given.is_file()
    if parquet and given.stat().st_size < _LARGE:
        return read_table(path)
    return open_given(path)


def open_given(path: str | os.PathLike[str]) -> pd.DataFrame:
    """The same, and a single parquet file stays on disk too."""
    if Path(path).is_dir() and has_side_cars(path):
        return read_annotations(path)
    known = Path(path).is_file() and Path(path).suffix.lower() in _ANNOTATIONS
    if known and has_known_format(path):
        return read_annotations(path)
    if known and Path(path).suffix.lower() == ".json":
        raise TableError(
            "A .json file must be annotations in a known format, such as COCO's, and this one is "
            "in none. Rows of a table stand one below the other in a .jsonl file, as "
            "`jq -c '.[]' FILE.json > FILE.jsonl` writes those of a list. Received: "
            f"path={os.fspath(path)!r}"
        )
    return open_table(path)


def rows_in_words(table: pd.DataFrame) -> str:
    """How many rows there are, and of annotations, as what they were read."""
    known = table.attrs.get("format")
    return counted(len(table), "row") + (f", read as {known!r}" if known else "")
