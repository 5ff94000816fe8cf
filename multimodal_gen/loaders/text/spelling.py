"""What a tokenizer would misread: letters it has never seen, and names of special tokens.

A tokenizer learns pieces of words. One letter that it has not met makes a whole word unknown, and
in scripts without spaces, such as Chinese and Thai, a word is a whole sentence. So the vocabularies
that `vocabulary.py` trains hold a piece for each byte of UTF-8 that such a letter can have, and
`Writer` writes the letters in them.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import islice

import tokenizers

# Scripts that put no spaces between words: Thai, Lao, Burmese, Khmer, Tai Le, New Tai Lue and Tai
# Tham, Balinese, kana, Chinese characters and their radicals, Javanese.
WITHOUT_SPACES = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\u1b00-\u1b7f\u2e80-\u2fdf\u3005-\u3007"
    "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua980-\ua9ff\uaa60-\uaa7f\uf900-\ufaff"
    "\U00020000-\U000323af"
)
# The first and the later bytes of every character beyond ASCII.
_FIRST, _LATER = range(0xC2, 0xF5), range(0x80, 0xC0)
# Private-use characters, which no normalisation changes and no tokenizer splits at.
_BASE = 0xF0000
_BYTES = re.compile(f"[{chr(_BASE)}-{chr(_BASE + 0xFF)}]+")
# WordPiece treats longer words as unknown. ASCII punctuation and whitespace end a word.
LONGEST_WORD = 100
_LONG_WORD = re.compile(r"[^\s!-/:-@\[-`{-~]{" f"{LONGEST_WORD + 1},}}")


def byte_pieces(prefix: str = "") -> list[str]:
    """The pieces that letters are spelled in.

    Args:
        prefix: The mark of pieces inside a word, if the model marks them; otherwise "".
    """
    every = [chr(_BASE + byte) for byte in (*_LATER, *_FIRST)]
    return (
        [chr(_BASE + byte) for byte in _FIRST] + [prefix + piece for piece in every]
        if prefix
        else every
    )


class Writer:
    """Keeps ids true to the text: names of special tokens are words, unknown letters are bytes.

    A tokenizer is asked first, and for most texts that is all. Where its ids hold one that should
    not be there, the text is written in another way and encoded again.

    Args:
        tokenizer: The tokenizer, which must not truncate yet.
        special: Ids of special tokens, of padding, and of the token for unknown words.
        unknown: The id for unknown words, or None.
        match_special_tokens: Whether the names of special tokens in a text mean these.
    """

    def __init__(
        self,
        tokenizer: tokenizers.Tokenizer,
        special: set[int],
        unknown: int | None,
        *,
        match_special_tokens: bool,
    ) -> None:
        self._tokenizer, self._unknown = tokenizer, unknown
        self._match = match_special_tokens
        vocabulary = tokenizer.get_vocab()
        self._letters: set[str] | None = None
        if all(chr(_BASE + byte) in vocabulary for byte in _FIRST):
            self._letters = {
                piece for piece in vocabulary if len(piece) == 1 and not _BYTES.match(piece)
            }
        self._in_parts = isinstance(tokenizer.model, tokenizers.models.WordPiece)
        names = sorted(
            (name for name in map(tokenizer.id_to_token, special) if name), key=len, reverse=True
        )
        self._names = re.compile(f"({'|'.join(map(re.escape, names)) or '(?!)'})")
        self._before, self._after, added = _template(tokenizer, special)
        self._forbidden = (
            frozenset() if match_special_tokens else frozenset(special - {unknown} - added)
        )
        self._odd = (
            self._forbidden
            if unknown is None or self._letters is None
            else self._forbidden | {unknown}
        )

    def ids(self, text: str, ids: list[int]) -> list[int]:
        """The ids of a text, given those that the tokenizer has for it."""
        if self._odd.isdisjoint(ids[self._before : len(ids) - self._after]):
            # Most texts leave here, after a single check of their ids.
            return ids
        parts = self._names.split(text)
        if not self._match:
            # A space after its first character is enough that no model sees the name as one piece.
            parts = [
                "".join(
                    f"{part[0]} {part[1:]}" if odd % 2 else part for odd, part in enumerate(parts)
                )
            ]
        if self._letters is not None:
            parts = [
                part if odd % 2 else self._spelled(part, self._letters)
                for odd, part in enumerate(parts)
            ]
        ids = self._tokenizer.encode(self._needed("".join(parts))).ids
        # Special tokens that the template adds are meant to be there.
        words = slice(self._before, len(ids) - self._after)
        if not self._forbidden.isdisjoint(ids[words]):
            known = [self._unknown if one in self._forbidden else one for one in ids[words]]
            ids[words] = [one for one in known if one is not None]
        return ids

    def _needed(self, text: str) -> str:
        # A word has one id at least, and the cost of one is that of a hundred letters: no more
        # words than will be kept.
        cut = self._tokenizer.truncation
        if cut is None or not self._in_parts or len(text) <= cut["max_length"]:
            return text
        words = text.split()
        return " ".join(
            words[: cut["max_length"]]
            if cut["direction"] == "right"
            else words[-cut["max_length"] :]
        )

    def _spelled(self, text: str, letters: set[str]) -> str:
        if self._tokenizer.normalizer is not None:
            text = self._tokenizer.normalizer.normalize_str(text)
        if not letters.issuperset(text):
            text = "".join(one if one in letters else _in_bytes(one) for one in text)
        return _LONG_WORD.sub(_in_parts, text) if self._in_parts else text


def _template(tokenizer: tokenizers.Tokenizer, special: set[int]) -> tuple[int, int, set[int]]:
    """How many tokens the template adds before and after a text; (0, 0) and which, if unknown."""
    number = tokenizer.num_special_tokens_to_add(is_pair=False)
    if not number:
        return 0, 0, set()
    pieces = (piece for piece, place in tokenizer.get_vocab().items() if place not in special)
    # A text of one known token shows where the template puts it.
    for probe in ("a", "the", *islice(pieces, 100)):
        mask = tokenizer.encode(probe).special_tokens_mask
        if 0 in mask:
            before, after = mask.index(0), mask[::-1].index(0)
            if before + after == number == sum(mask):
                return before, after, set()
    return 0, 0, set(tokenizer.encode("").ids)


def readable(text: str) -> str:
    """Decoded text with letters instead of their bytes; "\ufffd" for bytes
    that are none.
    """
    return _BYTES.sub(
        lambda found: bytes(ord(one) - _BASE for one in found[0]).decode("utf-8", "replace"), text
    )


def shown(piece: str) -> str:
    """A piece as people can read it: "<0xE7>" for a byte."""
    return _BYTES.sub(
        lambda found: "".join(f"<0x{ord(one) - _BASE:02X}>" for one in found[0]), piece
    )


def _in_bytes(letter: str) -> str:
    if letter.isspace():
        return " "
    return (
        letter
        if letter.isascii()
        else "".join(chr(_BASE + byte) for byte in letter.encode("utf-8"))
    )


def _in_parts(found: re.Match[str]) -> str:
    word, parts, start = found[0], [], 0
    while len(word) - start > LONGEST_WORD:
        end = start + LONGEST_WORD
        # A part must begin with a letter, not with a mark that belongs to the letter before or in
        # the middle of its bytes.
        while end > start + LONGEST_WORD // 2 and _continues(word[end]):
            end -= 1
        parts.append(word[start:end])
        start = end
    return " ".join([*parts, word[start:]])


def _continues(one: str) -> bool:
    return ord(one) - _BASE in _LATER or unicodedata.category(one).startswith("M")
