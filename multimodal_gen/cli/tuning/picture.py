"""The picture of a search: the loss of each trial in their order, and by each setting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from multimodal_gen.cli.tuning.space import Setting
from multimodal_gen.inspection.layout import BLUE, GREY, INK, LINE, ORANGE, Picture
from multimodal_gen.inspection.letters import fonts

_ACROSS = 3


def draw_search(table: pd.DataFrame, space: Sequence[Setting], chosen: int) -> Figure:
    """Draw it.

    Args:
        table: As `table_of` returns it.
        space: The settings that were varied.
        chosen: The number of the trial that is kept.

    Returns:
        A panel with the loss by trial, and one by the value of each setting. Trials that were
        stopped early are rings, at the least loss until then; failed ones are left out.
    """
    drawn = table[table["loss"].notna()]
    down = math.ceil((1 + len(space)) / _ACROSS)
    figure = Picture(3.9 * _ACROSS, 2.9 * down, layout="constrained")
    limits = _limits(drawn)
    axes = _panel(figure, down, 1, "by trial", limits)
    _points(axes, drawn, drawn["trial"].to_numpy(float), chosen)
    whole = drawn[drawn["state"] == "complete"]
    least = whole["loss"].cummin()
    axes.step(whole["trial"], least, where="post", color=BLUE, linewidth=1.2, label="least so far")
    if (whole["trial"] == 0).any():
        loss = float(whole.loc[whole["trial"] == 0, "loss"].iloc[0])
        axes.axhline(loss, color=GREY, linewidth=1, linestyle=":", label="the defaults")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("loss on validation rows", color=GREY, family=fonts())
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="outside upper center",
        ncols=5,
        frameon=False,
        fontsize=9,
    )
    for place, setting in enumerate(space, 2):
        own = drawn[drawn[setting.name].notna()]
        axes = _panel(figure, down, place, f"by {setting.name.replace('_', ' ')}", limits)
        _points(axes, own, _places(axes, setting, own[setting.name]), chosen)
    return figure


def _limits(drawn: pd.DataFrame) -> tuple[float, float]:
    # Without the worst, which would squeeze all others together; they are drawn at the upper edge.
    losses = drawn["loss"].to_numpy(float)
    low, high = losses.min(), np.quantile(losses, 0.9)
    margin = 0.08 * max(high - low, 1e-6)
    return float(low - margin), float(high + 2 * margin)


def _panel(figure: Picture, down: int, place: int, title: str, limits: tuple[float, float]) -> Any:
    axes = figure.add_subplot(down, _ACROSS, place)
    axes.set_title(title, loc="left", fontsize=11, color=INK, family=fonts())
    axes.set_ylim(limits)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(LINE)
    axes.tick_params(colors=GREY, labelsize=9)
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    return axes


def _points(axes: Any, rows: pd.DataFrame, x: np.ndarray, chosen: int) -> None:
    y = np.minimum(rows["loss"].to_numpy(float), axes.get_ylim()[1])
    whole = (rows["state"] == "complete").to_numpy()
    kept = (rows["trial"] == chosen).to_numpy()
    styles: list[tuple[np.ndarray, dict[str, Any]]] = [
        (whole & ~kept, {"color": BLUE, "label": "trial"}),
        (~whole, {"facecolor": "none", "edgecolor": GREY, "label": "stopped early"}),
        (kept, {"color": ORANGE, "label": "kept", "zorder": 3, "s": 42}),
    ]
    for where, style in styles:
        if where.any():
            axes.scatter(x[where], y[where], **{"s": 20, "clip_on": False, **style})


def _places(axes: Any, setting: Setting, values: pd.Series) -> np.ndarray:
    # Where the values of a setting are on the axis.
    if setting.scale is not None:
        axes.set_xscale(setting.scale)
        axes.set_xlim(setting.values)
        if setting.scale == "log":
            # 1, 2 and 5 in each power of ten, as plain numbers.
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.xaxis.set_minor_locator(NullLocator())
        return values.to_numpy(float)
    words = [str(one) for one in setting.values]
    axes.set_xticks(range(len(words)), words)
    axes.set_xlim(-0.5, len(words) - 0.5)
    return values.map(str).map(words.index).to_numpy(float)
