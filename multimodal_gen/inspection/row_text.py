"""Describe one row of a batch for people: pixels, decoded captions, numbers and labels in words.
Nothing here draws.

The words come from the batch's arrays, which random operations may have changed, not from the
table. Only n-grams cannot be turned back into a caption, so the table's caption is shown, and the
card says so if the model is given another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.inspection.class_ids import coloured_mask, has_more_bits
from multimodal_gen.inspection.layout import GREY, INK, Card
from multimodal_gen.loaders import Loader
from multimodal_gen.rows.table import cells_of
from multimodal_gen.spec import mask_names


def add_target(card: Card, target: Any, arrays: Any, weights: Any, row: int) -> None:
    """Put a row's target and its weight on its card: words before those of the inputs, pictures
    after theirs.

    Args:
        card: The card, with the inputs on it.
        target: The sequence's target, or a mapping of several.
        arrays: The batch's target arrays, by name if there are several.
        weights: The batch's weights, in the same form, or None.
        row: Which row of the batch.
    """
    several = isinstance(target, Mapping)
    said = []
    for name, one in target.items() if several else [("", target)]:
        array = (arrays[name] if several else arrays)[row]
        if (picture := one.draw(array)) is None:
            words = _said(one.describe(array), name)
        else:
            title = name or next(iter(one.describe(array)))
            card.images.append(picture)
            card.names.append(title)
            words = f"{title}: picture {len(card.images)}"
        weight = 1 if weights is None else (weights[name] if several else weights)[row]
        words = words if weight == 1 else f"{words} (weight {weight:.4g})"
        said.append((words, INK, "bold"))
    card.texts[:0] = said


def add_inputs(
    card: Card,
    loaders: Mapping[str, Loader],
    arrays: Mapping[str, np.ndarray],
    frame: pd.DataFrame,
    row: int,
) -> None:
    """Put a row's inputs on its card: pictures as pixels, decoded token ids, numbers in the table's
    units.

    Args:
        card: The card.
        loaders: Input name -> loader.
        arrays: Input name -> the row's array, and the masks of inputs that may be missing.
        frame: The rows of the batch, for the captions of n-grams.
        row: Which of them.
    """
    masks = mask_names(loaders)
    for name, loader in loaders.items():
        array = arrays[name]
        if name in masks and not arrays[masks[name]].any():
            card.texts.append((_titled(name, "(missing)"), GREY, "normal"))
        elif (picture := loader.draw(array)) is not None:
            card.images.append(picture)
            card.names.append(name)
            (cell,) = cells_of(frame, loader.column, slice(row, row + 1))
            if coloured_mask(picture) is not None and has_more_bits(loader, cell):
                card.levels.add(name)
        else:
            (cell,) = cells_of(frame, loader.column, slice(row, row + 1))
            # To a loader None is a cell that is not known; this one is known to be missing.
            said = loader.describe(array, np.nan if cell is None else cell)
            if list(said) == [""]:
                _add_caption(card, said[""])
            else:
                card.texts.append((_said(said), GREY, "normal"))


def _add_caption(card: Card, text: str) -> None:
    words, *remarks = text.split("\n")
    card.texts.append((words, INK, "normal") if words.strip() else ("(no words)", GREY, "normal"))
    card.texts += [(remark, GREY, "normal") for remark in remarks]


def _said(words: Mapping[str, str], name: str = "") -> str:
    # The name of the input or target replaces a single title and precedes several.
    if name and len(words) == 1:
        return _titled(name, *words.values())
    return _titled(name, ", ".join(_titled(*one) for one in words.items()))


def _titled(title: str, words: str) -> str:
    return f"{title}: {words}" if title else words
