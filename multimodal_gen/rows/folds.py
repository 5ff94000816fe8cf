"""Distribute rows to folds, and the rows of the other folds to training and validation: groups stay
together, and classes are shared out.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from multimodal_gen.rows.checks import check_positive
from multimodal_gen.rows.split_groups import split_groups
from multimodal_gen.rows.splitting import check_one_name, check_unique_index
from multimodal_gen.rows.table import check_columns

# The share of the rows outside a fold that its training is watched by, as of 70 / 10 / 20.
_VALIDATION = 1 / 8


def check_folds(table: pd.DataFrame, folds: int, group: str | None) -> None:
    """Refuse what a table cannot be divided into folds by.

    Raises:
        TableError: If the index is not unique, or there is no column `group`.
        ValueError: If there are fewer than 2 folds.
        TypeError: If `group` is not the name of a column.
    """
    check_positive(folds=folds)
    if folds < 2:
        raise ValueError(f"`folds` must be at least 2. Received: folds={folds!r}")
    check_one_name("group", group)
    check_columns(table, [] if group is None else [group])
    check_unique_index(table)


def fold_of_rows(groups: np.ndarray, classes: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold of each row, at random.

    Args:
        groups: `(rows,) int64`: rows with the same number are in the same fold.
        classes: `(rows,) int64`: each class has the same share in every fold, as far as whole rows
            and groups allow.
        folds: How many there are, at least 2.
        seed: An integer in [0, 2**64).

    Returns:
        `(rows,) int64` in [0, folds).

    Raises:
        TableError: If there are fewer groups than folds.
    """
    rng = np.random.Generator(np.random.Philox(seed))
    part = _part_of_rows(groups, classes, np.full(folds, 1 / folds), rng)
    # Where nothing else decides, a split prefers the first of the largest parts, so without this
    # the first fold would get the odd rows of every class.
    return np.asarray(rng.permutation(folds)[part])


def validation_rows(
    groups: np.ndarray, classes: np.ndarray, others: np.ndarray, seed: int
) -> np.ndarray:
    """Which of the rows outside a fold are for validation: an eighth, at random.

    Args:
        groups: `(rows,) int64` of all rows, as above.
        classes: `(rows,) int64`, likewise.
        others: `(others,) int64`, the positions of the rows outside the fold.
        seed: An integer in [0, 2**64).

    Returns:
        `(others,) bool`.

    Raises:
        TableError: If there are fewer than two groups.
    """
    rng = np.random.Generator(np.random.Philox(seed))
    shares = np.array([1 - _VALIDATION, _VALIDATION])
    return _part_of_rows(groups[others], classes[others], shares, rng) == 1


def _part_of_rows(
    groups: np.ndarray, classes: np.ndarray, shares: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    group, names = pd.factorize(groups)
    kind, kinds = pd.factorize(classes)
    return split_groups(
        group.astype("int64"), len(names), kind.astype("int64"), len(kinds), shares, rng
    )
