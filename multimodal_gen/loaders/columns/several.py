"""Whether the cells of a column hold several pictures or texts each, and what stands between them.

Cells are split by `many_cells.py`, as a `ManyLoader` splits them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from multimodal_gen.errors import LoadError, by_number
from multimodal_gen.loaders.columns.cells import NEARLY_ALL, Cells, Verdict, short
from multimodal_gen.loaders.columns.pictures import problem_with
from multimodal_gen.loaders.many_cells import items_of
from multimodal_gen.rows.cells import is_blank
from multimodal_gen.rows.chunks import cells_of_series
from multimodal_gen.rows.leakage import seems_picture

# So many items of a cell are read when evaluating, as each costs as much as a row.
MOST_ITEMS = 8
_LOOKED_AT = 64
# Of paths any of these is a separator, as each part has the suffix of a picture. In texts lines and
# commas are no sign of several.
_BETWEEN_PATHS = ("|", ";", "\n", "\t", ",", " ")
_BETWEEN_TEXTS = ("|", ";")
# If options say that cells hold several texts, any of these may stand between them.
_BETWEEN_NAMED = ("|", ";", "\n", "\t")
# With fewer cells of several items, these are bad cells of a column of single ones.
_SEVERAL = 0.05
# If all rows have so many pictures at most, places may have meanings; with more there is no need to
# say that a column for each would be better.
_FEW_PLACES = 4
# Captions joined by a separator: nearly all cells have it, the parts are sentences, neither words
# (tags, which one bag of words holds as well) nor pages, and none is in many cells (the name of a
# shop at the end of each title).
_JOINED, _FEWEST_WORDS, _MOST_WORDS, _REPEATED = 0.8, 3, 40, 0.2


def several(cells: Cells, directory: str | None) -> Verdict | None:
    """A verdict if the cells hold several pictures or texts each.

    Args:
        cells: The cells.
        directory: Where relative paths start.
    """
    some = cells.some(_LOOKED_AT)
    if _are_lists(some):
        items = _items(some, None)
        kind = _kind_of(items)
        if kind is None:
            return None
        form, separator = "lists", None
    elif (separator := _between_paths(some)) is not None:
        items, kind, form = _items(some, separator), "pictures", "cells"
    elif (separator := _between_texts(cells)) is not None:
        items, kind, form = _items(some, separator), "texts", "cells"
    else:
        return None
    if kind == "texts" and not cells.missing and len(set(map(repr, cells.present))) == 1:
        return Verdict("constant", f"{cells.example} in all {cells.rows:,} rows")
    if kind == "pictures":
        problem = problem_with([one for one in items if _seems_picture(one)], directory)
        if problem is not None:
            return Verdict("ignored", problem)
    return Verdict("images" if kind == "pictures" else kind, _why(cells, form, kind, separator))


def separator_of(column: pd.Series, kind: str) -> str | None:
    """What stands between the items of cells that are known to hold several; None for lists.

    Args:
        column: The cells.
        kind: "images" or "texts".
    """
    there = np.flatnonzero(
        np.fromiter((not is_blank(cell) for cell in cells_of_series(column)), bool, len(column))
    )
    if not len(there):
        return None
    places = np.unique(np.linspace(0, len(there) - 1, _LOOKED_AT).astype("int64"))
    some = column.iloc[there[places]].array.tolist()
    if _are_lists(some):
        return None
    if kind == "images":
        return _between_paths(some)
    found = {
        one: sum(isinstance(cell, str) and one in cell for cell in some) for one in _BETWEEN_NAMED
    }
    most = max(found, key=lambda one: found[one])
    return most if found[most] else None


def count_empty(column: pd.Series, separator: str | None) -> int:
    """How many cells hold no item: missing cells, blank texts and empty lists."""
    return sum(count == 0 for count in _counts(cells_of_series(column), separator))


def most_items(column: pd.Series, separator: str | None) -> int:
    """How many items of a cell are to be read when evaluating: the most there are, at most 8."""
    counts = _counts(cells_of_series(column), separator)
    return min(max((one for one in counts if one is not None), default=1) or 1, MOST_ITEMS)


def by_item(column: pd.Series, separator: str | None) -> pd.Series:
    """The items of all cells, each under the label of its row; without cells that have none."""
    rows, items = [], []
    for label, cell in zip(column.index, cells_of_series(column), strict=True):
        own = _items([cell], separator)
        rows += [label] * len(own)
        items += own
    found = np.empty(len(items), object)
    found[:] = items
    return pd.Series(found, pd.Index(rows, dtype=column.index.dtype), name=column.name)


def _why(cells: Cells, form: str, kind: str, separator: str | None) -> str:
    counts = list(_counts(cells.present, separator))
    found = [count for count in counts if count]
    least, most = min(found, default=0), max(found, default=0)
    each = f"{most:,}" if least == most else f"{least:,} to {most:,}"
    what = kind if most != 1 else kind[:-1]
    total = f", {sum(found):,} in all" if len(found) > 1 else ""
    between = "" if separator is None else f", separated by {separator!r}"
    usual = next(place for place, count in enumerate(counts) if (count or 0) >= min(most, 2))
    gaps, bad = cells.missing + counts.count(0), counts.count(None)
    said = [
        f"{len(found):,} {form} of {each} {what}{total}{between}, such as "
        f"{short(_as_list(cells.present[usual]))}"
    ]
    if kind == "pictures" and 1 < least == most <= _FEW_PLACES:
        said += ["if each place has a meaning, such as front and back, a column for each is better"]
    said += [f"evaluations read the first {MOST_ITEMS}"] if most > MOST_ITEMS else []
    said += [f"{bad:,} {by_number(bad, 'is', 'are')} none"] if bad else []
    said += [f"{gaps:,} {by_number(gaps, 'holds', 'hold')} no item"] if gaps else []
    return "; ".join(said)


def _as_list(cell: Any) -> Any:
    # As people write it.
    return cell if isinstance(cell, str) else list(cell)


def _counts(cells: Iterable[Any], separator: str | None) -> Iterator[int | None]:
    # How many items each cell has; None for a cell that is not what the others are.
    for cell in cells:
        try:
            yield len(items_of(cell, separator, "blank"))
        except LoadError:
            yield None


def _items(cells: Iterable[Any], separator: str | None) -> list[Any]:
    items = []
    for cell in cells:
        try:
            items += items_of(cell, separator, "blank")
        except LoadError:
            continue
    return items


def _are_lists(cells: Sequence[Any]) -> bool:
    return 2 * sum(map(_is_list, cells)) > len(cells)


def _is_list(cell: Any) -> bool:
    if isinstance(cell, np.ndarray):
        # Of texts or other objects; numbers along several axes are one picture or several.
        return cell.ndim == 4 or (cell.ndim == 1 and cell.dtype.kind in "OUST")
    if isinstance(cell, str):
        if not cell.lstrip().startswith("["):
            return False
        return next(_counts([cell], None)) is not None
    return isinstance(cell, list | tuple | pd.Series | pd.api.extensions.ExtensionArray)


def _kind_of(items: Sequence[Any]) -> str | None:
    if 2 * sum(map(_seems_picture, items)) > len(items):
        return "pictures"
    texts = sum(isinstance(item, str) for item in items)
    return "texts" if items and texts >= NEARLY_ALL * len(items) else None


def _seems_picture(item: Any) -> bool:
    if isinstance(item, np.ndarray):
        return item.ndim in (2, 3) and item.dtype == np.uint8
    return seems_picture(item) or isinstance(item, Image.Image)


def _between_paths(cells: Sequence[Any]) -> str | None:
    found: Counter[str] = Counter()
    for separator in _BETWEEN_PATHS:
        parts = [items_of(cell, separator, "blank") for cell in cells if isinstance(cell, str)]
        paths = [own for own in parts if own and all(map(seems_picture, own))]
        several_ones = sum(len(own) > 1 for own in paths)
        if 2 * len(paths) > len(cells) and several_ones >= _SEVERAL * len(cells):
            found[separator] = several_ones
    return found.most_common(1)[0][0] if found else None


def _between_texts(cells: Cells) -> str | None:
    texts = [cell for cell in cells.some(_LOOKED_AT) if isinstance(cell, str)]
    for separator in _BETWEEN_TEXTS:
        parts = [items_of(text, separator, "blank") for text in texts]
        joined = sum(len(own) > 1 for own in parts)
        all_parts = [part for own in parts for part in own]
        if not joined or joined < _JOINED * len(texts):
            continue
        words = sum(len(part.split()) for part in all_parts) / len(all_parts)
        repeated = Counter(part for own in parts for part in set(own)).most_common(1)[0][1]
        if _FEWEST_WORDS <= words <= _MOST_WORDS and repeated <= max(_REPEATED * len(texts), 1):
            return separator
    return None
