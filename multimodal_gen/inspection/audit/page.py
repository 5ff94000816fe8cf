"""The audit as one self-contained HTML file: counts, notes, and the worst cases with their
pictures.

Everything from the table is escaped, so a caption or a file name is never markup.
"""

from __future__ import annotations

import base64
import html
import io
import re
from typing import Any

import numpy as np
from PIL import Image

from multimodal_gen.errors import LoadError, counted
from multimodal_gen.inspection.audit.clusters import groups
from multimodal_gen.inspection.audit.findings import KINDS, Finding
from multimodal_gen.inspection.audit.pictures import PictureReader
from multimodal_gen.inspection.audit.report import Audit, View
from multimodal_gen.inspection.class_ids import mask_of
from multimodal_gen.rows.cells import is_missing

_CASES, _CLUSTERS, _MOST_SHOWN, _MOST_ITEMS = 12, 24, 6, 4
# Kinds that are ranked, to be looked through from the top.
_RANKED, _RANKED_CASES = ("unlike pair", "unlikely label", "outlier"), 36
_SIDE = 160
_LONGEST = 300
_TOGETHER = ("duplicate", "near duplicate", "leakage", "conflicting labels")
_STYLE = """
:root { color-scheme: light dark; --ink: #1d2433; --soft: #667085; --line: #d9dee7; --card:
  #fff; --page: #f5f6f8; --mark: #b42318; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #98a2b3; --line: #333b49;
  --card: #1c212b; --page: #12151b; --mark: #f97066; } }
body { margin: 0 auto; max-width: 76rem; padding: 2rem 1.5rem 4rem; background: var(--page);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .2rem; }
p { margin: .3rem 0 1rem; color: var(--soft); }
a { color: inherit; }
table { border-collapse: collapse; margin: 1rem 0; }
td, th { padding: .3rem 1.2rem .3rem 0; text-align: left; border-bottom: 1px solid var(--line);
  vertical-align: top; }
td.number { text-align: right; color: var(--mark); font-variant-numeric: tabular-nums; }
.cards { display: flex; flex-wrap: wrap; gap: .9rem; align-items: stretch; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding:
  .7rem; width: 10.5rem; overflow-wrap: anywhere; font-size: .82rem; }
.group { display: flex; gap: .7rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; padding: .2rem; }
.group .card { border: 0; width: 8.5rem; }
.card img, .none { display: block; width: 100%; aspect-ratio: 1; object-fit: contain;
  background: #fff; border-radius: 4px; }
.none { display: grid; place-items: center; background: var(--page); color: var(--soft); }
.items { display: grid; grid-template-columns: 1fr 1fr; gap: .3rem; }
.item { position: relative; border: 2px solid transparent; border-radius: 6px; }
.item.marked { border-color: var(--mark); }
.item span { position: absolute; left: .2rem; top: .2rem; padding: 0 .3rem; border-radius: 4px;
  background: var(--card); font-size: .7rem; }
.index { font-weight: 600; margin-top: .4rem; }
.message { color: var(--mark); }
.cell { color: var(--soft); }
"""


def page(report: Audit) -> str:
    """The page as HTML."""
    view = report.view
    total = f"{counted(len(view.findings), 'problem')} in {counted(len(view.table), 'row')}"
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Audit</title>"
        "<meta name='viewport' content='width=device-width'>"
        # Even if something is not escaped, the browser runs no script and loads nothing.
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; img-src data:; "
        "style-src 'unsafe-inline'\">"
        f"<style>{_STYLE}</style></head><body><h1>{total}</h1>",
        _summary(report),
    ]
    if report.notes:
        parts.append(
            f"<h2>Notes</h2><ul>{''.join(f'<li>{_said(note)}</li>' for note in report.notes)}</ul>"
        )
    by_kind: dict[str, list[Finding]] = {kind: [] for kind in KINDS}
    for one in view.findings:
        by_kind[one.kind].append(one)
    for kind, found in by_kind.items():
        if found:
            together = kind in _TOGETHER
            parts.append(
                f"<h2 id='{kind.replace(' ', '-')}'>{kind} "
                f"({len(found):,})</h2><p>{KINDS[kind]}</p>"
            )
            parts.append(
                "<div "
                f"class='cards'>{_groups(view, found) if together else _cards(view, found)}</div>"
            )
    parts.append("</body></html>\n")
    return "".join(parts)


