"""Words for sides, such as left and right, which become wrong when a picture is mirrored."""

from __future__ import annotations

import re
from collections import Counter
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
_SIDE_WORDS = frozenset(word for pair in _SIDES for word in pair)
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
    rows = Counter(frozenset(_WORDS.findall(text.casefold())) & _SIDE_WORDS for text in texts)
    held = frozenset().union(*rows)
    found = [word for pair in _SIDES if held.issuperset(pair) for word in pair]
    named = sum(count for words, count in rows.items() if not words.isdisjoint(found))
    share = named / max(rows.total(), 1)
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
