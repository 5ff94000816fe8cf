"""Read the text of a caption cell, or raise an error that says how to convert it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from multimodal_gen.errors import LoadError, shown
from multimodal_gen.loaders.base import missing_error
from multimodal_gen.loaders.learning import series_of
from multimodal_gen.rows.cells import is_missing

_MOST_CHARACTERS = 1_000_000


def texts_of(column: str, values: Any) -> list[str]:
    """Return the texts to learn a vocabulary from, without missing ones.

    Raises:
        LoadError: If a cell is not text; it names the row.
    """
    texts = []
    for label, cell in series_of(column, values).items():
        try:
            if not is_missing(cell):
                texts.append(text_of(cell))
        except LoadError as error:
            raise error.at(label, column) from None
    return texts


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
