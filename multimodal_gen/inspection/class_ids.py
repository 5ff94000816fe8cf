"""Draws masks of class ids in colours, because ids such as 0 to 20 all look black as levels of
grey.
"""

from __future__ import annotations

import colorsys
import functools
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from multimodal_gen.errors import LoadError
from multimodal_gen.inspection.layout import GREY, Card
from multimodal_gen.loaders import ImageLoader, Loader

# What audits and training say of them.
RESIZED_MASKS = (
    'Masks must not be interpolated when they are resized: ImageLoader(interpolation="nearest")'
)
# Pictures of one channel with only values below _MOST_IDS are masks, or too dark to show anything.
# 255 is the id that many data sets use for no class.
_MOST_IDS, _NO_CLASS = 64, 255
_FEW = 8


def colour_class_ids(cards: Sequence[Card]) -> str:
    """Draw the masks on cards in colours, and list on each card the ids in its masks.

    Args:
        cards: The cards of one figure. An input or target is drawn in colours on all of them or on
            none.

    Returns:
        What to add to the title; empty if nothing is a mask.
    """
    masks = []
    names = dict.fromkeys(name for card in cards for name in card.names)
    for name in names:
        places = [
            (card, place)
            for card in cards
            for place, drawn in enumerate(card.names)
            if drawn == name
        ]
        if any(name in card.levels for card in cards):
            continue
        if _are_class_ids([card.images[place] for card, place in places]):
            masks.append(name)
            for card, place in places:
                picture = card.images[place]
                card.texts.append((f"{name}: {_ids_in_words(picture)}", GREY, "normal"))
                card.images[place] = _palette()[picture[..., 0]]
    if not masks:
        return ""
    return f"; class ids of {', '.join(masks)} in colours, 0 black and 255 white"


def coloured_mask(picture: np.ndarray) -> np.ndarray | None:
    """A picture with one channel in the colours of its class ids; None if it is not a mask, or has
    only one value.

    Args:
        picture: `(height, width, 3) uint8`, as `Loader.draw` returns it.
    """
    if len(_values(picture)) < 2 or not _are_class_ids([picture]):
        return None
    coloured: np.ndarray = _palette()[picture[..., 0]]
    return coloured


def mask_of(loader: Loader, cell: Any, picture: np.ndarray) -> np.ndarray | None:
    """`coloured_mask` of a cell's picture; None if its levels are not the values in its file, as
    those of scans of 16 bits.
    """
    mask = coloured_mask(picture)
    return None if mask is None or has_more_bits(loader, cell) else mask


def has_more_bits(loader: Loader, cell: Any) -> bool:
    """Whether a loader of pictures maps a cell's values to other levels; False if it cannot be
    read.
    """
    with suppress(LoadError):
        return isinstance(loader, ImageLoader) and loader.has_more_bits(cell)
    return False


def _are_class_ids(pictures: Sequence[np.ndarray]) -> bool:
    if not all((picture == picture[..., :1]).all() for picture in pictures):
        return False
    there = np.unique(np.concatenate([_values(picture) for picture in pictures]))
    ids = there[there != _NO_CLASS]
    return bool(len(ids) and 0 < ids[-1] < _MOST_IDS)


def _ids_in_words(picture: np.ndarray) -> str:
    values = _values(picture).tolist()
    if len(values) > _FEW:
        return f"{len(values)} class ids from {values[0]} to {values[-1]}"
    return f"class ids {', '.join(map(str, values))}"


def _values(picture: np.ndarray) -> np.ndarray:
    return np.unique(picture[..., 0])


@functools.cache
def _palette() -> np.ndarray:
    # 0 is black and 255 white; in between each step turns the hue by the golden angle, so that
    # neighbouring ids look different.
    colours = np.zeros((256, 3), "uint8")
    for value in range(1, _NO_CLASS):
        bright = (1.0, 0.75, 0.55)[value % 3]
        rgb = colorsys.hsv_to_rgb(value * 0.618034 % 1, (0.85, 0.5)[value // 3 % 2], bright)
        colours[value] = np.rint(np.array(rgb) * 255)
    colours[_NO_CLASS] = 255
    return colours
