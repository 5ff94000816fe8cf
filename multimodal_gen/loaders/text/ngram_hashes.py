"""Hash the n-grams of a text: how words are found in every script, and what counts as one."""

from __future__ import annotations

import functools
import re
import unicodedata
import zlib
from itertools import pairwise

from multimodal_gen.loaders.text.spelling import WITHOUT_SPACES

# Letters, digits and "_"; `\w` does not match the marks on and around letters.
_WORD = re.compile(r"\w+")
# How words are found in texts that are not ASCII. Form 1, of older encoders, uses `\w+`, which ends
# a Hindi word at each vowel sign. Form 2 keeps marks with their letters, and in scripts without
# spaces makes each letter with its marks a word.
FORM = 2
# Different start values keep the word "red" apart from the characters "red" in "tired".
_WORD_START = zlib.crc32(b"word")
_CHARACTER_START = zlib.crc32(b"character")
_CHARACTER_SIZES = (2, 3, 4, 5)


@functools.cache
def _with_marks() -> tuple[frozenset[str], re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    # Planes 0 and 1 contain the marks of all scripts; the marks in later planes only select glyph
    # variants.
    codes = [code for code in range(0x20000) if unicodedata.category(chr(code)).startswith("M")]
    first = [code for code in codes if not unicodedata.category(chr(code - 1)).startswith("M")]
    last = [code for code in codes if not unicodedata.category(chr(code + 1)).startswith("M")]
    marks = "".join(f"{chr(one)}-{chr(other)}" for one, other in zip(first, last, strict=True))
    return (
        frozenset(map(chr, codes)),
        re.compile(rf"\w+(?:[{marks}]+\w*)*"),
        re.compile(f"[{WITHOUT_SPACES}]"),
        re.compile(f"[{WITHOUT_SPACES}][{marks}]*|[^{WITHOUT_SPACES}]+"),
    )


def _words(text: str, form: int) -> list[str]:
    if form == 1 or text.isascii():
        return _WORD.findall(text)
    marks, marked_word, without_spaces, letter = _with_marks()
    words = (_WORD if marks.isdisjoint(text) else marked_word).findall(text)
    return (
        words
        if without_spaces.search(text) is None
        else [part for one in words for part in letter.findall(one)]
    )


def ngram_hashes(text: str, form: int = FORM) -> list[int]:
    """Return the n-gram hashes of a text, repeated as often as they occur, in a fixed order."""
    # Otherwise full-width letters, ligatures and capitals would make n-grams of their own.
    text = unicodedata.normalize("NFKC", text).casefold()
    crc32 = zlib.crc32
    words = [word.encode("utf-8", "surrogatepass") for word in _words(text, form)]
    hashes = [crc32(word, _WORD_START) for word in words]
    hashes += [crc32(first + b" " + second, _WORD_START) for first, second in pairwise(words)]
    for token in text.split():
        padded = f" {token} "
        # In ASCII a byte is a letter, so that slices of bytes save encoding the same letters again
        # and again.
        if padded.isascii():
            data = padded.encode("ascii")
            length = len(data)
            for size in _CHARACTER_SIZES:
                if size > length:
                    break
                hashes += [
                    crc32(data[i : i + size], _CHARACTER_START) for i in range(length - size + 1)
                ]
        else:
            length = len(padded)
            for size in _CHARACTER_SIZES:
                if size > length:
                    break
                hashes += [
                    crc32(padded[i : i + size].encode("utf-8", "surrogatepass"), _CHARACTER_START)
                    for i in range(length - size + 1)
                ]
    return hashes
