"""Is a file UTF-8 text, and where is it not?"""

from __future__ import annotations

import codecs
from pathlib import Path

from multimodal_gen.errors import TableError, shown

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def require_utf8(path: Path) -> None:
    """Make sure that a file is UTF-8 text, with or without a byte order mark.

    Raises:
        TableError: If it is not; the message names the first bad line.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if number == 1 and line.startswith(_UTF_16):
                raise TableError(
                    "It is UTF-16 text, not UTF-8. Save it as UTF-8, or read it with "
                    '`encoding="utf-16"`.'
                )
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                around = line[max(0, error.start - 20) : error.start + 20]
                raise TableError(
                    f"Line {number} is not UTF-8 text: {shown(around)}. Save the file as UTF-8, or "
                    'read it with the encoding it was written in, often `encoding="cp1252"`.'
                ) from None
