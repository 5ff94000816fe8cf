"""What an array cell may hold: an array, nested lists of numbers, or the path of a .npy file."""

from __future__ import annotations

from typing import Any

import numpy as np

from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.base import missing_error
from multimodal_gen.loaders.files import Place
from multimodal_gen.rows.cell_numbers import number_or_cell
from multimodal_gen.rows.cells import is_missing


def array_of(cell: Any, place: Place) -> np.ndarray:
    """Return the numeric array that a cell holds or names; a file is mapped, not read yet.

    Raises:
        LoadError: If it is missing or is not an array of numbers; it names the path.
    """
    cell = number_or_cell(cell)
    path = place.path_of(cell)
    array = np.asarray(_from_cell(cell) if path is None else _from_file(place.local(path)))
    if array.dtype.kind not in "biuf" or not array.size:
        raise LoadError(
            f"expected an array of numbers. Received: dtype {array.dtype}, shape {array.shape}",
            path=path,
        )
    return array


def _from_cell(cell: Any) -> Any:
    if is_missing(cell):
        raise missing_error()
    if not isinstance(cell, np.ndarray | np.generic | list | tuple | int | float):
        raise LoadError(
            "expected an array, lists of numbers or the path of a .npy file. Received: "
            f"{type(cell).__name__}"
        )
    try:
        return np.asarray(cell)
    except ValueError as error:
        raise LoadError("the lists have unequal lengths. Pad or cut them to one length.") from error


def _from_file(path: str) -> np.ndarray:
    try:
        try:
            return _mapped(path)
        except SystemError:
            # NumPy parses the header as Python does its code, and CPython 3.11 rarely fails at that
            # if another thread parses at the same moment ("AST constructor recursion depth
            # mismatch"). The file is not to blame.
            return _mapped(path)
    except Exception as error:
        raise LoadError(
            "not a .npy file of numbers (as `np.save` writes), or broken: "
            f"{str(error).rstrip('.')}. Replace the file, or drop the row.",
            path=path,
        ) from error


def _mapped(path: str) -> np.ndarray:
    # Refuses pickled objects, whose loading could run any code, and maps the file instead of
    # reading all of it.
    return np.lib.format.open_memmap(path, mode="r")
