"""Is a file UTF-8 text, where is it not, and which encoding makes plausible text of it?"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from multimodal_gen.errors import TableError, shown

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# What text in an encoding has beyond ASCII. Most bytes decode in several encodings, but in the
# wrong ones to rare characters.
_USUAL = {
    # Hiragana and katakana with their signs, and kanji.
    "cp932": "[\u3001-\u30ff\uff01-\uff5e\u4e00-\u9fff]",
    # Hangul.
    "cp949": "[\uac00-\ud7a3\u3001-\u301c]",
    # Chinese and its punctuation.
    "gb18030": "[\u4e00-\u9fff\u3001-\u3011\uff01-\uff5e\u2014\u2018-\u201d\u2026\u00b7\u00d7]",
    "cp1251": "[\u0401\u0451\u0410-\u044f\u00ab\u00bb\u2013\u2014\u2116\u00a0]",
    "cp1252": "[\u00c0-\u00ff\u2013\u2014\u2018\u2019\u201c\u201d\u2026\u20ac\u00a3\u00a0"
    "\u00a9\u00ab\u00ae\u00b0\u00b2\u00b5\u00bb\u00bd\u2122\u0152\u0153]",
}
_USUAL_SHARE = 0.95
# Letters by which Japanese is told from Chinese.
_KANA = re.compile("[\u3041-\u30ff]")
# The characters of Chinese text are mostly among the 3,755 of the first level of GB 2312, whose
# first byte is in this range.
_FREQUENT = re.compile(rb"[\xb0-\xd7][\xa1-\xfe]")
# The same for the 2,350 syllables of KS X 1001.
_SYLLABLES = re.compile(rb"[\xb0-\xc8][\xa1-\xfe]")
_VOWELS = re.compile("[\u0430\u0435\u0438\u043e\u0443\u044b\u044d\u044e\u044f\u0451]", re.I)
# A word in two scripts.
_MIXED = re.compile("[A-Za-z][\u0410-\u044f]|[\u0410-\u044f][A-Za-z]")
# A few characters of two bytes may be usual ones in several encodings.
_FEWEST = 8
# Three accented capitals or signs in a row are no word of a Latin script.
_NO_WORD = re.compile("[\u00a1-\u00de]{3}|[\u00c0-\u00ff]{4}")
_NOT_ASCII = re.compile("[^\x00-\x7f]")
# How many lines are looked at, and how much of a text is shown.
_LINES, _SHOWN = 200, 20


def require_utf8(path: Path) -> None:
    """Make sure that a file is UTF-8 text, with or without a byte order mark.

    Raises:
        TableError: If it is not; the message names the first bad line, and an encoding if one
            makes plausible text of such lines.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if number == 1 and line.startswith(_UTF_16):
                raise TableError(
                    "It is UTF-16 text, not UTF-8. Save it as UTF-8, or read it with "
                    '`encoding="utf-16"`.'
                )
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                around = line[max(0, error.start - _SHOWN) : error.start + _SHOWN]
                raise TableError(
                    f"Line {number} is not UTF-8 text: {shown(around)}. "
                    f"{_way_out(line, islice(file, _LINES))}"
                ) from None


def _way_out(line: bytes, more: Iterable[bytes]) -> str:
    found = plausible_encoding(b"".join([line, *more]))
    if found is None:
        return (
            "Save the file as UTF-8. Its encoding cannot be told from its bytes: as "
            f"{', '.join(sorted(_USUAL))} they are not usual text."
        )
    text = line.decode(found, "replace")
    first = _NOT_ASCII.search(text)
    start = max(0, (first.start() if first else 0) - _SHOWN)
    return (
        f"Save the file as UTF-8, or read it with the encoding it was written in, probably "
        f'`encoding="{found}"`, by which it says {shown(text[start : start + 2 * _SHOWN].strip())}.'
    )


def plausible_encoding(content: bytes) -> str | None:
    """The encoding that makes usual text of bytes that are not UTF-8; None if none does, or there
    are too few of them to tell.
    """
    for encoding, usual in _USUAL.items():
        try:
            # A line may be cut within a character.
            text = codecs.getincrementaldecoder(encoding)().decode(content)
        except UnicodeDecodeError:
            continue
        letters = "".join(_NOT_ASCII.findall(text))
        share = len(re.findall(usual, letters)) / max(len(letters), 1)
        if share >= _USUAL_SHARE and _fits(encoding, content, text, letters):
            wide = encoding in ("cp932", "cp949", "gb18030")
            return None if wide and len(letters) < _FEWEST else encoding
    return None


def _fits(encoding: str, content: bytes, text: str, letters: str) -> bool:
    # What the share of usual characters does not tell.
    if encoding == "cp932":
        return len(_KANA.findall(letters)) >= 0.2 * len(letters)
    if encoding == "cp949":
        return len(_SYLLABLES.findall(content)) >= 0.9 * len(letters)
    if encoding == "gb18030":
        return len(_FREQUENT.findall(content)) >= 0.7 * len(letters)
    if encoding == "cp1251":
        # In the encodings of Cyrillic for other systems, small letters have the bytes of capitals.
        lower = sum(letter.islower() for letter in letters)
        vowels = 4 * len(_VOWELS.findall(letters)) > len(letters)
        return 2 * lower > len(letters) and vowels and not _MIXED.search(text)
    if encoding == "cp1252":
        return not _NO_WORD.search(text)
    return True
