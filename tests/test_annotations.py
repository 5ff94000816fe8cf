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
from typer.testing import CliRunner

import multimodal_gen as mg
from multimodal_gen.cli.app import app


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
    with pytest.warns(UserWarning, match="read as COCO captions: ") as caught:
        table = mg.read_annotations(write(tmp_path / "a.json", content))
    (said,) = [str(one.message) for one in caught]
    assert (
        "1 annotation names an image_id that no picture has, and is a row without a picture "
        "(5 in row 1)" in said
    )
    assert "1 picture has no caption and is left out (000000397133.jpg)" in said
    assert caught[0].filename == __file__
    assert table["caption"].tolist() == ["A kitchen.", "A man cooks.", "A stove."]
    assert table["image"].isna().tolist() == [False, True, False]
    assert len(table.attrs["notes"]) == 2
    problems = mg.audit(table, {"image": mg.ImageLoader("image", image_size=(8, 8))}).problems
    (said,) = problems.loc[problems["index"] == 1, "message"]
    assert said == "the cell has no value"


def test_what_a_file_of_many_keys_holds_is_said_in_few_words(tmp_path: Path) -> None:
    by_name = {f"{row:012}.jpg": [f"caption {row}"] for row in range(500)}
    wide = [{f"key {column}": column for column in range(300)}]
    for content in (by_name, wide, {f"list {row}": [{"a": 1}] for row in range(300)}):
        with pytest.raises(mg.TableError, match="No format fits.* more") as caught:
            mg.read_annotations(write(tmp_path / "a.json", content))
        assert len(str(caught.value)) < 1200


@pytest.mark.parametrize("name", ["captions.json", "results.token"])
def test_a_table_of_annotations_names_what_reads_it(name: str, tmp_path: Path) -> None:
    with pytest.raises(mg.TableError, match="`read_annotations`"):
        mg.read_table(write(tmp_path / name, coco_captions()))


def test_coco_instances_are_a_row_per_picture_with_names_and_boxes(tmp_path: Path) -> None:
    table = read(write(tmp_path / "instances.json", coco_instances()))
    assert table["image"].tolist() == ["000000397133.jpg", "000000037777.jpg"]
    assert table["labels"].tolist() == [["stop sign", "person"], []]
    assert table["box_labels"].tolist() == [["stop sign", "person", "stop sign"], []]
    assert table["boxes"].tolist() == [[[1.5, 2.0, 3.0, 2.0]] * 3, []]
    assert table["box_crowd"].tolist() == [[False, True, False], []]
    assert table.attrs["format"] == "coco-detections"
    assert table.attrs["notes"] == ["1 box is around a crowd", "1 picture has no label"]


def test_several_blocks_of_a_large_list_stay_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("multimodal_gen.rows.annotations.sections._CHUNK", 97)
    content = coco_instances()
    box = content["annotations"][0]
    content["annotations"] = [box | {"id": n, "bbox": [n, 0, 1, 1]} for n in range(200)]
    table = read(write(tmp_path / "a.json", content))
    assert [one[0] for one in table["boxes"][0]] == list(range(200))
    assert table["box_labels"][0] == ["stop sign"] * 200


@pytest.mark.parametrize("chunk", [7, 61, 300, 1 << 22])
def test_lists_whose_entries_begin_alike_stay_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr("multimodal_gen.rows.annotations.sections._CHUNK", chunk)
    content = {
        "images": [{"id": n, "file_name": f"{n}.jpg"} for n in range(20)],
        "annotations": [
            {"id": n, "image_id": n % 20, "caption": f'{{"id": {n}}}, text'} for n in range(60)
        ],
        "licenses": [{"id": n, "name": str(n)} for n in range(3)],
    }
    table = read(write(tmp_path / "a.json", content))
    assert table["caption"].tolist() == [f'{{"id": {n}}}, text' for n in range(60)]
    assert table["image"].tolist() == [f"{n % 20}.jpg" for n in range(60)]


