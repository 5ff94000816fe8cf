"""Split a table into parts, each row in exactly one: by class, by group, or both."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.errors import TableError, by_number
from multimodal_gen.rows.cells import cell_text, is_blank
from multimodal_gen.rows.checks import check_seed, nearly_all_differ
from multimodal_gen.rows.chunks import text_codes
from multimodal_gen.rows.leakage import picture_columns, warn_of_shared_pictures
from multimodal_gen.rows.split_groups import split_groups
from multimodal_gen.rows.split_rows import split_rows
from multimodal_gen.rows.stores.column import StoredDtype
from multimodal_gen.rows.table import check_columns

# A class by this name is a number.
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
# Different numbers from which on a column may hold measurements and not classes.
_MANY = 20
# Classes that a warning names.
_MOST_NAMES = 10


class RareClassWarning(UserWarning):
    """A class has too few rows for every part of a split."""


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
        stratify: A column of classes that get the same share in every part, each rounded to whole
            rows. Classes and groups are compared by the text of their cells. A class with too few
            rows for every part goes to the largest part first; a warning names it.
        group: A column whose equal values stay together in one part; shares are then as close as
            the groups allow.
        seed: An integer in [0, 2**64) that fixes the split.

    Returns:
        One DataFrame per fraction, with the rows in the table's order. Without `group`, each part
        has its share of all rows, rounded up or down, and at least one row.

    Warns:
        LeakageWarning: If, without `group`, one picture is in several parts. This is checked in
            columns that seem to hold pictures: most of a sample of their cells are bytes, or paths
            with an image suffix.

    Raises:
        TypeError: If the fractions are not a list of numbers, or `stratify` or `group` is not a
            single name.
        ValueError: If the fractions are not positive or do not sum to one, or the seed is not such
            an integer.
        TableError: If a column is missing, a cell of `stratify` or `group` is missing, the index
            has duplicates, or there are too few rows or groups to fill every part.
    """
    fractions = _checked_fractions(fractions)
    seed = check_seed(seed)
    for argument, column in (("stratify", stratify), ("group", group)):
        check_one_name(argument, column)
    check_columns(table, [column for column in (stratify, group) if column is not None])
    check_unique_index(table)
    rng = np.random.Generator(np.random.Philox(seed))
    # They may miss a sum of one by rounding.
    shares = np.array(fractions) / sum(fractions)
    classes, class_names = codes_of(table, stratify)
    if group is None:
        part = split_rows(classes, len(class_names), shares, rng)
    else:
        groups, names = codes_of(table, group)
        part = split_groups(groups, len(names), classes, len(class_names), shares, rng)
    if not np.bincount(part, minlength=len(fractions)).all():
        raise TableError(
            f"There are too few rows to fill every part. Received: {len(part)} rows, "
            f"fractions={tuple(fractions)}"
        )
    if group is None:
        warn_of_shared_pictures(table, part, picture_columns(table))
    if stratify is not None:
        _warn_of_rare_classes(part, classes, class_names, shares, stratify)
    return [table.iloc[np.flatnonzero(part == position)] for position in range(len(fractions))]


def _checked_fractions(fractions: Any) -> list[float]:
    # A text has its characters for parts, and a mapping its keys.
    kinds = str | bytes | Mapping | set | frozenset
    try:
        if isinstance(fractions, kinds):
            raise TypeError
        shares = [float(fraction) for fraction in fractions]
    except (TypeError, ValueError):
        raise TypeError(
            "`fractions` must be a share for each part, as in (0.8, 0.2). Received: "
            f"fractions={fractions!r}"
        ) from None
    # Written so that NaN is refused too.
    if not shares or not all(share > 0 for share in shares) or not abs(sum(shares) - 1) <= 1e-6:
        raise ValueError(
            f"`fractions` must be positive and sum to one. Received: fractions={tuple(shares)}"
        )
    return shares


def check_one_name(argument: str, column: Any) -> None:
    """Raise a TypeError if an argument that names a column holds several names, or cells."""
    # Names of columns that are not strings are the business of `check_columns`.
    if isinstance(column, list | tuple):
        texts = " + '|' + ".join(f"table[{one!r}].astype(str)" for one in column) or "..."
        raise TypeError(
            f"`{argument}` must be the name of one column. To use several, join their texts in a "
            f"new column: `table['joined'] = {texts}`. Received: {argument}={column!r}"
        )
    if isinstance(column, pd.Series | pd.Index | np.ndarray):
        name = getattr(column, "name", None)
        raise TypeError(
            f"`{argument}` must be the name of a column, not its cells. Received: "
            f"{argument}={type(column).__name__}{'' if name is None else f' {name!r}'}"
        )


