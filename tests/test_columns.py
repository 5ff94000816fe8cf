"""What the columns of a table are taken for, and the loaders made of that."""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

import multimodal_gen as mg
from benchmarks.columns import make_shop
from multimodal_gen.loaders.columns.naming import input_names

ROWS = 400
RNG = np.random.default_rng(0)
KINDS = np.array(["bag", "mug", "shoe", "watch"])[RNG.integers(0, 4, ROWS)]


def taken(values: Any, label: Any = KINDS, **arguments: Any) -> tuple[str, str]:
    """What a column is taken for, and why."""
    table = pd.DataFrame({"x": pd.Series(values), "label": label[: len(values)]})
    row = mg.infer_columns(table, "label", **arguments).loc["x"]
    return row["taken_as"], row["why"]


def words(number: int) -> str:
    return " ".join(RNG.choice(["red", "blue", "old", "large", "small", "wooden", "fine"], number))


TITLES = [f"a {words(5)} thing {row % 7}" for row in range(ROWS)]
BRANDS = [f"brand {one}" for one in np.minimum(RNG.zipf(1.4, ROWS), 60)]
NUMBERS = np.round(np.exp(RNG.normal(3, 1, ROWS)), 2)
DATES = [f"2024-{1 + row % 12:02}-{1 + row % 28:02}" for row in range(ROWS)]


@pytest.mark.parametrize(
    ("values", "expected", "why"),
    [
        (TITLES, "text", r"different texts in 400 rows, 8.0 words on average, such as 'a "),
        (BRANDS, "category", r"different values in 400 rows, most often 'brand 1' \(\d+ rows\)$"),
        ([*BRANDS[:300], *[None] * 100], "category", "in 300 rows.*; 100 missing$"),
        (NUMBERS, "number", "different numbers in 400 rows, from "),
        (NUMBERS.astype(str), "number", "different numbers"),
        (
            [*NUMBERS[:395].astype(str), *["n/a"] * 5],
            "number",
            "; 5 are not numbers, such as 'n/a'",
        ),
        (["007", "012", "100", "009"] * 100, "category", "4 different values"),
        (["12 kg", "5 kg"] * 200, "category", "2 different values"),
        ([f"$ {one:.2f}" for one in NUMBERS], "ignored", r"a unit or a comma, such as '\$ .*plain"),
        (DATES, "date", "400 dates from '2024-01-01' to '2024-12-28'$"),
        (pd.to_datetime(DATES), "date", "400 dates from Timestamp"),
        ([datetime.date(2024, 1 + row % 12, 1) for row in range(400)], "date", "400 dates"),
        (["31/01/2024", "01/02/2024"] * 200, "date", ", day first$"),
        (["02/01/2024", "01/02/2024"] * 200, "ignored", "dates that cannot be read: '02/01/2024'"),
        (["2024-01-31T10:00Z", "2024-01-31"] * 200, "ignored", "have no time zone, and the others"),
        ([True, False] * 200, "boolean", "true in 200 of 400 rows"),
        (["TRUE", "false", None, "false"] * 100, "boolean", "true in 100 of 300 rows; 100 missing"),
        ([0, 1] * 200, "boolean", "true in 200 of 400 rows"),
        (["yes", None] * 200, "category", "1 different value in 200 rows.*; 200 missing"),
        (range(1000, 1400), "id", "a different whole number in each of 400 rows, such as 1000"),
        (RNG.permutation(400), "id", "a different whole number in each"),
        (10**12 + RNG.permutation(10**6)[:400], "id", "a different whole number"),
        (RNG.permutation(10**5)[:400], "number", "400 different numbers"),
        ([f"s/{row:05}.WAV" for row in range(400)], "ignored", "paths of sounds.*an AudioLoader"),
        ([f"v/{row:05}.mp4?a=1" for row in range(400)], "ignored", "paths of videos.*a ClipLoader"),
        ([f"SKU-{row:05}" for row in range(400)], "id", "400 different words.*'SKU-00000'"),
        ([f"{w}@shop.com" for w in map(str, range(400))], "id", "400 different words"),
        (["EUR"] * 400, "constant", "'EUR' in all 400 rows"),
        ([None, ""] * 200, "constant", "no row has a value"),
        (["rare", *[None] * 399], "ignored", "a value in only 1 of 400 rows"),
        ([["a", "b"]] * 400, "constant", r"\['a', 'b'\] in all 400 rows"),
        ([[1.5, 2]] * 400, "ignored", r"cells of several values, such as \[1.5, 2\].*ArrayLoader"),
        ([{"a": 1}] * 400, "ignored", "cells of several values"),
        ([f"{row}.jpg" for row in range(400)], "ignored", "but 0 of 20 files looked for are there"),
        ([f"https://x.org/{row}.jpg" for row in range(400)], "ignored", "URLs of pictures"),
        ([b"no picture"] * 400, "ignored", "none of 5 cells looked at holds a picture"),
        ([1.5, "large", DATES[0], 3] * 100, "category", "4 different values"),
    ],
)
def test_a_column_is_taken_for_what_it_holds(values: Any, expected: str, why: str) -> None:
    found, reason = taken(values)
    assert (found, bool(re.search(why, reason))) == (expected, True), reason


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (BRANDS, "category"),
        (NUMBERS, "number"),
        (pd.to_datetime(DATES), "date"),
        ([True, False] * 200, "boolean"),
        (TITLES, "text"),
    ],
)
def test_a_column_of_arrow_is_taken_for_the_same(values: Any, expected: str) -> None:
    column = pd.Series(values)
    arrow = column.astype(pd.ArrowDtype(pa.Array.from_pandas(column).type))
    assert (taken(column)[0], taken(arrow)[0]) == (expected, expected)


