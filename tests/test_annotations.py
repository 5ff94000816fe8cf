"""Annotations of well-known data sets: each format, the faults its files have, and splits by
picture.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import multimodal_gen as mg


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((2, 3, 3), np.uint8)).save(path)


def read(path: Path, **options: Any) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return mg.read_annotations(path, **options)


COCO_IMAGES = [
    {"license": 3, "file_name": "000000397133.jpg", "height": 427, "width": 640, "id": 397133},
    {"license": 1, "file_name": "000000037777.jpg", "height": 230, "width": 352, "id": 37777},
]


def coco_captions() -> dict[str, Any]:
    captions = [(37777, 38, "A kitchen."), (397133, 12, "A man cooks."), (37777, 49, "A stove.")]
    return {
        "info": {"year": 2017},
        "licenses": [{"url": "http://x", "id": 1, "name": "CC BY-NC-SA"}],
        "images": COCO_IMAGES,
        "annotations": [
            {"image_id": image, "id": number, "caption": text} for image, number, text in captions
        ],
    }


def coco_instances() -> dict[str, Any]:
    def box(number: int, image: int, category: int, crowd: int = 0) -> dict[str, Any]:
        return {
            "segmentation": {"counts": [1, 2], "size": [9, 9]} if crowd else [[1.0, 2.0, 3.5]],
            "area": 6.0,
            "iscrowd": crowd,
            "image_id": image,
            "bbox": [1.5, 2.0, 3.0, 2.0],
            "category_id": category,
            "id": number,
        }

    return {
        "images": COCO_IMAGES,
        "annotations": [box(1, 397133, 13), box(2, 397133, 1, crowd=1), box(3, 397133, 13)],
        # As in COCO, there is no category 12.
        "categories": [
            {"supercategory": "person", "id": 1, "name": "person"},
            {"supercategory": "outdoor", "id": 11, "name": "fire hydrant"},
            {"supercategory": "outdoor", "id": 13, "name": "stop sign"},
        ],
    }


def test_coco_captions_are_a_row_each_in_the_order_of_the_file(tmp_path: Path) -> None:
    table = read(write(tmp_path / "captions_val2017.json", coco_captions()))
    assert table["caption"].tolist() == ["A kitchen.", "A man cooks.", "A stove."]
    assert table["image"].tolist() == [
        "000000037777.jpg",
        "000000397133.jpg",
        "000000037777.jpg",
    ]
    assert table["id"].tolist() == [38, 12, 49]
    assert table["image_id"].tolist() == [37777, 397133, 37777]
    # A licence that is not listed keeps its number.
    assert table["license"].tolist() == ["CC BY-NC-SA", 3, "CC BY-NC-SA"]
    assert table.attrs == {"format": "coco-captions", "notes": []}


def test_what_does_not_belong_together_in_coco_is_counted(tmp_path: Path) -> None:
    content = coco_captions()
    content["annotations"][1]["image_id"] = 5
    with pytest.warns(UserWarning) as caught:
        table = mg.read_annotations(write(tmp_path / "a.json", content))
    (said,) = [str(one.message) for one in caught]
    assert (
        "1 annotation names an image_id that no picture has, and is without a picture (5)" in said
    )
    assert "1 picture has no caption and is left out (000000397133.jpg)" in said
    assert caught[0].filename == __file__
    assert table["caption"].tolist() == ["A kitchen.", "A man cooks.", "A stove."]
    assert table["image"].isna().tolist() == [False, True, False]
    assert len(table.attrs["notes"]) == 2


def test_coco_instances_are_a_row_per_picture_with_names_and_boxes(tmp_path: Path) -> None:
    table = read(write(tmp_path / "instances.json", coco_instances()))
    assert table["image"].tolist() == ["000000397133.jpg", "000000037777.jpg"]
    assert table["labels"].tolist() == [["stop sign", "person"], []]
    assert table["box_labels"].tolist() == [["stop sign", "person", "stop sign"], []]
    assert table["boxes"].tolist() == [[[1.5, 2.0, 3.0, 2.0]] * 3, []]
    assert table["box_crowd"].tolist() == [[False, True, False], []]
    assert table.attrs["format"] == "coco-detections"
    assert table.attrs["notes"] == ["1 box is around a crowd", "1 picture has no label"]
