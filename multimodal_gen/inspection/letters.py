"""Finds a font for every letter, and replaces what no font can draw.

DejaVu Sans comes with matplotlib. Letters that it does not have, such as Chinese, Japanese, Korean
or Thai ones, are drawn with another font of the machine. If there is none, the text shows their
code points, and the figure says so (`NO_FONT`).
"""

from __future__ import annotations

import functools
import itertools
import logging
import unicodedata
from typing import Any

from matplotlib import font_manager

NO_FONT = (
    "No font on this machine has some of the letters, so their Unicode code points are shown. "
    "Install a font that has them, such as one of the Noto fonts"
)
_MOST_CHARACTERS = 600
_MOST_POINTS = 12
_FIRST = "DejaVu Sans"
# Preferred families if several fonts have a letter: those for many scripts, and those made for
# screens.
_PREFERRED = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Source Han Sans",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "Droid Sans Fallback",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "Leelawadee UI",
    "Nirmala UI",
    "Hiragino Sans",
    "PingFang SC",
    "Apple SD Gothic Neo",
    "Arial Unicode MS",
)
# Fonts that show a box or nothing for every letter, or have only coloured bitmaps.
_USELESS = ("LastResort", "Last Resort", "Adobe Blank", "AND-Regular", "Emoji")


def fonts() -> list[str]:
    """The font families to draw with, in order of preference: those needed by the texts made
    `readable` so far.
    """
    return [_FIRST, *(family for family in _others() if family in _needed)]


# Families other than the first: those in which a letter was found, and those that were searched.
_needed: set[str] = set()
_tried: set[str] = set()


def _is_wanted(record: logging.LogRecord) -> bool:
    # matplotlib logs a warning for every family without a bold font, which does not matter here.
    about = record.args if isinstance(record.args, tuple) else ()
    return "font weight" not in str(record.msg) or _tried.isdisjoint(map(str, about))


logging.getLogger("matplotlib.font_manager").addFilter(_is_wanted)


@functools.cache
def _others() -> list[str]:
    # All families on this machine. matplotlib remembers the fonts of its first run, so later ones
    # are added.
    manager = font_manager.fontManager
    known = {font.fname for font in manager.ttflist}
    for file in font_manager.findSystemFonts():
        if file not in known:
            try:
                manager.addfont(file)
            except Exception:
                # matplotlib cannot draw with some fonts, such as those of coloured bitmaps.
                continue
    names = set(manager.get_font_names()) - {_FIRST}
    ranks = {name: place for place, name in enumerate(_PREFERRED)}
    return sorted(
        (name for name in names if not any(word in name for word in _USELESS)),
        key=lambda name: (ranks.get(name, len(ranks)), name),
    )


@functools.cache
def _letters_of(family: str) -> frozenset[int]:
    known = []
    _tried.add(family)
    for weight in ("normal", "bold"):
        properties = font_manager.FontProperties(family=family, weight=weight)
        try:
            font = font_manager.get_font(font_manager.findfont(properties))
            known.append(frozenset(font.get_charmap()) if font.scalable else frozenset())
        except Exception:
            return frozenset()
    return known[0] & known[1]


@functools.cache
def _drawable(character: str) -> bool:
    for family in itertools.chain([_FIRST], _others()):
        if ord(character) in _letters_of(family):
            if family != _FIRST:
                _needed.add(family)
            return True
    return False


def readable(text: Any) -> str:
    """One line of characters that can be drawn: blanks are joined, emoji are named, and letters
    without a font become code points, such as "[U+4E2D 6587]".
    """
    text = " ".join(str(text).split())
    if len(text) > _MOST_CHARACTERS:
        text = f"{text[:_MOST_CHARACTERS]}… ({len(text) - _MOST_CHARACTERS:,} characters more)"
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        _code_points("".join(run)) if lacking else "".join(map(_shown, run))
        for lacking, run in itertools.groupby(text, _lacks_a_font)
    )


def lacks_letters(text: Any) -> bool:
    """Whether `readable` shows code points instead of some letters."""
    return any(map(_lacks_a_font, str(text)[:_MOST_CHARACTERS]))


def _lacks_a_font(character: str) -> bool:
    category = unicodedata.category(character)
    if category in ("Cc", "Cf", "So", "Sk") or category[0] == "Z" or _is_selector(character):
        return False
    return not _drawable(character)


def _shown(character: str) -> str:
    category = unicodedata.category(character)
    if category in ("Cc", "Cf") or _is_selector(character):
        return ""
    if category in ("So", "Sk") and not _drawable(character):
        return f"[{unicodedata.name(character, 'symbol').lower()}]"
    return character


def _is_selector(character: str) -> bool:
    return "VARIATION SELECTOR" in unicodedata.name(character, "")


def _code_points(letters: str) -> str:
    points = " ".join(f"{ord(letter):04X}" for letter in letters[:_MOST_POINTS])
    more = len(letters) - _MOST_POINTS
    return f"[U+{points}{f' and {more} more' if more > 0 else ''}]"
