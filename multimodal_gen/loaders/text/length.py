"""How many ids a caption gets by default: enough for captions with unknown words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

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


def default_length(tokenizer_json: str, texts: Sequence[str]) -> int:
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
    ids = []
    # In portions, because each array has room for the longest caption.
    for start in range(0, len(texts), _AT_ONCE):
        ids += [array[array > 0] for array in encoder.encode_batch(texts[start : start + _AT_ONCE])]
    if isinstance(encoder.tokenizer.model, tokenizers.models.WordLevel):
        # There a new word takes one id, that of unknown words.
        return _clipped([len(array) for array in ids], 0)
    captions = np.zeros(encoder.vocabulary_size, "int64")
    for array in ids:
        # Counts the captions that have an id, not its occurrences.
        captions[np.unique(array)] += 1
    needed = np.ones(encoder.vocabulary_size, "int64")
    for one in np.flatnonzero(captions == 1).tolist():
        # "##" and the sign for a space only tell where in a word a piece is; "<0xE7>" is a single
        # byte.
        piece = encoder.token(one).removeprefix("##").lstrip("\u2581")
        if encoder.ordinary[one] and not piece.startswith("<0x"):
            needed[one] = max(len(piece), 1)
    letters = Counter(
        letter for text in texts if not text.isascii() for letter in set(text.lower())
    )
    lengths = [
        int(needed[array].sum()) + (0 if text.isascii() else _more_bytes(text.lower(), letters))
        for array, text in zip(ids, texts, strict=True)
    ]
    return _clipped(lengths, _TWO_WORDS)


def _more_bytes(text: str, captions: Counter[str]) -> int:
    return sum(len(letter.encode("utf-8")) - 1 for letter in text if captions[letter] == 1)


def _clipped(lengths: Sequence[int], more: int) -> int:
    return int(np.clip(np.ceil(np.quantile(lengths, _SHARE)) + more, 1, _LONGEST))
