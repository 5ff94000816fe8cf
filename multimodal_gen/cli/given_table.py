"""The table that a command is given: read into memory, or left on disk where it is in shards."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from multimodal_gen.rows.stores.opening import open_table
from multimodal_gen.rows.table import read_table


def read_given(path: str | os.PathLike[str]) -> pd.DataFrame:
    """What `read_table` reads; of anything else, such as `"shards-{000..031}.tar"`, what
    `open_table` opens.
    """
    # Both read a single parquet file. In memory it is faster, as the whole table is read anyway.
    if Path(path).is_file() and Path(path).suffix.lower() in (".parquet", ".pq"):
        return read_table(path)
    return open_table(path)
