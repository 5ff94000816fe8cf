"""Captions: empty, long and repeated ones, and the same words with another spelling."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

import numpy as np
import pandas as pd

from multimodal_gen.inspection.audit.captions import Captions
from multimodal_gen.inspection.audit.digests import digest, numbered
from multimodal_gen.inspection.audit.findings import Finding

_NOTHING = frozenset(
    {"", "na", "n a", "nan", "none", "null", "nil", "tbd", "todo", "no caption", "no description"}
)
_SHORT, _LONG, _TIMES_LONGER = 40, 200, 8
# A caption that this many rows share is looked at. If two of its rows have the same class hardly
# more often than any two rows, it says nothing about the class.
_MANY = 5
# The share of wrong labels that a caption of one class may have.
_WRONG = 0.1
_WORD = re.compile(r"[^\W_]+")


def normalised(text: str) -> str:
    """A text without case, spaces and punctuation; unchanged if it contains nothing else."""
    words = " ".join(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))
    return words or " ".join(text.split())


def as_bytes(text: str) -> bytes:
    """A text in UTF-8, also one with half of a surrogate pair."""
    return text.encode("utf-8", "surrogatepass")


def is_empty(text: str) -> bool:
    """Whether a text says nothing: it has no letter, digit, sign or picture, or is a word for
    nothing.
    """
    if all(unicodedata.category(letter)[0] in "ZCP" for letter in text):
        return True
    return normalised(text) in _NOTHING


def compared(texts: Iterable[str | None], rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is kept of captions, 20 bytes each, to compare them.

    Args:
        texts: The caption of every row, or None.
        rows: How many rows there are.

    Returns:
        `(rows,) int32`, characters, -1 without a caption; `(rows,) int64`, equal for the same text,
            -1 without one; and the same for the same words, also -1 for captions without words.
    """
    lengths = np.full(rows, -1, "int32")
    exact, near = np.zeros(rows, "uint64"), np.zeros(rows, "uint64")
    worded = np.zeros(rows, bool)
    for row, text in enumerate(texts):
        if text is not None:
            lengths[row], exact[row] = len(text), digest(as_bytes(text))
            if not is_empty(text):
                worded[row], near[row] = True, digest(as_bytes(normalised(text)))
    return lengths, numbered(exact, lengths >= 0), numbered(near, worded)


def odd_lengths(captions: Captions, lengths: np.ndarray, near: np.ndarray) -> list[Finding]:
    """Find captions that are empty, or much longer than the others.

    Args:
        captions: The captions.
        lengths: `(rows,) int32`, as `compared` returns.
        near: `(rows,) int64`, likewise.
    """
    column = captions.column
    usual = float(np.median(lengths[lengths > 0])) if (lengths > 0).any() else 0.0
    # Longer texts cannot be one of the words for nothing.
    empty = np.flatnonzero((near < 0) & (lengths >= 0) & (lengths <= _SHORT))
    findings = [
        Finding(row, column, "empty caption", f"the caption says nothing: {text!r}")
        for row, text in zip(empty.tolist(), captions.of(empty), strict=True)
    ]
    for row in np.flatnonzero(lengths > max(_LONG, _TIMES_LONGER * usual)).tolist():
        message = f"{lengths[row]:,} characters, where half of the captions have {usual:,.0f}"
        findings.append(Finding(row, column, "long caption", message))
    return findings


def repeated_captions(captions: Captions, near: np.ndarray, idle: np.ndarray) -> list[Finding]:
    """The findings of captions that many rows share and that say nothing about the class.

    Args:
        captions: The captions.
        near: `(rows,) int64`, equal for the same words.
        idle: `(rows,) bool`, from `telling_nothing`.
    """
    sizes = np.bincount(near[near >= 0])
    rows = np.flatnonzero(idle)
    return [
        Finding(
            row,
            captions.column,
            "repeated caption",
            f"{sizes[near[row]]:,} rows have this caption: {shortened(text)}",
        )
        for row, text in zip(rows.tolist(), captions.of(rows), strict=True)
    ]


def spelled_otherwise(near: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Rows whose captions most rows with the same words write differently.

    Args:
        near: `(rows,) int64`, equal for the same words; -1 for rows that do not count.
        exact: `(rows,) int64`, equal for the same text.

    Returns:
        `(found, 2) int64`: the row, and one that has the usual text.
    """
    found = []
    frame = pd.DataFrame({"near": near, "exact": exact})[near >= 0]
    several = frame.groupby("near")["exact"].nunique()
    for _, group in frame[frame["near"].isin(several.index[several > 1])].groupby("near"):
        usual = group["exact"].mode().iloc[0]
        like = group.index[group["exact"] == usual][0]
        found += [(row, like) for row in group.index[group["exact"] != usual]]
    return np.array(found, "int64").reshape(-1, 2)


def other_spellings(captions: Captions, pairs: np.ndarray) -> list[Finding]:
    """The findings of captions that most rows with the same words write differently.

    Args:
        captions: The captions.
        pairs: From `spelled_otherwise`.
    """
    index = captions.table.index
    texts = [map(shortened, captions.of(rows)) for rows in pairs.T]
    return [
        Finding(
            row,
            captions.column,
            "near duplicate",
            f"{own} is written {usual} at index {index[[like]].tolist()[0]!r}",
        )
        for (row, like), own, usual in zip(pairs.tolist(), *texts, strict=True)
    ]


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
    sizes = np.bincount(keys[keys >= 0], minlength=count)
    if labels is None:
        chosen = sizes > max(9, 0.01 * len(keys))
    else:
        there = (keys >= 0) & (labels >= 0)
        chosen = _of_mixed_classes(keys[there], labels[there], count)
    if chosen.sum() > max(5, 0.02 * count):
        # So many are normal for this table; only those of very many rows count.
        chosen &= sizes > 0.05 * len(keys)
    result: np.ndarray = (keys >= 0) & np.append(chosen, False)[keys]
    return result


def _of_mixed_classes(keys: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    # `(count,) bool`, whether the rows of a caption have as mixed classes as random rows.
    chosen = np.zeros(count, bool)
    own = np.bincount(keys, minlength=count)
    classes = np.bincount(labels).astype("float64")
    total = max(classes.sum(), 2)
    # The chance that two rows have the same class.
    by_chance = (classes * (classes - 1)).sum() / (total * (total - 1))
    # All that follows is of captions with many rows, which are few.
    many = own >= _MANY
    captions, own = np.flatnonzero(many), own[many]
    rows = many[keys]
    places, labels = np.searchsorted(captions, keys[rows]), labels[rows]
    both, inside = np.unique(places * len(classes) + labels, return_counts=True)
    cells = np.stack(np.divmod(both, max(len(classes), 1)))
    pairs = np.bincount(cells[0], inside * (inside - 1.0), minlength=len(own))
    twice = own * (own - 1.0)
    # Among few rows, more may have the same class by chance.
    noise = 3 * np.sqrt(by_chance * (1 - by_chance) * 2 / twice)
    limit = np.minimum(2 * by_chance + noise, (1 + by_chance) / 2)
    mixed = (pairs / twice <= limit) & (by_chance < 1)
    mixed &= ~_of_one_class(cells, inside, own, classes / total)
    chosen[captions] = mixed
    return chosen


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


def shortened(text: str | None) -> str:
    """A text as messages show it, in at most 80 characters."""
    shown = repr(text)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
