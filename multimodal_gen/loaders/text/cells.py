"""Read the text of a caption cell, or raise an error that says how to convert it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from multimodal_gen.errors import LoadError, shown
from multimodal_gen.loaders.base import missing_error
from multimodal_gen.loaders.learning import series_of
from multimodal_gen.rows.cells import is_missing
from multimodal_gen.rows.chunks import chunks_of

_MOST_CHARACTERS = 1_000_000


class ColumnTexts:
    """The texts of a column to learn a vocabulary from, without missing ones.

    They are read anew, a piece at a time, each time somebody goes through them, so that a column
    in files need not be in memory.

    Args:
        column: The column.
        values: Its cells, or the table that has it.
    """

    def __init__(self, column: str, values: Any) -> None:
        self._column, self._cells = column, series_of(column, values)

    def __iter__(self) -> Iterator[str]:
        """The texts.

        Raises:
            LoadError: If a cell is not text; it names the row.
        """
        for part in chunks_of(self._cells):
            for row, cell in enumerate(part.array.tolist()):
                try:
                    if not is_missing(cell):
                        yield text_of(cell)
                except LoadError as error:
                    raise error.at(part.index[[row]].tolist()[0], self._column) from None


def text_of(cell: Any) -> str:
    """Return a cell as a text that tokenizers accept.

    Raises:
        LoadError: If it is missing, is not text, or has more than a million characters.
    """
    if isinstance(cell, str):
        if len(cell) > _MOST_CHARACTERS:
            raise LoadError(
                f"a caption may have at most {_MOST_CHARACTERS:,} characters, because tokenizing "
                "more takes seconds and gigabytes. Cut it, or drop the row. Received: "
                f"{len(cell):,} characters"
            )
        # A lone surrogate, left over from broken decoding, cannot be encoded as UTF-8, which
        # tokenizers needs.
        return cell if cell.isascii() else cell.encode("utf-8", "replace").decode("utf-8")
    if is_missing(cell):
        raise missing_error()
    raise LoadError(
        f"expected text. {_way_to_text(cell)}. Received: {type(cell).__name__} {shown(cell)}"
    )


def _way_to_text(cell: Any) -> str:
    # Other cells of the column may be texts already, and must stay as they are.
    if isinstance(cell, bytes):
        return _mapped("Decode such cells", 'cell.decode("utf-8")', "isinstance(cell, bytes)")
    if pd.api.types.is_list_like(cell):
        joined = "cell" if all(isinstance(one, str) for one in cell) else "map(str, cell)"
        which = "pd.api.types.is_list_like(cell)"
        if isinstance(cell, list | tuple):
            which = "isinstance(cell, list | tuple)"
        return _mapped("Make one text of such cells", f'" ".join({joined})', which)
    # Unlike `str`, "string" keeps missing cells missing.
    return "Convert the column with `table[column] = table[column].astype('string')`"


def _mapped(what: str, made: str, which: str) -> str:
    return (
        f"{what} with `table[column] = table[column].map(lambda cell: {made} if {which} else cell)`"
    )
