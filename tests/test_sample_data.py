"""Tests of the sample data: what its README promises about independence, balance and rebuilding.

They read the committed files and redraw a few rows; they train nothing that takes more than a
second.
"""

import importlib.util
import io
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score

DATA = Path(__file__).parents[1] / "sample_data"
# Chance is 1/3; its standard error over 900 rows is 0.016, so this bound lies four of them above
# chance.
CHANCE_BOUND = 0.40

SHAPE_WORDS = {
    "mug",
    "mugs",
    "cup",
    "lamp",
    "lamps",
    "lampshade",
    "bulb",
    "chair",
    "chairs",
    "seat",
    "stool",
}
SHAPE_WORDS |= {
    "handle",
    "leg",
    "legs",
    "coffee",
    "tea",
    "drink",
    "reading",
    "sit",
    "light",
    "shade",
}
MATERIAL_WORDS = {
    "glass": {"glass", "glassy", "crystal"},
    "wood": {"wood", "wooden", "oak", "pine", "walnut", "beech", "birch", "maple"},
    "metal": {"metal", "metallic", "steel", "brass", "copper", "iron", "aluminium"},
}


def load_script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DATA / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make_catalog = load_script("make_catalog")
make_relations = load_script("make_relations")


def words_of(caption: str) -> set[str]:
    return set(re.findall(r"[a-z]+", caption.lower()))


@pytest.fixture(scope="module")
def catalog() -> pd.DataFrame:
    table = pd.read_csv(DATA / "catalog.csv")
    table[["material", "shape"]] = table["label"].str.split(expand=True)
    return table


@pytest.fixture(scope="module")
def pictures(catalog: pd.DataFrame) -> np.ndarray:
    return np.stack([np.asarray(Image.open(DATA / name)) for name in catalog["image"]])


@pytest.fixture(scope="module")
def relations(catalog: pd.DataFrame) -> pd.DataFrame:
    table = pd.DataFrame(make_relations.make_relations(DATA))
    shapes = catalog.set_index("image")["shape"]
    table["shown"] = table["image"].map(shapes)
    table["named"] = table["caption"].str.extract(r"\b(mug|lamp|chair)\b", expand=False)
    return table


def cross_validated_accuracy(features: object, classes: pd.Series) -> float:
    return float(
        cross_val_score(LogisticRegression(C=0.1, max_iter=500), features, classes, cv=3).mean()
    )


def test_the_table_has_the_promised_columns_rows_and_line_ends() -> None:
    raw = (DATA / "catalog.csv").read_bytes()
    assert raw.startswith(b"image,caption,label\n")
    assert b"\r" not in raw
    assert raw.decode("utf-8").count("\n") == 901


def test_every_picture_is_a_64x64_rgb_jpeg_and_no_file_is_left_over(catalog: pd.DataFrame) -> None:
    for name in catalog["image"]:
        with Image.open(DATA / name) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (64, 64))
    assert {f"images/{path.name}" for path in (DATA / "images").iterdir()} == set(catalog["image"])


def test_the_folder_stays_below_four_megabytes() -> None:
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) < 4_000_000


def test_every_pair_of_material_and_shape_occurs_exactly_a_hundred_times(
    catalog: pd.DataFrame,
) -> None:
    assert (pd.crosstab(catalog["material"], catalog["shape"]).to_numpy() == 100).all()
    assert set(catalog["label"]) == set(make_catalog.LABELS)


def test_no_picture_and_hardly_a_caption_comes_twice(
    catalog: pd.DataFrame, pictures: np.ndarray
) -> None:
    assert len({picture.tobytes() for picture in pictures}) == len(catalog)
    assert catalog["caption"].nunique() > 0.95 * len(catalog)


@pytest.mark.parametrize("row", [0, 1, 2, 123, 456, 898, 899])
def test_a_row_can_be_rebuilt_alone(catalog: pd.DataFrame, pictures: np.ndarray, row: int) -> None:
    image, caption, label = make_catalog.draw_row(make_catalog.SEED, row)
    assert (caption, label) == tuple(catalog.loc[row, ["caption", "label"]])
    # Through JPEG like the stored one; the tolerance is for other versions of libjpeg.
    again = np.asarray(Image.open(io.BytesIO(make_catalog.encode(image))), dtype=float)
    assert np.abs(again - pictures[row]).mean() < 2


def test_another_seed_draws_another_catalogue() -> None:
    first, second = make_catalog.draw_row(1, 0), make_catalog.draw_row(2, 0)
    assert first[0].tobytes() != second[0].tobytes()
    assert first[1] != second[1]


