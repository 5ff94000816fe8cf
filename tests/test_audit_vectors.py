"""`multimodal-gen audit --image-encoder --text-encoder`: rows that are unlike all others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx_files
import pandas as pd
import pytest
from click.testing import Result
from keras import layers
from PIL import Image
from typer.testing import CliRunner

from multimodal_gen.cli.app import app
from multimodal_gen.inspection.audit.outliers import distances, outliers

ODD, LOST = 33, 12


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty dark pictures, one of which is light and one lost; an encoder of their mean colours."""
    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(0)
    for row in range(60):
        pixels = rng.integers(0, 60, (12, 12, 3)) + rng.integers(0, 40, 3) + 150 * (row == ODD)
        Image.fromarray(pixels.astype("uint8")).save(folder / f"{row}.png")
    (folder / f"{LOST}.png").unlink()
    pair = [f"{row}.png" if row % 2 else f"{row}.png|{(row + 2) % 60}.png" for row in range(60)]
    table = pd.DataFrame({"image": [f"{row}.png" for row in range(60)], "pair": pair})
    table["caption"] = [f"red glass cup {'wood' * (row % 3)}" for row in range(60)]
    table.to_csv(folder / "shop.csv", index=False)
    pixels = keras.Input((12, 12, 3))
    scaled = layers.Rescaling(1 / 255)(pixels)
    keras.Model(pixels, layers.GlobalAveragePooling2D()(scaled)).save(folder / "network.keras")
    return folder


def audit(folder: Path, *options: Any) -> tuple[Result, pd.DataFrame]:
    given = ["audit", folder / "shop.csv", *options, "--out", folder / "out"]
    done = CliRunner().invoke(app, [str(one) for one in given])
    found = pd.read_csv(folder / "out" / "problems.csv") if done.exit_code < 2 else pd.DataFrame()
    return done, found


def test_a_picture_unlike_all_others_is_named_and_shown(shop: Path) -> None:
    done, found = audit(shop, "--image", "image", "--image-encoder", shop / "network.keras")
    assert done.exit_code == 1, done.output
    assert "image: vectors of 59 rows" in done.output
    odd = found[found["kind"] == "outlier"]
    assert odd[["index", "column"]].to_numpy().tolist() == [[ODD, "image"]]
    # The cell without a picture is reported as ever.
    assert found.loc[found["kind"] == "missing", "index"].tolist() == [LOST]
    page = (shop / "out" / "audit.html").read_text()
    section = page.partition("<h2 id='outlier'>")[2]
    assert "image: number 1 of 1: its 10 nearest rows are" in section and "<img" in section


def test_of_several_pictures_in_a_cell_the_odd_one_is_named(shop: Path) -> None:
    table = pd.read_csv(shop / "shop.csv")
    table["pair"] = table["pair"].str.replace(f"|{LOST}.png", "|14.png", regex=False)
    table.loc[LOST, "pair"] = "16.png"
    table.loc[30, "pair"] = f"30.png|{ODD}.png"
    table.loc[ODD, "pair"] = "35.png"
    table.to_csv(shop / "several.csv", index=False)
    given = ["--images", "pair", "--image-encoder", shop / "network.keras", "--out", shop / "many"]
    done = CliRunner().invoke(app, ["audit", str(shop / "several.csv"), *map(str, given)])
    assert done.exit_code == 1, done.output
    found = pd.read_csv(shop / "many" / "problems.csv")
    odd = found[found["kind"] == "outlier"]
    assert odd["index"].tolist() == [30]
    assert odd["message"].iloc[0].startswith("item 2 of 2: number 1 of 1")


def test_captions_are_looked_at_by_a_sentence_encoder(shop: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    folder = onnx_files.sentence_folder(tmp_path / "encoder")
    done, _ = audit(shop, "--caption", "caption", "--text-encoder", folder)
    assert done.exit_code in (0, 1), done.output
    assert "caption: vectors of 60 rows" in done.output


def test_an_encoder_that_cannot_be_used_is_refused_before_the_audit(shop: Path) -> None:
    done, _ = audit(shop, "--image", "image", "--image-encoder", "none.keras")
    assert done.exit_code == 2 and "There is no such file or folder" in done.output
    done, _ = audit(shop, "--caption", "caption", "--image-encoder", shop / "network.keras")
    assert done.exit_code == 2 and "no column holds any" in done.output


def test_items_of_a_cell_are_no_neighbours_of_each_other() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(80, 3, 4))
    vectors[40:, 2] = np.nan
    # Twelve equal items would be near to each other, were they of different rows.
    vectors[7] = 30.0
    found = outliers(vectors, "photos")
    assert [(one.position, one.item) for one in found] == [(7, 0), (7, 1), (7, 2)]
    assert found[0].message.startswith("item 1 of 3: number 1 of 3: ")
    flat = vectors.reshape(-1, 4)
    far = distances(flat, np.repeat(np.arange(80), 3))
    assert np.isnan(far[122]) and far[21] > 10 > far[0]
