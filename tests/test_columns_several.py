"""Columns whose cells hold several pictures or texts: how they are found, and what reads them."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image
from typer.testing import CliRunner

import multimodal_gen as mg
from benchmarks.columns import make_shop
from multimodal_gen.cli.app import app

ROWS = 60
RNG = np.random.default_rng(0)
PHOTOS = [[f"{row}-{item}.png" for item in range(row % 3 + 1)] for row in range(ROWS)]


def sentence(*words: str) -> str:
    return " ".join([*words, *RNG.choice(["red", "blue", "old", "small", "fine", "mug"], 4)])


CAPTIONS = [[sentence("a") for _ in range(3)] for _ in range(ROWS)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of one to three views of each row, half of the rows red and half blue."""
    found = tmp_path_factory.mktemp("pictures")
    for row, names in enumerate(PHOTOS):
        for item, name in enumerate(names):
            colour = (200 - 9 * item, row, 20) if row % 2 else (20, row, 200 - 9 * item)
            Image.new("RGB", (8, 8), colour).save(found / name)
    return found


def taken(values: Any, folder: Path) -> tuple[str, str, int]:
    """What a column is taken for, why, and how many cells lack a value."""
    row = mg.infer_columns(pd.DataFrame({"x": values}), directory=folder).loc["x"]
    return row["taken_as"], row["why"], row["missing"]


@pytest.mark.parametrize(
    ("values", "expected", "why"),
    [
        (PHOTOS, "images", "60 lists of 1 to 3 pictures, 120 in all, such as ['1-0.png', "),
        ([np.array(one, object) for one in PHOTOS], "images", "such as ['1-0.png', '1-1.png']"),
        (pd.Series(PHOTOS, dtype=pd.ArrowDtype(pa.list_(pa.string()))), "images", "60 lists of 1"),
        ([pd.array(one, dtype="string") for one in PHOTOS], "images", "such as ['1-0.png', '1-1"),
        ([json.dumps(one) for one in PHOTOS], "images", "60 lists of 1 to 3 pictures"),
        ([str(one) for one in PHOTOS], "images", "60 lists of 1 to 3 pictures"),
        (["|".join(one) for one in PHOTOS], "images", "in all, separated by '|', such as '1-0.png"),
        ([" ; ".join(one) for one in PHOTOS], "images", "60 cells of 1 to 3 pictures, 120 in all"),
        ([", ".join(one) for one in PHOTOS], "images", "separated by ','"),
        (["\n".join(one) for one in PHOTOS], "images", "separated by '\\n'"),
        ([" ".join(one) for one in PHOTOS], "images", "separated by ' '"),
        ([one[0] for one in PHOTOS], "image", "60 paths of pictures"),
        ([[b"no picture"], [b"x"]] * 30, "ignored", "none of 5 cells looked at holds a picture"),
        (["gone.png|too.png"] * 60, "ignored", "are paths of pictures, such as 'gone.png', but 0"),
        (["http://a/b.png;http://a/c.png"] * 60, "ignored", "URLs of pictures"),
        (CAPTIONS, "texts", "60 lists of 3 texts, 180 in all"),
        ([json.dumps(one) for one in CAPTIONS], "texts", "60 lists of 3 texts"),
        ([" | ".join(one) for one in CAPTIONS], "texts", "60 cells of 3 texts, 180 in all, separa"),
        ([";".join(one) for one in CAPTIONS], "texts", "separated by ';'"),
        ([["new", "sale"], ["old"]] * 30, "texts", "60 lists of 1 to 2 texts, 90 in all"),
    ],
)
def test_cells_of_several_pictures_or_texts_are_found_in_each_form(
    values: Any, expected: str, why: str, folder: Path
) -> None:
    found, said, missing = taken(values, folder)
    assert (found, missing) == (expected, 0)
    assert why in said


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # Tags, titles that end with the name of a shop, prose, and pages.
        (["|".join(RNG.choice(list("abcdef"), 3)) for _ in range(ROWS)], "text"),
        ([f"{one[0]} | The Shop of Fine Things" for one in CAPTIONS], "text"),
        ([("; " if row % 2 else ", ").join(one) for row, one in enumerate(CAPTIONS)], "text"),
        (
            [";".join(" ".join(one * 5) for one in CAPTIONS[row : row + 2]) for row in range(50)],
            "text",
        ),
        ([one[0].replace(" ", "\n") for one in CAPTIONS], "text"),
        ([[1.0, 2.0, row] for row in range(ROWS)], "ignored"),
        ([f"[1, 2, {row}]" for row in range(ROWS)], "text"),
    ],
)
def test_one_text_with_a_separator_in_it_is_one_text(
    values: Any, expected: str, folder: Path
) -> None:
    assert taken(values, folder)[0] == expected


