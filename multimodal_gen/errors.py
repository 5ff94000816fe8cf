"""The exceptions of this package.

All are `ValueError`s, so code that guards against bad input with `except ValueError` keeps working.
Wrong arguments to a function raise a plain `ValueError` or `TypeError`, as Keras does; the classes
here are for problems in the data or in somebody's loader.
"""

from __future__ import annotations

import itertools
import os
import traceback
from typing import Any

# Characters of a cell that an error shows.
_LONGEST = 500


class MultimodalError(ValueError):
    """Base class of every exception defined by this package."""


class TableError(MultimodalError):
    """The table as a whole cannot be used: a column is missing, there are no rows, or a split is
    impossible.
    """


class LoadError(MultimodalError):
    """One cell of the table cannot be turned into an array.

    Args:
        reason: What is wrong with the cell, in one sentence.
        index: The row's label in the table's own index, if known.
        column: The column of the cell, if known.
        path: The file of the cell, for cells that name one.
        unknown_label: Whether the cell is a label that its target does not know.
    """

    def __init__(
        self,
        reason: str,
        *,
        index: Any = None,
        column: str | tuple[str, ...] | None = None,
        path: str | None = None,
        unknown_label: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.index = index
        self.column = column
        self.path = path
        self.unknown_label = unknown_label

    def at(self, index: Any, column: str | tuple[str, ...]) -> LoadError:
        """The same error with its place: the row's index and the column of the cell."""
        return _rebuild_load_error(self.reason, index, column, self.path, self.unknown_label)

    def at_path(self, path: str | None) -> LoadError:
        """The same error with the file of the cell."""
        return _rebuild_load_error(self.reason, self.index, self.column, path, self.unknown_label)

    def __str__(self) -> str:
        where = []
        if self.column is not None:
            where.append(f"index {self.index!r}, column {self.column!r}")
        if self.path is not None:
            where.append(f"path {_clip(self.path)!r}")
        return f"Cannot load {', '.join(where)}: {self.reason}" if where else self.reason

    def __reduce__(self) -> tuple[Any, ...]:
        # By default only the message would be pickled, without the place.
        return _rebuild_load_error, (
            self.reason,
            self.index,
            self.column,
            self.path,
            self.unknown_label,
        )


def shown(cell: Any) -> str:
    """A cell as errors show it: its `repr`, unless that is very long or the cell is nested too
    deeply.
    """
    try:
        text = repr(cell)
    except (RecursionError, ValueError):
        # Lists within lists by the thousand, or an integer of very many digits.
        return f"<{type(cell).__name__}>"
    return _clip(text)


def counted(number: int, noun: str) -> str:
    """A number with its noun, as in "1 row" and "1,200 rows"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def seconds_in_words(seconds: float) -> str:
    """A time limit or a wait, as in "1 second" and "0.5 seconds"."""
    return f"{seconds:g} {by_number(seconds, 'second', 'seconds')}"


def share_in_words(part: int, whole: int) -> str:
    """A share in percent; one that is not zero never reads as zero."""
    return "less than 0.1%" if 0 < part < 0.0005 * whole else f"{part / whole:.1%}"


def by_number(number: float, one: str, several: str) -> str:
    """The form of a word that goes with a number, such as "is" or "are"."""
    return one if number == 1 else several


def level_of_caller(*through: str) -> int:
    """The `stacklevel` of a warning that names the line of the user, who called this package.

    A function that warns may be called by another one of the package, or not.

    Args:
        through: Folders of other packages that call this one for the user, as Keras calls a
            callback.
    """
    package = tuple(os.path.join(one, "") for one in (os.path.dirname(__file__), *through))
    # From the function that warns outwards; the last of all is this one.
    outwards = [one.filename for one in reversed(traceback.extract_stack()[:-1])]
    ours = itertools.takewhile(lambda name: name.startswith(package), outwards)
    return min(len(list(ours)) + 1, len(outwards))


def _clip(text: str) -> str:
    # A column of paths may contain a picture in base64.
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}...{text[-_LONGEST // 2 :]}"


def _rebuild_load_error(
    reason: str, index: Any, column: Any, path: str | None, unknown_label: bool = False
) -> LoadError:
    return LoadError(reason, index=index, column=column, path=path, unknown_label=unknown_label)


class LoaderError(MultimodalError):
    """A loader, target, sampler or augmentation breaks its contract, which `check_loader` and the
    like test.
    """


class BundleError(MultimodalError):
    """A folder is not a bundle, or is one that this version cannot load."""
