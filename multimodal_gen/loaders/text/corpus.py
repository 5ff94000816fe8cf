"""A tokenizer's training texts: one form for every letter, and counts of words and letters."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from tokenizers import Regex, normalizers

from multimodal_gen.loaders.text.spelling import WITHOUT_SPACES

_RUN = re.compile(f"[{WITHOUT_SPACES}]+")
# The sign that the pre-tokenizer of BPE and Unigram writes for a space.
SPACE = "\u2581"
LINES = "\n\t\r"
# The characters of Unicode category Cc that Python does not count as spaces.
_CONTROLS = "[\\x{00}-\\x{08}\\x{0e}-\\x{1b}\\x{7f}-\\x{84}\\x{86}-\\x{9f}]"


@dataclass
class Corpus:
    """Training texts, with what they are made of.

    Attributes:
        texts: The texts, without the runs.
        runs: The distinct runs between spaces, in scripts without spaces between words.
        letters: All letters and signs, sorted.
        share: Share of the letters that are in runs.
        words: How often each word of `texts` occurs, and once each run; empty where nobody asks.
    """

    texts: Iterable[str]
    runs: list[str]
    letters: list[str]
    share: float
    words: Counter[str]


def normalizer_of(lowercase: bool, *, lines: bool) -> normalizers.Normalizer:
    """Normalise a text; `lines`: whether line ends become spaces."""
    # A control character left over from a broken export would make its word unknown.
    steps: list[normalizers.Normalizer] = [
        normalizers.Replace(Regex(_CONTROLS), ""),
        normalizers.NFKC(),
    ]
    if lines:
        # Metaspace splits at " " only and would treat a line end as a letter.
        steps += [normalizers.Replace(space, " ") for space in LINES]
    if lowercase:
        # `Lowercase` works letter by letter. Without these two replacements, a word in capitals
        # would differ from the same word in small letters.
        dotted, final = normalizers.Replace("\u0130", "i"), normalizers.Replace("\u03c2", "\u03c3")
        steps += [dotted, normalizers.Lowercase(), final]
    return normalizers.Sequence(steps)


@dataclass
class Changed:
    """Texts that are changed each time somebody goes through them, so that they need no memory.

    Args:
        texts: The texts, which can be gone through several times.
        change: What is made of each.
    """

    texts: Iterable[str]
    change: Callable[[str], str]

    def __iter__(self) -> Iterator[str]:
        """The changed texts."""
        return map(self.change, self.texts)


def corpus_of(
    texts: Iterable[str], normalizer: normalizers.Normalizer, letters: Iterable[str], *, count: bool
) -> Corpus:
    """Training texts, which are gone through, with what they are made of; `count`: whether words
    are counted.
    """
    found = set(letters)
    runs: dict[str, None] = {}
    words: Counter[str] = Counter()
    all_letters = in_runs = 0
    for text in texts:
        normal = normalizer.normalize_str(text)
        found.update(normal)
        all_letters += len(normal)
        if _RUN.search(normal) is not None:
            found_runs = _RUN.findall(normal)
            runs.update(dict.fromkeys(found_runs))
            in_runs += sum(map(len, found_runs))
            normal = _RUN.sub(" ", normal)
        if count:
            words.update(normal.split(" "))
    # Written as the pre-tokenizer does, with the sign for a space before each word.
    words = Counter({SPACE + word: times for word, times in words.items()})
    words.update(runs.keys())
    share = in_runs / max(all_letters, 1)
    # Runs are learned separately, once each, and a space takes their place.
    rest = Changed(texts, partial(_without_runs, normalizer)) if runs else texts
    return Corpus(rest, list(runs), sorted(found.difference(" ", LINES)), share, words)


def _without_runs(normalizer: normalizers.Normalizer, text: str) -> str:
    normal = normalizer.normalize_str(text)
    return text if _RUN.search(normal) is None else _RUN.sub(" ", normal)


def commonest_letters(
    texts: Iterable[str], normalizer: normalizers.Normalizer, known: set[str], number: int
) -> list[str]:
    """The most common letters of texts, without those already known."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(normalizer.normalize_str(text))
    rest = (
        (letter, count)
        for letter, count in counts.items()
        if letter not in known and letter not in f" {LINES}"
    )
    return [letter for letter, _ in sorted(rest, key=lambda one: (-one[1], one[0]))[:number]]


def only_letters(letters: set[str], text: str) -> str:
    """Return a text with spaces for all other letters."""
    return "".join(letter if letter in letters else " " for letter in text)
