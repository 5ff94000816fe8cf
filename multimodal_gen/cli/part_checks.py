"""Warn once, before training, if a picture is in several parts of a run's table; compares files
too.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.loaders.files import Place
from multimodal_gen.rows.leakage import LeakageWarning, warn_of_shared_pictures
from multimodal_gen.rows.splitting import split_table


def split_quietly(
    table: pd.DataFrame, fractions: Sequence[float], **arguments: Any
) -> list[pd.DataFrame]:
    """`split_table` without its `LeakageWarning`, because all parts and their files are checked
    later.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LeakageWarning)
        return split_table(table, fractions, **arguments)


def warn_of_leakage(
    parts: Sequence[pd.DataFrame], columns: Sequence[str], directory: str, *, given: bool = False
) -> None:
    """Warn if a picture is in several parts, by its path, its bytes or its file's content.

    Args:
        parts: The parts, each with the columns.
        columns: The columns of pictures.
        directory: The base folder of relative paths.
        given: Whether the table assigns rows to parts.

    Warns:
        LeakageWarning: As `warn_of_shared_pictures`, for each column.
    """
    place = Place(directory)

    def file_of(cell: str) -> str | None:
        path = place.path_of(cell)
        # URLs would have to be downloaded to be compared.
        return None if path is None or "://" in path else place.local(path)

    part = np.repeat(np.arange(len(parts)), [len(one) for one in parts])
    for column in columns:
        rows = pd.concat([one[[column]] for one in parts])
        warn_of_shared_pictures(rows, part, column, file_of=file_of, given=given)
