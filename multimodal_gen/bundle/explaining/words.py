"""Where the words of a text are, in characters of the cell, whatever reads the text.

Weights of n-grams and tokens would belong to pieces of a text that was normalised first. A span of
the cell itself can be left out and shown for any reader.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

from multimodal_gen.loaders.text.spelling import WITHOUT_SPACES

_WITHOUT_SPACES = re.compile(f"[{WITHOUT_SPACES}]")
_JOINER = "\u200d"
_FIRST_FLAG, _LAST_FLAG = "\U0001f1e6", "\U0001f1ff"
_FIRST_TONE, _LAST_TONE = "\U0001f3fb", "\U0001f3ff"
# Between two letters these are part of a word, as in "don't".
_INSIDE = "'\u2019\u02bc"

Span = tuple[int, int]


def word_spans(text: str, most: int | None = None) -> list[Span]:
    """Find the words of a text.

    A word is a run of letters, digits and their marks, with apostrophes inside; in scripts that put
    no spaces between words, such as Chinese and Thai, a letter with its marks; or a symbol, such as
    an emoji with its skin tone, or a flag. Other punctuation and white space belong to no word.

    Args:
        text: The text.
        most: Greatest number of spans; neighbouring words of a longer text share one.

    Returns:
        First and last (exclusive) character of each word, in order.
    """
    spans: list[Span] = []
    place = 0
    while place < len(text):
        end = _end_of_word(text, place)
        if end > place:
            spans.append((place, end))
        place = max(end, place + 1)
    if most is None or len(spans) <= most:
        return spans
    cuts = [len(spans) * number // most for number in range(most + 1)]
    return [(spans[first][0], spans[last - 1][1]) for first, last in pairwise(cuts)]


def _end_of_word(text: str, start: int) -> int:
    # `start` itself if no word begins there.
    letter = text[start]
    if _is_symbol(letter):
        return _end_of_symbol(text, start)
    if not _is_letter(letter):
        return start
    alone = _WITHOUT_SPACES.match(letter) is not None
    end = start + 1
    while end < len(text):
        if _is_mark(text[end]):
            end += 1
        elif alone or _WITHOUT_SPACES.match(text[end]):
            break
        elif _is_letter(text[end]):
            end += 1
        elif text[end] in _INSIDE and end + 1 < len(text) and _is_letter(text[end + 1]):
            end += 2
        else:
            break
    return end


def _end_of_symbol(text: str, start: int) -> int:
    end = start + 1
    if _FIRST_FLAG <= text[start] <= _LAST_FLAG:
        # A flag is two letters.
        return end + (end < len(text) and _FIRST_FLAG <= text[end] <= _LAST_FLAG)
    while end < len(text):
        if _is_mark(text[end]) or _FIRST_TONE <= text[end] <= _LAST_TONE:
            end += 1
        elif text[end] == _JOINER and end + 1 < len(text) and _is_symbol(text[end + 1]):
            end += 2
        else:
            break
    return end


def _is_letter(letter: str) -> bool:
    return letter == "_" or unicodedata.category(letter)[0] in "LN"


def _is_mark(letter: str) -> bool:
    # Tags after a black flag spell a region's name.
    return unicodedata.category(letter)[0] == "M" or "\U000e0020" <= letter <= "\U000e007f"


def _is_symbol(letter: str) -> bool:
    return unicodedata.category(letter)[0] == "S"
