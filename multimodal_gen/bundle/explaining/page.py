"""Explanations as one self-contained HTML file: a card for each row."""

from __future__ import annotations

from collections.abc import Sequence

from multimodal_gen.bundle.explaining.cards import bars_of, heading_of, longest_bar
from multimodal_gen.bundle.explaining.explanations import Explanations
from multimodal_gen.bundle.explaining.results import Explanation, Word
from multimodal_gen.bundle.explaining.tints import AGAINST, FOR, number, overlay, pieces, tint
from multimodal_gen.errors import counted
from multimodal_gen.inspection.layout import shortened
from multimodal_gen.inspection.pages import document, picture, safe

# Characters of the name of a bar; the whole name is its title.
_MOST_OF_A_BAR = 20
# Pictures of more pixels are photos, and as PNG several times as large as they need be.
_FEW_PIXELS = 20_000
# The rules of the cards.
STYLE = f"""
.case {{ display: flex; flex-wrap: wrap; gap: 1rem; padding: 1rem; margin: 0 0 1rem; }}
.pictures {{ display: flex; flex-wrap: wrap; gap: .3rem; align-content: flex-start; }}
.pictures img {{ width: 9rem; height: 9rem; }}
.said {{ flex: 1 1 18rem; min-width: 0; }}
.said :is(h2, h3) {{ font-size: 1rem; margin: 0 0 .4rem; }}
.text {{ margin: 0 0 .6rem; white-space: pre-wrap; }}
.text b {{ font-weight: inherit; border-radius: 3px; }}
.name {{ color: var(--soft); }}
.bad {{ color: var(--mark); }}
.bar {{ display: grid; grid-template-columns: minmax(4rem, 11rem) 1fr 4.5rem; gap: .6rem;
  align-items: center; font-size: .85rem; }}
.bar .name {{ overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }}
.bar .number {{ text-align: right; font-variant-numeric: tabular-nums; }}
.room {{ position: relative; height: .7rem; background: linear-gradient(var(--line), var(--line))
  center / 1px 100% no-repeat; }}
.room i {{ position: absolute; top: 0; height: 100%; }}
.for {{ background: {FOR}; left: 50%; }}
.against {{ background: {AGAINST}; right: 50%; }}
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
        "each row. Bars show what each input adds, on one scale for all rows: together they lead "
        "from the number without inputs to the prediction. Heat compares a picture with itself "
        "without detail, its bar with what stands for it, so the two may differ in sign. Instead "
        "of inputs that are "
        f"left out: {explanations.background}."
    )
    longest = longest_bar(explanations)
    cards = "".join(card(one, heading_of(one), "h2", longest) for one in explanations)
    return document(
        title,
        f"<h1>{safe(title)}</h1><p>{safe(said)}</p>{cards}",
        f"{STYLE}body {{ max-width: 60rem; }}",
    )


def card(one: Explanation, heading: str, level: str, longest: float) -> str:
    """A row as HTML: its pictures with their heat, its texts with coloured words, and bars.

    Args:
        one: The row.
        heading: What is said above it.
        level: The tag of the heading, such as "h2".
        longest: The number that the longest bar of the page stands for.
    """
    above = f"<{level}>{safe(heading)}</{level}>"
    if one.error is not None:
        return (
            f"<div class='card case'><div class='said'>{above}"
            f"<div class='bad'>{safe(one.error)}</div></div></div>"
        )
    pictures = "".join(
        picture(pixels, "PNG" if heat.size <= _FEW_PIXELS else "JPEG")
        for name, own in one.pictures.items()
        for drawn, heat in zip(own, one.heat[name], strict=True)
        for pixels in (drawn, overlay(drawn, heat))
    )
    shown = f"<div class='pictures'>{pictures}</div>" if pictures else ""
    several = sum(map(len, one.texts.values())) > 1
    texts = "".join(
        _text(f"{name} " if several else "", text, item, one.words[name])
        for name, own in one.texts.items()
        for item, text in enumerate(own)
    )
    drawn_bars = "".join(_bar(name, value, longest) for name, value in bars_of(one))
    return f"<div class='card case'>{shown}<div class='said'>{above}{texts}{drawn_bars}</div></div>"


def _text(name: str, text: str, item: int, words: Sequence[Word]) -> str:
    own = [word for word in words if word.item == item]
    largest = max((abs(word.weight) for word in words), default=0.0)
    parts = [
        safe(piece) if weight is None else _word(piece, weight, largest)
        for piece, weight in pieces(text, own)
    ]
    return f"<div class='text'><span class='name'>{safe(name)}</span>{''.join(parts)}</div>"


def _word(text: str, weight: float, largest: float) -> str:
    colour, share = tint(weight, largest)
    # The last two digits of a colour are its opacity.
    opacity = f"{round(0.65 * 255 * share):02x}"
    return f"<b style='background:{colour}{opacity}' title='{number(weight)}'>{safe(text)}</b>"


def _bar(name: str, value: float, largest: float) -> str:
    share = tint(value, largest)[1]
    side = "for" if value >= 0 else "against"
    return (
        f"<div class='bar'><span class='name' title='{safe(name)}'>"
        f"{safe(shortened(name, _MOST_OF_A_BAR))}</span>"
        f"<span class='room'><i class='{side}' style='width:{50 * share:.1f}%'></i></span>"
        f"<span class='number'>{number(value)}</span></div>"
    )
