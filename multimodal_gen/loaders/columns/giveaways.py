"""Whether a column gives the label away: its value alone tells the label of rows nearly always.

What a value tells is learned from one half of the rows and tried on the other, so that a column of
names that are all different, which can be learned by heart, is none.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from multimodal_gen.loaders.columns.cells import short
from multimodal_gen.rows.cell_dates import cell_date
from multimodal_gen.rows.cell_numbers import readable_numbers
from multimodal_gen.rows.cells import cell_text, is_blank

# Of the mistakes that the most frequent label, or the mean, makes everywhere, a giveaway avoids at
# least this share.
_SKILL, _NUMBER_SKILL = 0.98, 0.99
# A value must be known in so many rows of the other half, and so many of them must have another
# label than the most frequent one, or it could be chance.
_KNOWN, _FEWEST, _OTHERS = 0.5, 20, 10
# More different numbers than this are a number to predict, not classes.
_MANY = 20


class Label(NamedTuple):
    """The label of each row.

    Attributes:
        there: `(rows,) bool`: whether a row has a label.
        values: `(rows,)`: positions of classes, int64, or numbers, float64.
        names: The classes; None for numbers.
        first: `(rows,) bool`: the half of the rows to learn from.
        items: The items of each row, where labels are lists; else None.
    """

    there: np.ndarray
    values: np.ndarray
    names: list[str] | None
    first: np.ndarray
    items: list[frozenset[str] | None] | None = None

    @classmethod
    def of(cls, column: pd.Series) -> Label:
        """The label in a column: a number if there are many different ones, else a class."""
        there = np.array([not is_blank(cell) for cell in column.array.tolist()], bool)
        # Every other row of a random order, which is the same for the same number of rows.
        first = np.zeros(len(column), bool)
        first[np.random.Generator(np.random.Philox(0)).permutation(len(column))[::2]] = True
        numbers = readable_numbers(column)
        different = len(np.unique(numbers[there]))
        if np.isfinite(numbers[there]).all() and different > _MANY:
            return cls(there, numbers, None, first)
        codes, names = pd.factorize(pd.Series(_texts(column), dtype=object))
        return cls(there, codes.astype("int64"), list(names), first, _items(column))


def gives_away(column: pd.Series, kind: str, label: Label) -> str | None:
    """Why a column gives the label away, with counts; None if it does not.

    Args:
        column: The column.
        kind: What it is taken for.
        label: The labels of its rows.
    """
    found = _by_items(_items(column), label.items)
    if found is not None:
        return found
    texts = _texts(column)
    if kind in ("number", "date"):
        found = _by_size(_numbers(column, kind), label)
        if found is not None:
            return found
    # Where all values differ, that a row has one may still tell.
    for values in (texts, np.where(texts == "", "missing", "present")):
        codes, names = pd.factorize(pd.Series(values, dtype=object))
        found = _by_value(codes, list(names), label)
        if found is not None:
            return found
    return None


def _items(column: pd.Series) -> list[frozenset[str] | None] | None:
    # The different texts of each cell that is a list of such; None if there is no such cell.
    found = [
        frozenset(cell)
        if isinstance(cell, list | tuple | np.ndarray)
        and all(isinstance(item, str) for item in cell)
        else None
        for cell in column.array.tolist()
    ]
    return found if any(found) else None


def _by_items(
    items: list[frozenset[str] | None] | None, labels: list[frozenset[str] | None] | None
) -> str | None:
    # Labels of which many rows have several are hardly ever the same in two rows.
    if items is None or labels is None:
        return None
    asked = [(own, label) for own, label in zip(items, labels, strict=True) if label]
    same = sum(own == label for own, label in asked)
    if len(asked) < _FEWEST or same < _SKILL * len(asked):
        return None
    return f"it lists the labels themselves in {same:,} of {len(asked):,} rows"


def _texts(column: pd.Series) -> np.ndarray:
    texts = np.empty(len(column), object)
    for row, cell in enumerate(column.array.tolist()):
        try:
            texts[row] = "" if is_blank(cell) else cell_text(cell)
        except TypeError:
            # A picture in the cell, or several values: of these, only whether there is one counts.
            texts[row] = f"\0{row}"
    return texts


def _numbers(column: pd.Series, kind: str) -> np.ndarray:
    if kind == "number":
        return readable_numbers(column)
    numbers = np.full(len(column), np.nan)
    for row, cell in enumerate(column.array.tolist()):
        try:
            date = cell_date(cell, "day first")
        except ValueError:
            continue
        if date is not None:
            numbers[row] = date.replace(tzinfo=None).toordinal() + date.hour / 24
    return numbers


def _by_value(codes: np.ndarray, names: list[str], label: Label) -> str | None:
    learn, asked = label.there & label.first, label.there & ~label.first
    if not learn.any():
        return None
    known = np.isin(codes, codes[learn]) & asked
    if known.sum() < max(_FEWEST, _KNOWN * asked.sum()):
        return None
    if label.names is None:
        means = pd.Series(label.values[learn]).groupby(codes[learn]).mean()
        said = means.reindex(codes[known]).to_numpy()
        return _of_numbers(said, label.values[known], "the mean of a value's rows")
    pairs = pd.DataFrame({"code": codes[learn], "label": label.values[learn]})
    counts = pairs.value_counts().reset_index()
    most = counts.drop_duplicates("code").set_index("code")["label"]
    said, true = most.reindex(codes[known]).to_numpy(), label.values[known]
    example = int(codes[known][0])
    tells = f"{short(names[example]) if names[example] else 'a missing value'}: "
    tells += short(label.names[int(most[example])])
    return _of_classes(said, true, f", such as {tells}")


def _by_size(numbers: np.ndarray, label: Label) -> str | None:
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    usable = np.isfinite(numbers) & label.there
    learn, asked = usable & label.first, usable & ~label.first
    if asked.sum() < max(_FEWEST, _KNOWN * (label.there & ~label.first).sum()) or not learn.any():
        return None
    x, tried = numbers[learn, None], numbers[asked, None]
    true = label.values[asked]
    if label.names is None:
        tree = DecisionTreeRegressor(min_samples_leaf=3, random_state=0)
        straight = np.poly1d(np.polyfit(x[:, 0], label.values[learn], 1)) if np.ptp(x) else None
        guesses = [tree.fit(x, label.values[learn]).predict(tried)]
        guesses += [] if straight is None else [straight(tried[:, 0])]
        best = min(guesses, key=lambda said: float(np.mean((said - true) ** 2)))
        return _of_numbers(best, true, "its size alone")
    # As many intervals as there are classes, and some more; none for a row or two.
    leaves = min(2 * len(label.names) + 2, 100)
    classes = DecisionTreeClassifier(min_samples_leaf=5, max_leaf_nodes=leaves, random_state=0)
    return _of_classes(classes.fit(x, label.values[learn]).predict(tried), true, ", by its size")


def _of_classes(said: np.ndarray, true: np.ndarray, how: str) -> str | None:
    rows, right = len(true), int((said == true).sum())
    base = int(np.bincount(true).max())
    if rows - base < _OTHERS or right - base < _SKILL * (rows - base):
        return None
    return (
        f"it tells the label of {right:,} of {rows:,} rows that were not used to learn what it "
        f"tells{how}; the most frequent label is right in {base:,}"
    )


def _of_numbers(said: np.ndarray, true: np.ndarray, how: str) -> str | None:
    spread = float(np.mean((true - true.mean()) ** 2))
    if not spread:
        return None
    skill = 1 - float(np.mean((said - true) ** 2)) / spread
    if skill < _NUMBER_SKILL:
        return None
    return (
        f"{how} explains {skill:.1%} of the variance of the label in {len(true):,} rows that were "
        "not used to learn it"
    )
