"""Long captions that differ in a letter or a word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import islice, pairwise

import numpy as np

from multimodal_gen.inspection.audit.captions import Captions
from multimodal_gen.inspection.audit.digests import digest
from multimodal_gen.inspection.audit.texts import as_bytes, normalised
from multimodal_gen.rows.chunks import chunk_slices

# Shorter texts, in words, may be alike by chance.
_FEWEST_WORDS = 8
_ALIKE = 0.92
_HASHES, _BANDS, _REACH = 64, 16, 4
_AT_ONCE = 1024
_DIGITS = re.compile(r"\d+")
# Odd, so that different bands hardly ever have the same number.
_FACTORS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 1], "uint64")


def near_identical(captions: Captions) -> np.ndarray:
    """Pairs of long captions that differ in a letter or a word, `(pairs, 2) int64` positions.

    Candidates have a band of MinHash values in common (Broder, 1997), over pairs of words;
    `difflib` then decides which are alike. Texts that differ in a number are not alike. 136 bytes
    are kept for each long caption, and the texts of candidates are read again.

    Args:
        captions: Captions that differ after `normalised`.
    """
    places = [np.empty(0, "int64")]
    numbers = [np.empty(0, "uint64")]
    bands = [np.empty((0, _BANDS), "uint64")]
    for own, texts in _long_texts(captions):
        places.append(own)
        numbers.append(_numbers_in(texts))
        bands.append(_bands_of(texts))
    pairs = _candidates(bands)
    # "size 38" and "size 39" are different things.
    ones, others = np.concatenate(numbers)[pairs.T]
    pairs = np.concatenate(places)[pairs[ones == others]]
    alike = [_alike(captions, pairs[part]) for part in chunk_slices(len(pairs))]
    return pairs[np.concatenate(alike)]


def _long_texts(captions: Captions) -> Iterator[tuple[np.ndarray, list[str]]]:
    # Positions of long texts, and the texts, some at a time.
    texts = map(normalised, captions)
    long = ((place, text) for place, text in enumerate(texts) if _is_long(text))
    while some := list(islice(long, _AT_ONCE)):
        yield np.array([place for place, _ in some]), [text for _, text in some]


def _is_long(text: str) -> bool:
    return text.count(" ") + 1 >= _FEWEST_WORDS


def _numbers_in(texts: list[str]) -> np.ndarray:
    # `(texts,) uint64`, equal for the same numbers in the same order.
    numbers = (" ".join(_DIGITS.findall(text)) for text in texts)
    return np.array([digest(as_bytes(one)) for one in numbers], "uint64")


def _bands_of(texts: list[str]) -> np.ndarray:
    # `(texts, bands) uint64`, a number for the values of each band.
    from datasketch import MinHash

    shingles = [[as_bytes(" ".join(pair)) for pair in pairwise(text.split())] for text in texts]
    hashed = MinHash.bulk(shingles, num_perm=_HASHES, seed=1)
    values = np.array([one.hashvalues for one in hashed], "uint64")
    found: np.ndarray = (values.reshape(len(texts), _BANDS, -1) * _FACTORS).sum(axis=2)
    return found


def _candidates(bands: list[np.ndarray]) -> np.ndarray:
    # `(pairs, 2)`, the numbers of long texts that may be alike, sorted, each pair once.
    count = max(sum(map(len, bands)), 1)
    pairs = np.empty(0, "int64")
    for band in range(_BANDS):
        own = np.concatenate([some[:, band] for some in bands])
        # After sorting, equal bands are adjacent.
        order = np.argsort(own, kind="stable")
        own = own[order]
        for step in range(1, _REACH + 1):
            same = own[step:] == own[:-step]
            pairs = np.append(pairs, order[:-step][same] * count + order[step:][same])
        pairs = np.unique(pairs)
    return np.stack(np.divmod(pairs, count), axis=1)


def _alike(captions: Captions, pairs: np.ndarray) -> np.ndarray:
    # `(pairs,) bool`.
    places = np.unique(pairs)
    texts = map(normalised, captions.of(captions.rows[places]))
    known = dict(zip(places.tolist(), texts, strict=True))
    return np.array([_are_alike(known[one], known[other]) for one, other in pairs.tolist()], bool)


def _are_alike(one: str, other: str) -> bool:
    # By default difflib ignores frequent letters of long texts.
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    # The quick ratio is never below the exact one and rules out most pairs.
    return matcher.quick_ratio() >= _ALIKE and matcher.ratio() >= _ALIKE
