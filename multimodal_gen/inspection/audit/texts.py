"""Captions: empty, long and repeated ones, and the same words with another spelling."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from difflib import SequenceMatcher
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import pandas as pd

from multimodal_gen.inspection.audit.findings import Finding

_NOTHING = frozenset(
    {"", "na", "n a", "nan", "none", "null", "nil", "tbd", "todo", "no caption", "no description"}
)
_LONG, _TIMES_LONGER = 200, 8
# A caption that this many rows share is looked at. If two of its rows have the same class hardly
# more often than any two rows, it says nothing about the class.
_MANY = 5
# The share of wrong labels that a caption of one class may have.
_WRONG = 0.1
# Shorter texts, in words, may be alike by chance.
_FEWEST_WORDS = 8
_ALIKE = 0.92
_HASHES, _BANDS, _REACH = 64, 16, 4
_WORD = re.compile(r"[^\W_]+")
_DIGITS = re.compile(r"\d+")


def normalised(text: str) -> str:
    """A text without case, spaces and punctuation; unchanged if it contains nothing else."""
    words = " ".join(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))
    return words or " ".join(text.split())


def digest(text: str) -> int:
    """64 bits of a text."""
    return int.from_bytes(
        blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little"
    )


def is_empty(text: str) -> bool:
    """Whether a text says nothing: it has no letter, digit, sign or picture, or is a word for
    nothing.
    """
    if all(unicodedata.category(letter)[0] in "ZCP" for letter in text):
        return True
    return normalised(text) in _NOTHING


def odd_lengths(column: str, texts: Sequence[str | None]) -> list[Finding]:
    """Find captions that are empty, or much longer than the others."""
    lengths = np.array([0 if text is None else len(text) for text in texts])
    usual = float(np.median(lengths[lengths > 0])) if (lengths > 0).any() else 0.0
    most = max(_LONG, _TIMES_LONGER * usual)
    findings = []
    for row, text in enumerate(texts):
        # Longer texts cannot be one of the words for nothing.
        if text is not None and lengths[row] <= 40 and is_empty(text):
            findings.append(
                Finding(row, column, "empty caption", f"the caption says nothing: {text!r}")
            )
        elif lengths[row] > most:
            message = f"{lengths[row]:,} characters, where half of the captions have {usual:,.0f}"
            findings.append(Finding(row, column, "long caption", message))
    return findings


def other_spellings(
    column: str,
    texts: Sequence[str | None],
    near: np.ndarray,
    exact: np.ndarray,
    index: pd.Index,
) -> list[Finding]:
    """Find captions that most rows with the same words write differently.

    Args:
        column: Their column.
        texts: The captions.
        near: `(rows,) int64`, equal for the same words; -1 for rows that do not count.
        exact: `(rows,) int64`, equal for the same text.
        index: The table's index.
    """
    found = []
    frame = pd.DataFrame({"near": near, "exact": exact})[near >= 0]
    several = frame.groupby("near")["exact"].nunique()
    for _, group in frame[frame["near"].isin(several.index[several > 1])].groupby("near"):
        usual = group["exact"].mode().iloc[0]
        like = group.index[group["exact"] == usual][0]
        for row in group.index[group["exact"] != usual]:
            message = (
                f"{shortened(texts[row])} is written {shortened(texts[like])} at index "
                f"{index[[like]].tolist()[0]!r}"
            )
            found.append(Finding(int(row), column, "near duplicate", message))
    return found


def telling_nothing(keys: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    """Which rows have a caption that many share and that says nothing about the class.

    Args:
        keys: `(rows,) int64`, which caption a row has; -1 for none.
        labels: `(rows,) int64`, which class; None without classes. Then a caption counts if one in
            a hundred rows, and at least 10, have it.

    Returns:
        `(rows,) bool`.
    """
    count = int(keys.max(initial=-1)) + 1
    there = keys >= 0
    sizes = np.bincount(keys[there], minlength=count)
    if labels is None:
        chosen = sizes > max(9, 0.01 * len(keys))
    else:
        there &= labels >= 0
        cells, inside = np.unique(
            np.stack([keys[there], labels[there]]), axis=1, return_counts=True
        )
        pairs = np.bincount(cells[0], inside * (inside - 1.0), minlength=count)
        own = np.bincount(keys[there], minlength=count)
        classes = np.bincount(labels[there]).astype("float64")
        total = max(classes.sum(), 2)
        # The chance that two rows have the same class.
        by_chance = (classes * (classes - 1)).sum() / (total * (total - 1))
        twice = np.maximum(own * (own - 1.0), 1)
        # Among few rows, more may have the same class by chance.
        noise = 3 * np.sqrt(by_chance * (1 - by_chance) * 2 / twice)
        limit = np.minimum(2 * by_chance + noise, (1 + by_chance) / 2)
        chosen = (own >= _MANY) & (pairs / twice <= limit) & (by_chance < 1)
        chosen &= ~_of_one_class(cells, inside, own, classes / total)
    if chosen.sum() > max(5, 0.02 * count):
        # So many are normal for this table; only those of very many rows count.
        chosen &= sizes > 0.05 * len(keys)
    result: np.ndarray = (keys >= 0) & np.append(chosen, False)[keys]
    return result


def _of_one_class(
    cells: np.ndarray, inside: np.ndarray, own: np.ndarray, shares: np.ndarray
) -> np.ndarray:
    # Whether the classes of a caption's rows are likelier if it belongs to one class, but for a
    # share of wrong labels, than if they are those of random rows. The logarithm of the ratio of
    # both likelihoods needs only the caption's usual class; the shares of the others cancel out.
    usual, most = np.zeros(len(own), "int64"), np.zeros(len(own))
    order = np.argsort(inside, kind="stable")
    usual[cells[0, order]], most[cells[0, order]] = cells[1, order], inside[order]
    share = np.clip(shares[usual], 1e-9, 1 - 1e-9)
    ratio = np.log(share) + most * np.log((1 - _WRONG) / share)
    result: np.ndarray = ratio + (own - most) * np.log(_WRONG / (1 - share)) > 0
    return result


def near_identical(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of long texts that differ in a letter or a word.

    Candidates have a band of MinHash values in common (Broder, 1997), over pairs of words;
    `difflib` then decides which are alike. Texts that differ in a number are not alike.

    Args:
        texts: Different normalised texts.
    """
    from datasketch import MinHash

    long = [place for place, text in enumerate(texts) if text.count(" ") + 1 >= _FEWEST_WORDS]
    if len(long) < 2:
        return []
    signatures = np.empty((len(long), _HASHES), "uint64")
    for start in range(0, len(long), 1024):
        words = [texts[place].split() for place in long[start : start + 1024]]
        shingles = [
            [" ".join(pair).encode("utf-8", "surrogatepass") for pair in pairwise(one)]
            for one in words
        ]
        hashed = MinHash.bulk(shingles, num_perm=_HASHES, seed=1)
        signatures[start : start + len(hashed)] = [one.hashvalues for one in hashed]
    pairs = set()
    for band in np.split(signatures, _BANDS, axis=1):
        # After sorting, equal bands are adjacent.
        order = np.lexsort(band.T)
        for step in range(1, _REACH + 1):
            same = (band[order[step:]] == band[order[:-step]]).all(axis=1)
            pairs |= {
                (min(pair), max(pair))
                for pair in zip(order[:-step][same], order[step:][same], strict=True)
            }
    found = [(long[one], long[other]) for one, other in sorted(pairs)]
    return [pair for pair in found if _alike(texts[pair[0]], texts[pair[1]])]


def _alike(one: str, other: str) -> bool:
    # "size 38" and "size 39" are different things.
    if _DIGITS.findall(one) != _DIGITS.findall(other):
        return False
    # By default difflib ignores frequent letters of long texts.
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    # The quick ratio is never below the exact one and rules out most pairs.
    return matcher.quick_ratio() >= _ALIKE and matcher.ratio() >= _ALIKE


def shortened(text: str | None) -> str:
    """A text as messages show it, in at most 80 characters."""
    shown = repr(text)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
