"""Explains the rows of a table, batch by batch: what `Bundle.explain` does."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from multimodal_gen.bundle.explaining.columns import column_values
from multimodal_gen.bundle.explaining.engine import FEWEST, Batch, Engine
from multimodal_gen.bundle.explaining.explanations import Explanations
from multimodal_gen.bundle.explaining.model_parts import Parts
from multimodal_gen.bundle.explaining.pictures import HeatMaps, picture_source
from multimodal_gen.bundle.explaining.reading import read_table
from multimodal_gen.bundle.explaining.results import Explanation, Word
from multimodal_gen.bundle.explaining.subjects import Subject
from multimodal_gen.bundle.explaining.texts import is_text, texts_of, word_weights
from multimodal_gen.errors import counted
from multimodal_gen.loaders.base import Loader
from multimodal_gen.rows.checks import check_positive


def explain(
    parts: Parts,
    subject: Subject,
    table: pd.DataFrame,
    background: pd.DataFrame | None,
    batch_size: int,
) -> Explanations:
    """Explain every row of a table; see `Bundle.explain`.

    Args:
        parts: The model.
        subject: What is explained.
        table: The rows.
        background: Rows that stand for missing inputs, or None.
        batch_size: Rows per batch.
    """
    check_positive(batch_size=batch_size)
    if not len(table):
        raise ValueError("There are no rows to explain. Received: a table of 0 rows")
    engine = Engine(parts, subject, batch_size)
    first, _ = read_table(parts.players, table.iloc[: min(8, len(table))], batch_size)
    engine.parts.check(first)
    if background is not None:
        engine.take_background(background, None)
    elif len(table) > FEWEST:
        engine.take_background(table, np.arange(len(table)))
    engine.prepare()
    heat: dict[str, HeatMaps] = {}
    texts: dict[str, Loader] = {}
    for name, player in engine.players.items():
        loaders = player.inputs.values()
        if any(picture_source(one) is not None for one in loaders):
            heat[name] = HeatMaps(engine, name)
            continue
        readable = [one for one in loaders if is_text(one, table)]
        if readable and len(player.columns) == 1:
            texts[name] = readable[0]
    found: list[Explanation] = []
    for start in range(0, len(table), batch_size):
        part = table.iloc[start : start + batch_size]
        found += _explain_batch(engine, heat, texts, part, start)
    return Explanations(found, table.index, _in_words(engine, background))


def _in_words(engine: Engine, background: pd.DataFrame | None) -> str:
    rows = engine.background_table
    words = "blank ones"
    if rows is not None:
        # A row does not stand for itself.
        words = f"those of {len(rows) - 1:,} others of the rows explained"
        if background is not None:
            words = f"those of {counted(len(rows), 'row')} of the background"
    if not engine.masked:
        return words
    if engine.masked == set(engine.players):
        return "missing ones, as the model knows them"
    return f"missing ones, as the model knows them ({', '.join(sorted(engine.masked))}), or {words}"


def _explain_batch(
    engine: Engine,
    heat: Mapping[str, HeatMaps],
    readable: Mapping[str, Loader],
    part: pd.DataFrame,
    start: int,
) -> list[Explanation]:
    arrays, errors = read_table(engine.players, part, engine.batch_size)
    good = np.array([row for row in range(len(part)) if row not in errors], "int64")
    found = {row: Explanation(part.index[row], error=str(error)) for row, error in errors.items()}
    if len(good):
        arrays = {name: [one[good] for one in own] for name, own in arrays.items()}
        batch = engine.batch(part.iloc[good], arrays, start + good)
        found |= dict(zip(good.tolist(), _explanations(engine, heat, readable, batch), strict=True))
    return [found[row] for row in range(len(part))]


def _explanations(
    engine: Engine, heat: Mapping[str, HeatMaps], readable: Mapping[str, Loader], batch: Batch
) -> list[Explanation]:
    shares = engine.shares(batch)
    parts = [_parts(engine, maps, batch) for maps in heat.values()]
    pictures = dict(zip(heat, parts, strict=True))
    words: dict[str, list[list[Word]]] = {}
    texts: dict[str, list[list[str]]] = {}
    columns: dict[str, np.ndarray] = {}
    for place, (name, player) in enumerate(engine.players.items()):
        if name in readable:
            loader = readable[name]
            words[name] = word_weights(engine, batch, name, loader)
            texts[name] = [texts_of(loader, cell) for cell in player.cells(batch.table)]
        elif name not in heat:
            columns |= column_values(engine, batch, name, shares["needed"][place])
    predicted = engine.subject.predicted(batch.outputs)
    return [
        Explanation(
            batch.table.index[row],
            predicted=predicted[row],
            of=batch.explained[row],
            value=float(batch.values[row]),
            baseline=float(shares["baseline"][row]),
            inputs=pd.DataFrame(
                {key: shares[key][:, row] for key in ("share", "alone", "needed")},
                index=pd.Index(list(engine.players), name="input"),
            ),
            words={name: own[row] for name, own in words.items()},
            heat={name: own[row][0] for name, own in pictures.items()},
            pictures={name: own[row][1] for name, own in pictures.items()},
            texts={name: own[row] for name, own in texts.items()},
            columns={name: float(own[row]) for name, own in columns.items()},
        )
        for row in range(len(batch.values))
    ]


def _parts(
    engine: Engine, maps: HeatMaps, batch: Batch
) -> list[tuple[list[np.ndarray], list[np.ndarray]]]:
    # For each row, its heat maps and the pictures that they are of.
    pictures, counts = maps.pictures(batch), maps.counts(batch)
    heat = maps.maps(batch, pictures)
    draw = (maps.loader if maps.loader.item is None else maps.loader.item).draw
    found = []
    for row, count in enumerate(counts):
        drawn = [draw(one) for one in pictures[row, :count]]
        found.append(
            ([one.copy() for one in heat[row, :count]], [one for one in drawn if one is not None])
        )
    return found
