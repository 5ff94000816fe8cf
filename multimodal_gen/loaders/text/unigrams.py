"""Choose the pieces of a Unigram tokenizer, so that the same words always give the same ones.

The trainer of the tokenizers library adds up probabilities, and gives scores to letters that no
longer piece covers, in the order of a hash map, which is another one in each process
(`findings/unigram_ties.sh`). Here whole numbers are added, and equal pieces are ordered by their
letters. At the same size, texts also become shorter than with that trainer: by a tenth (prose) to a
third (short titles) in tokens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
import tokenizers
from tokenizers import models

# The share of surplus pieces that stays in each round, as in
# SentencePiece.
_KEPT = 0.75
_DIGITS = 5


def fit_unigrams(
    seeds: tokenizers.Tokenizer,
    special: Sequence[str],
    words: Counter[str],
    letters: Collection[str],
    room: int,
) -> list[tuple[str, float]]:
    """Choose pieces and their log probabilities (Kudo, 2018, "Subword regularization", 3.2).

    As there, pieces that are missed least are left out round by round, until there is room for the
    rest. A round divides each word in its most probable way and counts the pieces, instead of all
    ways by their probability. What a piece is worth is how much more probable it makes the words
    than the two pieces that it would be divided into.

    Args:
        seeds: A tokenizer with more pieces than are needed.
        special: Its tokens that are none.
        words: The words of the training texts and how often each occurs.
        letters: Pieces that are always kept.
        room: How many pieces there may be; at least as many as letters.

    Returns:
        `(piece, score)`, the most probable first; of equal ones the first in the order of their
        letters.
    """
    names = sorted(words)
    times = np.array([words[name] for name in names], "int64")
    pieces = sorted(set(seeds.get_vocab()) - set(special) | set(letters))
    # The first estimate: how often each piece occurs where the tokenizer of the seeds splits.
    plain = tokenizers.Tokenizer(seeds.model)
    found = _count(plain, names, times)
    counts = np.array([found.get(piece, 0) for piece in pieces], "float64")
    while True:
        scores = dict(zip(pieces, _scores(counts), strict=True))
        found = _count(_model(scores), names, times)
        counts = np.array([found.get(piece, 0) for piece in pieces], "float64")
        if len(pieces) <= room:
            break
        loss = {one: _missed(one, scores, count) for one, count in zip(pieces, counts, strict=True)}
        order = sorted(
            (one for one in pieces if one not in letters), key=lambda one: (-loss[one], one)
        )
        most = max(room, int(_KEPT * len(pieces))) - (len(pieces) - len(order))
        kept = {*order[:most], *letters}
        counts = np.array([c for p, c in zip(pieces, counts, strict=True) if p in kept])
        pieces = [piece for piece in pieces if piece in kept]
    scores = dict(zip(pieces, _scores(counts), strict=True))
    return sorted(scores.items(), key=lambda one: (-one[1], one[0]))


def _scores(counts: np.ndarray) -> list[float]:
    # An unused piece would have a score of minus infinity.
    counts = np.maximum(counts, 0.5)
    # Rounded, so that the last bits of a logarithm, which differ between machines, decide nothing.
    return [round(float(score), _DIGITS) for score in np.log(counts / counts.sum())]


def _model(scores: dict[str, float]) -> tokenizers.Tokenizer:
    return tokenizers.Tokenizer(models.Unigram([("", 0.0), *scores.items()], unk_id=0))


def _count(tokenizer: tokenizers.Tokenizer, names: list[str], times: np.ndarray) -> dict[str, int]:
    ids = [encoding.ids for encoding in tokenizer.encode_batch_fast(names)]
    flat = np.fromiter((one for word in ids for one in word), "int64")
    # Integers below 2**53 are exact as floats, so the order of summing does not matter.
    weights = np.repeat(times, [len(word) for word in ids])
    totals = np.bincount(flat, weights, tokenizer.get_vocab_size())
    return {piece: int(totals[place]) for piece, place in tokenizer.get_vocab().items()}


def _missed(piece: str, scores: dict[str, float], count: float) -> float:
    halves = (
        scores[piece[:cut]] + scores[piece[cut:]]
        for cut in range(1, len(piece))
        if piece[:cut] in scores and piece[cut:] in scores
    )
    return count * (scores[piece] - max(halves, default=sum(scores[letter] for letter in piece)))
