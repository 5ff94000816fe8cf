"""Which rows stay in one fold: those of a group, and copies of one another."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd

from multimodal_gen.errors import by_number
from multimodal_gen.inspection.audit.auditing import audit
from multimodal_gen.inspection.audit.clusters import joined
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.rows.splitting import RareClassWarning, codes_of

# Classes that a warning names.
_MOST_NAMES = 10


def kept_together(
    table: pd.DataFrame,
    inputs: Mapping[str, Loader],
    group: str | None,
    copies: bool,
    threads: int | None = None,
) -> np.ndarray:
    """`(rows,) int64`: rows with the same number stay together.

    Args:
        table: The rows, with a unique index.
        inputs: Input name -> loader.
        group: A column whose equal values stay together, or None.
        copies: Whether rows with the same content, or nearly the same, stay together: what an
            audit finds.
        threads: Threads that read; by default one per core, up to 8.

    Raises:
        TableError: If the column is missing, or one of its cells.
    """
    found = [np.arange(len(table))]
    if group is not None:
        found.append(codes_of(table, group)[0])
    if copies:
        # It reads all cells, and leaves those that cannot be read to others.
        report = audit(table, inputs, threads=threads, progress=lambda cells: None)
        found.append(report.duplicates.to_numpy())
    return _connected(found)


def _connected(numbers: list[np.ndarray]) -> np.ndarray:
    # Rows that have the same number in any of the arrays, also by way of other rows.
    pairs = [np.zeros((0, 2), "int64")]
    for one in numbers:
        _, first, place = np.unique(one, return_index=True, return_inverse=True)
        pairs.append(np.stack([np.arange(len(one)), first[place]], axis=1))
    return joined(len(numbers[0]), np.concatenate(pairs))


def warn_of_lone_classes(target: Target, classes: np.ndarray, fold: np.ndarray) -> None:
    """Warn of classes whose rows are all in one fold, so that the model which predicts them has not
    seen any.

    Warns:
        RareClassWarning: It names them.
    """
    if not target.one_class:
        return
    pairs = np.unique(np.stack([classes, fold]), axis=1)
    lone, counts = np.unique(pairs[0], return_counts=True)
    names = [repr(str(target.class_names[one])) for one in lone[counts == 1]]
    if names:
        more = f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
        warnings.warn(
            f"All rows of {len(names):,} {by_number(len(names), 'class', 'classes')} are in one "
            f"fold, so they are predicted by a model that has seen none of them: "
            f"{', '.join(names[:_MOST_NAMES])}{more}. Collect more rows, or drop the class",
            RareClassWarning,
            stacklevel=4,
        )
