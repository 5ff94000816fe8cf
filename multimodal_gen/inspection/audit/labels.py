"""Labels: missing and unseen ones, class balance, and captions that give the class away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.errors import LoadError
from multimodal_gen.inspection.audit.findings import Finding
from multimodal_gen.inspection.audit.reading import as_load_error, in_words, name_of
from multimodal_gen.inspection.audit.texts import normalised
from multimodal_gen.loaders.cell_errors import read_at
from multimodal_gen.loaders.targets.balance import classes_where_known
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.loaders.targets.unlikely import ids_in_words, printed_lists_note
from multimodal_gen.loaders.targets.variants import Variants
from multimodal_gen.rows.cells import Unreadable, cell_text, is_blank, is_missing
from multimodal_gen.rows.table import cells_of, readable_cells_in

# From this share of captions that contain the name of their own class, a note says so.
_HINTING = 0.05


def read_labels(
    table: pd.DataFrame, target: Target, training: np.ndarray, progress: Any
) -> tuple[np.ndarray, list[Finding]]:
    """Read every label.

    Args:
        table: The rows.
        target: The target.
        training: `(rows,) bool`, which rows are for training.
        progress: Called with the number of cells just done.

    Returns:
        `(rows,) int64`: equal numbers for equal labels, -1 for rows without a usable one; and the
            findings.
    """
    column = name_of(target)
    known: dict[bytes, int] = {}
    codes = np.full(len(table), -1, "int64")
    findings = []
    for row, cell in enumerate(readable_cells_in(table, target.column)):
        try:
            if isinstance(cell, Unreadable):
                raise as_load_error(cell.error)
            # Compares the arrays that a model gets, so that two ways to write a class are one
            # label.
            array = read_at(target, cell, table.index[row])
            codes[row] = known.setdefault(array.tobytes(), len(known))
        except LoadError as error:
            findings.append(Finding(row, column, _kind(target, cell, error), in_words(error)))
        progress(1)
    if target.one_class:
        seen = np.zeros(len(known) + 1, bool)
        seen[codes[training]] = True
        for place in np.flatnonzero((codes >= 0) & ~seen[codes]):
            (cell,) = cells_of(table, target.column, slice(place, place + 1))
            message = f"no training row has the label {cell!r}"
            findings.append(Finding(int(place), column, "unseen label", message))
    return codes, findings


def class_notes(table: pd.DataFrame, target: Target) -> list[str]:
    """How even the classes are, which of them look like one, and whether they look like ids or
    printed lists, in words.
    """
    return [
        *balance_note(table, target),
        *variants_note(table, target),
        *_unlikely_notes(table, target),
    ]


def _unlikely_notes(table: pd.DataFrame, target: Target) -> list[str]:
    if not target.one_class or not isinstance(target.column, str):
        return []
    column = name_of(target)
    counts = rows_by_class(target, table)
    ids = ids_in_words(len(counts), counts.total())
    notes = [] if ids is None else [f"{column}: {ids}; is it the column to predict?"]
    return [*notes, *printed_lists_note(column, target.class_names)]


def balance_note(table: pd.DataFrame, target: Target) -> list[str]:
    """How balanced the classes are, in words."""
    if not target.one_class:
        return []
    counts = rows_by_class(target, table)
    if not counts:
        return []
    (most, many), (least, few) = counts.most_common()[0], counts.most_common()[-1]
    absent = len(target.class_names) - len(counts)
    none = f"; {absent} {'class has' if absent == 1 else 'classes have'} no row" if absent else ""
    if few == many:
        rows = f"{many:,} {'row' if many == 1 else 'rows'}"
        each = " each" if len(counts) > 1 else ""
        classes = "classes" if len(counts) > 1 else "class"
        return [f"{name_of(target)}: {len(counts)} {classes} of {rows}{each}{none}"]
    return [
        f"{name_of(target)}: {len(counts)} classes of {few:,} to {many:,} rows; fewest {least!r}, "
        f"most {most!r}{none}"
    ]


def variants_note(table: pd.DataFrame, target: Target) -> list[str]:
    """Which classes differ only in how they are written, with their numbers of rows, in words."""
    names = [cell_text(name) for name in target.class_names]
    found = Variants.among(names)
    if not found or not isinstance(target.column, str):
        return []
    if target.one_class:
        rows = rows_by_class(target, table)
    else:
        rows = Counter()
        for cell in readable_cells_in(table, target.column):
            with suppress(LoadError):
                there = np.flatnonzero(target.read(cell)).tolist()
                rows.update(names[place] for place in there)
    return [f"{name_of(target)}: {found.note(rows)}"]


def rows_by_class(target: Target, table: pd.DataFrame) -> Counter[str]:
    """How many rows each class has that a row has, by its text, in the order of first rows."""
    classes = classes_where_known(target, table)
    found, first, rows = np.unique(classes, return_index=True, return_counts=True)
    order = [place for place in np.argsort(first).tolist() if found[place] >= 0]
    return Counter({cell_text(target.class_names[found[one]]): int(rows[one]) for one in order})


def hint_notes(
    column: str, texts: Iterable[str | None], table: pd.DataFrame, target: Target
) -> list[str]:
    """Whether captions contain the name of their own class, and how many classes that alone would
    predict.

    A caption contains a name if it has all of its words, in singular or plural.
    """
    if not target.one_class:
        return []
    names = {
        name: frozenset(map(_stem, normalised(name).split()))
        for name in map(cell_text, target.class_names)
    }
    by_word: dict[str, list[Any]] = {}
    for name, words in names.items():
        for word in words:
            by_word.setdefault(word, []).append(name)
    # The last is for rows without a class.
    texts_of = np.array([*map(cell_text, target.class_names), None], object)
    classes = classes_where_known(target, table)
    rows = own = right = 0
    majority = rows_by_class(target, table).most_common(1)
    most_common = majority[0][0] if majority else None
    holding: Counter[Any] = Counter()
    for text, label in zip(texts, map(texts_of.__getitem__, classes), strict=True):
        if text is None or label is None:
            continue
        said = set(map(_stem, normalised(text).split()))
        held = {name for word in said for name in by_word.get(word, ()) if names[name] <= said}
        # The longest name is the most specific: "black cat" rather than "cat". Without any, the
        # most frequent class is the best guess.
        guess = max(held, key=lambda name: (len(names[name]), str(name)), default=most_common)
        rows, own, right = rows + 1, own + (label in held), right + (guess == label)
        holding[label] += label in held
    if not rows or own < _HINTING * rows:
        return []
    shown = ", ".join(f"{name!r} {count:,}" for name, count in holding.most_common(3) if count)
    return [
        f"{column}: {own / rows:.0%} of the captions contain the name of their own class (most "
        f"often {shown}); that alone gives {right / rows:.0%} of the classes correctly"
    ]


def _kind(target: Target, cell: Any, error: LoadError) -> str:
    if isinstance(cell, Unreadable):
        return "unreadable"
    if is_blank(cell) if target.one_class else is_missing(cell):
        return "missing"
    return "unseen label" if target.one_class or error.unknown_label else "unreadable"


def _stem(word: str) -> str:
    # Short words that end in s, such as "gas", are rarely plurals.
    return word[:-1] if len(word) > 3 and word.endswith("s") else word
