"""Errors of cells with their place: the row's index, the column, and the path or the cell."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.base import Loader, missing_error, missing_target_error
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.rows.cells import is_missing


def read_at(
    loader: Loader, cell: Any, index: Any, read: Callable[[Any], np.ndarray] | None = None
) -> np.ndarray:
    """Return what `loader.read` gives for a cell.

    Args:
        loader: The loader.
        cell: The cell, perhaps a missing one.
        index: The row's label in the table's own index.
        read: Reads instead of `loader.read`, such as a cache of it.

    Raises:
        LoadError: If the cell is missing, or reading it raises any error.
    """
    try:
        if not loader.accepts_missing and is_missing(cell):
            raise missing_target_error() if isinstance(loader, Target) else missing_error()
        return (read or loader.read)(cell)
    except Exception as error:
        raise placed(error, loader, cell, index) from error


# A name with a suffix, in a folder or not, as in "scans/a b.dcm"; or a folder and a name.
_PATH = re.compile(r"[^\n]*[^\s/\\]\.[A-Za-z]\w{0,4}|[^\s]*[/\\][^\s/\\]+")


def placed(error: Exception, loader: Loader, cell: Any, index: Any) -> LoadError:
    """Turn an error of `read` into a `LoadError` that names row, column, and path or cell."""
    if not isinstance(error, LoadError):
        error = LoadError(
            f"{type(loader).__name__}.read failed with {type(error).__name__}: {error}"
        )
    # An error with a path says which file was looked for, so the cell is not repeated.
    if error.path is None and isinstance(cell, str | os.PathLike) and len(os.fspath(cell)) <= 300:
        # Long texts are not repeated: the index leads to them. Nor what the error says already.
        reason, text = error.reason, os.fspath(cell)
        if repr(text) not in reason:
            reason = f"{reason.rstrip('.')}. The cell holds {text!r}."
        path = None if isinstance(loader, Target) else _path_of(loader, os.fspath(cell))
        error = LoadError(reason, path=path, unknown_label=error.unknown_label)
    return error.at(index, loader.column)


def _path_of(loader: Loader, cell: str) -> str | None:
    # The file that a cell names, existing or not: by `file_of` it would have to exist.
    inner = getattr(loader, "loader", None)
    if isinstance(inner, Loader):
        return _path_of(inner, cell)
    # What is kept by row is in the cell: a price, a date or a brand, such as "n/a". Several items
    # are no path, and the error of one has its own.
    if loader.kept_by_row or loader.spec.kind == "many":
        return None
    directory = getattr(loader, "directory", None)
    if loader.reads_text or not cell.strip() or "\n" in cell:
        return None
    if directory is None and not _PATH.fullmatch(cell):
        return None
    return cell if directory is None else os.path.join(directory, cell)
