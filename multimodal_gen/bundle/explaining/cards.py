"""Explanations as a figure: a card for each row, with its pictures, words and bars."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from multimodal_gen.bundle.explaining.results import Explanation
from multimodal_gen.bundle.explaining.tints import AGAINST, FOR, number, overlay, pieces, tint
from multimodal_gen.errors import counted
from multimodal_gen.inspection.layout import (
    GREY,
    INK,
    LINE,
    PAPER,
    RED,
    Picture,
    one_line,
    shortened,
    text_width,
    wrap,
    write_line,
)
from multimodal_gen.inspection.letters import NO_FONT, lacks_letters, readable
from multimodal_gen.rows.checks import check_positive

# In inches: margins, the side of a picture, the height of a line, the width of the texts, of the
# names of bars and of their numbers.
_PAD, _GAP, _SIDE, _LINE = 0.12, 0.14, 1.5, 0.18
_TEXT, _NAME, _NUMBER = 4.6, 1.9, 0.55
_SIZE = 9.0
_SPACE = 0.045
_MOST_PICTURES, _MOST_LINES, _MOST_BARS = 3, 8, 12
_MOST_OF_A_NAME = 60


@dataclass(frozen=True)
class _Piece:
    # A part of a line: its text, where it begins, how wide it is, and the weight of its word.
    text: str
    left: float
    width: float
    weight: float | None


def draw_explanations(explanations: Sequence[Explanation], background: str, rows: int) -> Figure:
    """Draw the first rows, one card each; see `Explanations.show`.

    Args:
        explanations: All rows.
        background: What stood for inputs that are left out, in words.
        rows: The most rows to draw.
    """
    check_positive(rows=rows)
    chosen = explanations[:rows]
    across = max((_pictures_of(one) for one in chosen), default=0)
    cards = [_Card.of(one, _SIDE * across) for one in chosen]
    width = _SIDE * across + _TEXT + 2 * _PAD + 2 * _GAP + (_PAD if across else 0)
    title = (
        f"{counted(len(chosen), 'row')} of {len(explanations):,}. Orange speaks for what is "
        "explained, blue against it; bars show what each input adds. Instead of inputs that are "
        f"left out: {background}."
    )
    if any(map(lacks_letters, [text for card in cards for text in card.texts()])):
        title = f"{title} {NO_FONT}"
    heading = wrap(title, width - 2 * _GAP, 9)
    above = 0.14 + 0.17 * len(heading)
    figure = Picture(width, above + sum(one.height + _GAP for one in cards))
    for place, line in enumerate(heading):
        write_line(figure, _GAP, 0.18 + 0.17 * place, line, fontsize=9, color=GREY)
    top = above
    longest = longest_bar(chosen)
    for card in cards:
        card.draw(figure, top, width - 2 * _GAP, longest)
        top += card.height + _GAP
    return figure


def _pictures_of(one: Explanation) -> int:
    # Each picture comes as it is, and with its heat.
    return 2 * min(_MOST_PICTURES, sum(len(own) for own in one.pictures.values()))


def heading_of(one: Explanation) -> str:
    """The line above a card: what is explained, and how sure the model is."""
    if one.error is not None:
        return f"row {one.row}: no prediction"
    said = f"{_cut(one.of)} {one.value:,.4g}, {one.baseline:,.4g} without inputs"
    differs = str(one.predicted) != str(one.of) and not isinstance(one.predicted, float)
    return f"row {one.row}: {said}" + (f" (predicted: {_cut(one.predicted)})" if differs else "")


def _cut(name: object) -> str:
    return shortened(str(name), _MOST_OF_A_NAME)


def bars_of(one: Explanation) -> list[tuple[str, float]]:
    """Name and value of each bar: the inputs in their order, then columns, the largest first."""
    shares = [(str(name), float(value)) for name, value in one.inputs["share"].items()]
    # A column that is all of an input has its bar already: its value is what that input is needed
    # for.
    needed = set(one.inputs["needed"].astype(float))
    more = [(name, value) for name, value in one.columns.items() if value not in needed]
    return shares + sorted(more, key=lambda pair: -abs(np.nan_to_num(pair[1])))


def longest_bar(explanations: Iterable[Explanation]) -> float:
    """The number that the longest bar stands for, so that those of all rows can be compared."""
    values = [abs(value) for one in explanations if one.error is None for _, value in bars_of(one)]
    return max((value for value in values if np.isfinite(value)), default=0.0)


@dataclass(frozen=True)
class _Card:
    # A row with its texts split into lines.
    one: Explanation
    left: float
    heading: list[str]
    words: list[tuple[list[list[_Piece]], float]]
    bars: list[tuple[str, float]]

    @classmethod
    def of(cls, one: Explanation, left: float) -> _Card:
        said = wrap(heading_of(one), _TEXT, _SIZE + 1, "bold")
        if one.error is not None:
            return cls(one, left, [*said, *wrap(one.error, _TEXT, _SIZE)], [], [])
        words = []
        for name, texts in one.texts.items():
            own = one.words[name]
            largest = max((abs(word.weight) for word in own), default=0.0)
            for item, text in enumerate(texts):
                spans = [word for word in own if word.item == item]
                words.append((_lines(list(pieces(text, spans))), largest))
        return cls(one, left, said, words, bars_of(one)[:_MOST_BARS])

    def texts(self) -> list[str]:
        return [*self.heading, *(text for own in self.one.texts.values() for text in own)]

    @property
    def height(self) -> float:
        lines = len(self.heading) + sum(len(own) for own, _ in self.words)
        beside = _LINE * (lines + len(self.bars)) + 0.08 * (1 + len(self.words))
        return max(beside, _SIDE + 0.02 if self.one.pictures else 0.0) + 2 * _PAD

    def draw(self, figure: Picture, top: float, width: float, longest: float) -> None:
        box = figure.place(_GAP, top + self.height), *figure.share(width, self.height)
        figure.add_artist(
            Rectangle(
                *box,
                transform=figure.transFigure,
                facecolor=PAPER,
                edgecolor=LINE if self.one.error is None else RED,
                linewidth=0.8,
                zorder=-2,
            )
        )
        self._draw_pictures(figure, top + _PAD)
        left = _GAP + _PAD + self.left + (_PAD if self.left else 0)
        line = top + _PAD + 0.13
        for place, text in enumerate(self.heading):
            bold = self.one.error is None or place == 0
            style = {"fontsize": _SIZE + 1, "weight": "bold"} if bold else {"fontsize": _SIZE}
            write_line(figure, left, line, text, color=INK if bold else RED, **style)
            line += _LINE
        for lines, largest in self.words:
            line += 0.08
            for pieces_of_line in lines:
                _draw_line(figure, left, line, pieces_of_line, largest)
                line += _LINE
        line += 0.08
        for name, value in self.bars:
            _draw_bar(figure, left, line, name, value, longest)
            line += _LINE

    def _draw_pictures(self, figure: Picture, top: float) -> None:
        shown = [
            image
            for name, pictures in self.one.pictures.items()
            for picture, heat in zip(pictures, self.one.heat[name], strict=True)
            for image in (picture, overlay(picture, heat))
        ]
        for place, image in enumerate(shown[: 2 * _MOST_PICTURES]):
            corner = figure.place(_GAP + _PAD + _SIDE * place, top + _SIDE)
            axes = figure.add_axes((*corner, *figure.share(_SIDE - 0.05, _SIDE)))
            axes.imshow(image, vmin=0, vmax=255)
            axes.set_anchor("N")
            axes.set_axis_off()


def _lines(parts: Sequence[tuple[str, float | None]]) -> list[list[_Piece]]:
    # Words side by side, as many as fit; white space ends where a line does.
    lines: list[list[_Piece]] = [[]]
    left = 0.0
    for text, weight in parts:
        text = " ".join(text.split()) if weight is not None else _spaced(text)
        text, width = _measured(text)
        if left + width > _TEXT and lines[-1]:
            lines.append([])
            left = 0.0
            text, width = _measured(text.lstrip())
        if len(lines) > _MOST_LINES:
            return [*lines[:_MOST_LINES], [_Piece("…", 0.0, 0.1, None)]]
        if width > _TEXT:
            for line in wrap(text, _TEXT, _SIZE):
                lines[-1].append(_Piece(line, 0.0, text_width(line, _SIZE), weight))
                lines.append([])
            continue
        if text.strip():
            before = _SPACE * (len(text) - len(text.lstrip()))
            after = _SPACE * (len(text) - len(text.rstrip()))
            inner = _Piece(text.strip(), left + before, width - before - after, weight)
            lines[-1].append(inner)
        left += width
    return [line for line in lines if line]


def _measured(text: str) -> tuple[str, float]:
    # A readable text with the spaces around it, and its width; alone, spaces have none.
    inner = readable(text.strip())
    before = len(text) - len(text.lstrip()) if inner else len(text)
    after = len(text) - len(text.rstrip()) if inner else 0
    width = text_width(inner, _SIZE) if inner else 0.0
    return " " * before + inner + " " * after, width + _SPACE * (before + after)


def _spaced(text: str) -> str:
    # What is between words, with each run of white space as one space.
    inner = " ".join(text.split())
    return f"{' ' * text[:1].isspace()}{inner}{' ' * (bool(inner) and text[-1:].isspace())}"


def _draw_line(
    figure: Picture, left: float, line: float, parts: Sequence[_Piece], largest: float
) -> None:
    for piece in parts:
        if piece.weight is not None:
            colour, share = tint(piece.weight, largest)
            corner = figure.place(left + piece.left - 0.01, line + 0.045)
            figure.add_artist(
                Rectangle(
                    corner,
                    *figure.share(piece.width + 0.02, _LINE - 0.02),
                    transform=figure.transFigure,
                    facecolor=colour,
                    alpha=0.65 * share,
                    linewidth=0,
                    zorder=-1,
                )
            )
        write_line(figure, left + piece.left, line, piece.text, fontsize=_SIZE, color=INK)


def _draw_bar(
    figure: Picture, left: float, line: float, name: str, value: float, largest: float
) -> None:
    text = one_line(name, _NAME - 0.1, _SIZE)
    write_line(figure, left, line, text, fontsize=_SIZE, color=GREY)
    room = (_TEXT - _NAME - _NUMBER) / 2
    colour, share = tint(value, largest)
    middle = left + _NAME + room
    start = middle if value >= 0 else middle - share * room
    for x, width, fill in ((start, share * room, colour), (middle - 0.005, 0.01, GREY)):
        corner = figure.place(x, line + 0.02)
        figure.add_artist(
            Rectangle(
                corner,
                *figure.share(width, 0.11),
                transform=figure.transFigure,
                facecolor=fill,
                linewidth=0,
            )
        )
    style = {"fontsize": _SIZE, "color": FOR if value >= 0 else AGAINST}
    write_line(figure, left + _TEXT - _NUMBER + 0.08, line, number(value), **style)