def test_pictures_are_seen_as_paths_bytes_mappings_and_pictures(tmp_path: Path) -> None:
    picture = Image.new("RGB", (4, 4))
    for row in range(30):
        picture.save(tmp_path / f"{row}.png")
    paths = [f"{row}.png" for row in range(30)]
    data = (tmp_path / "0.png").read_bytes()
    for values in (
        paths,
        [*paths[:20], *["gone.png"] * 10],
        [Path(one) for one in paths],
        [data] * 30,
        [{"bytes": data, "path": None}] * 30,
        [{"path": one} for one in paths],
        [picture] * 30,
    ):
        assert taken(values, directory=tmp_path)[0] == "image", values[0]
    wrong = taken(paths, directory=tmp_path / "elsewhere")
    assert wrong[0] == "ignored"
    assert f"0 of 20 files looked for are there in '{tmp_path}" in wrong[1]


@pytest.mark.parametrize(
    "values",
    [
        np.char.add("c-", KINDS),
        np.where(KINDS == "bag", 17, np.where(KINDS == "mug", 3, np.where(KINDS == "shoe", 8, 9))),
        np.where(KINDS == "bag", 0.0, 10)
        + np.where(KINDS == "mug", 5, 0)
        + np.where(KINDS == "shoe", -20, 0)
        + RNG.random(ROWS),
        [f"A long description of everything that a {one} can be, and of more" for one in KINDS],
    ],
    ids=["codes", "numbers", "intervals", "long texts"],
)
def test_a_column_that_tells_the_label_gives_it_away(values: Any) -> None:
    found, why = taken(values)
    assert found == "gives the label away"
    assert "of 200 rows that were not used to learn what it tells" in why


def test_lists_of_the_labels_themselves_give_them_away() -> None:
    rng = np.random.default_rng(0)
    words = np.array([f"thing {number}" for number in range(30)])
    boxes = [list(rng.choice(words, rng.integers(1, 8))) for _ in range(200)]
    table = pd.DataFrame({"boxes": boxes, "labels": [sorted(set(one)) for one in boxes]})
    # Others share many of them.
    table["tags"] = [[*one[:2], "other"] for one in boxes]
    columns = mg.infer_columns(table, "labels")
    assert columns.loc["boxes", "taken_as"] == "gives the label away"
    assert "it lists the labels themselves in 200 of 200 rows" in columns.loc["boxes", "why"]
    assert columns.loc["tags", "taken_as"] == "texts"


def test_that_a_value_is_there_may_give_the_label_away() -> None:
    returned = np.array(["no", "yes"])[(np.arange(ROWS) % 4 == 0).astype(int)]
    reasons = [words(6) if one == "yes" else None for one in returned]
    found, why = taken(reasons, returned)
    assert found == "gives the label away"
    assert "'missing': 'no'" in why or "'present': 'yes'" in why
    assert taken([words(6) if row % 4 else None for row in range(ROWS)], KINDS)[0] == "text"


def test_what_can_be_learned_by_heart_or_is_nearly_right_does_not_give_the_label_away() -> None:
    names = [f"item {row} {words(3)}" for row in range(ROWS)]
    assert taken(names)[0] == "text"
    noisy = np.where(RNG.random(ROWS) < 0.1, "bag", KINDS)
    assert taken(noisy)[0] == "category"
    # The most frequent label is right in 99 % of the rows, and so is a constant guess.
    rare = np.array(["no", "yes"])[(np.arange(ROWS) % 100 == 0).astype(int)]
    assert taken(["a", "b"] * 200, rare)[0] == "category"
    # Too few rows to tell.
    assert taken(KINDS[:16])[0] == "category"


