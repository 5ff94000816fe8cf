"""Text that fits, and grids of cards: what `plots.py` draws with. Knows nothing about tables or
loaders.

Sizes are inches. Lines are measured in the font they are drawn in before they are broken, and a
figure is as large as its content. Text is drawn literally, without matplotlib's mathematics between
dollar signs; `letters.py` replaces what no font can draw.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from multimodal_gen.inspection.letters import NO_FONT, fonts, lacks_letters, readable

INK, GREY, LINE, PAPER = "#1b1f24", "#59636e", "#d1d9e0", "#f6f8fa"
BLUE, ORANGE, GREEN, RED = "#0b5cad", "#c2570c", "#1a7f37", "#b42318"

_DPI = 100


class Picture(Figure):
    """A figure that a notebook displays although pyplot does not know it.

    Args:
        width: In inches, like every size here.
        height: In inches.
        layout: As in `matplotlib.figure.Figure`.
    """

    def __init__(self, width: float, height: float, layout: Any = None) -> None:
        super().__init__(figsize=(width, height), dpi=_DPI, facecolor="white", layout=layout)
        # Not by pyplot, which keeps every figure in memory until it is closed.
        FigureCanvasAgg(self)

    def place(self, left: float, top: float) -> tuple[float, float]:
        """A point, given in inches from the upper left corner, in figure coordinates."""
        return left / self.get_figwidth(), 1 - top / self.get_figheight()

    def share(self, width: float, height: float) -> tuple[float, float]:
        """A width and a height as shares of the figure's."""
        return width / self.get_figwidth(), height / self.get_figheight()

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png")
        return file.getvalue()


