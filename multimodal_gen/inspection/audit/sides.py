"""Words for sides, such as left and right, which become wrong when a picture is mirrored."""

from __future__ import annotations

import re
from collections.abc import Iterable

# In English, German, French, Spanish, Italian, Portuguese and Dutch. Both words of a pair must
# occur, as one alone often means something else: "right" is also correct, and "links" are also on
# web pages.
_SIDES = (
    ("left", "right"),
    ("leftmost", "rightmost"),
    ("links", "rechts"),
    ("gauche", "droite"),
    ("izquierda", "derecha"),
    ("sinistra", "destra"),
    ("esquerda", "direita"),
    ("←", "→"),
)
_WORDS = re.compile(r"[^\W\d_]+|[←→]")
# From this share of the texts on, words for sides are not there by chance.
_SHARE = 0.005


def named_sides(texts: Iterable[str]) -> tuple[list[str], float]:
    """Which words for sides appear in texts.

    Args:
        texts: Captions, or names of classes.

    Returns:
        The words, both of each pair, and the share of texts that contain one of them; none if there
        are too few.
    """
    partners = {word: pair for pair in _SIDES for word in pair}
    held: dict[str, int] = {}
    total = 0
    rows: list[set[str]] = []
    for text in texts:
        total += 1
        words = set(_WORDS.findall(text.casefold())) & partners.keys()
        for word in words:
            held[word] = held.get(word, 0) + 1
        if words:
            rows.append(words)
    found = [word for pair in _SIDES if all(word in held for word in pair) for word in pair]
    share = sum(not words.isdisjoint(found) for words in rows) / max(total, 1)
    return (found, share) if share >= _SHARE else ([], 0.0)


def side_note(column: str, texts: Iterable[str], what: str) -> list[str]:
    """A sentence if texts name sides; otherwise empty.

    Args:
        column: Their column.
        texts: The texts.
        what: What the texts are, such as "captions".
    """
    words, share = named_sides(texts)
    if not words:
        return []
    named = " and ".join(map(repr, words[:2]))
    return [
        f"{column}: {share:.0%} of the {what} name a side ({named}), which becomes wrong when a "
        "picture is mirrored: train without mirroring (--augment none; in Python without "
        "RandomFlip, or with FlipWithWords)"
    ]
