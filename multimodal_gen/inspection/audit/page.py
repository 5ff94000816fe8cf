"""The audit as one self-contained HTML file: counts, notes, and the worst cases with their
pictures.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from multimodal_gen.errors import LoadError, counted
from multimodal_gen.inspection.audit.clusters import groups
from multimodal_gen.inspection.audit.findings import KINDS, Finding
from multimodal_gen.inspection.audit.pictures import PictureReader
from multimodal_gen.inspection.audit.report import Audit, View
from multimodal_gen.inspection.class_ids import mask_of
from multimodal_gen.inspection.pages import document, picture, safe, said
from multimodal_gen.rows.cells import is_missing

_CASES, _CLUSTERS, _MOST_SHOWN, _MOST_ITEMS = 12, 24, 6, 4
# Kinds that are ranked, to be looked through from the top.
_RANKED, _RANKED_CASES = ("unlike pair", "unlikely label", "outlier"), 36
_SIDE = 160
_LONGEST = 300
_TOGETHER = ("duplicate", "near duplicate", "leakage", "conflicting labels")
_STYLE = """
td.number { text-align: right; color: var(--mark); font-variant-numeric: tabular-nums; }
.cards { display: flex; flex-wrap: wrap; gap: .9rem; align-items: stretch; }
.card { padding: .7rem; width: 10.5rem; font-size: .82rem; }
.group { display: flex; flex-wrap: wrap; gap: .7rem; background: var(--card); padding: .2rem;
  border: 1px solid var(--line); border-radius: 8px; }
.group .card { border: 0; width: 8.5rem; }
.card img, .none { display: block; width: 100%; aspect-ratio: 1; }
.none { display: grid; place-items: center; background: var(--page); color: var(--soft);
  border-radius: 4px; }
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
    parts = [f"<h1>{total}</h1>", _summary(report)]
    if report.notes:
        parts.append(
            f"<h2>Notes</h2><ul>{''.join(f'<li>{said(note)}</li>' for note in report.notes)}</ul>"
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
    return document("Audit", "".join(parts), _STYLE)


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
        f"<div class='cell'><b>{_short(name)}</b> "
        f"{'(missing)' if is_missing(cell) else _short(cell)}</div>"
        for name, cell in zip(view.table.columns, view.table.iloc[row].tolist(), strict=True)
        if isinstance(cell, str | int | float | np.generic) or is_missing(cell) or _are_texts(cell)
    )
    # Our own sentences, which quote cells in short, are shown whole: their end says what to do.
    told = f"<div class='message'>{said(message)}</div>" if message else ""
    return (
        f"<div class='card'>{pictures}<div class='index'>index "
        f"{_short(index)}</div>{told}{cells}</div>"
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
    note = "" if mask is None else "<div class='cell'>dark levels in colours, as of class ids</div>"
    return f"{picture(pixels if mask is None else mask, 'JPEG')}{note}"


def _short(value: Any) -> str:
    text = str(value)
    return safe(
        text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text):,} characters)"
    )
