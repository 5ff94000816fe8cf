"""Folders of pictures as tables: classes, parts of a split, captions beside the pictures, and files
of metadata.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import multimodal_gen as mg
from multimodal_gen.cli.data import make_loaders
from multimodal_gen.cli.parts import given_parts, read_parts, split_column
from multimodal_gen.cli.settings import DataSettings
from tests.cli_settings import settings as by_default


def fill(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 4, 3), "uint8")).save(path)
    return root


@pytest.mark.parametrize(
    "words", [("train", "test"), ("Training", "validation"), ("train", "val", "test"), ("dev",)]
)
def test_folders_called_train_and_test_are_a_split_and_the_classes_lie_below(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    fill(
        tmp_path,
        *(
            f"{word}/{kind}/deep/{row}.png"
            for word in words
            for kind in ("cup", "hat")
            for row in range(2)
        ),
    )
    table = mg.read_table(tmp_path)
    assert set(table["split"]) == set(words) and set(table["label"]) == {"cup", "hat"}
    assert table["image"].tolist() == sorted(table["image"]) and len(table) == 4 * len(words)
    assert all(
        image.split("/")[:2] == [part, kind]
        for image, part, kind in table[["image", "split", "label"]].values
    )


def test_a_class_called_train_beside_others_is_a_class(tmp_path: Path) -> None:
    table = mg.read_table(fill(tmp_path, "train/1.png", "plane/1.png"))
    assert table["label"].tolist() == ["plane", "train"] and "split" not in table


@pytest.mark.parametrize("tops", [("train", "test", "holdout"), ("Training", "dev", "extra")])
def test_a_folder_beside_parts_that_hold_classes_is_an_error(
    tmp_path: Path, tops: tuple[str, ...]
) -> None:
    fill(tmp_path, *(f"{top}/{kind}/1.png" for top in tops for kind in ("cup", "hat")))
    with pytest.raises(mg.TableError, match=rf"parts of a split, and \['{tops[-1]}'\] are not"):
        mg.read_table(tmp_path)
    (tmp_path / tops[-1]).rename(tmp_path / "val")
    assert set(mg.read_table(tmp_path)["split"]) == {*tops[:-1], "val"}


def test_parts_of_a_split_without_classes_have_no_labels(tmp_path: Path) -> None:
    table = mg.read_table(fill(tmp_path, "train/1.png", "test/1.png"))
    assert table["split"].tolist() == ["test", "train"] and "label" not in table
    with pytest.warns(
        UserWarning, match=r"2 pictures outside the class folders \('test/1.png', 'train/1.png'\)"
    ):
        table = mg.read_table(fill(tmp_path, "train/cup/1.png"))
    assert table["label"].tolist() == ["cup"]


class Listener:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def settings(table: Path, split: str | None = None) -> DataSettings:
    return by_default(table=str(table), image=("image",), split=split)


def test_the_command_line_goes_by_the_folders_of_a_split(tmp_path: Path) -> None:
    fill(tmp_path, "train/cup/1.png", "train/hat/1.png", "test/cup/1.png", "test/hat/1.png")
    table, listener = mg.read_table(tmp_path), Listener()
    assert split_column(settings(tmp_path), table, listener) == "split"
    assert [len(part) for part in given_parts(table, "split")] == [2, 0, 2]
    assert split_column(settings(tmp_path, "label"), table, listener) == "label"
    assert listener.lines == []
    train = table[table["split"] == "train"]
    assert split_column(settings(tmp_path), train, listener) is None
    assert (
        "note: column 'split' is not used, because it does not name both train" in listener.lines[0]
    )


def test_classes_are_those_of_training_folders_and_another_one_is_an_error_that_names_its_row(
    tmp_path: Path,
) -> None:
    names = [
        "train/cup/1.png",
        "train/hat/1.png",
        "val/cup/1.png",
        "val/pot/1.png",
        "test/cup/1.png",
        "test/bag/1.png",
    ]
    fill(tmp_path, *names)
    asked, listener = settings(tmp_path), Listener()
    parts = read_parts(asked, listener)
    inputs, target = make_loaders(asked, parts, listener)
    assert target.class_names == ("cup", "hat")
    for part, image in ((parts.test, "bag"), (parts.validation, "pot")):
        data = mg.MultimodalSequence(part, inputs, target, batch_size=8)
        with pytest.raises(
            mg.LoadError,
            match=rf"column 'label': the label '{image}' is not one of the 2 known classes",
        ):
            data[0]


@pytest.mark.filterwarnings("ignore:.* ha(s|ve) too few rows for every part")
def test_classes_of_a_column_of_parts_are_those_of_all_rows_that_it_calls_training(
    tmp_path: Path,
) -> None:
    parts = ["fit"] * 12 + ["check"] * 2
    frame = pd.DataFrame(
        {"image": "a.png", "label": ["cup", "hat", "pot"] * 4 + ["cup", "bag"], "part": parts}
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    asked = replace(
        settings(tmp_path / "t.csv", "part"), split_names=("fit", "check"), group="label"
    )
    found = read_parts(asked, Listener())
    # A group of its own, and so perhaps all of a class, is drawn for validation.
    assert not found.validation.empty
    assert make_loaders(asked, found, Listener())[1].class_names == ("cup", "hat", "pot")


def test_a_column_of_a_file_that_names_parts_is_noted_and_not_used(tmp_path: Path) -> None:
    file, listener = tmp_path / "t.csv", Listener()
    words = pd.Series(["train", "Test", "val", None])
    for name in ("split", "Subset"):
        assert split_column(settings(file), pd.DataFrame({name: words}), listener) is None
        assert (
            listener.lines.pop()
            == f"note: column {name!r} names parts; use them with --split {name}"
        )
    for name, cells in (
        ("split", ["train", "test", "bus"]),
        ("kind", words),
        ("label", words),
        ("split", ["train"]),
    ):
        assert split_column(settings(file), pd.DataFrame({name: cells}), listener) is None
    assert (
        split_column(settings(file, "label"), pd.DataFrame({"split": words}), listener) == "label"
    )
    assert listener.lines == []


# Captions beside the pictures


def test_captions_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    fill(tmp_path, "cup/1.png", "cup/2.png")
    (tmp_path / "cup" / "1.txt").write_text("a red cup\r\n", "utf-8-sig")
    (tmp_path / "cup" / "2.txt").write_text("\nein grüner Becher ", "utf-8")
    assert mg.read_table(tmp_path)["caption"].tolist() == ["a red cup", "ein grüner Becher"]


@pytest.mark.parametrize(
    ("encoding", "message"), [("cp1252", "Line 2 is not UTF-8 text"), ("utf-16", "UTF-16")]
)
def test_a_caption_in_another_encoding_is_an_error_that_names_its_file(
    tmp_path: Path, encoding: str, message: str
) -> None:
    fill(tmp_path, "cup/1.png")
    (tmp_path / "cup" / "1.txt").write_text("ein\ngrüner Becher", encoding)
    with pytest.raises(
        mg.TableError, match=rf"A caption cannot be read. .*{message}.*Received: path='.*cup/1.txt'"
    ):
        mg.read_table(tmp_path)


def test_what_is_left_out_is_told_in_plain_words(tmp_path: Path) -> None:
    fill(tmp_path, "cup/1.png", "a.png", "b.png")
    (tmp_path / "captions.json").write_text("{}")
    (tmp_path / "cup" / "alone.txt").write_text("of no picture")
    message = (
        r"Left out below .*: 2 pictures outside the class folders \('a.png', 'b.png'\); "
        r"2 files that are neither pictures nor captions \('captions.json', 'cup/alone.txt'\)\.$"
    )
    with pytest.warns(UserWarning, match=message):
        assert len(mg.read_table(tmp_path)) == 1


# metadata.csv and metadata.jsonl


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_file_of_metadata_beside_the_pictures_is_the_table(tmp_path: Path, suffix: str) -> None:
    fill(tmp_path, "a.png", "deep/b.png")
    rows = [
        {"file_name": "deep/b.png", "text": "00012", "label": "x"},
        {"file_name": "a.png", "text": "a cup", "label": "y"},
        {"file_name": "gone.png", "text": "", "label": "x"},
    ]
    if suffix == "jsonl":
        (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    else:
        text = "\n".join([",".join(rows[0]), *(",".join(row.values()) for row in rows)])
        (tmp_path / "metadata.csv").write_text(text, "utf-8-sig")
    table = mg.read_table(tmp_path)
    assert list(table.columns) == ["file_name", "text", "label", "image"]
    assert (
        table["image"].tolist()
        == table["file_name"].tolist()
        == ["deep/b.png", "a.png", "gone.png"]
    )
    assert table["text"][0] == "00012"
    assert mg.ImageLoader("image", directory=tmp_path, image_size=(4, 4)).read(
        table["image"][0]
    ).shape == (4, 4, 3)


def test_metadata_of_each_part_of_a_split_are_one_table_with_paths_from_the_top(
    tmp_path: Path,
) -> None:
    fill(tmp_path, "train/1.png", "train/2.png", "test/1.png", "test/back/1.png")
    (tmp_path / "train" / "metadata.csv").write_text(
        "front_file_name,back_file_name,label\n1.png,2.png,0\n2.png,,1\n"
    )
    (tmp_path / "test" / "metadata.jsonl").write_text(
        '{"front_file_name": "1.png", "back_file_name": "back/1.png", "label": "0"}\n'
    )
    table = mg.read_table(tmp_path)
    assert table["split"].tolist() == ["train", "train", "test"] and table.index.tolist() == [
        0,
        1,
        2,
    ]
    assert table["front"].tolist() == ["train/1.png", "train/2.png", "test/1.png"]
    assert (
        table["back"].isna().tolist() == [False, True, False]
        and table["back"][2] == "test/back/1.png"
    )
    assert table["front_file_name"].tolist() == ["1.png", "2.png", "1.png"] and table[
        "label"
    ].tolist() == list("010")


def test_columns_that_metadata_have_already_are_kept_and_the_paths_stand_beside_them(
    tmp_path: Path,
) -> None:
    fill(tmp_path, "train/1.png")
    (tmp_path / "train" / "metadata.csv").write_text("file_name,image,split\n1.png,other,fit\n")
    with pytest.warns(
        UserWarning, match="already have a column 'image'.*'file_name' are in 'image_path'"
    ):
        table = mg.read_table(tmp_path)
    assert table.iloc[0].to_dict() == {
        "file_name": "1.png",
        "image": "other",
        "split": "fit",
        "image_path": "train/1.png",
    }
    (tmp_path / "train" / "metadata.csv").write_text("front_file_name,front\n1.png,a cup\n")
    with pytest.warns(UserWarning, match="have a column 'front'.*are in 'front_path'"):
        assert mg.read_table(tmp_path)["front_path"].tolist() == ["train/1.png"]


def test_a_column_that_one_part_has_of_its_own_means_the_same_in_all_parts(tmp_path: Path) -> None:
    fill(tmp_path, "train/1.png", "train/2.png", "test/1.png", "test/2.png")
    own, without = "file_name,image\n1.png,a cup\n2.png,\n", "file_name\n1.png\n2.png\n"
    paths = ["train/1.png", "train/2.png", "test/1.png", "test/2.png"]
    for train, test in ((own, without), (without, own)):
        (tmp_path / "train" / "metadata.csv").write_text(train)
        (tmp_path / "test" / "metadata.csv").write_text(test)
        with pytest.warns(UserWarning, match="have a column 'image'.*are in 'image_path'"):
            table = mg.read_table(tmp_path)
        assert table["image_path"].tolist() == paths
        titles = [None if pd.isna(cell) else cell for cell in table["image"]]
        assert titles == (
            ["a cup", None, None, None] if train == own else [None, None, "a cup", None]
        )
    # Where it is the path in one part and something else in another, too.
    (tmp_path / "train" / "metadata.csv").write_text(
        "file_name,image\n1.png,train/1.png\n2.png,train/2.png\n"
    )
    with pytest.warns(UserWarning, match="are in 'image_path'"):
        table = mg.read_table(tmp_path)
    assert table["image_path"].tolist() == paths
    # And for a column of another name, of which one part has no pictures.
    (tmp_path / "train" / "metadata.csv").write_text("front_file_name\n1.png\n2.png\n")
    (tmp_path / "test" / "metadata.csv").write_text("file_name,front\n1.png,yes\n2.png,no\n")
    with pytest.warns(UserWarning, match="have a column 'front'.*are in 'front_path'"):
        table = mg.read_table(tmp_path)
    assert table["front"].isna().tolist() == [True, True, False, False]
    assert (
        table["front_path"].tolist()[:2] == paths[:2] and table["image"].tolist()[2:] == paths[2:]
    )


def test_a_column_of_metadata_that_is_the_path_already_needs_no_word(tmp_path: Path) -> None:
    fill(tmp_path, "1.png")
    (tmp_path / "metadata.csv").write_text("file_name,image\n1.png,1.png\n")
    assert list(mg.read_table(tmp_path).columns) == ["file_name", "image"]


def test_pictures_that_metadata_do_not_name_are_told(tmp_path: Path) -> None:
    fill(tmp_path, "a.png", "b.png", "c.png")
    (tmp_path / "metadata.csv").write_text("file_name\n./a.png\n")
    with pytest.warns(
        UserWarning, match=r"2 pictures that metadata do not name \('b.png', 'c.png'\)"
    ):
        assert len(mg.read_table(tmp_path)) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (tmp_path / "metadata.csv").write_text("file_name\na.png\nb.png\nc.png\n")
        mg.read_table(tmp_path)


def test_metadata_that_cannot_be_the_table_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, "train/1.png", "test/1.png")
    (tmp_path / "train" / "metadata.csv").write_text("file_name\n1.png\n")
    with pytest.raises(mg.TableError, match="'train' has a metadata file, but 'test' does not"):
        mg.read_table(tmp_path)
    (tmp_path / "train" / "metadata.jsonl").write_text('{"file_name": "1.png"}\n')
    with pytest.raises(mg.TableError, match="two metadata files: metadata.csv and metadata.jsonl"):
        mg.read_table(tmp_path)
    (tmp_path / "metadata.csv").write_text("image,label\n1.png,x\n")
    with pytest.raises(
        mg.TableError, match=r"needs a column `file_name`.*its columns are \['image', 'label'\]"
    ):
        mg.read_table(tmp_path)
    (tmp_path / "metadata.csv").write_text("file_name,label\n1.png\n")
    with pytest.raises(mg.TableError, match="Line 2 has 1 cell.*metadata.csv"):
        mg.read_table(tmp_path)