@dataclass
class Card:
    """One row of a table, drawn: pictures side by side, texts below.

    Args:
        images: Arrays `(height, width, 3) uint8`.
        names: For each picture, the input or target that it is of.
        texts: Text, colour, and weight ("normal" or "bold") of each paragraph.
        edge: Colour of the frame; any colour but the default is drawn thick.
        levels: Names of pictures whose levels are not ids, however few and dark they are.
    """

    images: list[np.ndarray] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    texts: list[tuple[str, str, str]] = field(default_factory=list)
    edge: str = LINE
    levels: set[str] = field(default_factory=set)


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Width of one line in inches."""
    font = font_manager.FontProperties(family=fonts(), size=size, weight=weight)
    # Letter widths differ slightly between resolutions; this measures at that of the figures, with
    # a small margin.
    return 1.03 * _renderer().get_text_width_height_descent(text, font, False)[0] / _DPI


@functools.cache
def _renderer() -> RendererAgg:
    return RendererAgg(1, 1, _DPI)


def wrap(text: Any, width: float, size: float, weight: str = "normal") -> list[str]:
    """Break a text, made readable, into lines of limited width; words longer than a line are broken
    too.
    """
    lines = [""]
    for word in readable(text).split(" "):
        longer = f"{lines[-1]} {word}".lstrip()
        if text_width(longer, size, weight) <= width:
            lines[-1] = longer
            continue
        if lines[-1]:
            lines.append("")
        for character in word:
            if lines[-1] and text_width(lines[-1] + character, size, weight) > width:
                lines.append("")
            lines[-1] += character
    return lines


def one_line(text: Any, width: float, size: float) -> str:
    """A text, made readable, on one line of limited width; cut in the middle, as long names often
    begin alike.
    """
    whole = readable(text)
    kept = len(whole)
    cut = whole
    while kept > 1 and (wide := text_width(cut, size)) > width:
        kept = min(kept - 1, int(kept * width / wide) + 1)
        cut = shortened(whole, kept)
    return cut


def shortened(text: str, length: int) -> str:
    """A text of at most so many characters, cut in the middle."""
    if len(text) <= length:
        return text
    before = length // 2
    after = max(0, length - before - 1)
    return f"{text[:before]}…{text[len(text) - after :]}"


# In inches: the margin of a card, the gap between cards, the side of a picture, the height of a
# line.
_PAD, _GAP, _SIDE, _LINE = 0.1, 0.14, 2.0, 0.165
_SIZE = 9.0  # of its texts, in points
_TEXT_WIDTH = 4.2  # where no card has a picture


def draw_cards(cards: Sequence[Card], columns: int, title: str) -> Figure:
    """Draw cards row by row; each row is as high as its tallest card."""
    columns = max(1, min(columns, len(cards)))
    pictures = max((len(card.images) for card in cards), default=0)
    inner = _SIDE * pictures if pictures else _TEXT_WIDTH
    step = inner + 2 * _PAD + _GAP
    width = max(columns * step + _GAP, 4.5)
    if any(map(lacks_letters, [title, *(text for card in cards for text, *_ in card.texts)])):
        title = f"{title}. {NO_FONT}"
    heading = wrap(title, width - 2 * _GAP, 10)
    measured = [_Measured.of(card, inner) for card in cards]
    heights = [
        max(one.height for one in measured[start : start + columns])
        for start in range(0, len(cards), columns)
    ]
    above = 0.2 + 0.19 * len(heading)
    figure = Picture(width, above + sum(heights) + _GAP * len(heights) + 0.06)
    for number, line in enumerate(heading):
        write_line(figure, _GAP, 0.22 + 0.19 * number, line, fontsize=10, color=GREY)
    top = above
    for row, height in enumerate(heights):
        for column, one in enumerate(measured[row * columns : (row + 1) * columns]):
            one.draw(figure, _GAP + column * step, top, inner, height)
        top += height + _GAP
    return figure


@dataclass(frozen=True)
class _Measured:
    # A card with its texts split into lines, and the height of its pictures.
    card: Card
    lines: list[tuple[str, str, str]]
    tall: float

    @classmethod
    def of(cls, card: Card, inner: float) -> _Measured:
        lines = [
            (line, colour, weight)
            for text, colour, weight in card.texts
            for line in wrap(text, inner, _SIZE, weight)
        ]
        shapes = [image.shape for image in card.images]
        # A very tall picture would leave the rest of its row empty.
        tall = max((_SIDE * min(shape[0] / shape[1], 2) for shape in shapes), default=0.0)
        return cls(card, lines, tall)

    @property
    def _above_text(self) -> float:
        return self.tall + (0.06 if self.tall else 0)

    @property
    def height(self) -> float:
        return self._above_text + _LINE * len(self.lines) + 2 * _PAD

    def draw(self, figure: Picture, left: float, top: float, inner: float, height: float) -> None:
        # `left` and `top` are in inches from the upper left corner of the figure.
        width = inner + 2 * _PAD
        frame = Rectangle(
            figure.place(left, top + height),
            *figure.share(width, height),
            transform=figure.transFigure,
            facecolor=PAPER,
            edgecolor=self.card.edge,
            linewidth=0.8 if self.card.edge == LINE else 2.0,
            zorder=-1,
        )
        figure.add_artist(frame)
        for number, image in enumerate(self.card.images):
            corner = figure.place(left + _PAD + _SIDE * number + 0.02, top + _PAD + self.tall)
            axes = figure.add_axes((*corner, *figure.share(_SIDE - 0.04, self.tall)))
            axes.imshow(image, vmin=0, vmax=255)
            # Aligns pictures of different heights at the top.
            axes.set_anchor("N")
            axes.set_axis_off()
        first = top + _PAD + self._above_text + 0.125
        for number, (line, colour, weight) in enumerate(self.lines):
            below = first + _LINE * number
            write_line(
                figure, left + _PAD, below, line, fontsize=_SIZE, color=colour, weight=weight
            )


def write_line(figure: Picture, left: float, top: float, text: str, **style: Any) -> None:
    """Write one line of `readable` text at a point, in inches from the upper left corner."""
    font: dict[str, Any] = {"parse_math": False, "family": fonts(), "va": "baseline", "ha": "left"}
    x, y = figure.place(left, top)
    figure.text(x, y, text, **font, **style)


_MOST_OF_A_NAME = 80


def fitting_labels(names: Sequence[Any], size: float, room: float) -> tuple[list[str], float]:
    """Break names into lines that fit side by side.

    Args:
        names: The names; each is cut off after 80 characters.
        size: Font size in points.
        room: The maximum height of all lines of one name.

    Returns:
        The names, with line breaks, and the width of the widest line.
    """
    allowed, width = max(1, int(room / (size * 1.25 / 72))), 1.0
    # A name as long as a page would take a minute to lay out and leave no room for anything else.
    names = [
        text if len(text) <= _MOST_OF_A_NAME else f"{text[:_MOST_OF_A_NAME]}…"
        for text in map(readable, names)
    ]
    while True:
        lines = [wrap(name, width, size) for name in names]
        if max(map(len, lines)) <= allowed:
            break
        width += 0.3
    widest = max(text_width(one, size) for name in lines for one in name)
    return ["\n".join(name) for name in lines], widest
