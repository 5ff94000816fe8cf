"""Which inputs change together: those that read a column in common are one player.

A picture may go in as pixels and as the vector of an encoder, and an ensemble of folds has a copy
of the caption for each fold. Changing one of them alone would leave the model what it needs in the
others, and all of them would seem to count for little.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from multimodal_gen.loaders.base import Loader

# Columns that the name of a player lists.
_MOST_NAMES = 3
_NUMBERED = re.compile(r"(.+?)_+\d+_*")


@dataclass(frozen=True)
class Player:
    """Inputs that change together.

    Args:
        name: That of the input if it is a single one, otherwise that of its column or columns.
        inputs: Input name -> loader.
    """

    name: str
    inputs: dict[str, Loader]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the inputs read, each once."""
        return _columns(self.inputs)

    @property
    def masked(self) -> bool:
        """Whether the model knows all of its inputs as missing, if they are."""
        return all(one.missing == "blank" for one in self.inputs.values())

    def cells(self, table: pd.DataFrame) -> list[Any]:
        """The cells of its columns; tuples, if there are several."""
        if len(self.columns) == 1:
            return list(table[self.columns[0]])
        return list(zip(*(table[one] for one in self.columns), strict=True))


def columns_of(loader: Loader) -> tuple[str, ...]:
    """The columns that a loader reads."""
    return (loader.column,) if isinstance(loader.column, str) else tuple(loader.column)


def _columns(inputs: Mapping[str, Loader]) -> tuple[str, ...]:
    every = (column for loader in inputs.values() for column in columns_of(loader))
    return tuple(dict.fromkeys(every))


def players_of(inputs: Mapping[str, Loader]) -> dict[str, Player]:
    """Name of a player -> the player, in the order of the inputs.

    Args:
        inputs: Input name -> loader.
    """
    found: list[dict[str, Loader]] = []
    for name, loader in inputs.items():
        own = set(columns_of(loader))
        shared = [place for place, one in enumerate(found) if own & set(_columns(one))]
        together = {key: each for place in shared for key, each in found[place].items()}
        first = shared[0] if shared else len(found)
        found = [one for place, one in enumerate(found) if place not in shared]
        found.insert(first, together | {name: loader})
    players: dict[str, Player] = {}
    for one in found:
        taken = {*players, *(key for key in inputs if key not in one)}
        name = _name_of(one, taken)
        players[name] = Player(name, one)
    return players


def _name_of(inputs: Mapping[str, Loader], taken: set[str]) -> str:
    names = list(inputs)
    if len(names) == 1:
        return names[0]
    columns = _columns(inputs)
    stems = {match[1] if (match := _NUMBERED.fullmatch(one)) else one for one in names}
    if len(columns) == 1:
        found = columns[0]
    elif len(stems) == 1:
        # The copies of one input in an ensemble.
        found = stems.pop()
    else:
        found = _some(columns)
    return found if found not in taken else " and ".join(names)


def _some(columns: Sequence[str]) -> str:
    more = len(columns) - _MOST_NAMES
    return ", ".join(columns[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
