"""Which words of a text speak for a prediction.

Each word is left out of the cell, and added to the texts of three other rows; both are read as any
other cell. So a word counts whatever reads it: n-grams, tokens, or an encoder outside the model.
Its weight is the mean of what is lost without it and what it adds to the others. Leaving out alone
would find nothing where a text says the same thing twice. Adding it to an empty text, as is done
where there are no other rows, is noisier: a text of one word is like none that the model has seen.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.bundle.explaining.engine import Batch, Engine
from multimodal_gen.bundle.explaining.reading import blank_arrays, read_cells
from multimodal_gen.bundle.explaining.results import Word
from multimodal_gen.bundle.explaining.words import word_spans
from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.encoded.loader import EncodedLoader
from multimodal_gen.rows.cells import is_missing

# Neighbouring words of a longer text share a weight.
_MOST_WORDS = 48
_CELLS = 512
# Texts of other rows that a word is added to.
_OTHERS = 3


def is_text(loader: Loader, table: pd.DataFrame) -> bool:
    """Whether an input's cells are texts that people wrote, or several of them.

    A function as an encoder does not say so: then the texts of most cells have a space.

    Args:
        loader: The loader of the input.
        table: The rows that are explained.
    """
    one = loader if loader.item is None else loader.item
    if not isinstance(loader.column, str) or one.reads_text:
        return isinstance(loader.column, str)
    if not isinstance(one, EncodedLoader) or one.loader is not None:
        return False
    cells = [texts_of(loader, cell) for cell in table[loader.column]]
    return 2 * sum(any(" " in text for text in own) for own in cells) > len(cells)


def texts_of(loader: Loader, cell: Any) -> list[str]:
    """The texts of a cell; none if it is missing or cannot be read."""
    if is_missing(cell):
        return []
    if loader.item is None:
        return [cell] if isinstance(cell, str) else []
    items: Any = loader
    try:
        found = items.items(cell)[: items.at_most]
    except LoadError:
        return []
    return found if all(isinstance(one, str) for one in found) else []


def word_weights(engine: Engine, batch: Batch, name: str, loader: Loader) -> list[list[Word]]:
    """For each row of a batch, the words of its texts with their weights.

    Args:
        engine: The engine.
        batch: The rows.
        name: The player, whose cells are texts.
        loader: The one of its loaders that reads them.
    """
    texts = [texts_of(loader, cell) for cell in engine.players[name].cells(batch.table)]
    others = _other_texts(engine, loader)
    cells: list[Any] = []
    rows: list[int] = []
    found: list[list[Word]] = []
    bases: list[list[list[str]]] = []
    for row, own in enumerate(texts):
        spans = _spans(own)
        bases.append([other for other in others if other != own][:_OTHERS] or [[""] * len(own)])
        for variant in _variants(own, spans, bases[-1]):
            cells.append(variant if loader.item is not None else variant[0])
            rows.append(row)
        found.append(
            [Word(own[item][start:end], start, end, item, 0.0) for item, (start, end) in spans]
        )
    values = iter(_values(engine, batch, name, cells, np.array(rows, "int64")))
    for row, words in enumerate(found):
        before = [next(values) for _ in bases[row]] if words else []
        for place, word in enumerate(words):
            lost = batch.values[row] - next(values)
            gained = np.mean([next(values) - one for one in before])
            words[place] = word._replace(weight=float(lost + gained) / 2)
    return found


def _other_texts(engine: Engine, loader: Loader) -> list[list[str]]:
    # One more than is needed, as a row's own text is no other.
    table = engine.background_table
    if table is None or not isinstance(loader.column, str):
        return []
    found = [texts_of(loader, cell) for cell in table[loader.column]]
    return [own for own in found if any(own)][: _OTHERS + 1]


def _spans(texts: list[str]) -> list[tuple[int, tuple[int, int]]]:
    # Item and span of each word.
    most = max(1, _MOST_WORDS // max(1, len(texts)))
    return [(item, span) for item, text in enumerate(texts) for span in word_spans(text, most)]


def _variants(
    texts: list[str], spans: list[tuple[int, tuple[int, int]]], bases: list[list[str]]
) -> list[list[str]]:
    # The bases, then for each word the texts without it, and each base with it.
    if not spans:
        return []
    found = [*bases]
    for item, (start, end) in spans:
        text = texts[item]
        found.append([*texts[:item], text[:start] + text[end:], *texts[item + 1 :]])
        found += [[f"{one[0]} {text[start:end]}".strip(), *one[1:]] for one in bases]
    return found


def _values(
    engine: Engine, batch: Batch, name: str, cells: list[Any], rows: np.ndarray
) -> np.ndarray:
    player, found = engine.players[name], np.zeros(len(cells))
    blank = blank_arrays(player)
    # Rows share texts that words are added to, and words: each cell is read once.
    places: dict[Any, list[int]] = {}
    for place, cell in enumerate(cells):
        places.setdefault(cell if isinstance(cell, str) else tuple(cell), []).append(place)
    alike = list(places.values())
    for start in range(0, len(alike), _CELLS):
        part = alike[start : start + _CELLS]
        given = [cells[own[0]] for own in part]
        arrays, errors = read_cells(player, given, engine.batch_size)
        for place in errors:
            # A text without words may be an error to its reader, and holds nothing.
            for one, none in zip(arrays, blank, strict=False):
                one[place] = none[0]
        codes = engine.parts.encode(name, arrays)
        which = np.repeat(np.arange(len(part)), [len(own) for own in part])
        variants = np.concatenate(part)
        for first in range(0, len(variants), _CELLS):
            some = variants[first : first + _CELLS]
            chosen = [one[which[first : first + _CELLS]] for one in codes]
            found[some] = engine.changed(batch, name, chosen, rows[some])
    return found
