"""Reads cells that no table holds, such as a caption without one of its words, for one input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.bundle.explaining.model_parts import Arrays
from multimodal_gen.loaders.base import Loader
from multimodal_gen.sequence.sequence import MultimodalSequence
from multimodal_gen.spec import mask_of


def read_table(
    inputs: Mapping[str, Loader], table: pd.DataFrame, batch_size: int
) -> tuple[dict[str, Arrays], dict[int, str]]:
    """Read the inputs of a table as predictions do.

    Args:
        inputs: Input name -> loader.
        table: The rows.
        batch_size: Rows that are read together.

    Returns:
        Input name -> its arrays `(rows, ...)`, and the error of each row that cannot be read, whose
        arrays are zeros.
    """
    sequence = MultimodalSequence(
        table,
        inputs,
        batch_size=batch_size,
        inputs_as="dict",
        on_error="blank",
        max_error_rate=1.0,
    )
    batches = [sequence[number][0] for number in range(len(sequence))]
    found = {}
    for name in inputs:
        keys = [key for key in (name, f"{name}_present") if key in batches[0]]
        found[name] = [np.concatenate([batch[key] for batch in batches]) for key in keys]
    return found, dict(sequence.assembly.failures.positions)


def read_cells(
    name: str, loader: Loader, cells: Sequence[Any], batch_size: int
) -> tuple[Arrays, dict[int, str]]:
    """Read cells of one input: its arrays, and the errors by place.

    Args:
        name: The input.
        loader: Its loader.
        cells: What `read` takes; a tuple each, if the loader reads several columns.
        batch_size: Cells that are read together.
    """
    column = loader.column
    several = not isinstance(column, str)
    columns = [column] if isinstance(column, str) else list(column)
    values: dict[str, Any] = {}
    for place, one in enumerate(columns):
        own = np.empty(len(cells), object)
        for row, cell in enumerate(cells):
            own[row] = cell[place] if several else cell
        # As objects: pandas would make NaN of None among numbers, and arrays of lists.
        values[one] = pd.Series(own, dtype=object)
    arrays, errors = read_table({name: loader}, pd.DataFrame(values), batch_size)
    return arrays[name], errors


def blank_arrays(loader: Loader, masked: bool) -> Arrays:
    """What stands for an input that a row lacks, as one row: zeros, with a mask of zeros.

    Without a mask a model would take zeros for a black picture, so that of bytes is grey.
    """
    spec = loader.spec
    grey = not masked and spec.each.kind == "image" and spec.dtype == "uint8"
    arrays = [np.full((1, *spec.shape), 127 if grey else 0, spec.dtype)]
    if masked or spec.kind == "many":
        mask = mask_of(spec)
        # Where a model cannot know that an input is missing, it is there.
        arrays.append(np.full((1, *mask.shape), 0.0 if masked else 1.0, mask.dtype))
    return arrays
