"""COCO's .json files: captions, boxes of objects, and lists of pictures for a test
(https://cocodataset.org/#format-data). Lists of other makers in the same format are read as well.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.errors import TableError, shown
from multimodal_gen.rows.annotations.grouping import Groups
from multimodal_gen.rows.annotations.noting import Found, need
from multimodal_gen.rows.annotations.sections import Sections
from multimodal_gen.rows.annotations.source import Format, Source


def _has_pictures(sections: Sections) -> bool:
    return {"id", "file_name"} <= sections.columns("images")


def _fits_captions(source: Source) -> bool:
    sections = source.json
    return _has_pictures(sections) and "caption" in sections.columns("annotations")


def _fits_boxes(source: Source) -> bool:
    sections = source.json
    return _has_pictures(sections) and "category_id" in sections.columns("annotations")


def _fits_pictures(source: Source) -> bool:
    sections = source.json
    return _has_pictures(sections) and not sections.columns("annotations")


def _read_captions(source: Source) -> Found:
    # A row per caption, in the order of the file.
    pictures, annotations = _pictures(source), _annotations(source, ["image_id", "caption"])
    at = _positions(pictures, annotations["image_id"])
    table = _take(pictures, at)
    del table["image_id"]
    clash = [name for name in table.columns if name in annotations.columns]
    table = table.rename(columns={name: f"image_{name}" for name in clash})
    own = annotations.drop(columns="caption")
    table.insert(1, "caption", annotations["caption"])
    found = Found(pd.concat([table, own], axis=1))
    _tell_of_unknown(found, annotations, at < 0)
    found.blanks("caption", "entry")
    bare = np.setdiff1d(np.arange(len(pictures)), at)
    found.problem(
        len(bare),
        "picture",
        "has no caption and is left out",
        "have no caption and are left out",
        pictures["image"].take(bare[:3]).tolist(),
    )
    twice = int(found.table.duplicated(["image", "caption"]).sum())
    found.note(
        twice, "row", "repeats a caption of its picture", "repeat a caption of their picture"
    )
    return found


def _read_boxes(source: Source) -> Found:
    # A row per picture, in the order of the file.
    pictures = _pictures(source)
    annotations = _annotations(source, ["image_id", "category_id"])
    at = _positions(pictures, annotations["image_id"])
    found = Found(pictures)
    _tell_of_unknown(found, annotations, at < 0, left_out=True)
    annotations = annotations[at >= 0]
    groups = Groups(at[at >= 0], len(pictures))
    names = _names_of(source.sections, annotations["category_id"], found)
    labels = groups.lists(names)
    pictures.insert(1, "labels", _cells([list(dict.fromkeys(_known(one))) for one in labels]))
    if "bbox" in annotations:
        pictures.insert(2, "boxes", _cells(groups.lists(annotations["bbox"].tolist())))
        pictures.insert(3, "box_labels", _cells(labels))
        if "iscrowd" in annotations:
            crowd = annotations["iscrowd"].fillna(0).astype(bool)
            pictures.insert(4, "box_crowd", _cells(groups.lists(crowd.tolist())))
            found.note(
                int(crowd.sum()), "box", "is around a crowd", "are around crowds", plural="boxes"
            )
    bare = sum(not one for one in labels)
    found.note(bare, "picture", "has no label", "have no label")
    return found


def _read_pictures(source: Source) -> Found:
    # The pictures of a test, whose annotations are not public.
    found = Found(_pictures(source))
    found.notes.append("there are no annotations, as in the files of a test")
    return found


def _pictures(source: Source) -> pd.DataFrame:
    # A row per picture, with its file and its id, and what else is known about it.
    sections = source.sections
    need(sections.tables, ["images"], "A COCO file")
    table = sections.tables["images"]
    if not table.empty:
        need(table.columns, ["id", "file_name"], "The list 'images' of a COCO file")
    ids = _ids(table["id"])
    if ids.has_duplicates:
        first = int(ids.duplicated().argmax())
        raise TableError(
            f"Entry {first + 1:,} of 'images' has an id that another entry has: "
            f"{shown(ids[first])}. Give each picture its own."
        )
    table = table.rename(columns={"file_name": "image", "id": "image_id"})
    if "license" in table and {"id", "name"} <= sections.columns("licenses"):
        licenses = sections.tables["licenses"]
        known = dict(zip(licenses["id"].tolist(), licenses["name"].tolist(), strict=True))
        cells = table["license"].tolist()
        # The number of one that is not listed stays.
        table["license"] = [known.get(cell, cell) for cell in cells]
    return table[["image", *(name for name in table.columns if name != "image")]]


def _annotations(source: Source, needed: list[str]) -> pd.DataFrame:
    need(source.sections.tables, ["annotations"], "A COCO file")
    table = source.sections.tables["annotations"]
    need(table.columns, needed, "The list 'annotations' of a COCO file")
    return table


def _ids(column: pd.Series) -> pd.Index:
    return pd.Index(column.array, dtype=None if column.dtype.kind == "i" else object)


def _positions(pictures: pd.DataFrame, ids: pd.Series) -> np.ndarray:
    # The row of each id; -1 if no picture has it.
    at = np.asarray(_ids(pictures["image_id"]).get_indexer(_ids(ids)))
    if len(pictures) and len(at) and (at < 0).all():
        one, other = pictures["image_id"].tolist()[0], ids.tolist()[0]
        if type(one) is not type(other):
            raise TableError(
                "No annotation belongs to a picture: the first 'id' of 'images' is "
                f"{shown(one)}, and the first 'image_id' of 'annotations' is {shown(other)}. Make "
                "both numbers, or both texts."
            )
    return at


def _take(table: pd.DataFrame, at: np.ndarray) -> pd.DataFrame:
    # The rows at positions; where the position is -1, missing cells.
    if (at < 0).any():
        whole = [name for name in table.columns if table[name].dtype.kind == "i"]
        table = table.astype(dict.fromkeys(whole, "Int64"))
    return table.reindex(at).reset_index(drop=True)


def _tell_of_unknown(
    found: Found, annotations: pd.DataFrame, unknown: np.ndarray, left_out: bool = False
) -> None:
    rows = np.flatnonzero(unknown)[:3].tolist()
    ids = annotations["image_id"].iloc[rows].tolist()
    one, several, first = "is left out", "are left out", ids
    if not left_out:
        one, several = "is a row without a picture", "are rows without a picture"
        first = [f"{shown(own)} in row {row}" for own, row in zip(ids, rows, strict=True)]
    found.problem(
        int(unknown.sum()),
        "annotation",
        f"names an image_id that no picture has, and {one}",
        f"name an image_id that no picture has, and {several}",
        first,
    )
    if "id" in annotations:
        twice = int(annotations["id"].dropna().duplicated().sum())
        found.problem(
            twice, "annotation", "has the id of another one", "have the id of another one"
        )


def _names_of(sections: Sections, ids: pd.Series, found: Found) -> list[Any]:
    # The name of each category; None if it is not listed. Ids have gaps: 1 to 90 are 80 in COCO.
    need(sections.tables, ["categories"], "A COCO file with category_id")
    categories = sections.tables["categories"]
    need(categories.columns, ["id", "name"], "The list 'categories' of a COCO file")
    index = _ids(categories["id"])
    if index.has_duplicates:
        twice = index[index.duplicated()].tolist()[0]
        raise TableError(f"Two entries of 'categories' have the id {shown(twice)}.")
    alike = categories["name"][categories["name"].duplicated()].tolist()
    found.problem(
        len(alike),
        "class",
        "has the name of another one, so that they become one",
        "have the names of others, with which they become one",
        alike,
        plural="classes",
    )
    at = np.asarray(index.get_indexer(_ids(ids)))
    unknown = at < 0
    found.problem(
        int(unknown.sum()),
        "annotation",
        "names a category_id that is not listed, and gives no label",
        "name a category_id that is not listed, and give no label",
        ids.iloc[np.flatnonzero(unknown)[:3]].tolist(),
    )
    names = np.array([*categories["name"].tolist(), None], object)
    return list(names[at].tolist())


def _known(names: list[Any]) -> list[Any]:
    return [name for name in names if name is not None]


def _cells(lists: list[Any]) -> pd.Series:
    return pd.Series(lists, dtype=object)


FORMATS = (
    Format("coco-captions", "COCO captions", _fits_captions, _read_captions),
    Format("coco-detections", "COCO detections", _fits_boxes, _read_boxes),
    Format("coco-pictures", "COCO pictures without annotations", _fits_pictures, _read_pictures),
)
