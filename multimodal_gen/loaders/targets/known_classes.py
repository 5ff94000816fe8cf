"""Which class a cell names: by its text, and the same one whichever way the table was read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from multimodal_gen.rows.cells import cell_text

# A number as a program writes it: without blanks, signs for thousands or zeros in front.
_PRINTED = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?")
# What programs append to whole numbers in a column with a gap.
_WHOLE = ".0"


class KnownClasses:
    """Finds the position of a class by a cell.

    First by the cell's text. Where no class has that, a csv file may have been read as text before
    and as numbers now, or the other way: then "1.0" is found by 1 and by 1.0, "0.50" by 0.5, and 1
    by "1.0". Texts among themselves are different classes, as "1.1" and "1.10" are, except that "1"
    and "1.0" find each other; and a number that two classes have finds neither.

    Args:
        names: The classes, as `checked_names` gives them.
    """

    def __init__(self, names: Sequence[Any]) -> None:
        self._by_text = {cell_text(name): position for position, name in enumerate(names)}
        self._of_numbers: dict[str, int | None] = {}
        self._of_all: dict[str, int | None] = {}
        for position, name in enumerate(names):
            number = _number_in(cell_text(name))
            if number is not None:
                _add(self._of_all, number, position)
                if not isinstance(name, str):
                    _add(self._of_numbers, number, position)
        for text, position in list(self._by_text.items()):
            number = _number_in(text)
            if number is not None and "." not in number:
                both = {number: number + _WHOLE, number + _WHOLE: number}
                self._by_text.setdefault(both.get(text, text), position)

    def find(self, cell: Any) -> int | None:
        """The position of a cell's class; None if it is none of them, missing or a list."""
        try:
            text = cell if type(cell) is str else cell_text(cell)
        except (TypeError, ValueError):
            # Python refuses to turn an integer of very many digits into text.
            return None
        found = self._by_text.get(text)
        if found is None and (number := _number_in(text)) is not None:
            is_text = isinstance(cell, str | bool | np.bool_)
            found = (self._of_numbers if is_text else self._of_all).get(number)
        return found


def _number_in(text: str) -> str | None:
    # The shortest way to write a number, None for what is not one.
    if not _PRINTED.fullmatch(text):
        return None
    number = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if number == "-0" else number


def _add(positions: dict[str, int | None], number: str, position: int) -> None:
    positions[number] = None if number in positions else position
