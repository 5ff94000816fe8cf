"""Captions of pictures at URLs: Conceptual Captions and Conceptual 12M, which are .tsv files of two
columns without names, and tables with a column `url` or `URL`, as LAION's are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from multimodal_gen.errors import TableError, shown
from multimodal_gen.rows.annotations.noting import Found
from multimodal_gen.rows.annotations.source import Format, Source
from multimodal_gen.rows.formats.delimited import read_delimited
from multimodal_gen.rows.formats.encoding import require_utf8
from multimodal_gen.rows.formats.jsonl import read_jsonl
from multimodal_gen.rows.formats.parquet import read_parquet

_URL = re.compile(r"https?://\S+")
_READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": partial(read_delimited, separator=",", na_values=("",)),
    ".tsv": partial(read_delimited, separator="\t", na_values=("",)),
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".parquet": read_parquet,
    ".pq": read_parquet,
}


def _fits_two(source: Source) -> bool:
    return source.suffix == ".tsv" and _place(source) is not None


def _fits_named(source: Source) -> bool:
    return source.suffix in _READERS and {"image", "caption"} <= set(_named(source).values())


def _place(source: Source) -> int | None:
    # Which of two cells is a URL in all lines at the top; None if neither is, or both are.
    rows = [line.split("\t") for line in source.lines]
    if not rows or any(len(row) != 2 for row in rows):
        return None
    found = [place for place in (0, 1) if all(_URL.fullmatch(row[place].strip()) for row in rows)]
    return found[0] if len(found) == 1 else None


def _read_two(source: Source) -> Found:
    place = _place(source)
    if place is None:
        raise TableError(
            "Each line must hold a caption and a URL, or a URL and a caption, with a tab between "
            f"them; the first ones are {[line[:80] for line in source.lines[:3]]}."
        )
    rows: list[list[str]] = []
    try:
        with source.path.open(encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    row = [cell.strip() for cell in line.rstrip("\r\n").split("\t")]
                    if len(row) != 2 or not _URL.fullmatch(row[place]):
                        raise TableError(
                            f"Line {number:,} is not a caption and a URL with a tab between them: "
                            f"{shown(line[:200])}. Complete or remove it."
                        )
                    rows.append(row)
    except UnicodeDecodeError:
        require_utf8(source.path)
        raise
    return _told(
        pd.DataFrame(
            {"image": [row[place] for row in rows], "caption": [row[1 - place] for row in rows]}
        )
    )


def _named(source: Source) -> dict[str, str]:
    # The columns that get other names: `url`, and `caption` or `text`, in any letters.
    lower = {name.lower(): name for name in source.names}
    caption = lower.get("caption", lower.get("text"))
    named = {lower["url"]: "image"} if "url" in lower else {}
    return named | ({caption: "caption"} if caption else {})


def _read_named(source: Source) -> Found:
    if source.suffix not in _READERS:
        raise TableError(f"It must be a file that ends in one of {list(_READERS)}.")
    named = _named(source)
    if set(named.values()) != {"image", "caption"}:
        raise TableError(
            f"There must be a column `url` and a column `caption` or `text`; it has {source.names}."
        )
    taken = [name for name in named.values() if name in source.names and name not in named]
    if taken:
        raise TableError(f"Rename {taken[0]!r}: the column {_of(named, taken[0])!r} gets its name.")
    table = _READERS[source.suffix](source.path).rename(columns=named)
    first = ["image", "caption"]
    return _told(table[[*first, *(name for name in table.columns if name not in first)]])


def _of(named: dict[str, Any], wanted: str) -> str:
    return next(name for name, new in named.items() if new == wanted)


def _told(table: pd.DataFrame) -> Found:
    found = Found(table)
    found.blanks("image", "row")
    found.blanks("caption", "row")
    twice = int(table["image"].dropna().duplicated().sum())
    found.note(twice, "row", "has the URL of another one", "have the URL of another one")
    return found


FORMATS = (
    Format("conceptual-captions", "Conceptual Captions", _fits_two, _read_two),
    Format("url-captions", "URLs with captions, as LAION has them", _fits_named, _read_named),
)
