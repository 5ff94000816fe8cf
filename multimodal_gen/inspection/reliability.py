"""Draw how often predictions are right, by the probability that they were given."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from multimodal_gen.inspection.layout import GREY, INK, LINE, Picture, wrap

_BLUE = "#2a6fb0"


def draw_reliability(bins: pd.DataFrame, words: str) -> Figure:
    """Draw bins of predictions: how often they are right above what they say, and how many.

    Args:
        bins: A row per bin; columns "probability", "right", "low" and "high" in [0, 1], and
            "rows".
        words: The heading.
    """
    heading = wrap(words, 4.1, 10)
    top = 0.2 + 0.19 * len(heading)
    figure = Picture(4.4, 4.4 + top)
    wide, tall = figure.share(3.6, 3.0)
    left, low = 0.62 / 4.4, 1.3 / figure.get_figheight()
    axes = figure.add_axes((left, low, wide, tall))
    axes.plot([0, 1], [0, 1], color=LINE, linewidth=1.2, linestyle="--", zorder=1)
    said, right = bins["probability"], bins["right"]
    axes.vlines(said, bins["low"], bins["high"], color=_BLUE, linewidth=1.4, alpha=0.5)
    axes.plot(said, right, "o-", color=_BLUE, markersize=4.5, linewidth=1, clip_on=False)
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.set_ylabel("share that is right", color=GREY, fontsize=10)
    wide, tall = figure.share(3.6, 0.6)
    below = figure.add_axes((left, 0.55 / figure.get_figheight(), wide, tall), sharex=axes)
    below.vlines(said, 0, bins["rows"], color=_BLUE, linewidth=4)
    below.set_ylim(0, 1.1 * bins["rows"].max())
    below.set_ylabel("number", color=GREY, fontsize=10)
    below.set_xlabel("probability that was said", color=GREY, fontsize=10)
    for one in (axes, below):
        one.tick_params(colors=INK, labelsize=9, length=3)
        one.spines[:].set_color(LINE)
    axes.tick_params(labelbottom=False)
    for line, text in enumerate(heading):
        figure.text(0.12 / 4.4, 1 - (0.22 + 0.19 * line) / figure.get_figheight(), text, color=GREY)
    return figure
