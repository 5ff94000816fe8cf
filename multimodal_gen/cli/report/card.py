"""A report as a model card: `blocks.py` -> Markdown.

Everything is escaped, so a class name is never markup: `<`, `>`, `&`, `|`, `~` and `$` by their
numbers, which every kind of Markdown knows, other signs by a backslash.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from multimodal_gen.cli.report.blocks import Block, Cases, Picture, Points, Report, Table

_BY_NUMBER = {ord(one): f"&#{ord(one)};" for one in "<>&|~$"}
_BY_BACKSLASH = {ord(one): f"\\{one}" for one in "\\`*_[]#"}
# What begins a list or a rule at the beginning of a line.
_BEGINNING = re.compile(r"(\d*)([-+.)])(?=[-\s]|$)")


def card(report: Report) -> str:
    """The model card as Markdown.

    Args:
        report: The report.
    """
    parts = [f"# {plain(report.title)}", *map(_block, report.summary)]
    for section in report.sections:
        parts += [f"## {plain(section.title)}", *map(_block, section.blocks)]
    return "\n\n".join(parts) + "\n"


def plain(text: str) -> str:
    """A text as one line of Markdown that shows it."""
    line = escaped(text).strip()
    found = _BEGINNING.match(line)
    return line if found is None else f"{found[1]}\\{line[found.start(2) :]}"


def escaped(text: str) -> str:
    """A text as part of a line of Markdown that shows it; blanks at its ends stay."""
    # Lone surrogates, left over from broken decoding, have no UTF-8; nor has a control character a
    # place in a line.
    line = re.sub(r"\s+", " ", text.encode("utf-8", "backslashreplace").decode("utf-8"))
    shown = "".join(one for one in line if one.isprintable())
    return shown.translate(_BY_NUMBER | _BY_BACKSLASH)


def _block(block: Block) -> str:
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Cases):
        return _table(block.table)
    if isinstance(block, Points):
        return "\n".join(f"- {_said(one)}" for one in block.sentences)
    if isinstance(block, Picture):
        return f"![{plain(block.words)}]({block.file})"
    return f"**{plain(block.text)}**" if block.first else _said(block.text)


def _said(sentence: str) -> str:
    # Backticks mark code, in which nothing is left that would have to be escaped.
    parts = re.split(r"(`[^`<>&|$~\s]+(?: [^`<>&|$~\s]+)*`)", " ".join(sentence.split()))
    words = [one if place % 2 else escaped(one) for place, one in enumerate(parts)]
    return plain(parts[0]) if len(parts) == 1 else "".join(words).strip()


def _table(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    ruler = ["---" if place < table.words else "---:" for place in range(len(table.columns))]
    rows = [line([escaped(cell).strip() for cell in row]) for row in table.rows]
    return "\n".join([line([escaped(one) for one in table.columns]), line(ruler), *rows])
