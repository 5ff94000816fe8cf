"""Draw what inputs and columns are worth: a bar with its interval for each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from multimodal_gen.inspection.layout import (
    BLUE,
    GREY,
    INK,
    LINE,
    Picture,
    one_line,
    wrap,
    write_line,
)

# In inches: the width of the names and of the bars, the height of a line, margins.
_NAME, _BARS, _LINE, _GAP = 2.8, 3.6, 0.24, 0.14
_SIZE = 9.0
_WIDTH = _NAME + _BARS + 2 * _GAP
_MOST = 40


def draw_importance(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw a table of bars for each score.

    Args:
        tables: Heading -> a row for each bar; columns "input", "column" (None of a whole input),
            "lost", "low" and "high". Up to 40 are drawn.
    """
    headings = {words: wrap(words, _WIDTH - 2 * _GAP, 10) for words in tables}
    heights = {
        words: 0.19 * len(headings[words]) + _LINE * min(len(one), _MOST) + 0.75
        for words, one in tables.items()
    }
    figure = Picture(_WIDTH, sum(heights.values()))
    top = 0.0
    for words, table in tables.items():
        for place, line in enumerate(headings[words]):
            write_line(figure, _GAP, top + 0.24 + 0.19 * place, line, fontsize=10, color=GREY)
        _draw_bars(figure, top + 0.34 + 0.19 * len(headings[words]), table.iloc[:_MOST])
        top += heights[words]
    return figure


def _draw_bars(figure: Picture, top: float, table: pd.DataFrame) -> None:
    tall = _LINE * len(table)
    corner = figure.place(_GAP + _NAME, top + tall)
    axes = figure.add_axes((*corner, *figure.share(_BARS - _GAP, tall)))
    places = np.arange(len(table))
    whole = table["column"].isna().to_numpy()
    axes.axvline(0, color=LINE, linewidth=1, zorder=0)
    axes.barh(places, table["lost"], 0.6, color=np.where(whole, BLUE, "#8fb3d9"))
    axes.hlines(places, table["low"], table["high"], color=INK, linewidth=1.2)
    axes.set_ylim(len(table) - 0.5, -0.5)
    axes.set_yticks([])
    axes.tick_params(colors=INK, labelsize=_SIZE, length=3)
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    for place, (name, column) in enumerate(zip(table["input"], table["column"], strict=True)):
        indent = 0.0 if column is None else 0.16
        text = one_line(name if column is None else column, _NAME - indent - 0.12, _SIZE)
        line = top + _LINE * (place + 0.5) + 0.045
        colour = INK if column is None else GREY
        write_line(figure, _GAP + indent, line, text, fontsize=_SIZE, color=colour)
