"""What loaders choose of the table's cells in an epoch (`Loader.choose`), before they are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.base import Loader
from multimodal_gen.rows.cells import Unreadable, is_missing, is_unreadable


def is_absent(cell: Any) -> bool:
    """Whether there is nothing to read: a cell is missing, or cannot be had."""
    return is_unreadable(cell) or is_missing(cell)


def chosen_cells(
    loader: Loader,
    cells: Sequence[Any],
    epoch: int,
    stream: Callable[[int, int], np.random.Generator],
) -> list[Any]:
    """Return what a loader reads of some rows in an epoch.

    Args:
        loader: The loader.
        cells: The table's cells.
        epoch: The epoch, counting from 0.
        stream: Row of the batch, number -> one of the row's streams.
    """
    return [
        cell
        if is_unreadable(cell) or (is_missing(cell) and not loader.accepts_missing)
        else _chosen(loader, cell, epoch, partial(stream, row))
        for row, cell in enumerate(cells)
    ]


def _chosen(
    loader: Loader, cell: Any, epoch: int, stream: Callable[[int], np.random.Generator]
) -> Any:
    try:
        return loader.choose(cell, epoch, stream)
    # What happens to the row is decided where it is read.
    except Exception as error:
        return Unreadable(cell, error)


def chosen_error(error: Exception, loader: Loader, chosen: Any, cell: Any) -> Exception:
    """Return the error of reading what was chosen, with its place in the table's cell."""
    if not isinstance(error, LoadError) or not (place := loader.locate(chosen, cell)):
        return error
    return LoadError(f"{place}: {error.reason}", path=error.path, unknown_label=error.unknown_label)