def _summary(report: Audit) -> str:
    rows = "".join(
        f"<tr><td><a href='#{kind.replace(' ', '-')}'>{kind}</a></td><td "
        f"class='number'>{count:,}</td><td>{KINDS[kind]}</td></tr>"
        for kind, count in report.counts.items()
    )
    return f"<table>{rows}</table>" if rows else "<p>Nothing was found.</p>"


def _cards(view: View, found: list[Finding]) -> str:
    most = _RANKED_CASES if found[0].kind in _RANKED else _CASES
    cards = [_card(view, one.position, one) for one in found[:most]]
    return "".join(cards) + _more(len(found) - most)


def _groups(view: View, found: list[Finding]) -> str:
    # Shows rows of a group side by side, each group once. Reversed, so that the first message of a
    # row wins.
    messages = {one.position: one for one in reversed(found)}
    shown, count = [], 0
    for rows in groups(view.clusters):
        if not any(int(row) in messages for row in rows):
            continue
        count += 1
        if count <= _CLUSTERS:
            cards = [_card(view, int(row), messages.get(int(row))) for row in rows[:_MOST_SHOWN]]
            shown.append(
                f"<div class='group'>{''.join(cards)}{_more(len(rows) - _MOST_SHOWN)}</div>"
            )
    if not count:
        return _cards(view, found)
    return "".join(shown) + _more(count - _CLUSTERS)


def _more(number: int) -> str:
    return f"<div class='card'>and {number:,} more</div>" if number > 0 else ""


def _card(view: View, row: int, found: Finding | None) -> str:
    index = repr(view.table.index[[row]].tolist()[0])
    message = "" if found is None else f"{found.column}: {found.message}"
    pictures = "".join(
        _pictures(reader, view.table[reader.loader.column].iloc[row], found)
        for reader in view.readers
    )
    cells = "".join(
        f"<div class='cell'><b>{_safe(name)}</b> {'(missing)' if is_missing(cell) else _safe(cell)}"
        "</div>"
        for name, cell in zip(view.table.columns, view.table.iloc[row].tolist(), strict=True)
        if isinstance(cell, str | int | float | np.generic) or is_missing(cell) or _are_texts(cell)
    )
    said = f"<div class='message'>{_said(message)}</div>" if message else ""
    return (
        f"<div class='card'>{pictures}<div class='index'>index "
        f"{_safe(index)}</div>{said}{cells}</div>"
    )


def _are_texts(cell: Any) -> bool:
    return isinstance(cell, list | tuple) and all(isinstance(item, str) for item in cell)


def _pictures(reader: PictureReader, cell: Any, found: Finding | None) -> str:
    # The pictures of a cell; of several, the one that a finding is about is marked.
    if reader.many is None:
        return _picture(reader, cell)
    try:
        items = reader.many.items(cell)
    except LoadError:
        items = []
    if len(items) < 2:
        return _picture(reader, items[0] if items else None)
    marked = None if found is None or found.column != reader.loader.column else found.item
    # The marked one is among those that are shown, in their order.
    places = sorted({*range(min(len(items), _MOST_ITEMS)), *([] if marked is None else [marked])})
    shown = "".join(
        f"<div class='{'item marked' if place == marked else 'item'}'>"
        f"{_picture(reader, items[place])}<span>{place + 1}</span></div>"
        for place in places
    )
    more = len(items) - len(places)
    rest = f"<div class='cell'>and {more:,} more</div>" if more > 0 else ""
    return f"<div class='items'>{shown}</div>{rest}"


def _picture(reader: PictureReader, cell: Any) -> str:
    try:
        # In its own proportions, not as the model gets it.
        loader = reader.loader.thumbnails((_SIDE, _SIDE), pad=True) or reader.loader
        pixels = loader.draw(loader.read(cell))
    except Exception:
        pixels = None
    if pixels is None:
        return "<div class='none'>no picture</div>"
    mask = mask_of(reader.loader, cell, pixels)
    buffer = io.BytesIO()
    Image.fromarray(pixels if mask is None else mask).save(buffer, "JPEG", quality=80)
    note = "" if mask is None else "<div class='cell'>dark levels in colours, as of class ids</div>"
    data = base64.b64encode(buffer.getvalue()).decode()
    return f"<img alt='' src='data:image/jpeg;base64,{data}'>{note}"


def _said(sentence: str) -> str:
    # Our own sentences, which quote cells in short, are shown whole: their end says what to do.
    # Backticks in messages mark code.
    return re.sub("`([^`<>]+)`", r"<code>\1</code>", html.escape(sentence))


def _safe(value: Any) -> str:
    text = str(value)
    return html.escape(
        text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text):,} characters)"
    )
