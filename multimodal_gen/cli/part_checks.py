"""Warn once, before training, if a picture is in several parts of a run's table; compares files
too.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.files import Place
from multimodal_gen.loaders.image.limits import open_image
from multimodal_gen.loaders.image.quiet import quiet
from multimodal_gen.rows.chunks import text_codes
from multimodal_gen.rows.leakage import LeakageWarning, warn_of_shared_pictures
from multimodal_gen.rows.splitting import RareClassWarning, split_table

# Classes that a note names.
_MOST_NAMES = 10


def split_quietly(
    table: pd.DataFrame, fractions: Sequence[float], **arguments: Any
) -> list[pd.DataFrame]:
    """`split_table` without its warnings, because the command line gives them for all parts, in its
    own words.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LeakageWarning)
        warnings.simplefilter("ignore", RareClassWarning)
        return split_table(table, fractions, **arguments)


def rare_classes_note(parts: Mapping[str, pd.DataFrame], column: str) -> list[str]:
    """A note if classes have too few rows for every part.

    Args:
        parts: The parts of a random split, by name; the first is for training.
        column: The column of classes.
    """
    found = {name: text_codes(part[column]) for name, part in parts.items()}
    rows = {
        name: pd.Series(np.bincount(codes[codes >= 0], minlength=len(texts)), texts)
        for name, (codes, texts) in found.items()
    }
    counts = pd.DataFrame(rows).fillna(0)
    lacking = counts[(counts == 0).any(axis=1)].sort_index()
    if lacking.empty:
        return []
    few, count = len(lacking), len(counts)
    which = ", ".join(repr(text) for text in lacking.index[:_MOST_NAMES])
    more = f" and {few - _MOST_NAMES:,} more" if few > _MOST_NAMES else ""
    have, they = ("has", "is") if few == 1 else ("have", "are")
    said = f"{few:,} of {count:,} classes {have} too few rows for every part, and {they} absent "
    said += f"from at least one: {which}{more}"
    unlearned = int((lacking.iloc[:, 0] == 0).sum())
    if unlearned:
        said += f"; {unlearned:,} of them {'has' if unlearned == 1 else 'have'} no training row"
    advice = "collect more rows, or write one class such as 'other' for all of them"
    if 2 * few > count:
        advice = "is it the right --label? Ids, names and numbers to predict are not classes"
    return [f"{column}: {said}; {advice}"]


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
        LeakageWarning: As `warn_of_shared_pictures`.
    """
    part = np.repeat(np.arange(len(parts)), [len(one) for one in parts])
    rows = pd.concat([one[list(columns)] for one in parts])
    _warn(rows, part, columns, directory, given=given)


def warn_of_shared_items(
    parts: Sequence[pd.Series], directory: str, *, given: bool = False
) -> None:
    """The same for cells with several pictures.

    Args:
        parts: The pictures of a column by part, each under the label of its row.
        directory: The base folder of relative paths.
        given: Whether the table assigns rows to parts.

    Warns:
        LeakageWarning: As `warn_of_shared_pictures`.
    """
    part = np.repeat(np.arange(len(parts)), [len(one) for one in parts])
    rows = pd.concat(parts).to_frame()
    _warn(rows, part, list(rows.columns), directory, given=given, grouped=False)


def _warn(
    rows: pd.DataFrame,
    part: np.ndarray,
    columns: Sequence[str],
    directory: str,
    **arguments: bool,
) -> None:
    place = Place(directory)

    def file_of(cell: str) -> str | None:
        path = place.path_of(cell)
        # URLs would have to be downloaded to be compared.
        return None if path is None or "://" in path else place.local(path)

    warn_of_shared_pictures(
        rows, part, columns, file_of=file_of, is_picture=_has_header, **arguments
    )


def _has_header(path: str) -> bool:
    # Whether the beginning of a file is that of a picture. Files that are not one are reported as
    # bad cells.
    try:
        with quiet(), open_image(Path(path).read_bytes(), sys.maxsize):
            return True
    except (LoadError, OSError):
        return False
