"""COCO's files beside pycocotools: the same captions, boxes and categories of each picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import multimodal_gen as mg

PICTURES = 40


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return pytest.importorskip("pycocotools.coco").COCO


def written(path: Path) -> Path:
    """Captions and boxes in one order, pictures in another; ids have gaps, some have nothing."""
    rng = np.random.default_rng(0)
    ids = (rng.permutation(PICTURES) * 17 + 9).tolist()
    images = [
        {"id": one, "file_name": f"{one:012}.jpg", "height": 480, "width": 640 - one % 5}
        for one in ids
    ]
    categories = [
        {"id": one, "name": f"kind {one} é", "supercategory": "thing"} for one in (1, 3, 18, 90)
    ]
    annotations = []
    for number in range(170):
        # The last pictures have none.
        image = ids[int(rng.integers(PICTURES - 4))]
        box = rng.uniform(1, 300, 4).round(2).tolist()
        annotations.append(
            {
                "id": 1000 + 3 * number,
                "image_id": image,
                "category_id": categories[int(rng.integers(4))]["id"],
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": int(number % 11 == 0),
                "segmentation": [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]],
                "caption": f"thing {number} on a table, é",
            }
        )
    about = {"info": {"year": 2026}, "licenses": [], "images": images}
    path.write_text(json.dumps({**about, "annotations": annotations, "categories": categories}))
    return path


def without(path: Path, *names: str) -> Path:
    content = json.loads(path.read_text())
    if "category_id" in names:
        del content["categories"]
    for one in content["annotations"]:
        for name in names:
            del one[name]
    path.write_text(json.dumps(content))
    return path


def test_captions_of_each_picture(coco: Any, tmp_path: Path) -> None:
    path = without(written(tmp_path / "captions.json"), "category_id", "bbox", "iscrowd", "area")
    theirs = coco(str(path))
    with pytest.warns(UserWarning, match=r"pictures have no caption"):
        table = mg.read_annotations(path)
    assert table.attrs["format"] == "coco-captions"
    names = {one["file_name"]: one["id"] for one in theirs.loadImgs(theirs.getImgIds())}
    own = table.groupby("image", sort=False)["caption"].agg(list).to_dict()
    for name, image in names.items():
        anns = theirs.loadAnns(theirs.getAnnIds(imgIds=[image]))
        assert own.get(name, []) == [one["caption"] for one in anns]
    assert len(table) == len(theirs.getAnnIds())


def test_boxes_and_categories_of_each_picture(coco: Any, tmp_path: Path) -> None:
    path = without(written(tmp_path / "instances.json"), "caption")
    theirs = coco(str(path))
    table = mg.read_annotations(path)
    assert table.attrs["format"] == "coco-detections"
    assert len(table) == PICTURES
    names = {one["id"]: one["name"] for one in theirs.loadCats(theirs.getCatIds())}
    empty = 0
    for _, row in table.iterrows():
        (image,) = theirs.loadImgs([row["image_id"]])
        assert row["image"] == image["file_name"]
        assert (row["height"], row["width"]) == (image["height"], image["width"])
        anns = theirs.loadAnns(theirs.getAnnIds(imgIds=[row["image_id"]]))
        assert [list(one) for one in row["boxes"]] == [one["bbox"] for one in anns]
        assert list(row["box_labels"]) == [names[one["category_id"]] for one in anns]
        assert list(row["box_crowd"]) == [bool(one["iscrowd"]) for one in anns]
        assert set(row["labels"]) == set(row["box_labels"])
        empty += not anns
    assert empty >= 4
