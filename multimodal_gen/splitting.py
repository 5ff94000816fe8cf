"""Split a table into parts, each row in exactly one: by class, by group, or both."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.errors import TableError
from multimodal_gen.table import check_columns


def split_table(
    table: pd.DataFrame,
    fractions: Sequence[float],
    *,
    stratify: str | None = None,
    group: str | None = None,
    seed: int = 0,
) -> list[pd.DataFrame]:
    """Split a table at random into parts, each row in exactly one.

    Args:
        table: The table; its index must be unique, and the parts keep it.
        fractions: The share of each part, for example `(0.7, 0.1, 0.2)`; they sum to one.
        stratify: A column whose values get the same share in every part, as far as whole rows allow.
        group: A column whose equal values stay together in one part.
        seed: Fixes the split.

    Returns:
        One DataFrame a fraction, with the rows in the table's order.

    Raises:
        ValueError: If the fractions are not positive or do not sum to one.
        TableError: If a column is missing, a cell of `stratify` or `group` is missing, the index has duplicates, or
            there are too few rows or groups to fill every part.
    """
    try:
        fractions = [float(fraction) for fraction in fractions]
    except TypeError:
        raise TypeError(
            f"`fractions` must be a share for each part, as in (0.8, 0.2). Received: fractions={fractions!r}"
        ) from None
    if not fractions or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(f"`fractions` must be positive and sum to one. Received: fractions={tuple(fractions)}")
    check_columns(table, [column for column in (stratify, group) if column is not None])
    if not table.index.is_unique:
        twice = table.index[table.index.duplicated()].tolist()[0]
        raise TableError(
            "The index must be unique, or rows could not be told apart after the split. Use "
            f"`table.reset_index(drop=True)`. Received: index {twice!r} more than once"
        )
    rng = np.random.Generator(np.random.Philox(seed))
    classes, class_names = _codes(table, stratify)
    if group is None:
        part = _split_rows(classes, len(class_names), np.array(fractions), rng)
    else:
        groups, names = _codes(table, group)
        part = _split_groups(groups, len(names), classes, len(class_names), np.array(fractions), rng)
    _check_parts(part, classes, class_names, fractions, stratify, group)
    return [table.iloc[np.flatnonzero(part == position)] for position in range(len(fractions))]


def _codes(table: pd.DataFrame, column: str | None) -> tuple[np.ndarray, list[Any]]:
    if column is None:
        return np.zeros(len(table), "int64"), [None]
    try:
        codes, names = pd.factorize(table[column], sort=False)
    except TypeError:
        raise TableError(
            f"A column to split by must hold single values, and not lists or arrays. Received: column={column!r}"
        ) from None
    if (codes < 0).any():
        index = table.index[codes < 0].tolist()[0]
        raise TableError(
            f"A cell to split by is missing. Fill it, or drop the row. Received: index {index!r}, column {column!r}"
        )
    return codes.astype("int64"), list(names)


def _split_rows(classes: np.ndarray, num_classes: int, fractions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    part = np.empty(len(classes), "int64")
    shuffled = rng.permutation(len(classes))
    by_class = shuffled[np.argsort(classes[shuffled], kind="stable")]
    debt = np.zeros(len(fractions))
    start = 0
    for size in np.bincount(classes, minlength=num_classes):
        # What rounding took from a part in one class it gets back in the next.
        due = np.clip(size * fractions + debt, 0, None)
        counts = np.floor(due).astype("int64")
        while counts.sum() > size:
            counts[np.argmax(counts - due)] -= 1
        for position in np.argsort(counts - due, kind="stable")[: size - counts.sum()]:
            counts[position] += 1
        counts = _at_least_one(counts, fractions)
        debt += size * fractions - counts
        part[by_class[start : start + size]] = np.repeat(np.arange(len(fractions)), counts)
        start += size
    return part


def _at_least_one(counts: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    counts = counts.copy()
    if counts.sum() <= len(counts):
        # Too few rows for all: the largest parts come first, as a model cannot learn what only the test part has.
        largest = np.argsort(-fractions, kind="stable")[: counts.sum()]
        counts[:] = 0
        counts[largest] = 1
    while counts.sum() >= len(counts) and not counts.all():
        counts[np.argmax(counts)] -= 1
        counts[np.argmin(counts)] += 1
    return counts


def _split_groups(
    groups: np.ndarray,
    num_groups: int,
    classes: np.ndarray,
    num_classes: int,
    fractions: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    if num_groups < len(fractions):
        raise TableError(f"There are fewer groups than parts. Received: {num_groups} groups, {len(fractions)} parts")
    members = pd.crosstab(groups, classes).reindex(columns=range(num_classes), fill_value=0).to_numpy("float64")
    # Classes weigh by their rarity, so that a class of ten rows is shared out as evenly as one of a thousand.
    share = members / members.sum(axis=0)
    missing = np.outer(fractions, np.ones(num_classes))
    part = np.empty(num_groups, "int64")
    order = rng.permutation(num_groups)
    for one in order[np.argsort(-members.sum(axis=1)[order], kind="stable")]:
        # The part that lacks most of what the group brings, relative to what it is to get.
        part[one] = int(np.argmax((missing * share[one]).sum(axis=1) / (share[one].sum() * fractions)))
        missing[part[one]] -= share[one]
    return part[groups]


def _check_parts(
    part: np.ndarray,
    classes: np.ndarray,
    class_names: list[Any],
    fractions: Sequence[float],
    stratify: str | None,
    group: str | None,
) -> None:
    sizes = np.bincount(part, minlength=len(fractions))
    if not sizes.all():
        what = f"groups in {group!r}" if group is not None else "rows" if stratify is None else f"rows a {stratify!r}"
        raise TableError(
            f"There are too few {what} to fill every part. Received: {len(part)} rows, fractions={tuple(fractions)}"
        )
    if stratify is None:
        return
    counts = np.zeros((len(class_names), len(fractions)), "int64")
    np.add.at(counts, (classes, part), 1)
    rare = [repr(class_names[code]) for code in np.flatnonzero((counts == 0).any(axis=1))]
    if rare:
        warnings.warn(
            f"{len(rare)} of the {len(class_names)} classes in {stratify!r} have too few rows for every part, and are "
            f"absent from some: {', '.join(rare[:10])}. Drop them or collect more rows.",
            stacklevel=3,
        )
