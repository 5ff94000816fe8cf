"""Labels that differ in nothing that a reader sees or intends: they stay separate, and a note names
them.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from multimodal_gen.errors import shown

# Groups of variants that a note names, and variants of a group.
_MOST = 3
_MOST_VARIANTS = 5
# Characters without width that mean nothing in a word: soft hyphens, zero-width blanks, marks of
# direction and byte order. Joiners are not among them: some scripts spell with those.
_INVISIBLE = "[\u00ad\u200b\u200e\u200f\u2060\ufeff]"
_WHOLE = re.compile(r"(-?\d+)\.0+")


class LabelWarning(UserWarning):
    """Labels are probably not intended as written, such as "Cat" and "cat" as two classes."""


class _Step(NamedTuple):
    # What may differ, in words; how to make it equal, and the same for a column of pandas.
    words: str
    equal: Callable[[str], str]
    code: str


def _without_invisible(text: str) -> str:
    return re.sub(_INVISIBLE, "", text)


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _one_blank(text: str) -> str:
    return " ".join(text.split())


def _whole(text: str) -> str:
    return _WHOLE.sub(r"\1", text) if _WHOLE.fullmatch(text) else text


_STEPS = (
    _Step(
        "invisible characters",
        _without_invisible,
        f".str.replace({_INVISIBLE!a}, '', regex=True)",
    ),
    _Step("blanks", _one_blank, ".str.split().str.join(' ')"),
    _Step("upper and lower case", str.lower, ".str.lower()"),
    _Step("the Unicode form of a letter", _composed, ".str.normalize('NFC')"),
    _Step(
        "the way a whole number is written",
        _whole,
        ".str.replace(r'^(-?\\d+)\\.0+$', r'\\1', regex=True)",
    ),
)


@dataclass(frozen=True)
class Variants:
    """Groups of labels that differ only in spelling.

    Args:
        groups: The texts of each group, two or more.
        steps: What they differ in.
    """

    groups: tuple[tuple[str, ...], ...]
    steps: tuple[_Step, ...]

    @classmethod
    def among(cls, texts: Iterable[str]) -> Variants:
        """Find the groups among the different texts of labels."""
        alike: dict[str, list[str]] = {}
        for text in texts:
            alike.setdefault(_equal(text, _STEPS), []).append(text)
        groups = tuple(tuple(group) for group in alike.values() if len(group) > 1)
        steps = tuple(step for step in _STEPS if _needed(step, groups))
        return cls(groups, steps)

    def __bool__(self) -> bool:
        return bool(self.groups)

    @property
    def code(self) -> str:
        """What makes them equal, as methods of a column of texts."""
        return "".join(step.code for step in self.steps)

    def note(self, rows: Mapping[str, int]) -> str:
        """The variants and what to do, for a reader who has the table."""
        return (
            f"separate classes look like one: {self.in_words(rows)}; if they are one class, write "
            "them alike in the table"
        )

    def in_words(self, rows: Mapping[str, int]) -> str:
        """The variants with their numbers of rows, and what they differ in.

        Args:
            rows: How many rows each text has.
        """
        groups = sorted(
            (sorted(group, key=lambda text: -rows[text]) for group in self.groups),
            key=lambda group: -sum(rows[text] for text in group),
        )
        said = "; ".join(_listed(group, rows) for group in groups[:_MOST])
        more = len(groups) - _MOST
        if more > 0:
            said += f"; and {more:,} more such {'group' if more == 1 else 'groups'}"
        return f"{said}: they differ only in {_joined([step.words for step in self.steps])}"


def _equal(text: str, steps: Sequence[_Step]) -> str:
    for step in steps:
        text = step.equal(text)
    return text


def _needed(step: _Step, groups: Sequence[Sequence[str]]) -> bool:
    # Whether texts of a group differ unless this step is taken.
    others = [one for one in _STEPS if one is not step]
    return any(len({_equal(text, others) for text in group}) > 1 for group in groups)


def _listed(group: Sequence[str], rows: Mapping[str, int]) -> str:
    said = [
        f"{ascii(text) if _hidden(text, group) else shown(text)} ({_rows(rows[text])})"
        for text in group[:_MOST_VARIANTS]
    ]
    more = len(group) - _MOST_VARIANTS
    return _joined([*said, f"{more:,} more"] if more > 0 else said)


def _hidden(text: str, group: Sequence[str]) -> bool:
    # Whether another text of the group looks the same.
    return (
        sum(
            _composed(_without_invisible(one)) == _composed(_without_invisible(text))
            for one in group
        )
        > 1
    )


def _rows(count: int) -> str:
    return f"{count:,} {'row' if count == 1 else 'rows'}"


def _joined(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def warn_of_variants(
    column: str,
    rows: Mapping[str, int],
    named: str,
    *,
    several: bool = False,
    separator: str | None = None,
    stacklevel: int = 3,
) -> None:
    """Warn about labels that differ only in spelling.

    Args:
        column: Their column.
        rows: How many rows each label has, by its text.
        named: Code that keeps them unchanged.
        several: Whether a cell may hold several labels: a list, or a text with a separator.
        separator: This separator.
        stacklevel: As in `warnings.warn`.

    Warns:
        LabelWarning: With the variants, their numbers of rows, and what to do.
    """
    found = Variants.among(rows)
    if found:
        warnings.warn(
            f"Separate classes of {column!r} look like one: {found.in_words(rows)}. If they are "
            f"one class, write them alike, as with `table[{column!r}] = table[{column!r}]"
            f"{_written_alike(found.code, several, separator)}`; if not, name the classes: "
            f"`{named}`.",
            LabelWarning,
            stacklevel=stacklevel,
        )


def _written_alike(code: str, several: bool, separator: str | None) -> str:
    # Of a column with other cells than texts, `.str` makes NaN.
    if not several:
        return f".astype('string'){code}"
    lists = f"pd.Series(list(cell), dtype='string'){code}.tolist()"
    made = f"{lists} if pd.api.types.is_list_like(cell) else cell"
    if separator is not None:
        parts = f"pd.Series(cell.split({separator!r})){code}"
        made = f"{separator!r}.join({parts}) if isinstance(cell, str) else {made}"
    return f".map(lambda cell: {made})"
