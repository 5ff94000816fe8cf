"""The colours of explanations: orange speaks for what is explained, blue against it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from multimodal_gen.bundle.explaining.results import Word

FOR, AGAINST = "#d9730d", "#1f6feb"
# How much of the picture is left under the strongest colour.
_OPACITY = 0.75


def tint(weight: float, largest: float) -> tuple[str, float]:
    """Colour and opacity in [0, 1] of a weight.

    Args:
        weight: The weight.
        largest: The largest one by size.
    """
    share = 0.0 if largest <= 0 or not np.isfinite(weight) else min(1.0, abs(weight) / largest)
    return (FOR if weight >= 0 else AGAINST), share


def overlay(picture: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A picture in pale grey with its heat map in colours.

    Args:
        picture: `(height, width, 3) uint8`.
        heat: `(height, width)` in [-1, 1].

    Returns:
        `(height, width, 3) uint8`.
    """
    grey = picture.astype("float64") @ (0.299, 0.587, 0.114)
    pale = (60 + 0.75 * grey)[..., None]
    colours = np.where(heat[..., None] >= 0, _rgb(FOR), _rgb(AGAINST))
    share = _OPACITY * np.minimum(1.0, np.abs(heat))[..., None]
    mixed = pale * (1 - share) + colours * share
    return np.asarray(np.rint(mixed.clip(0, 255)), "uint8")


def _rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)], "float64")


def pieces(text: str, words: Sequence[Word]) -> Iterator[tuple[str, float | None]]:
    """A text in pieces that together are the text: words with their weight, and what is between.

    Args:
        text: The text.
        words: Its words, in order.
    """
    place = 0
    for word in words:
        if word.start > place:
            yield text[place : word.start], None
        yield text[word.start : word.end], word.weight
        place = word.end
    if place < len(text):
        yield text[place:], None


def number(value: float) -> str:
    """A value as people read it, with its sign: "+0.48", "+1,200"."""
    if not np.isfinite(value):
        return "unknown"
    if value == 0:
        return "0"
    size = abs(value)
    return (
        f"{value:+,.0f}" if size >= 1000 else f"{value:+.2f}" if size >= 0.01 else f"{value:+.1g}"
    )
