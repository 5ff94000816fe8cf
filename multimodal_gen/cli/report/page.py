"""A report as one self-contained HTML file: `blocks.py` -> HTML."""

from __future__ import annotations

from pathlib import Path

from multimodal_gen.bundle.explaining.cards import longest_bar
from multimodal_gen.bundle.explaining.page import STYLE, card
from multimodal_gen.cli.report.blocks import Block, Cases, Picture, Points, Report, Section, Table
from multimodal_gen.inspection.pages import document, embedded, safe, said

# Columns that fit a phone side by side.
_BESIDE = 3
_STYLE = f"""
{STYLE}
body {{ max-width: 60rem; }}
.first {{ font-size: 1.15rem; color: var(--ink); }}
nav {{ display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin: 1rem 0 0; font-size: .9rem; }}
li {{ margin: .3rem 0; }}
.wide {{ overflow-x: auto; margin: .6rem 0 1.2rem; }}
.wide table {{ margin: 0; font-size: .9rem; line-height: 1.4; }}
th {{ font-weight: 600; color: var(--soft); vertical-align: bottom; }}
.wide :is(th, td) {{ min-width: 8rem; }}
td {{ overflow-wrap: anywhere; }}
.wide .number {{ min-width: 4rem; }}
.number {{ text-align: right; font-variant-numeric: tabular-nums; }}
td.number {{ white-space: nowrap; }}
.picture {{ margin: .6rem 0 1.2rem; padding: .6rem; overflow-x: auto; background: #fff; }}
.picture img {{ display: block; max-width: 100%; height: auto; margin: 0 auto; }}
.aside {{ display: none; color: var(--soft); font-size: .9rem; margin: .6rem 0 0; }}
@media screen {{ .large img {{ max-width: none; margin: 0; }} }}
@media screen and (max-width: 36rem) {{ .aside {{ display: block; }}
  .wide {{ overflow: visible; }}
  .wide table {{ width: 100%; }} .wide :is(th, td) {{ min-width: 0; }}
  .wide :is(th, td):last-child {{ padding-right: 0; }} td.number {{ white-space: normal; }}
  .stack thead {{ display: none; }} .stack :is(tr, td) {{ display: block; text-align: left; }}
  .stack tr {{ padding: .5rem 0; border-bottom: 1px solid var(--line); }}
  .stack td {{ display: grid; grid-template-columns: 8rem 1fr; gap: .6rem; padding: .1rem 0;
    border: 0; }}
  .stack td::before {{ content: attr(data-column); color: var(--soft); }}
  .stack td:first-child {{ display: block; font-weight: 600; }}
  .stack td:first-child::before {{ content: none; }} }}
@media print {{ .wide, .picture {{ overflow: visible; }} nav {{ display: none; }}
  .picture img {{ max-height: 22cm; }} .wide table {{ font-size: .75rem; }}
  th, td {{ padding-right: .7rem; }} }}
"""


def page(report: Report, folder: Path) -> str:
    """The page as HTML.

    Args:
        report: The report.
        folder: Where its pictures are.
    """
    links = "".join(
        f"<a href='#section-{number}'>{safe(one.title)}</a>"
        for number, one in enumerate(report.sections)
    )
    sections = "".join(
        f"<section id='section-{number}'><h2>{safe(one.title)}</h2>{_blocks(one, folder)}</section>"
        for number, one in enumerate(report.sections)
    )
    above = _blocks(Section("", report.summary), folder)
    body = f"<h1>{safe(report.title)}</h1>{above}<nav>{links}</nav>{sections}"
    return document(report.title, body, _STYLE)


def _blocks(section: Section, folder: Path) -> str:
    return "".join(_block(one, folder) for one in section.blocks)


def _block(block: Block, folder: Path) -> str:
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Points):
        return f"<ul>{''.join(f'<li>{said(one)}</li>' for one in block.sentences)}</ul>"
    if isinstance(block, Picture):
        content = (folder / block.file).read_bytes()
        kind = "card picture" if block.whole else "card picture large"
        # A phone shows it in full size, of which a part fits.
        hint = "" if block.whole else "<p class='aside'>Scroll sideways to see all of it.</p>"
        return f"{hint}<div class='{kind}'>{embedded(content, 'image/png', block.words)}</div>"
    if isinstance(block, Cases):
        longest = longest_bar(one for _, one in block.cases)
        return "".join(card(one, heading, "h3", longest) for heading, one in block.cases)
    return f"<p{' class=first' if block.first else ''}>{said(block.text)}</p>"


def _table(table: Table) -> str:
    # A phone shows the cells of a row below each other, each after the name of its column.
    stacked = len(table.columns) > _BESIDE

    def cell(tag: str, place: int, text: str) -> str:
        kind = "" if place < table.words else " class='number'"
        named = f" data-column='{safe(table.columns[place])}'" if stacked and tag == "td" else ""
        return f"<{tag}{kind}{named}>{safe(text)}</{tag}>"

    head = "".join(cell("th", *one) for one in enumerate(table.columns))
    rows = "".join(
        f"<tr>{''.join(cell('td', *one) for one in enumerate(row))}</tr>" for row in table.rows
    )
    whole = f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
    return f"<div class='wide{' stack' if stacked else ''}'><table>{whole}</table></div>"
