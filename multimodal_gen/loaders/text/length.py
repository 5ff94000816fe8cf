"""How many ids a caption gets by default: enough for captions with unknown words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import tokenizers

from multimodal_gen.loaders.text.tokens import TokenEncoder

_LONGEST = 512
# More than the longest, so that a few very long captions are still counted as longer.
_LONGEST_MEASURED = 1000
_SHARE = 0.99
# What two new words of seven letters need beyond one id each, spelled letter by letter.
_TWO_WORDS = 12
_AT_ONCE = 1000


def default_length(tokenizer_json: str, texts: Iterable[str]) -> int:
    """Return the ids per caption, from the captions that a tokenizer was trained on.

    Their words are mostly one id each, as the tokenizer learned them, while new words break into
    many. So every training caption is measured as if the tokenizer had not seen it: a piece that no
    other caption has counts as its letters, and a letter that no other caption has as its bytes.
    Room for two new words comes on top.

    Args:
        tokenizer_json: The text of a trained tokenizer.json.
        texts: Its training captions.

    Returns:
        What 99 % of the captions need, and two words; in [1, 512].
    """
    encoder = TokenEncoder(tokenizer_json, sequence_length=_LONGEST_MEASURED)
    lengths = [np.empty(0, "int32")]
    pieces, letters = _Seldom(), _Seldom()
    start = 0
    # In portions, because each array has room for the longest caption.
    for portion in _portions(texts):
        ids = [array[array > 0] for array in encoder.encode_batch(portion)]
        lengths.append(np.array([len(array) for array in ids], "int32"))
        pieces.add(start, [Counter(array.tolist()) for array in ids])
        letters.add(start, [{} if one.isascii() else Counter(one.lower()) for one in portion])
        start += len(portion)
    total = np.concatenate(lengths)
    if isinstance(encoder.tokenizer.model, tokenizers.models.WordLevel):
        # There a new word takes one id, that of unknown words.
        return _clipped(total, 0)
    for one, (caption, times) in pieces.once.items():
        # "##" and the sign for a space only tell where in a word a piece is; "<0xE7>" is a single
        # byte.
        piece = encoder.token(one).removeprefix("##").lstrip("\u2581")
        if encoder.ordinary[one] and not piece.startswith("<0x"):
            total[caption] += times * (max(len(piece), 1) - 1)
    for letter, (caption, times) in letters.once.items():
        total[caption] += times * (len(letter.encode("utf-8")) - 1)
    return _clipped(total, _TWO_WORDS)


class _Seldom:
    # What only one caption has: thing -> (caption, how often it has it).
    def __init__(self) -> None:
        self.once: dict[Any, tuple[int, int]] = {}
        self._more: set[Any] = set()

    def add(self, start: int, captions: Sequence[Mapping[Any, int]]) -> None:
        for caption, found in enumerate(captions, start):
            for thing, times in found.items():
                if thing in self._more:
                    continue
                if self.once.pop(thing, None) is None:
                    self.once[thing] = caption, times
                else:
                    self._more.add(thing)


def _portions(texts: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(texts)
    while portion := list(islice(rest, _AT_ONCE)):
        yield portion


def _clipped(lengths: np.ndarray, more: int) -> int:
    return int(np.clip(np.ceil(np.quantile(lengths, _SHARE)) + more, 1, _LONGEST))
