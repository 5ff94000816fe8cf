"""Exports: how networks are compared, what they predict without Keras, and what is refused."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from conftest import make_picture_table

import multimodal_gen as mg
from multimodal_gen import serving
from multimodal_gen.bundle.exporting.exporting import Exported
from multimodal_gen.models import build_fusion_classifier
from multimodal_gen.models.exporting import backends_for

BACKEND = keras.backend.backend()
CONVERTERS = backends_for("onnx", BACKEND)
needs_onnx = pytest.mark.skipif(
    not CONVERTERS or importlib.util.find_spec("onnxruntime") is None,
    reason="needs the extra export",
)


def shaken(model: Any) -> Any:
    """A model with weights that tell inputs apart without any training."""
    rng = np.random.default_rng(0)
    model.set_weights(
        [
            one + rng.normal(size=one.shape, scale=0.05).astype(one.dtype)
            for one in model.get_weights()
        ]
    )
    return model


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Ten rows with gaps, the folder of their pictures in `attrs`."""
    folder = tmp_path_factory.mktemp("pictures")
    rows = make_picture_table(folder)
    rows["tags"] = [["new"], ["new", "red"], [], ["red"], ["new"], [], ["red"], [], ["new"], []]
    rows["kind"] = list("ababababab")
    rows = rows.astype({"image": object, "caption": object})
    rows.iloc[1, rows.columns.get_loc("image")] = None
    rows.iloc[2, rows.columns.get_loc("caption")] = "?"
    rows.attrs["folder"] = folder
    return rows


@pytest.fixture(scope="module")
def bundle(table: pd.DataFrame) -> mg.Bundle:
    """Every kind of input that cells of such a table can be, and three targets."""
    texts = table["caption"].tolist()
    inputs = {
        "image": mg.ImageLoader(
            "image", directory=table.attrs["folder"], image_size=(16, 16), missing="blank"
        ),
        "caption": mg.TextLoader.from_texts("caption", texts, sequence_length=6),
        "words": mg.TextLoader.from_texts("caption", texts, output_mode="ngrams"),
        "price": mg.NumericLoader.from_values("price", table["price"]),
        "kind": mg.CategoryLoader("kind", ["a", "b"]),
    }
    target = {
        "label": mg.ClassLabel.from_values("label", table["label"]),
        "tags": mg.MultiLabel.from_values("tags", table["tags"]),
        "cost": mg.NumericTarget.from_values("price", table["price"]),
    }
    return mg.Bundle(shaken(build_fusion_classifier(inputs, target)), inputs, target)


@pytest.fixture(scope="module")
def exported(bundle: mg.Bundle, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return bundle.export(tmp_path_factory.mktemp("exports") / "onnx")


@pytest.fixture(scope="module")
def served(exported: Exported) -> serving.Served:
    return serving.load(exported.directory)


def alike(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(found, expected, rtol=1e-5, atol=1e-5)


@needs_onnx
def test_an_export_predicts_what_the_bundle_does_on_every_row(
    bundle: mg.Bundle, served: serving.Served, table: pd.DataFrame
) -> None:
    alike(served.predict(table), bundle.predict(table))
    alike(served.predict(table, batch_size=3), bundle.predict(table))
    shuffled = table.iloc[[4, 4, 0]].set_axis(["twin", "twin", "one"])
    alike(served.predict(shuffled), bundle.predict(shuffled))
    # The score too, which reads the targets' columns.
    scores = served.evaluate(table)
    assert scores == pytest.approx(bundle.evaluate(table), abs=1e-5)


@needs_onnx
def test_bad_rows_have_the_same_words_and_cost_no_other_row(
    bundle: mg.Bundle, served: serving.Served, table: pd.DataFrame
) -> None:
    bad = table.copy()
    bad.iloc[0, bad.columns.get_loc("image")] = "nowhere.png"
    bad.iloc[4, bad.columns.get_loc("caption")] = None
    with pytest.warns(UserWarning, match="2 of 10 rows cannot be loaded") as said:
        found = served.predict(bad)
    with pytest.warns(UserWarning, match="2 of 10 rows") as by_bundle:
        expected = bundle.predict(bad)
    alike(found, expected)
    assert str(said[-1].message) == str(by_bundle[-1].message)
    assert said[-1].filename == __file__
    with pytest.raises(mg.LoadError, match=r"column 'image'.*nowhere\.png"):
        served.predict(bad.iloc[[0]])
    with pytest.raises(mg.LoadError, match="column 'caption'"):
        served.evaluate(bad.iloc[[4]])


@needs_onnx
def test_rows_may_come_as_json_does_and_what_they_lack_is_missing(
    bundle: mg.Bundle, served: serving.Served, table: pd.DataFrame
) -> None:
    rows = table.reset_index(drop=True).iloc[[3, 1]].reset_index(drop=True)
    given = [{"image": rows.image[0]}, {}]
    for row, one in enumerate(given):
        one |= {name: rows[name][row] for name in ("caption", "price", "kind")}
    alike(served.predict(given), bundle.predict(rows))
    with pytest.raises(TypeError, match="Received: a row of type list"):
        served.predict([[1, 2]])  # type: ignore[list-item]
    with pytest.raises(mg.TableError, match="no rows"):
        served.predict([])
    with pytest.raises(mg.TableError, match="kind"):
        served.predict(table.drop(columns="kind"))


@needs_onnx
def test_an_export_says_what_it_is_and_replaces_only_another_one(
    bundle: mg.Bundle, exported: Exported, tmp_path: Path
) -> None:
    folder = exported.directory
    assert sorted(one.name for one in folder.iterdir()) == [
        "bundle.json",
        "export.json",
        "model.onnx",
        "tokenizer.json",
    ]
    assert [one.name for one in folder.parent.iterdir()] == ["onnx"]
    assert exported.largest_difference < 1e-5
    assert exported.network_bytes == (folder / "model.onnx").stat().st_size
    manifest = json.loads((folder / "export.json").read_text("utf-8"))
    assert [one["name"] for one in manifest["network"]["inputs"]] == [
        *("image", "caption", "words", "price", "kind", "image_present")
    ]
    assert {one["name"] for one in manifest["network"]["outputs"]} == {"cost", "label", "tags"}
    assert manifest["made_on"] == exported.made_on
    with pytest.raises(FileExistsError, match="overwrite=True"):
        bundle.export(folder)
    (tmp_path / "thesis.txt").write_text("not an export")
    with pytest.raises(FileExistsError, match="replaces an earlier export only"):
        bundle.export(tmp_path, overwrite=True)
    with pytest.raises(ValueError, match="format='pmml'"):
        bundle.export(tmp_path / "new", "pmml")
    assert [one.name for one in tmp_path.iterdir()] == ["thesis.txt"]


@needs_onnx
def test_serving_needs_neither_keras_nor_a_backend(exported: Exported, table: pd.DataFrame) -> None:
    code = """
import sys, time
heavy = ("keras", "tensorflow", "jax", "torch", "matplotlib", "sklearn", "scipy", "onnx")
for name in heavy:
    sys.modules[name] = None
from multimodal_gen import serving
light = [name for name in ("pandas", "PIL", "tokenizers", "onnxruntime") if name in sys.modules]
assert not light, light
row = {"image": sys.argv[2], "caption": "a red mug", "price": "1.5", "kind": "a"}
print(serving.load(sys.argv[1]).predict([row])["label.label"][0] in ("x", "y", "z"))
"""
    picture = str(Path(table.attrs["folder"]) / "0.png")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(exported.directory), picture],
        env={name: one for name, one in os.environ.items() if name != "KERAS_BACKEND"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "True", done.stderr
