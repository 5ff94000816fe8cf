"""Formats of one JSON object per line: Localized Narratives
(https://google.github.io/localized-narratives) and the Hateful Memes Challenge.
"""

from __future__ import annotations

from typing import Any

from multimodal_gen.errors import TableError
from multimodal_gen.rows.annotations.noting import Found, need
from multimodal_gen.rows.annotations.source import Format, Source
from multimodal_gen.rows.cells import cell_text, is_missing
from multimodal_gen.rows.formats.folders import IMAGE_SUFFIXES
from multimodal_gen.rows.formats.jsonl import read_jsonl

_NARRATIVE = ("dataset_id", "image_id", "caption")
# When each word was said and where the mouse was, which is nearly the whole file.
_TIMED = ("timed_caption", "traces")
_MEME = ("id", "img", "text")


def _fits_narratives(source: Source) -> bool:
    return source.suffix in (".jsonl", ".ndjson") and set(_NARRATIVE) <= set(source.names)


def _fits_memes(source: Source) -> bool:
    return source.suffix in (".jsonl", ".ndjson") and set(_MEME) <= set(source.names)


def _read_narratives(source: Source) -> Found:
    table = read_jsonl(source.path, _TIMED)
    need(table.columns, _NARRATIVE, "A file of Localized Narratives")
    names = [
        _file_of(dataset, one)
        for dataset, one in zip(table["dataset_id"], table["image_id"], strict=True)
    ]
    table.insert(0, "image", names)
    table.insert(1, "caption", table.pop("caption"))
    found = Found(table)
    found.blanks("caption", "row")
    return found


def _file_of(dataset: Any, image_id: Any) -> str | None:
    # The files of COCO have twelve digits; those of the other sets are called as the ids are.
    if is_missing(image_id):
        return None
    name = cell_text(image_id)
    if "coco" in str(dataset).lower():
        name = name.zfill(12)
    return name if name.lower().endswith(tuple(IMAGE_SUFFIXES)) else f"{name}.jpg"


def _read_memes(source: Source) -> Found:
    table = read_jsonl(source.path)
    need(table.columns, _MEME, "A file of Hateful Memes")
    for name in ("image", "caption"):
        if name in table:
            raise TableError(f"A file of Hateful Memes has no key {name!r}, but this one does.")
    table = table.rename(columns={"img": "image", "text": "caption"})
    first = ["image", "caption", *(["label"] if "label" in table else [])]
    found = Found(table[[*first, *(name for name in table.columns if name not in first)]])
    found.blanks("caption", "row")
    if "label" not in table:
        found.notes.append("there are no labels, as in the files of a test")
    else:
        found.blanks("label", "row")
    return found


FORMATS = (
    Format("localized-narratives", "Localized Narratives", _fits_narratives, _read_narratives),
    Format("hateful-memes", "Hateful Memes", _fits_memes, _read_memes),
)
