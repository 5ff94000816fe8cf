"""What a cell with several items may hold: a list, an array, its JSON text, or a joined text; and
which loader may read its items.
"""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.errors import LoadError, shown
from multimodal_gen.loaders.base import Loader, missing_error
from multimodal_gen.loaders.learning import series_of
from multimodal_gen.rows.cells import is_missing

_USUAL_SEPARATORS = ("|", ";", "\n", "\t", ", ", ",")
_MOST_CHARACTERS = 10_000_000
# The end of a text and the beginning of the next, perhaps: it may also be inside of one.
_WITHOUT_COMMA = re.compile(r"""['"]\s*['"]""")


def check_item(loader: Any) -> None:
    """Make sure that a loader can be that of an item.

    Raises:
        TypeError: If it is not a loader.
        ValueError: If it is one of several columns or of several items, or has settings that items
            cannot have.
    """
    if not isinstance(loader, Loader):
        raise TypeError(
            "`loader` must be the loader of one item, such as an ImageLoader. Received: "
            f"loader={loader!r}"
        )
    problem = None
    if not isinstance(loader.column, str):
        problem = "must read one column"
    elif loader.spec.kind == "many":
        problem = "must be the loader of one item, not a ManyLoader"
    elif loader.missing == "blank":
        problem = 'must not have missing="blank": give that to the ManyLoader'
    elif loader.get_config().get("vary_with") is not None:
        problem = "must not have `vary_with`, because items have no partners in another column"
    if problem is not None:
        raise ValueError(f"`loader` {problem}. Received: loader={loader!r}")


def items_of(cell: Any, separator: str | None, missing: str) -> list[Any]:
    """Return the items of a cell, in their order; an item that comes twice counts twice.

    Args:
        cell: A list, a tuple or an array of items, along its first axis. Without a separator also
            the text of a list, as JSON, Python or NumPy writes it; with one, a text of items joined
            by it, where white space around items does not count and blank parts are no items.
        separator: The text between items, or None.
        missing: "error", or "blank": then missing items are left out, and there may be none.

    Raises:
        LoadError: If the cell is missing or is none of these, or an item is missing.
    """
    if is_missing(cell):
        if missing == "blank":
            return []
        raise missing_error()
    items = _split(cell, separator) if isinstance(cell, str) else _listed(cell)
    there = [item for item in items if not is_missing(item)]
    if missing == "blank":
        return there
    if len(there) < len(items):
        place = next(place for place, item in enumerate(items) if is_missing(item))
        raise LoadError(
            f"item {place + 1} of {len(items)} is missing (None or NaN). Remove it, or give the "
            'loader of the cells `missing="blank"`, which leaves such items out. Received: '
            f"{shown(cell)}"
        )
    if not items:
        raise LoadError(
            "the cell holds no items. Drop the row, or give the loader of the cells "
            f'`missing="blank"`. Received: {shown(cell)}'
        )
    return there


def learned_items(column: str, values: Any, separator: str | None) -> tuple[pd.Series, int]:
    """All items of training cells, under the labels of their rows, and the greatest number in one.

    Args:
        column: The column.
        values: Its training cells, or the table that has it. Those that cannot be read are left
            out.
        separator: As for `items_of`.

    Raises:
        LoadError: If no cell has an item.
    """
    found, labels, most, first = [], [], 0, None
    series = series_of(column, values)
    for label, cell in series.items():
        try:
            # Without the rule for missing items, because this only learns from those there are.
            items = items_of(cell, separator, "blank")
        except LoadError as error:
            first = first or error.at(label, column)
            continue
        most = max(most, len(items))
        found += items
        labels += [label] * len(items)
    if not found:
        raise first or LoadError(
            f"no training cell holds an item. Received: {len(series)} cells"
        ).at(None, column)
    items_by_row = np.empty(len(found), object)
    items_by_row[:] = found
    return pd.Series(items_by_row, index=pd.Index(labels, dtype=object)), most


def item_error(error: Exception, which: str, item: Any) -> LoadError:
    """The error of reading an item, with its place, as "item 2 of 3"."""
    if not isinstance(error, LoadError):
        return LoadError(f"{which}: {type(error).__name__}: {error}")
    # An error with a path says which file it is about.
    named = "" if error.path is not None or not isinstance(item, str) else f" It is {item[:300]!r}."
    return LoadError(
        f"{which}: {error.reason.rstrip('.')}.{named}",
        path=error.path,
        unknown_label=error.unknown_label,
    )


def _split(text: str, separator: str | None) -> list[Any]:
    if separator is not None:
        return [part.strip() for part in text.split(separator) if part.strip()]
    if not text.strip():
        return []
    if not text.lstrip().startswith("[") or len(text) > _MOST_CHARACTERS:
        found = next((one for one in _USUAL_SEPARATORS if one in text), None)
        hint = ";" if found is None else found
        raise LoadError(
            "expected a list, or its text as JSON. If texts of the column are items joined by a "
            f"separator, name it, as in `ManyLoader(..., separator={hint!r})`. Received: "
            f"{shown(text)}"
        )
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        items = _python_list(text)
    return list(items)


def _python_list(text: str) -> list[Any]:
    # What pandas writes into a csv file for a list of texts, with single quotes.
    if _WITHOUT_COMMA.search(text) is not None:
        printed = _printed_array(text)
        if printed is not None:
            return printed
    try:
        # Builds plain values only, and runs nothing.
        items = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        items = None
    if not isinstance(items, list):
        raise LoadError(
            "the text begins with '[', but is not a list as JSON or Python write it. Fix it, or "
            f"drop the row. Received: {shown(text)}"
        ) from None
    return items


def _printed_array(text: str) -> list[Any] | None:
    # What pandas writes for an array of texts, as cells of lists are when they come from a parquet
    # file: ['a.jpg' 'b.jpg']. Python would join the two to one. None if a comma is between all.
    try:
        tokens = [
            token
            for token in tokenize.generate_tokens(io.StringIO(text.strip()).readline)
            if token.type in (tokenize.STRING, tokenize.OP, tokenize.NAME, tokenize.NUMBER)
        ]
        if not any(one.type == two.type == tokenize.STRING for one, two in pairwise(tokens)):
            return None
        texts = tokens[1:-1]
        in_brackets = (tokens[0].string, tokens[-1].string) == ("[", "]")
        if in_brackets and all(one.type == tokenize.STRING for one in texts):
            return [ast.literal_eval(one.string) for one in texts]
    except (tokenize.TokenError, SyntaxError, ValueError):
        return None
    raise LoadError(
        "the text has commas between some items and none between others, so it is not known where "
        f"they end. Fix it, or drop the row. Received: {shown(text)}"
    )


def _listed(cell: Any) -> list[Any]:
    if isinstance(cell, np.ndarray) and cell.ndim:
        return list(cell) if cell.ndim > 1 else cell.tolist()
    if isinstance(cell, list | tuple):
        return list(cell)
    if isinstance(cell, pd.Series | pd.Index | pd.api.extensions.ExtensionArray):
        # As `groupby(...).agg("unique")` makes them.
        return list(cell.tolist())
    order = " A set has no order." if isinstance(cell, set | frozenset) else ""
    form = " A single item must be in a list too." if isinstance(cell, bytes | Mapping) else ""
    raise LoadError(
        "expected a list of items, or its text as JSON; with a `separator`, a text."
        f"{order}{form} Received: {type(cell).__name__} {shown(cell)}"
    )