def test_flickr8k_tokens(tmp_path: Path) -> None:
    text = "1000_a.jpg#0\tA child in a pink dress .\n1000_a.jpg#1\tA girl #2 .\n2_b.jpg#0\tDogs .\n"
    table = read(write(tmp_path / "Flickr8k.token.txt", text))
    assert table["image"].tolist() == ["1000_a.jpg", "1000_a.jpg", "2_b.jpg"]
    assert table["caption"].tolist() == ["A child in a pink dress .", "A girl #2 .", "Dogs ."]
    assert table["number"].tolist() == [0, 1, 0]


def test_a_name_that_is_no_picture_is_told(tmp_path: Path) -> None:
    # As Flickr8k has it.
    text = "2258277193_586949ec62.jpg.1#0\tPeople .\na.jpg#0\tDogs .\n"
    with pytest.warns(UserWarning, match=r"1 name in 1 row is not that of a picture"):
        table = mg.read_annotations(write(tmp_path / "a.token", text))
    assert len(table) == 2


def test_the_broken_row_of_flickr30k_is_mended_and_told(tmp_path: Path) -> None:
    text = (
        "image_name| comment_number| comment\n"
        "2199200615.jpg| 3| A dog leaps, then | runs .\n"
        "2199200615.jpg| 4   A dog runs across the grass .\n"
        "2199358192.jpg| 0| Guys .\n"
    )
    with pytest.warns(UserWarning, match=r"1 line has no '\|' before its caption \(line 3, "):
        table = mg.read_annotations(write(tmp_path / "results.csv", text))
    assert table["caption"].tolist() == [
        "A dog leaps, then | runs .",
        "A dog runs across the grass .",
        "Guys .",
    ]
    assert table["number"].tolist() == [3, 4, 0]
    assert table.attrs["format"] == "flickr30k-csv"


def test_flickr_captions_with_commas(tmp_path: Path) -> None:
    text = 'image,caption\na.jpg,"A cat, asleep"\na.jpg,A dog\n'
    table = read(write(tmp_path / "captions.txt", text))
    assert table["caption"].tolist() == ["A cat, asleep", "A dog"]
    assert table.attrs["format"] == "flickr-csv"


QUESTIONS = {
    "info": {},
    "task_type": "Open-Ended",
    "data_type": "mscoco",
    "data_subtype": "val2014",
    "questions": [
        {"image_id": 262148, "question": "Where is he looking?", "question_id": 262148000},
        {"image_id": 262148, "question": "Is it day?", "question_id": 262148001},
        {"image_id": 42, "question": "What color?", "question_id": 42000},
    ],
}


def answers() -> dict[str, Any]:
    def one(question: int, answer: str) -> dict[str, Any]:
        return {
            "question_type": "what",
            "multiple_choice_answer": answer,
            "answers": [
                {"answer": answer, "answer_confidence": "yes", "answer_id": number}
                for number in (1, 2)
            ],
            "image_id": question // 1000,
            "answer_type": "other",
            "question_id": question,
        }

    return {
        "info": {},
        "data_type": "mscoco",
        "data_subtype": "val2014",
        "annotations": [one(42000, "red"), one(262148001, "yes"), one(262148000, "down")],
    }


@pytest.mark.parametrize("named", ["questions", "annotations"])
def test_vqa_reads_both_files_whichever_is_named(tmp_path: Path, named: str) -> None:
    paths = {
        "questions": write(tmp_path / "v2_OpenEnded_mscoco_val2014_questions.json", QUESTIONS),
        "annotations": write(tmp_path / "v2_mscoco_val2014_annotations.json", answers()),
    }
    table = read(paths[named])
    assert table["question_id"].tolist() == [262148000, 262148001, 42000]
    assert table["answer"].tolist() == ["down", "yes", "red"]
    assert table["answers"].tolist() == [["down"] * 2, ["yes"] * 2, ["red"] * 2]
    assert table["image"].tolist() == [
        "COCO_val2014_000000262148.jpg",
        "COCO_val2014_000000262148.jpg",
        "COCO_val2014_000000000042.jpg",
    ]


