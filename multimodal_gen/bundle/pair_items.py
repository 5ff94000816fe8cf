"""The items of a pair's cells, which are embedded, found and counted one by one where cells hold
several; and how often the right one is found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.many import ManyLoader
from multimodal_gen.rows.cells import cell_text

# So many similarities are in memory at once.
_AT_ONCE = 2**25


class Items(NamedTuple):
    """The items of a column's cells, in their order; each cell is one if they hold one.

    Attributes:
        rows: `(items,) int64`, the position of each item's row.
        cells: What the loader reads for each: the cell, or a list of the one item.
        contents: What each holds, as something that can be compared.
    """

    rows: np.ndarray
    cells: pd.DataFrame
    contents: list[Any]


def items_in(table: pd.DataFrame, loader: Loader) -> Items:
    """The items of the cells that a loader reads.

    A cell without items, or one that cannot be split, is one item, which the loader refuses.

    Args:
        table: It needs the loader's columns only.
        loader: The loader of one of a pair's inputs.
    """
    column = loader.column
    if not isinstance(loader, ManyLoader) or not isinstance(column, str):
        rows = np.arange(len(table))
        contents = [("row", row) for row in rows.tolist()]
        if isinstance(column, str):
            contents = [_content(cell, row) for row, cell in enumerate(table[column])]
        return Items(rows, table, contents)
    places: list[int] = []
    cells: list[Any] = []
    contents = []
    for row, cell in enumerate(table[column].array.tolist()):
        try:
            own = [[item] for item in loader.items(cell)]
        except LoadError:
            own = [cell]
        for item in own:
            contents.append(_content(item[0] if isinstance(item, list) else item, len(cells)))
            places.append(row)
            cells.append(item)
    values = np.empty(len(cells), object)
    values[:] = cells
    frame = pd.DataFrame({column: pd.Series(values, table.index[places], dtype=object)})
    return Items(np.array(places, np.int64), frame, contents)


def row_codes(items: Items, rows: int) -> np.ndarray:
    """A number for each row, equal where all items are."""
    own: list[list[Any]] = [[] for _ in range(rows)]
    for row, content in zip(items.rows.tolist(), items.contents, strict=True):
        own[row].append(content)
    return pd.factorize(pd.Series([tuple(one) for one in own], dtype=object))[0]


def recalls(
    vectors: Mapping[str, np.ndarray],
    items: Mapping[str, Items],
    rows: int,
    ranks: Sequence[int],
) -> dict[str, float]:
    """How often a right item is among the nearest ones, in both directions.

    Args:
        vectors: Name of each of the two inputs -> `(items, size)` of length 1.
        items: Name -> what they are.
        rows: Rows of the table.
        ranks: How many of the nearest items are looked at.

    Returns:
        "{query}_to_{found}_recall_at_{rank}" -> share of the queries.
    """
    scores = {}
    for query, found in (tuple(vectors), tuple(vectors)[::-1]):
        places = item_places(vectors[query], vectors[found], items[query], items[found], rows)
        for rank in ranks:
            scores[f"{query}_to_{found}_recall_at_{rank}"] = float((places < rank).mean())
    return scores


def item_places(
    queries: np.ndarray, found: np.ndarray, of_queries: Items, of_found: Items, rows: int
) -> np.ndarray:
    """How many wrong items are nearer to each query than the nearest right one.

    Right are the items of the query's row, those of other rows that have the same content as the
    query, and those whose content the query's row has too.

    Args:
        queries: `(queries, size)` of length 1.
        found: `(items, size)` of length 1, the vectors that are searched.
        of_queries: What the queries are.
        of_found: What is searched.
        rows: Rows of the table.

    Returns:
        `(queries,)` int64.
    """
    asked, asked_codes = _incidence(of_queries, rows)
    there, found_codes = _incidence(of_found, rows)
    places = np.empty(len(queries), np.int64)
    step = max(_AT_ONCE // max(len(found), 1), 1)
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        similar = queries[part] @ found.T
        own = of_queries.rows[part]
        right = asked[:, asked_codes[part]].T.toarray()[:, of_found.rows]
        right |= there[own].toarray()[:, found_codes]
        right |= own[:, None] == of_found.rows[None, :]
        best = np.where(right, similar, -np.inf).max(axis=1, keepdims=True)
        places[part] = ((similar > best) & ~right).sum(axis=1)
    return places


def _incidence(items: Items, rows: int) -> tuple[Any, np.ndarray]:
    # `(rows, contents) bool`: which row has which content; and the content of each item.
    from scipy.sparse import csr_matrix

    codes = pd.factorize(pd.Series(items.contents, dtype=object))[0]
    ones = np.ones(len(codes), bool)
    shape = (rows, int(codes.max(initial=-1)) + 1)
    return csr_matrix((ones, (items.rows, codes)), shape=shape), codes


def _content(cell: Any, place: int) -> Any:
    # Cells that have no text, such as arrays, are all different.
    try:
        return cell if isinstance(cell, bytes) else cell_text(cell)
    except TypeError:
        return ("item", place)


def one_cell(query: Any, loader: Loader) -> Any:
    """A query as a cell of the loader: alone in a list if cells hold several."""
    alone = isinstance(loader, ManyLoader) and not isinstance(query, list | tuple)
    return [query] if alone else query


def reads_text(loader: Loader) -> bool:
    """Whether a loader reads texts, one or several in a cell."""
    return loader.item.reads_text if isinstance(loader, ManyLoader) else loader.reads_text
