"""How results are shown: a table in the terminal, JSON, a section of a markdown file, and a bar
chart.

A benchmark makes a `Report`; `publish` does the rest, so that running it again is one command.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.table import Table

from multimodal_gen.inspection.layout import BLUE, GREY, INK, LINE, text_width
from multimodal_gen.inspection.letters import fonts

_VERSIONS_OF = (
    *(
        "multimodal_gen",
        "keras",
        "tensorflow",
        "jax",
        "torch",
        "grain",
        "numpy",
        "pillow",
        "simplejpeg",
    ),
    "opencv-python-headless",
)
_OTHERS = "#b8c1cb"


@dataclass(frozen=True)
class Report:
    """The results of one benchmark.

    Args:
        name: Of files, and of the section in a markdown file.
        title: One line.
        columns: Heads of the table; the first column is text, the others are numbers.
        rows: The table, as texts.
        notes: Sentences that belong under the table.
        figures: All that was measured, as JSON values.
    """

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str]
    figures: dict[str, Any]
    environment: dict[str, str] = field(default_factory=lambda: environment())


@dataclass(frozen=True)
class Bar:
    """One bar of a chart: its name, its value, the panel it stands in, and whether it is one of
    ours or a limit.
    """

    name: str
    value: float
    panel: str
    ours: bool = False
    limit: bool = False


def environment() -> dict[str, str]:
    """Date, machine and versions that a result was measured with."""
    versions = []
    for name in _VERSIONS_OF:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "date": datetime.date.today().isoformat(),
        "machine": f"{_processor()}, {cores} cores, Python {platform.python_version()}",
        "versions": ", ".join(versions),
    }


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    found = (
        re.search(r"^model name\s*:\s*(.+)$", listing.read_text(), re.MULTILINE)
        if listing.exists()
        else None
    )
    return found[1] if found else platform.machine()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of a benchmark that say where its results go."""
    parser.add_argument(
        "--out",
        type=Path,
        help="a folder for the results as JSON, and for the chart where there is one",
    )
    parser.add_argument(
        "--markdown",
        type=Path,
        help="a markdown file whose section of this name is replaced, or to which it is added",
    )
    parser.add_argument(
        "--charts",
        type=Path,
        help="the folder for its charts; by default that of the markdown file",
    )


def publish(report: Report, arguments: argparse.Namespace, chart: Figure | None = None) -> None:
    """Print a report, and write it where the arguments say.

    Args:
        report: What was measured.
        arguments: With `out`, `markdown` and `charts`, as `add_arguments` makes them.
        chart: A chart that is saved beside.
    """
    show(report)
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(report), indent=2, ensure_ascii=False)
        (arguments.out / f"{report.name}.json").write_text(text + "\n", "utf-8")
        if chart is not None:
            chart.savefig(arguments.out / f"{report.name}.png")
    if arguments.markdown is not None:
        picture = None
        if chart is not None:
            beside = arguments.markdown.parent
            file = (arguments.charts or beside) / f"{report.name}.png"
            chart.savefig(file)
            picture = Path(os.path.relpath(file, beside)).as_posix()
        write_section(report, arguments.markdown, picture)


def show(report: Report) -> None:
    """Print a report as a table."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(report.columns):
        table.add_column(column, justify="left" if number == 0 else "right", no_wrap=True)
    for row in report.rows:
        table.add_row(*row, style="bold" if row[0].startswith("ours") else None)
    console = Console()
    # A file is no narrower than the table.
    console.width = max(
        console.width, console.measure(table, options=console.options.update(width=1000)).maximum
    )
    console.print(report.title, style="bold", markup=False, highlight=False)
    console.print(table)
    for note in report.notes:
        console.print(note, markup=False, highlight=False)


def write_section(report: Report, file: Path, picture: str | None) -> None:
    """Replace the section of a report in a markdown file, or add it at the end.

    Args:
        report: What was measured.
        file: The file; comments in it mark where sections begin and end.
        picture: The path of a picture from the file's folder, or None.
    """
    begin, end = f"<!-- begin {report.name} -->", f"<!-- end {report.name} -->"
    lines = [f"### {report.title}", "", *([f"![{report.title}]({picture})", ""] if picture else [])]
    lines.append("| " + " | ".join(report.columns) + " |")
    lines.append("|---" + "|--:" * (len(report.columns) - 1) + "|")
    lines += ["| " + " | ".join(row) + " |" for row in report.rows]
    lines += ["", *(f"- {note}" for note in report.notes)]
    lines.append("- Measured on {date}; {machine}; {versions}.".format(**report.environment))
    section = "\n".join([begin, *lines, end])
    text = file.read_text("utf-8") if file.exists() else ""
    if begin in text:
        before, rest = text.split(begin, 1)
        text = before + section + rest.split(end, 1)[1]
    else:
        text = f"{text.rstrip()}\n\n{section}\n".lstrip()
    file.write_text(text, "utf-8")


def bar_chart(bars: Sequence[Bar], title: str, subtitle: str) -> Figure:
    """Horizontal bars, the greatest on top: ours in blue, others in grey, limits as outlines.

    Args:
        bars: What to draw; each `panel` has a scale of its own.
        title: What was measured.
        subtitle: On what.

    Returns:
        The figure, wide enough for the names.
    """
    panels = list(dict.fromkeys(bar.panel for bar in bars))
    names_width = max(text_width(bar.name, 10, "bold") for bar in bars) + 0.35
    width, height = names_width + 6.0, 0.95 + 0.33 * len(bars) + 0.5 * len(panels)
    figure = Figure(figsize=(width, height), dpi=150)
    below = height - 0.8
    for panel in panels:
        shown = sorted((bar for bar in bars if bar.panel == panel), key=lambda bar: bar.value)
        figure.text(
            0.2 / width, (below - 0.2) / height, panel, fontfamily=fonts(), fontsize=10.5, color=INK
        )
        below -= 0.4 + 0.33 * len(shown)
        _draw_bars(
            figure.add_axes(
                (names_width / width, below / height, 5.1 / width, 0.33 * len(shown) / height)
            ),
            shown,
        )
        below -= 0.1
    figure.text(
        0.2 / width,
        1 - 0.32 / height,
        title,
        fontfamily=fonts(),
        fontsize=13,
        fontweight="bold",
        color=INK,
    )
    figure.text(
        0.2 / width, 1 - 0.58 / height, subtitle, fontfamily=fonts(), fontsize=9.5, color=GREY
    )
    return figure


def _draw_bars(axes: Axes, bars: Sequence[Bar]) -> None:
    top = bars[-1].value
    for place, bar in enumerate(bars):
        color = BLUE if bar.ours else "white" if bar.limit else _OTHERS
        axes.barh(
            place,
            bar.value,
            height=0.68,
            color=color,
            edgecolor=GREY if bar.limit else color,
            linewidth=1,
        )
        weight, ink = ("bold", BLUE) if bar.ours else ("normal", GREY if bar.limit else INK)
        for x, text, side in ((0.012, f"{bar.value:,.0f}", "left"), (-0.018, bar.name, "right")):
            start = bar.value if side == "left" else 0
            axes.text(
                start + x * top,
                place,
                text,
                ha=side,
                va="center_baseline",
                color=ink,
                fontfamily=fonts(),
                fontsize=10,
                fontweight=weight,
            )
    axes.set(xlim=(0, top), ylim=(-0.5, len(bars) - 0.5), xticks=[], yticks=[])
    for side, spine in axes.spines.items():
        spine.set_visible(side == "left")
        spine.set_color(LINE)