def test_vqa_without_its_other_file(tmp_path: Path) -> None:
    path = write(tmp_path / "v2_OpenEnded_mscoco_val2014_questions.json", QUESTIONS)
    with pytest.warns(UserWarning, match="no file of answers is beside this one"):
        assert len(mg.read_annotations(path)) == 3
    path.unlink()
    with pytest.raises(mg.TableError, match="the questions are in another file, which must lie"):
        mg.read_annotations(write(tmp_path / "v2_mscoco_val2014_annotations.json", answers()))


def test_hateful_memes(tmp_path: Path) -> None:
    lines = [
        {"id": 42953, "img": "img/42953.png", "label": 0, "text": "it's their character"},
        {"id": 23058, "img": "img/23058.png", "label": 1, "text": "don't be afraid"},
    ]
    table = read(write(tmp_path / "train.jsonl", "".join(f"{json.dumps(one)}\n" for one in lines)))
    assert table.columns.tolist() == ["image", "caption", "label", "id"]
    assert table["label"].tolist() == [0, 1]
    assert table["image"].tolist() == ["img/42953.png", "img/23058.png"]


def test_localized_narratives(tmp_path: Path) -> None:
    line = {
        "dataset_id": "mscoco_val2017",
        "image_id": "137576",
        "annotator_id": 93,
        "caption": "In this image there is a cow.",
        "timed_caption": [{"utterance": "In", "start_time": 0.0, "end_time": 0.4}],
        "traces": [[{"x": 0.2, "y": -0.04, "t": 0.0}]],
        "voice_recording": "coco_val/coco_val_137576_93.ogg",
    }
    table = read(write(tmp_path / "coco_val.jsonl", json.dumps(line)))
    assert table["image"].tolist() == ["000000137576.jpg"]
    assert table.columns.tolist()[:2] == ["image", "caption"]
    assert "traces" not in table


def test_open_images_labels_and_boxes(tmp_path: Path) -> None:
    labels = (
        "ImageID,Source,LabelName,Confidence\n"
        "b0,verification,/m/01,1\nb0,verification,/m/02,0\na1,machine,/m/01,0.7\nb0,machine,/m/03,0.9\n"
    )
    table = read(write(tmp_path / "labels.csv", labels))
    assert table["image"].tolist() == ["b0.jpg", "a1.jpg"]
    assert table["labels"].tolist() == [["/m/01", "/m/03"], ["/m/01"]]
    assert table["absent_labels"].tolist() == [["/m/02"], []]
    assert table["confidences"].tolist() == [[1.0, 0.9], [0.7]]
    boxes = (
        "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,"
        "IsDepiction,IsInside\nb0,xclick,/m/01,1,0.1,0.4,0.2,0.5,0,0,1,0,0\n"
    )
    table = read(write(tmp_path / "boxes.csv", boxes))
    assert table["boxes"].tolist() == [[[0.1, 0.2, 0.4, 0.5]]]
    assert table["box_crowd"].tolist() == [[True]]
    assert table.attrs["format"] == "open-images-boxes"


@pytest.mark.parametrize("named", ["folder", "file"])
def test_imagefolder_metadata(tmp_path: Path, named: str) -> None:
    for name in ("b.png", "a.png"):
        picture(tmp_path / "photos" / name)
    path = write(tmp_path / "photos/metadata.csv", "file_name,text\nb.png,One\na.png,Two\n")
    table = read(path if named == "file" else path.parent)
    assert table["image"].tolist() == ["b.png", "a.png"]
    assert table["text"].tolist() == ["One", "Two"]
    assert table.attrs["format"] == "imagefolder"


def test_one_json_a_picture(tmp_path: Path) -> None:
    for name in ("a.png", "deep/b.png", "c.png"):
        picture(tmp_path / name)
    write(tmp_path / "a.json", {"caption": "One", "width": 3})
    write(tmp_path / "deep/b.json", {"caption": "Two", "tags": ["x"]})
    with pytest.warns(UserWarning, match=r"1 picture has no \.json \(c\.png\)"):
        table = mg.read_annotations(tmp_path)
    assert table["image"].tolist() == ["a.png", "c.png", "deep/b.png"]
    assert table["caption"].tolist()[::2] == ["One", "Two"]
    assert table["caption"].isna().tolist() == [False, True, False]
    write(tmp_path / "a.json", "{broken")
    with pytest.raises(mg.TableError, match=r"a\.json' is not a JSON object"):
        mg.read_annotations(tmp_path)


