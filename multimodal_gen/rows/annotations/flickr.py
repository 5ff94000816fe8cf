"""The captions of Flickr8k and Flickr30k: files of lines, each with a picture, a number and a text.

They come as `Flickr8k.token.txt` and `results_20130124.token`, as `results.csv` with "|" between
the cells, and as `captions.txt` or `captions.csv` with commas.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from multimodal_gen.errors import TableError, counted, shown
from multimodal_gen.rows.annotations.noting import Found
from multimodal_gen.rows.annotations.source import Format, Source
from multimodal_gen.rows.formats.delimited import read_delimited
from multimodal_gen.rows.formats.encoding import require_utf8
from multimodal_gen.rows.formats.folders import IMAGE_SUFFIXES

# A picture, the number of its caption, and the caption.
_TOKEN = re.compile(r"([^\t]+)#(\d+)\t(.*)")
_BARS = re.compile(r"([^|]+)\|\s*(\d+)\s*\|(.*)")
# The same without the second bar, as line 20,001 of the file of Flickr30k has it.
_ONE_BAR = re.compile(r"([^|]+)\|\s*(\d+)\s+([^|]*)")
_BARS_HEADER = re.compile(r"image_name\s*\|\s*comment_number\s*\|\s*comment\s*")


def _fits_token(source: Source) -> bool:
    texts = source.suffix in (".txt", ".token") and source.lines
    return bool(texts) and all(_TOKEN.fullmatch(line) for line in source.lines)


def _fits_bars(source: Source) -> bool:
    return bool(source.lines) and bool(_BARS_HEADER.fullmatch(source.lines[0]))


def _fits_commas(source: Source) -> bool:
    return source.suffix in (".csv", ".txt") and source.names == ["image", "caption"]


def _read_token(source: Source) -> Found:
    rows = []
    for number, line in _lines(source.path):
        match = _TOKEN.fullmatch(line)
        if match is None:
            raise TableError(
                f"Line {number:,} is not `name.jpg#0`, a tab and a caption: {shown(line[:200])}. "
                "Complete or remove it."
            )
        rows.append(match.groups())
    return _told(rows)


def _read_bars(source: Source) -> Found:
    rows: list[tuple[str, ...]] = []
    mended: list[str] = []
    for number, line in _lines(source.path):
        if not rows and _BARS_HEADER.fullmatch(line):
            continue
        match = _BARS.fullmatch(line)
        if match is None:
            match = _ONE_BAR.fullmatch(line)
            mended += [f"line {number:,}, read as {match.groups()}"] if match else []
        if match is None:
            raise TableError(
                f"Line {number:,} is not a picture, a number and a caption with '|' between them: "
                f"{shown(line[:200])}. Complete or remove it."
            )
        rows.append(match.groups())
    found = _told(rows)
    found.problem(
        len(mended),
        "line",
        "has no '|' before its caption",
        "have no '|' before their caption",
        mended,
    )
    return found


def _read_commas(source: Source) -> Found:
    found = Found(read_delimited(source.path, ",", ("",)))
    return _check(found)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    # The lines that are not blank, with their numbers.
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except UnicodeDecodeError:
        require_utf8(path)
        raise


def _told(rows: list[tuple[str, ...]]) -> Found:
    table = pd.DataFrame(
        {
            "image": [name.strip() for name, _, _ in rows],
            # The blanks belong to the signs between the cells.
            "caption": [caption.strip() for _, _, caption in rows],
            "number": pd.Series([int(number) for _, number, _ in rows], dtype="int64"),
        }
    )
    found = Found(table)
    twice = table.duplicated(["image", "number"])
    found.problem(
        int(twice.sum()),
        "row",
        "has the number of another caption of its picture",
        "have the number of another caption of their picture",
        table["image"][twice][:3].tolist(),
    )
    return _check(found)


def _check(found: Found) -> Found:
    names = found.table["image"]
    kinds = {name: Path(name).suffix.lower() for name in names.dropna().unique().tolist()}
    # Flickr8k has captions of 2258277193_586949ec62.jpg.1, and no such picture.
    odd = [name for name, suffix in kinds.items() if suffix not in IMAGE_SUFFIXES]
    if odd:
        rows = int(names.isin(odd).sum())
        found.problem(
            len(odd),
            "name",
            f"in {counted(rows, 'row')} is not that of a picture",
            f"in {counted(rows, 'row')} are not those of pictures",
            odd[:3],
        )
    found.blanks("caption", "row")
    return found


FORMATS = (
    Format("flickr-token", "Flickr8k or Flickr30k token file", _fits_token, _read_token),
    Format("flickr30k-csv", "Flickr30k results.csv", _fits_bars, _read_bars),
    Format("flickr-csv", "Flickr captions with commas", _fits_commas, _read_commas),
)