def check_unique_index(table: pd.DataFrame) -> None:
    """Raise a TableError if two rows have the same label, as rows are identified by it."""
    if not table.index.is_unique:
        twice = table.index[table.index.duplicated()].tolist()[0]
        raise TableError(
            "The index must be unique, to identify rows after the split. Use "
            f"`table.reset_index(drop=True)`. Received: index {twice!r} more than once"
        )


def codes_of(table: pd.DataFrame, column: str | None) -> tuple[np.ndarray, list[str]]:
    """The groups or strata of a table's rows.

    Args:
        table: The table.
        column: The column that names them; None for a single one.

    Returns:
        `(rows,) int64`, the position of each row's text among all texts of the column, in the order
        of their first rows; and these texts.

    Raises:
        TableError: If a cell is missing or blank.
    """
    if column is None:
        return np.zeros(len(table), "int64"), [""]
    cells = table[column]
    mixed = cells.dtype == object and pd.api.types.infer_dtype(cells, skipna=True) != "string"
    if mixed or isinstance(cells.dtype, pd.CategoricalDtype | StoredDtype):
        try:
            codes, names = text_codes(cells)
        except TypeError as error:
            which = str(error).partition("Received: ")[2]
            raise TableError(
                "A column to split by must hold single values, not lists or arrays. Received: "
                f"column={column!r}, {which}"
            ) from None
        blank = (codes < 0) & cells.notna().to_numpy()
    else:
        # All cells are of one type, so that a few texts do for all of them.
        codes, found = pd.factorize(cells, sort=False)
        names = list(found)
        blank = np.isin(codes, [code for code, name in enumerate(names) if is_blank(name)])
    if (codes < 0).any() or blank.any():
        missing = table.index[(codes < 0) | blank].tolist()
        without = f"table.dropna(subset=[{column!r}])"
        if blank.any():
            without = f"table[table[{column!r}].fillna('').str.strip() != '']"
        raise TableError(
            f"{len(missing):,} of {len(codes):,} cells to split by "
            f"{by_number(len(missing), 'is', 'are')} missing{' or blank' if blank.any() else ''}. "
            "Fill them, or drop their rows with "
            f"`{without}`; for labels, `multimodal-gen audit ... --drop FILE` writes a table "
            f"without them. Received: index {missing[0]!r} first, column {column!r}"
        )
    return codes.astype("int64"), [cell_text(name) for name in names]


def _warn_of_rare_classes(
    part: np.ndarray, classes: np.ndarray, class_names: list[str], shares: np.ndarray, stratify: str
) -> None:
    counts = np.zeros((len(class_names), len(shares)), "int64")
    np.add.at(counts, (classes, part), 1)
    rare = [repr(class_names[code]) for code in np.flatnonzero((counts == 0).any(axis=1))]
    if not rare:
        return
    unknown = int((counts[:, shares.argmax()] == 0).sum())
    # Where they are most classes, dropping them would leave hardly a row.
    advice = "Drop them or collect more rows."
    if 2 * len(rare) > len(class_names):
        advice = "Collect more rows, or write one class such as 'other' for all of them."
    if nearly_all_differ(len(class_names), len(part)):
        advice = (
            f"Is {stratify!r} the right column? It is like a column of ids, which has no classes "
            "to share out: split without `stratify`."
        )
    elif unknown:
        advice = (
            f"{unknown:,} {by_number(unknown, 'is', 'are')} absent from the largest part too, "
            f"so a target must learn the classes from the whole table: "
            f"`ClassLabel.from_values({stratify!r}, table)`. {advice}"
        )
    if len(class_names) > _MANY and all(map(_NUMBER.fullmatch, class_names)):
        advice += (
            f" If {stratify!r} holds numbers to predict, not classes, split without `stratify`."
        )
    more = f" and {len(rare) - _MOST_NAMES:,} more" if len(rare) > _MOST_NAMES else ""
    warnings.warn(
        f"{len(rare):,} of the {len(class_names):,} classes in {stratify!r} "
        f"{by_number(len(rare), 'has', 'have')} too few rows for every part, and "
        f"{by_number(len(rare), 'is', 'are')} absent from some: {', '.join(rare[:_MOST_NAMES])}"
        f"{more}. {advice}",
        RareClassWarning,
        stacklevel=3,
    )