def test_one_txt_a_picture(tmp_path: Path) -> None:
    for name in ("b.png", "a.png"):
        picture(tmp_path / name)
    write(tmp_path / "a.txt", "One\n")
    with pytest.warns(UserWarning, match=r"1 row has no caption \(row 2\)"):
        table = mg.read_annotations(tmp_path)
    assert table["image"].tolist() == ["a.png", "b.png"]
    assert table["caption"].tolist() == ["One", ""]


def test_a_folder_of_pictures_and_texts_is_a_table_of_the_command_line(tmp_path: Path) -> None:
    for name in ("b", "a"):
        picture(tmp_path / f"{name}.png")
        write(tmp_path / f"{name}.txt", f"Picture {name} of a thing\n")
    done = CliRunner().invoke(app, ["audit", str(tmp_path), "--out", str(tmp_path / "out")])
    # The pictures are blank.
    assert done.exit_code == 1, done.output
    assert "2 rows, read as 'txt-per-picture'" in " ".join(done.output.split())
    # In Python it is another function.
    with pytest.raises(mg.TableError, match="`read_annotations` reads pictures that have a file"):
        mg.read_table(tmp_path)
    for name in ("b", "a"):
        (tmp_path / f"{name}.txt").unlink()
    with pytest.raises(mg.TableError, match="2 pictures directly in it can be named in a table"):
        mg.read_table(tmp_path)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_captions_of_urls_in_any_kind_of_table(suffix: str, tmp_path: Path) -> None:
    rows = pd.DataFrame({"URL": ["http://x/1.jpg", "http://x/2.jpg"], "TEXT": ["a", "b"]})
    path = tmp_path / f"urls{suffix}"
    if suffix == ".parquet":
        rows.to_parquet(path)
    elif suffix == ".jsonl":
        rows.to_json(path, orient="records", lines=True)
    else:
        rows.to_csv(path, index=False, sep="," if suffix == ".csv" else "\t")
    table = read(path)
    assert table.attrs["format"] == "url-captions"
    assert table["image"].tolist() == rows["URL"].tolist()
    assert table["caption"].tolist() == ["a", "b"]


def test_conceptual_captions_with_the_url_on_either_side(tmp_path: Path) -> None:
    one, two = ("a very typical station", "http://x/1.jpg"), ("sierra looked", "https://y/2?z=1")
    for sign, order in (("cc", 1), ("cc12m", -1)):
        text = "".join("\t".join(row[::order]) + "\n" for row in (one, two))
        table = read(write(tmp_path / f"{sign}.tsv", text))
        assert table["image"].tolist() == [one[1], two[1]]
        assert table["caption"].tolist() == [one[0], two[0]]
        assert table.attrs["format"] == "conceptual-captions"
    with pytest.raises(mg.TableError, match=r"Line 21 is not .*Complete or remove it"):
        mg.read_annotations(write(tmp_path / "bad.tsv", "a\thttp://x/1.jpg\n" * 20 + "b\n"))
    with pytest.raises(mg.TableError, match=r"It must be a file that ends in one of \['.csv'"):
        mg.read_annotations(write(tmp_path / "a.pkl", "no table"), format="url-captions")


def test_urls_in_parquet(tmp_path: Path) -> None:
    rows = pd.DataFrame({"URL": ["http://x/1.jpg"], "TEXT": ["A cat"], "similarity": [0.3]})
    rows.to_parquet(tmp_path / "part-0.parquet")
    table = read(tmp_path / "part-0.parquet")
    assert table.columns.tolist() == ["image", "caption", "similarity"]


