"""Open Images: csv files of labels and of boxes (https://storage.googleapis.com/openimages/web)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.errors import TableError, shown
from multimodal_gen.rows.annotations.grouping import Groups
from multimodal_gen.rows.annotations.noting import Found, need
from multimodal_gen.rows.annotations.source import Format, Source
from multimodal_gen.rows.formats.delimited import read_delimited
from multimodal_gen.rows.formats.folders import IMAGE_SUFFIXES

_LABELS = ("ImageID", "LabelName", "Confidence")
_SIDES = ("XMin", "YMin", "XMax", "YMax")


def _fits_labels(source: Source) -> bool:
    return _fits(source) and not set(_SIDES) & set(source.names)


def _fits_boxes(source: Source) -> bool:
    return _fits(source) and set(_SIDES) <= set(source.names)


def _fits(source: Source) -> bool:
    return source.suffix == ".csv" and set(_LABELS) <= set(source.names)


def _read_labels(source: Source) -> Found:
    # A row per picture, in the order in which the file first names them.
    rows = _rows(source, _LABELS)
    certain = _numbers(rows, "Confidence")
    table, groups = _by_picture(rows)
    names = groups.lists(rows["LabelName"].tolist())
    sure = groups.lists(certain.tolist())
    pairs = [list(zip(*one, strict=True)) for one in zip(names, sure, strict=True)]
    table["labels"] = _cells([_once(name for name, one in row if one > 0) for row in pairs])
    # A confidence of 0 says that somebody has looked, and it is not there.
    table["absent_labels"] = _cells([_once(name for name, one in row if not one) for row in pairs])
    table["confidences"] = _cells([_highest(row) for row in pairs])
    found = Found(table)
    bare = sum(not one for one in table["labels"])
    found.note(bare, "picture", "has no label, only absent ones", "have no label, only absent ones")
    return found


def _read_boxes(source: Source) -> Found:
    rows = _rows(source, (*_LABELS[:2], *_SIDES))
    sides = np.stack([_numbers(rows, name) for name in _SIDES], axis=1)
    table, groups = _by_picture(rows)
    names = groups.lists(rows["LabelName"].tolist())
    table["labels"] = _cells([_once(one) for one in names])
    table["boxes"] = _cells(groups.lists(sides.tolist()))
    table["box_labels"] = _cells(names)
    found = Found(table)
    if "IsGroupOf" in rows:
        crowd = rows["IsGroupOf"] == "1"
        table["box_crowd"] = _cells(groups.lists(crowd.tolist()))
        found.note(
            int(crowd.sum()), "box", "is around a group", "are around groups", plural="boxes"
        )
    return found


def _rows(source: Source, needed: tuple[str, ...]) -> pd.DataFrame:
    rows = read_delimited(source.path, ",", ("",))
    need(rows.columns, needed, "A file of Open Images")
    for name in ("ImageID", "LabelName"):
        if rows[name].isna().any():
            raise TableError(f"Row {int(rows[name].isna().argmax()) + 1:,} has no {name}.")
    return rows


def _numbers(rows: pd.DataFrame, name: str) -> np.ndarray:
    numbers = pd.to_numeric(rows[name], errors="coerce").to_numpy("float64")
    if np.isnan(numbers).any():
        bad = int(np.isnan(numbers).argmax())
        raise TableError(
            f"Row {bad + 1:,} has no number as {name}: {shown(rows[name].tolist()[bad])}."
        )
    return numbers


def _by_picture(rows: pd.DataFrame) -> tuple[pd.DataFrame, Groups]:
    codes, ids = pd.factorize(rows["ImageID"])
    # The files are called by the ids.
    images = [
        one if one.lower().endswith(tuple(IMAGE_SUFFIXES)) else f"{one}.jpg" for one in ids.tolist()
    ]
    table = pd.DataFrame({"image": images, "image_id": ids.tolist()})
    return table, Groups(codes, len(ids))


def _once(names: Any) -> list[Any]:
    return list(dict.fromkeys(names))


def _highest(row: list[tuple[Any, float]]) -> list[float]:
    # The confidence of each label; one that several sources name has their highest.
    found: dict[Any, float] = {}
    for name, one in row:
        if one > 0:
            found[name] = max(one, found.get(name, 0.0))
    return list(found.values())


def _cells(lists: list[Any]) -> pd.Series:
    return pd.Series(lists, dtype=object)


FORMATS = (
    Format("open-images-labels", "Open Images labels", _fits_labels, _read_labels),
    Format("open-images-boxes", "Open Images boxes", _fits_boxes, _read_boxes),
)
