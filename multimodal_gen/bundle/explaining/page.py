"""Explanations as one self-contained HTML file: a card for each row.

Everything from the table is escaped, so a caption or a class name is never markup.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from multimodal_gen.bundle.explaining.cards import bars_of, heading_of
from multimodal_gen.bundle.explaining.explanations import Explanations
from multimodal_gen.bundle.explaining.results import Explanation, Word
from multimodal_gen.bundle.explaining.tints import AGAINST, FOR, number, overlay, pieces, tint
from multimodal_gen.errors import counted

_STYLE = f"""
:root {{ color-scheme: light dark; --ink: #1d2433; --soft: #667085; --line: #d9dee7; --card: #fff;
  --page: #f5f6f8; --bad: #b42318; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e6e9ef; --soft: #98a2b3; --line: #333b49;
  --card: #1c212b; --page: #12151b; --bad: #f97066; }} }}
body {{ margin: 0 auto; max-width: 60rem; padding: 2rem 1rem 4rem; background: var(--page);
  color: var(--ink); font: 15px/1.6 system-ui, sans-serif; }}
h1 {{ font-size: 1.5rem; margin: 0; }}
p {{ margin: .3rem 0 1.2rem; color: var(--soft); }}
.card {{ display: flex; flex-wrap: wrap; gap: 1rem; background: var(--card); padding: 1rem;
  border: 1px solid var(--line); border-radius: 8px; margin: 0 0 1rem; break-inside: avoid;
  overflow-wrap: anywhere; }}
.pictures {{ display: flex; flex-wrap: wrap; gap: .3rem; align-content: flex-start; }}
.pictures img {{ width: 9rem; height: 9rem; object-fit: contain; border-radius: 4px;
  background: #fff; }}
.said {{ flex: 1 1 18rem; min-width: 0; }}
h2 {{ font-size: 1rem; margin: 0 0 .4rem; }}
.text {{ margin: 0 0 .6rem; white-space: pre-wrap; }}
.text b {{ font-weight: inherit; border-radius: 3px; }}
.name {{ color: var(--soft); }}
.bad {{ color: var(--bad); }}
.bar {{ display: grid; grid-template-columns: minmax(5rem, 11rem) 1fr 4.5rem; gap: .6rem;
  align-items: center; font-size: .85rem; }}
.bar .name {{ overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }}
.bar .number {{ text-align: right; font-variant-numeric: tabular-nums; }}
.room {{ position: relative; height: .7rem; background: linear-gradient(var(--line), var(--line))
  center / 1px 100% no-repeat; }}
.room i {{ position: absolute; top: 0; height: 100%; }}
.for {{ background: {FOR}; left: 50%; }}
.against {{ background: {AGAINST}; right: 50%; }}
@media print {{ * {{ print-color-adjust: exact; }} }}
"""


def page(explanations: Explanations, title: str) -> str:
    """The page as HTML.

    Args:
        explanations: The rows.
        title: What is explained, as a heading.
    """
    lost = sum(one.error is not None for one in explanations)
    without = f", {lost:,} of them without a prediction" if lost else ""
    said = (
        f"{counted(len(explanations), 'row')}{without}. Orange speaks for what is explained, blue "
        "against it. The heat on pictures and the colours of words are scaled to the strongest of "
        "each row. Bars show what each input adds: together they lead from the number without "
        "inputs to the prediction. Instead of inputs that are left out: "
        f"{explanations.background}."
    )
    cards = "".join(map(_card, explanations))
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        f"<title>{_safe(title)}</title><meta name='viewport' content='width=device-width'>"
        # Even if something is not escaped, the browser runs no script and loads nothing.
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; img-src data:; "
        "style-src 'unsafe-inline'\">"
        f"<style>{_STYLE}</style></head><body><h1>{_safe(title)}</h1><p>{_safe(said)}</p>"
        f"{cards}</body></html>\n"
    )


def _card(one: Explanation) -> str:
    if one.error is not None:
        return (
            f"<div class='card'><div class='said'><h2>{_safe(heading_of(one))}</h2>"
            f"<div class='bad'>{_safe(one.error)}</div></div></div>"
        )
    pictures = "".join(
        _image(image)
        for name, own in one.pictures.items()
        for picture, heat in zip(own, one.heat[name], strict=True)
        for image in (picture, overlay(picture, heat))
    )
    shown = f"<div class='pictures'>{pictures}</div>" if pictures else ""
    several = sum(map(len, one.texts.values())) > 1
    texts = "".join(
        _text(f"{name} " if several else "", text, item, one.words[name])
        for name, own in one.texts.items()
        for item, text in enumerate(own)
    )
    bars = bars_of(one)
    largest = max((abs(value) for _, value in bars if np.isfinite(value)), default=0.0)
    drawn = "".join(_bar(name, value, largest) for name, value in bars)
    return (
        f"<div class='card'>{shown}<div class='said'><h2>{_safe(heading_of(one))}</h2>"
        f"{texts}{drawn}</div></div>"
    )


def _text(name: str, text: str, item: int, words: Sequence[Word]) -> str:
    own = [word for word in words if word.item == item]
    largest = max((abs(word.weight) for word in words), default=0.0)
    parts = [
        _safe(piece) if weight is None else _word(piece, weight, largest)
        for piece, weight in pieces(text, own)
    ]
    return f"<div class='text'><span class='name'>{_safe(name)}</span>{''.join(parts)}</div>"


def _word(text: str, weight: float, largest: float) -> str:
    colour, share = tint(weight, largest)
    # The last two digits of a colour are its opacity.
    opacity = f"{round(0.65 * 255 * share):02x}"
    return f"<b style='background:{colour}{opacity}' title='{number(weight)}'>{_safe(text)}</b>"


def _bar(name: str, value: float, largest: float) -> str:
    share = tint(value, largest)[1]
    side = "for" if value >= 0 else "against"
    return (
        f"<div class='bar'><span class='name' title='{_safe(name)}'>{_safe(name)}</span>"
        f"<span class='room'><i class='{side}' style='width:{50 * share:.1f}%'></i></span>"
        f"<span class='number'>{number(value)}</span></div>"
    )


def _image(pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    return f"<img alt='' src='data:image/png;base64,{data}'>"


def _safe(text: object) -> str:
    # Lone surrogates, left over from broken decoding, have no UTF-8.
    return html.escape(str(text).encode("utf-8", "backslashreplace").decode("utf-8"))