def test_pictures_in_lists_in_memory_are_several_too(folder: Path) -> None:
    pixels = [[np.full((4, 4, 3), row, "uint8")] * 2 for row in range(ROWS)]
    assert taken(pd.Series(pixels), folder)[0] == "images"
    files = [[(folder / name).read_bytes() for name in names] for names in PHOTOS]
    found, why, _ = taken(pd.Series(files), folder)
    assert (found, why.startswith("60 lists of 1 to 3 pictures")) == ("images", True)


def test_cells_without_items_and_of_another_kind_are_counted(folder: Path) -> None:
    values = pd.Series(PHOTOS, dtype=object)
    values[3], values[7], values[9], values[11] = [], None, "[]", {"a": 1}
    found, why, missing = taken(values, folder)
    assert (found, missing) == ("images", 3)
    assert why.endswith("; 1 is none; 3 hold no item")
    assert "57" not in why and why.startswith("56 lists")
    joined = pd.Series(["|".join(one) for one in PHOTOS])
    joined[:2] = ["", None]
    assert taken(joined, folder)[2] == 2


def test_where_all_rows_have_as_many_pictures_a_column_for_each_place_is_suggested(
    folder: Path,
) -> None:
    hint = "if each place has a meaning, such as front and back, a column for each is better"
    two = [f"{one[0]}|{one[-1]}" for one in PHOTOS]
    assert hint in taken(two, folder)[1]
    assert hint not in taken(["|".join(one) for one in PHOTOS], folder)[1]
    assert hint not in taken(["|".join([one[0]] * 5) for one in PHOTOS], folder)[1]
    assert hint not in taken(CAPTIONS, folder)[1]


def test_a_few_cells_of_two_are_bad_cells_of_a_column_of_single_ones(folder: Path) -> None:
    values = [one[0] for one in PHOTOS]
    values[5] = "5-0.png;5-1.png"
    assert taken(values, folder)[0] == "image"


def test_loaders_split_the_cells_as_they_were_found(folder: Path) -> None:
    table = pd.DataFrame(
        {
            "photos": [";".join(one) for one in PHOTOS],
            "views": pd.Series([[*one, *one, *one, *one] for one in PHOTOS], dtype=object),
            "captions": [json.dumps(one) for one in CAPTIONS],
            "front": [one[0] for one in PHOTOS],
            "title": [one[1] for one in CAPTIONS],
        }
    )
    table.loc[4, "captions"] = None
    columns = mg.infer_columns(table, directory=folder)
    assert columns["taken_as"].tolist() == ["images", "images", "texts", "image", "text"]
    assert "of 4 to 12 pictures" in columns.loc["views", "why"]
    assert "evaluations read the first 8" in columns.loc["views", "why"]
    inputs = mg.loaders_for(columns, table, directory=folder, image_size=(8, 8))
    assert list(inputs) == ["image", "photos", "views", "caption", "captions"]
    assert {
        name: loader.spec.shape[0]
        for name, loader in inputs.items()
        if isinstance(loader, mg.ManyLoader)
    } == {"photos": 3, "views": 8, "captions": 3}
    assert (inputs["photos"].separator, inputs["captions"].separator) == (";", None)
    assert (inputs["photos"].missing, inputs["captions"].missing) == ("error", "blank")
    trained = {"photos": "all", "views": "turns", "captions": "all"}
    assert {name: inputs[name].training for name in trained} == trained
    assert inputs["photos"].read("1-0.png;1-1.png").shape == (3, 8, 8, 3)
    data = mg.MultimodalSequence(table, inputs, batch_size=ROWS)
    assert len(data[0][0]) == 5 + 3
    # A single column of each kind has the name of the kind.
    some = mg.loaders_for(columns.loc[["photos", "captions"]], table, directory=folder)
    assert list(some) == ["images", "captions"]


