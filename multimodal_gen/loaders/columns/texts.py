"""What a column of texts holds: categories, ids, amounts with a unit, or texts to read.

The thresholds were tried on the columns of the tables that docs/data.md names, in parts of 200 to
8,000 rows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from multimodal_gen.loaders.columns.cells import NEARLY_ALL, Cells, Verdict, short
from multimodal_gen.loaders.targets.names import hold_amounts

# Texts are categories if most rows share theirs with another row; of short ones so many suffice.
_SHARED, _SHARED_SHORT = 0.8, 0.6
# Short are so many words and letters on average; long ones are never categories. Only short ones
# may have more than a hundred different values, and more than a thousand only with 20 rows each on
# average, to learn a vector from.
_WORDS, _LETTERS, _LONG = 2.5, 25, 8
# From so many words on average, somebody may expect them to be read.
_PHRASE = 2
# What stands between labels in a cell.
_BETWEEN_LABELS = (";", "|")
_FEW, _MANY, _ROWS_EACH = 100, 1000, 20
# Fewer rows than this may be all different by chance.
_FEWEST = 20
_AMOUNT = re.compile(r"\d[.,]\d|[^\w\s.,+-]")
_DIGIT, _ADDRESS = re.compile(r"\d"), re.compile(r"@|://")
_PARTS = frozenset(
    ("train", "training", "val", "valid", "validation", "dev", "test", "testing"),
)
_PART_COLUMNS = ("split", "subset", "partition")


def parts_of_a_split(cells: Cells) -> Verdict | None:
    """A verdict if the column names the parts of a split, by its name and its words."""
    if cells.name.strip().casefold() not in _PART_COLUMNS or cells.texts is None:
        return None
    words = {text.strip().lower() for text in cells.counts}
    if not words <= _PARTS:
        return None
    found = ", ".join(short(text) for text in cells.counts)
    return Verdict("ignored", f"its words name the parts of a split: {found}")


def ids(cells: Cells) -> Verdict | None:
    """A verdict if nearly every cell is another word with digits, or an address."""
    texts, rows = cells.texts or [], len(cells.present)
    if rows < _FEWEST or len(cells.counts) < NEARLY_ALL * rows:
        return None
    words = sum(not re.search(r"\s", text.strip()) for text in texts)
    made = max(sum(one.search(text) is not None for text in texts) for one in (_DIGIT, _ADDRESS))
    if words < NEARLY_ALL * rows or made < NEARLY_ALL * rows:
        return None
    return Verdict(
        "id",
        f"{len(cells.counts):,} different words in {rows:,} rows, such as {cells.example}",
    )


def amounts(cells: Cells) -> Verdict | None:
    """A verdict if the cells are numbers with a unit or a comma, which may mean several things."""
    if len(cells.counts) <= _FEWEST or not hold_amounts(list(cells.counts)):
        return None
    # "shop 12" is a name: an amount has a fraction, or the sign of a currency.
    if not any(map(_AMOUNT.search, cells.counts)):
        return None
    return Verdict(
        "ignored",
        f"numbers with a unit or a comma, such as {cells.example}: write plain numbers, as in 3.99",
    )


def categories(cells: Cells) -> Verdict | None:
    """A verdict if most rows share their value with others, and the values are few or short."""
    texts, rows, different = cells.texts or [], len(cells.present), len(cells.counts)
    shared = sum(count for count in cells.counts.values() if count > 1)
    words = sum(len(text.split()) for text in texts) / rows
    short_ones = words <= _WORDS and sum(map(len, texts)) <= _LETTERS * rows
    if shared < (_SHARED_SHORT if short_ones else _SHARED) * rows or words > _LONG:
        return None
    if different > (max(_MANY, rows / _ROWS_EACH) if short_ones else _FEW):
        return None
    value, count = next(iter(cells.counts.items()))
    # Of names such as "United States" too, the words are not read.
    whole = "; read as a whole, not word by word" if words > _PHRASE else ""
    return Verdict(
        "category",
        f"{different:,} different {'value' if different == 1 else 'values'} in {rows:,} rows, most "
        f"often {short(value)} ({count:,} rows){whole}{_joined(texts)}{cells.gaps()}",
    )


def _joined(texts: Sequence[str]) -> str:
    # A hint, if most cells seem to be lists of labels: their parts come back in other company.
    for one in _BETWEEN_LABELS:
        parts = {part.strip() for text in texts for part in text.split(one)}
        if sum(one in text for text in texts) > len(texts) / 2 and len(parts) < len(set(texts)):
            return (
                f"; most are lists of {len(parts):,} labels joined by {one!r}, which "
                f"MultiLabel(separator={one!r}) predicts"
            )
    return ""


def texts_to_read(cells: Cells) -> Verdict | None:
    """A verdict if the cells are texts."""
    texts = [cell for cell in cells.present if isinstance(cell, str)]
    if len(texts) < NEARLY_ALL * len(cells.present):
        return None
    words = sum(len(text.split()) for text in texts) / len(texts)
    return Verdict(
        "text",
        f"{len(cells.counts):,} different texts in {len(texts):,} rows, {words:.1f} words on "
        f"average, such as {cells.example}{cells.gaps()}",
    )