def test_a_small_catalogue_is_written_by_the_command(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(DATA / "make_catalog.py"),
        "--out",
        str(tmp_path),
        "--rows",
        "9",
        "--seed",
        "3",
    ]
    subprocess.run(command, check=True, capture_output=True)
    table = pd.read_csv(tmp_path / "catalog.csv")
    assert set(table["label"]) == set(make_catalog.LABELS)
    assert all((tmp_path / name).is_file() for name in table["image"])


def test_a_caption_names_one_material_only_and_the_right_one(catalog: pd.DataFrame) -> None:
    for caption, material in zip(catalog["caption"], catalog["material"], strict=True):
        named = {name for name, words in MATERIAL_WORDS.items() if words & words_of(caption)}
        assert named == {material}, caption


def test_a_caption_never_contains_a_word_of_the_shape(catalog: pd.DataFrame) -> None:
    for caption in catalog["caption"]:
        assert not SHAPE_WORDS & words_of(caption), caption


def test_a_caption_fits_into_24_tokens(catalog: pd.DataFrame) -> None:
    assert (
        catalog["caption"].map(lambda caption: len(re.findall(r"\w+|[^\w\s]", caption))).max() <= 24
    )


def test_the_words_of_the_captions_do_not_predict_the_shape(catalog: pd.DataFrame) -> None:
    counts = CountVectorizer(binary=True).fit_transform(catalog["caption"])
    assert cross_validated_accuracy(counts, catalog["shape"]) < CHANCE_BOUND
    assert cross_validated_accuracy(counts, catalog["material"]) > 0.98


def test_the_picture_does_not_predict_the_material(
    catalog: pd.DataFrame, pictures: np.ndarray
) -> None:
    small = pictures.reshape(-1, 8, 8, 8, 8, 3).mean((2, 4)).reshape(len(pictures), -1) / 255
    assert cross_validated_accuracy(small, catalog["material"]) < CHANCE_BOUND


def test_row_numbers_and_file_sizes_do_not_predict_the_material(catalog: pd.DataFrame) -> None:
    sizes = np.array([(DATA / name).stat().st_size for name in catalog["image"]], dtype=float)
    row = np.arange(len(catalog), dtype=float)
    features = np.stack([row / 900, row % 3, row % 9, sizes / sizes.max()], axis=1)
    assert cross_validated_accuracy(features, catalog["material"]) < CHANCE_BOUND
    assert cross_validated_accuracy(features[:, :3], catalog["shape"]) < CHANCE_BOUND


def test_every_picture_has_one_true_and_one_false_sentence(relations: pd.DataFrame) -> None:
    assert len(relations) == 1800
    assert set(
        relations.groupby("group")["label"].agg(lambda labels: " ".join(sorted(labels)))
    ) == {"no yes"}
    assert relations.groupby("group")["image"].nunique().max() == 1
    assert ((relations["shown"] == relations["named"]) == (relations["label"] == "yes")).all()


def test_a_relation_shows_and_names_every_shape_equally_often_for_yes_and_no(
    relations: pd.DataFrame,
) -> None:
    for column in ("shown", "named"):
        assert (pd.crosstab(relations[column], relations["label"]).to_numpy() == 300).all()


def test_a_sum_over_picture_and_sentence_does_not_predict_the_label_of_a_relation(
    relations: pd.DataFrame,
) -> None:
    words = CountVectorizer(binary=True).fit_transform(relations["caption"]).toarray()
    # The true shape stands for the best picture branch there can be; the model is linear, so it
    # cannot multiply.
    features = np.concatenate(
        [words, pd.get_dummies(relations["shown"]).to_numpy()], axis=1
    ).astype(float)
    model, folds = LogisticRegression(C=0.1, max_iter=500), GroupKFold(3)
    scores = cross_val_score(
        model, features, relations["label"], groups=relations["group"], cv=folds
    )
    # Chance is 1/2 with a standard error of 0.012.
    assert scores.mean() < 0.55


def test_the_relations_are_written_by_the_command_and_come_out_the_same_again(
    tmp_path: Path,
) -> None:
    out = tmp_path / "relations.csv"
    command = [
        sys.executable,
        str(DATA / "make_relations.py"),
        "--directory",
        str(DATA),
        "--out",
        str(out),
    ]
    subprocess.run(command, check=True, capture_output=True)
    written = pd.read_csv(out, dtype=str)
    assert tuple(written.columns) == make_relations.COLUMNS
    assert written.to_dict("records") == make_relations.make_relations(DATA)