def test_a_number_to_predict_is_given_away_by_another_one() -> None:
    table = pd.DataFrame(
        {
            "euros": NUMBERS,
            "dollars": np.round(NUMBERS * 1.1, 2),
            "code": pd.Series(NUMBERS).rank(method="dense").astype(int) // 40,
            "weight": NUMBERS + RNG.normal(0, 30, ROWS),
        }
    )
    columns = mg.infer_columns(table, "euros")
    assert columns["taken_as"].to_dict() == {
        "euros": "label",
        "dollars": "gives the label away",
        "code": "number",
        "weight": "number",
    }
    assert "of the variance of the label in 200 rows" in columns.loc["dollars", "why"]


def test_many_short_texts_are_categories_only_with_twenty_rows_each() -> None:
    for each, expected in ((3, "text"), (20, "category")):
        values = [f"shop {row // each}" for row in range(1001 * each)]
        columns = mg.infer_columns(pd.DataFrame({"shop": values}))
        assert columns.loc["shop", "taken_as"] == expected, each


def test_a_table_without_a_label_and_with_wrong_names() -> None:
    table = pd.DataFrame({"title": TITLES, "kind": KINDS})
    assert mg.infer_columns(table)["taken_as"].to_dict() == {"title": "text", "kind": "category"}
    with pytest.raises(mg.TableError, match="no such column.*Did you mean 'kind'"):
        mg.infer_columns(table, "kin")
    with pytest.raises(TypeError, match="A column name must be a string"):
        mg.infer_columns(pd.DataFrame([[1, 2]]))
    with pytest.raises(mg.TableError, match="no rows"):
        mg.infer_columns(table[:0], "kind")


@pytest.fixture
def shop(tmp_path: Path) -> pd.DataFrame:
    """A table with every kind of column, and pictures in a folder."""
    for row in range(40):
        shade = 60 * ["bag", "mug", "shoe", "watch"].index(KINDS[row])
        Image.new("RGB", (8, 8), (shade, 0, 255 - shade)).save(tmp_path / f"{row}.png")
    rows = range(200)
    return pd.DataFrame(
        {
            "front": [f"{row % 40}.png" for row in rows],
            "back side": [f"{(row + 1) % 40}.png" for row in rows],
            "title": TITLES[:200],
            "brand": [None if row % 3 == 0 else BRANDS[row] for row in rows],
            "price": [None if row % 10 == 0 else str(NUMBERS[row]) for row in rows],
            "sale": ["true", "false", "false", "true"] * 50,
            "posted": DATES[:200],
            "sku": [f"S{row:05}" for row in rows],
            "category": KINDS[:200],
        }
    )


def test_loaders_are_made_of_what_columns_are_taken_for(shop: pd.DataFrame, tmp_path: Path) -> None:
    columns = mg.infer_columns(shop, "category", directory=tmp_path)
    assert columns["taken_as"].to_dict() == {
        "front": "image",
        "back side": "image",
        "title": "text",
        "brand": "category",
        "price": "number",
        "sale": "boolean",
        "posted": "date",
        "sku": "id",
        "category": "label",
    }
    assert columns["missing"].loc[["brand", "price", "title"]].tolist() == [67, 20, 0]
    inputs = mg.loaders_for(columns, shop, directory=tmp_path, image_size=(8, 8))
    assert list(inputs) == ["front", "back_side", "caption", "number", "brand", "posted"]
    number = inputs["number"]
    assert isinstance(number, mg.NumericLoader)
    assert (number.column, number.scaling, number.missing) == (
        ("price", "sale"),
        "quantile",
        "flag",
    )
    assert inputs["caption"].missing == "error"

    columns.loc["posted", "taken_as"] = "ignored"
    columns.loc["sku", "taken_as"] = "text"
    columns.loc["title", "missing"] = 1
    edited = mg.loaders_for(columns, shop, directory=tmp_path)
    assert list(edited) == ["front", "back_side", "title", "sku", "number", "brand"]
    assert (edited["title"].missing, edited["sku"].missing) == ("blank", "error")


