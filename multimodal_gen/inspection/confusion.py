"""Draw which classes are mistaken for which: counts, coloured by their share of the true class.

Sizes are in inches, and are computed from the texts, so that nothing is cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from multimodal_gen.inspection.layout import (
    GREY,
    INK,
    LINE,
    Picture,
    fitting_labels,
    text_width,
    wrap,
)
from multimodal_gen.inspection.letters import NO_FONT, fonts, lacks_letters
from multimodal_gen.rows.cells import cell_text, shown_name
from multimodal_gen.rows.checks import check_positive

_HEADING = "Counts; colour and the column on the right: share of the true class"
# Up to this many classes: the font size in points and the least side of a cell in inches.
_SIZES = ((6, 10.0, 0.72), (14, 9.0, 0.5))
_SMALLEST = (7.5, 0.34)


def plot_confusion(
    truth: Any, prediction: Any, class_names: Sequence[Any], *, max_classes: int = 40
) -> Figure:
    """Draw which classes are mistaken for which: counts, coloured by their share of the true class.

    Args:
        truth: The true class of each row, as in `class_names`, or its position there.
        prediction: The predicted class of each row, in the same form.
        class_names: The classes, in the order of drawing.
        max_classes: The maximum number of classes to draw. If there are more, those most often
            confused with each other are drawn, and the heading says so. Shares still refer to all
            rows of the true class.

    Raises:
        ValueError: If the lengths differ, a value is not a class, or `max_classes` is not a
            positive integer.
    """
    check_positive(max_classes=max_classes)
    names = list(class_names)
    rows, guesses = _positions(truth, names, "truth"), _positions(prediction, names, "prediction")
    if len(rows) != len(guesses):
        raise ValueError(
            f"`truth` and `prediction` must have the same length. Received: {len(rows)} and "
            f"{len(guesses)}"
        )
    counts = np.zeros((len(names), len(names)), "int64")
    np.add.at(counts, (rows, guesses), 1)
    # At least 1, so that a class without rows has shares of 0 and not NaN.
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    totals, drawn = counts.sum(axis=1), most_confused(counts, max_classes)
    words = _HEADING
    if len(drawn) < len(names):
        words = f"The {len(drawn):,} of {len(names):,} classes most often confused. {_HEADING}"
    names, counts = [shown_name(names[one]) for one in drawn], counts[np.ix_(drawn, drawn)]
    share, totals = share[np.ix_(drawn, drawn)], totals[drawn]
    frame = _Frame.around(names, int(counts.max()), words)
    figure = Picture(frame.width, frame.height)
    axes = figure.add_axes(
        (
            frame.side / frame.width,
            frame.below / frame.height,
            frame.span / frame.width,
            frame.span / frame.height,
        )
    )
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    _write_numbers(axes, counts, share, frame)
    _write_recalls(axes, share.diagonal(), totals, frame)
    _draw_grid(axes, frame)
    _write_titles(figure, frame)
    return figure


def most_confused(counts: np.ndarray, most: int) -> np.ndarray:
    """The classes that are most often confused with each other.

    Args:
        counts: `(classes, classes) int64`, rows by true and predicted class.
        most: How many classes. Pairs are taken in order of their mistakes, most first; the rest is
            filled with the classes with most rows.

    Returns:
        Their positions, in ascending order.
    """
    mistakes = counts + counts.T
    first, second = np.nonzero(np.triu(mistakes, 1))
    pairs = np.lexsort((second, first, -mistakes[first, second]))
    chosen: dict[int, None] = {}
    for pair in zip(first[pairs].tolist(), second[pairs].tolist(), strict=True):
        new = [one for one in pair if one not in chosen]
        if len(chosen) + len(new) <= most:
            chosen |= dict.fromkeys(new)
    filling = np.argsort(-counts.sum(axis=1), kind="stable").tolist()
    return np.sort(list(dict.fromkeys([*chosen, *filling]))[:most])


@dataclass(frozen=True)
class _Frame:
    # The layout. `side` and `below` are the room for names on the left and at the bottom.
    labels: list[str]
    size: float
    cell: float
    side: float
    below: float
    width: float
    height: float
    heading: list[str]
    flat: bool

    @property
    def span(self) -> float:
        return self.cell * len(self.labels)

    @classmethod
    def around(cls, names: Sequence[Any], largest: int, words: str) -> _Frame:
        fitting = (one[1:] for one in _SIZES if len(names) <= one[0])
        size, least = next(fitting, _SMALLEST)
        cell = max(least, text_width(f"{largest}", size) + 0.1)
        labels, room = fitting_labels(names, size, cell)
        widest = max(text_width(line, size) for label in labels for line in label.split("\n"))
        flat = widest < cell - 0.08
        lines = max(label.count("\n") for label in labels) + 1
        side, below = room + 0.48, (lines * size / 55 if flat else room) + 0.42
        width = max(side + cell * len(names) + 0.65, 3.6)
        words = f"{words}. {NO_FONT}" if any(map(lacks_letters, names)) else words
        heading = wrap(words, width - 0.24, 10)
        height = 0.2 + 0.19 * len(heading) + cell * len(names) + below
        return cls(labels, size, cell, side, below, width, height, heading, flat)


def _write_numbers(axes: Any, counts: np.ndarray, share: np.ndarray, frame: _Frame) -> None:
    for row, column in zip(*np.nonzero(counts), strict=True):
        # Black numbers cannot be read on dark blue.
        colour = "white" if share[row, column] > 0.55 else INK
        text, style = f"{counts[row, column]}", {"ha": "center", "va": "center", "color": colour}
        axes.text(column, row, text, fontsize=frame.size, **style)


def _write_recalls(axes: Any, recalls: np.ndarray, totals: np.ndarray, frame: _Frame) -> None:
    right = len(recalls) - 0.5 + 0.08 / frame.cell
    for row, (recall, total) in enumerate(zip(recalls, totals, strict=True)):
        text = f"{recall:.0%}" if total else "none"
        axes.text(right, row, text, va="center", fontsize=frame.size, color=GREY)


def _draw_grid(axes: Any, frame: _Frame) -> None:
    places, edges = range(len(frame.labels)), np.arange(len(frame.labels) + 1) - 0.5
    style: dict[str, Any] = {"fontsize": frame.size, "parse_math": False, "family": fonts()}
    axes.set_yticks(places, frame.labels, **style)
    axes.set_xticks(places, frame.labels, rotation=0 if frame.flat else 90, **style)
    axes.set_xticks(edges, minor=True)
    axes.set_yticks(edges, minor=True)
    axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_color(LINE)


def _write_titles(figure: Figure, frame: _Frame) -> None:
    style: dict[str, Any] = {"color": GREY, "fontsize": 10}
    left, middle = 0.12 / frame.width, (frame.below + frame.span / 2) / frame.height
    figure.text(left, middle, "truth", rotation=90, va="center", **style)
    middle = (frame.side + frame.span / 2) / frame.width
    figure.text(middle, 0.1 / frame.height, "prediction", ha="center", **style)
    for line, text in enumerate(frame.heading):
        figure.text(left, 1 - (0.22 + 0.19 * line) / frame.height, text, **style)


def _positions(values: Any, names: Sequence[Any], argument: str) -> np.ndarray:
    values = list(values)
    by_text = {cell_text(name): position for position, name in enumerate(names)}
    # A missing value or a list has no text and is no class.
    with suppress(KeyError, TypeError):
        return np.array([by_text[cell_text(value)] for value in values], "int64")
    # Reads values as positions only if some value is not a class, because class names may be
    # numbers too.
    known = {position: position for position in range(len(names))}
    for value in values:
        if value not in known:
            raise ValueError(
                f"`{argument}` must contain classes of `class_names`, or their positions. "
                f"Received: {value!r}"
            )
    return np.array([known[value] for value in values], "int64")