def test_an_ambiguous_folder_is_refused_until_the_format_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "cat/1.png")
    write(tmp_path / "cat/1.txt", "A cat")
    with pytest.raises(mg.TableError, match=r"'txt-per-picture'.* or .*'class-folders'.*`format=`"):
        mg.read_annotations(tmp_path)
    assert "label" not in read(tmp_path, format="txt-per-picture")
    assert read(tmp_path, format="class-folders")["label"].tolist() == ["cat"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "price,colour\n1,red\n", r"No format fits.*price,colour.*read_table"),
        ("a.json", {"rows": [{"x": 1}]}, r"No format fits.*'rows': a list of objects with \['x'\]"),
        ("a.json", '{"images": [{"id": 1,', r"Entry 1 of 'images' .*cut off"),
        ("a.jsonl", '{"id": 1, "img": "a.png", "text": "b"}\n[]\n', "Line 2 is a list"),
        (
            "a.csv",
            "image_name| comment_number| comment\na.jpg A dog\n",
            r"Line 2 is not .*Complete or remove it",
        ),
        ("a.pkl", "no table", "No format fits: it holds nothing that is text"),
        (
            "a.csv",
            "ImageID,LabelName,Confidence\na,/m/0,much\n",
            "Row 1 has no number as Confidence: 'much'",
        ),
        ("a.json", coco_captions() | {"images": COCO_IMAGES[:1] * 2}, "Give each picture its own"),
        (
            "a.json",
            coco_captions() | {"images": [one | {"id": str(one["id"])} for one in COCO_IMAGES]},
            r"'id' of 'images' is '397133', .* 'annotations' is 37777\. Make both numbers",
        ),
        (
            "a.json",
            {name: rows for name, rows in coco_instances().items() if name != "categories"},
            "needs 'categories'",
        ),
    ],
)
def test_what_cannot_be_read_names_the_way_out(
    tmp_path: Path, name: str, content: Any, said: str
) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(mg.TableError, match=said) as caught:
        read(path)
    assert f"Received: path={str(path)!r}" in str(caught.value)


def test_a_folder_of_annotations_names_the_files_to_read(tmp_path: Path) -> None:
    write(tmp_path / "captions.json", coco_captions())
    write(tmp_path / "instances.json", coco_instances())
    write(tmp_path / "read.me", "nothing")
    said = r"In it, 'captions\.json' is COCO captions, 'instances\.json' is COCO detections: read"
    with pytest.raises(mg.TableError, match=said):
        read(tmp_path)


def test_the_command_line_takes_annotations(tmp_path: Path) -> None:
    path = write(tmp_path / "captions.json", coco_captions())
    for one in COCO_IMAGES:
        picture(tmp_path / str(one["file_name"]))
    arguments = ["audit", str(path), "--out", str(tmp_path / "found")]
    said = CliRunner().invoke(app, arguments, env={"COLUMNS": "1000"}).output
    assert "captions.json: 3 rows, read as 'coco-captions' (3 all)" in said
    assert "image     image: 3 paths of pictures" in said


def test_wrong_arguments(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`format` must be one of \['coco-captions', "):
        mg.read_annotations(tmp_path, format="coco")
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        mg.read_annotations(tmp_path / "none.json")


def test_a_split_by_picture_does_not_leak(tmp_path: Path) -> None:
    lines = [f"{name}.jpg#{number}\tText {number} .\n" for number in range(5) for name in range(40)]
    table = read(write(tmp_path / "all.token", "".join(lines)))
    parts = mg.split_table(table, (0.6, 0.2, 0.2), group="image", seed=0)
    pictures = [set(part["image"]) for part in parts]
    assert sum(map(len, pictures)) == len(set().union(*pictures)) == 40
    assert sum(map(len, parts)) == 200
    with pytest.warns(mg.LeakageWarning, match="image"):
        mg.split_table(table, (0.6, 0.2, 0.2), seed=0)


def test_labels_of_detections_are_a_target(tmp_path: Path) -> None:
    table = read(write(tmp_path / "a.json", coco_instances()))
    target = mg.MultiLabel.from_values("labels", table["labels"])
    assert target.class_names == ("person", "stop sign")