def test_a_table_of_columns_with_a_strange_word_or_without_inputs_is_refused(
    shop: pd.DataFrame,
) -> None:
    columns = mg.infer_columns(shop, "category")
    columns.loc["brand", "taken_as"] = "brand"
    with pytest.raises(ValueError, match=r"`columns.loc\['brand', 'taken_as'\]` must be one of"):
        mg.loaders_for(columns, shop)
    columns["taken_as"] = "ignored"
    with pytest.raises(mg.TableError, match="No column is taken as an input.*'brand': 'ignored'"):
        mg.loaders_for(columns, shop)
    with pytest.raises(mg.TableError, match="no such column.*'price'"):
        mg.loaders_for(pd.DataFrame({"taken_as": {"price": "number"}}), shop[["title"]])


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        ({"image": ["photo"], "category": ["brand"]}, ["image", "brand"]),
        ({"image": ["a"], "category": ["image", "number"]}, ["image", "category_image", "number"]),
        # "image_present" is the mask of "image".
        ({"image": ["a"], "category": ["image_present"]}, ["image", "category_image_present"]),
        ({"category": ["number"], "number": ["price"]}, ["category_number"]),
        (
            {"date": ["Größe", "gr_e"], "caption": ["x", "all"]},
            ["x", "caption_all", "Gr_e", "gr_e"],
        ),
    ],
)
def test_inputs_have_the_names_of_their_columns(columns: dict, names: list) -> None:
    assert list(input_names(columns).values()) == names


def test_a_model_of_all_kinds_of_columns_predicts_from_raw_cells_again(
    shop: pd.DataFrame, tmp_path: Path
) -> None:
    columns = mg.infer_columns(shop, "category", directory=tmp_path)
    inputs = mg.loaders_for(columns, shop, directory=tmp_path, image_size=(8, 8))
    target = mg.ClassLabel.from_values("category", shop)
    data = mg.MultimodalSequence(shop, inputs, target, batch_size=100, shuffle=True, seed=0)
    keras.utils.set_random_seed(0)
    model = mg.build_fusion_classifier(inputs, target, fusion="concat")
    # A few steps, as the heads start at zero and would say the same of all rows.
    model.compile(keras.optimizers.Adam(0.01), loss=target.loss)
    model.fit(data, shuffle=False, verbose=0)
    bundle = mg.Bundle(model, inputs, target)
    bundle.save(tmp_path / "run")
    new = shop.assign(brand="never seen", posted=datetime.date(2025, 1, 31), price=None)
    table = pd.concat([shop, new], ignore_index=True)
    predicted, again = bundle.predict(table), mg.load_bundle(tmp_path / "run").predict(table)
    pd.testing.assert_frame_equal(again, predicted)
    assert "error" not in again
    assert len(again["bag"].round(4).unique()) > 50


def test_a_shop_of_real_products_is_taken_for_what_it_holds(
    real_data: Path, tmp_path: Path
) -> None:
    table = mg.read_table(make_shop(real_data / "fashion", tmp_path, 500, seed=0, apart=True))
    columns = mg.infer_columns(table, "category", directory=tmp_path)
    assert columns["taken_as"].to_dict() == {
        "article": "id",
        "photo": "image",
        "swatch": "image",
        "title": "text",
        "description": "text",
        "brand": "category",
        "colour": "category",
        "price": "number",
        "currency": "constant",
        "on_sale": "boolean",
        "listed": "date",
        "code": "gives the label away",
        "category": "label",
    }
    brands = re.match(r"(\d+) different values in (\d+) rows", columns.loc["brand", "why"])
    assert brands is not None
    # More than a hundred brands, and a third of the rows without one.
    assert int(brands[1]) > 100
    assert 300 < int(brands[2]) < 370


def test_the_table_of_columns_is_printed_whole() -> None:
    titles = [f"a title of some words, number {row} of the list of all titles" for row in range(60)]
    found = mg.infer_columns(pd.DataFrame({"title": titles}))
    assert len(found.loc["title", "why"]) > 60
    assert found.loc["title", "why"] in str(found)
    assert found.loc["title", "why"] in found._repr_html_()
    assert type(found[["why"]]) is pd.DataFrame


def test_cells_of_several_labels_are_said_to_be_what_a_multilabel_predicts() -> None:
    joined = [f"{kind};{('small', 'large')[row % 2]}" for row, kind in enumerate(KINDS)]
    word, why = taken(joined, RNG.permutation(KINDS))
    assert word == "category"
    assert "lists of 6 labels joined by ';', which MultiLabel(separator=';') predicts" in why
    assert "MultiLabel" not in taken(BRANDS, RNG.permutation(KINDS))[1]