def call(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, " ".join(result.stderr.split())


@pytest.fixture
def shop(folder: Path) -> Path:
    """Several photos and several captions in each row."""
    path = folder / "shop.csv"
    pd.DataFrame(
        {
            "photos": ["|".join(one) for one in PHOTOS],
            "said": [str(one) for one in CAPTIONS],
            "kind": ["bag", "mug"] * (ROWS // 2),
        }
    ).to_csv(path, index=False)
    return path


def test_all_commands_read_cells_of_several_with_nothing_but_the_label(
    shop: Path, tmp_path: Path
) -> None:
    common = ("--label", "kind", "--image-size", "8x8")
    run = tmp_path / "runs" / "shop"
    # Without pictures, whose branch takes most of a minute to compile.
    texts = shop.with_name("texts.csv")
    mg.read_table(shop).drop(columns="photos").to_csv(texts, index=False)
    start = ("train", texts, *common, "--runs", run.parent, "--name", "shop")
    code, printed, _ = call(*start, "--epochs", 1)
    assert code == 0
    assert "said  texts: 42 lists of 3 texts, 126 in all" in printed
    assert "to choose yourself, name the inputs: --captions said" in printed
    code, printed, _ = call("evaluate", run, shop)
    assert code == 0
    new = mg.read_table(shop).drop(columns="kind")
    new["photos"] = new["photos"].str.split("|")
    new["said"] = pd.Series(CAPTIONS, dtype=object)
    # Lists, as a parquet file has them, mean the same as the texts that were trained on.
    new.to_parquet(shop.with_suffix(".parquet"))
    both = []
    for table in (shop, shop.with_suffix(".parquet")):
        code, _, _ = call("predict", run, table, "--out", tmp_path / "out.csv")
        assert code == 0
        both.append(pd.read_csv(tmp_path / "out.csv"))
    for name in ("label", "bag", "mug"):
        pd.testing.assert_series_equal(both[0][name], both[1][name])
    # What was predicted can be predicted again.
    assert [json.loads(cell) for cell in both[1]["said"]] == CAPTIONS
    code, printed, _ = call("cache", shop, *common, "--cache", tmp_path / "other")
    assert code == 0 and "0 are bad" in printed
    assert "photos  images: 42 cells of 1 to 3 pictures" in printed
    assert "to choose yourself, name the inputs: --images photos --captions said" in printed
    assert "'photos', with 'images_present'" in printed
    code, printed, _ = call("preview", shop, *common, "--out", tmp_path / "seen.png")
    assert code == 0
    with Image.open(tmp_path / "seen.png") as seen:
        assert seen.size[0] > 100


def test_options_name_columns_of_several_and_what_is_between_them(
    shop: Path, tmp_path: Path
) -> None:
    table = mg.read_table(shop)
    table["photos"] = table["photos"].str.replace("|", " // ")
    table["said"] = [" // ".join(one) for one in CAPTIONS]
    table.to_csv(shop, index=False)
    same = ("--label", "kind", "--image-size", "8x8", "--cache", tmp_path / "cache")
    named = ("--images", "photos", "--captions", "said")
    code, printed, _ = call("cache", shop, *named, "--item-separator", " // ", *same)
    assert (code, "120 cells were read, 0 are bad" in printed) == (0, True)
    assert "many (3, 8, 8, 3) uint8 from 'photos'" in printed
    code, _, said = call("cache", shop, *named, *same)
    assert code == 2
    assert "column 'said': expected a list, or its text as JSON. If its items are joined" in said
    assert "name it with --item-separator" in said and "ManyLoader" not in said
    wrong = {
        ("--image", "photos", "--item-separator", ";"): "Received: --item-separator ';'",
        ("--images", "photos", "--item-separator", "~"): "Received: --item-separator '~'",
        ("--images", "photos", "--item-separator", ""): "must be at least one character",
        ("--images", "photo"): "Received: --images photo",
    }
    for options, words in wrong.items():
        code, _, said = call("cache", shop, *options, *same)
        assert code == 2 and words in said, options


def test_one_separator_is_for_the_columns_that_have_it(shop: Path, tmp_path: Path) -> None:
    table = mg.read_table(shop)
    table["said"] = [" // ".join(one) for one in CAPTIONS]
    table.to_csv(shop, index=False)
    code, printed, _ = call(
        *("cache", shop, "--images", "photos", "--captions", "said", "--item-separator", " // "),
        *("--label", "kind", "--image-size", "8x8", "--cache", tmp_path / "cache"),
    )
    assert (code, "0 are bad" in printed) == (0, True)
    assert "many (3, 8, 8, 3) uint8 from 'photos'" in printed
    assert "captions  many (3, " in printed


def test_naming_one_picture_where_cells_hold_several_says_which_option_reads_them(
    shop: Path, tmp_path: Path
) -> None:
    code, printed, _ = call(
        "cache", shop, "--image", "photos", "--label", "kind", "--cache", tmp_path / "cache"
    )
    printed = " ".join(printed.split())
    assert code == 1
    assert "note: photos: 42 cells of 1 to 3 pictures" in printed
    assert "name the column with --images photos" in printed


def test_a_picture_in_lists_of_several_parts_is_named_with_a_way_out_that_works(
    shop: Path, tmp_path: Path
) -> None:
    table = mg.read_table(shop)
    table["split"] = (["train"] * 8 + ["val", "test"]) * (ROWS // 10)
    table.loc[9, "photos"] = "9-0.png|1-0.png"
    # Another name for a picture of row 4.
    (shop.parent / "copy.png").write_bytes((shop.parent / "4-0.png").read_bytes())
    table.loc[18, "photos"] = "18-0.png|copy.png"
    table.loc[30, "photos"] = "gone.png|30-0.png"
    table.to_csv(shop, index=False)
    start = ("train", shop, "--images", "photos", "--label", "kind", "--runs", tmp_path / "runs")
    # The run stops at the bad cell, after the parts have been compared.
    with warnings.catch_warnings():
        warnings.simplefilter("default", mg.LeakageWarning)
        code, _, said = call(*start, "--split", "split")
    assert code == 2 and "item 1 of 2: there is no such file" in said
    assert (
        "note: 1 of 122 pictures in 'photos' is in several parts, first '1-0.png' at index 1 and 9"
        in said
    )
    assert "'4-0.png' and 'copy.png'" in said
    assert said.count("`multimodal-gen audit --drop FILE`") == 2
    assert "--group photos" not in said


def test_a_shop_of_real_products_with_two_photos_in_a_cell_is_taken_for_what_it_holds(
    real_data: Path, tmp_path: Path
) -> None:
    table = mg.read_table(make_shop(real_data / "fashion", tmp_path, 100, seed=0))
    columns = mg.infer_columns(table, "category", directory=tmp_path)
    assert columns.loc["photos", "taken_as"] == "images"
    assert columns.loc["photos", "why"].startswith("100 cells of 2 pictures, 200 in all, separated")
