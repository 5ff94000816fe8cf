"""Bundles with each kind of encoder: equal on other backends, and without foreign code."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx_files
import pandas as pd
import pytest
from conftest import run_on
from keras import layers
from PIL import Image

import multimodal_gen as mg
from multimodal_gen.models import build_fusion_classifier

SIZE = (32, 32)
CLASSES = ["x", "y", "z"]
# What a new process runs: it has the files and its own function, and nothing of this one.
PREDICT = """
import sys
import numpy as np, pandas as pd
import multimodal_gen as mg

def colours(pictures):
    return np.stack([one.mean((0, 1)) / 255 for one in pictures])

folder = sys.argv[1]
table = pd.read_csv(folder + "/table.csv")
for name in sys.argv[2:]:
    bundle = mg.load_bundle(f"{folder}/{name}", custom_objects={"colours": colours})
    np.save(f"{folder}/{name}.npy", bundle.predict(table)[["x", "y", "z"]].to_numpy())
"""


def colours(pictures: list[np.ndarray]) -> np.ndarray:
    return np.stack([one.mean((0, 1)) / 255 for one in pictures])


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    """Rows with pictures and captions, and the same in table.csv."""
    rng = np.random.default_rng(0)
    rows = []
    for row, word in enumerate(("red cup", "blue shirt", "cup", "query red", "red red cup")):
        pixels = rng.integers(0, 256, (40, 30 + row, 3)) // (row + 1)
        Image.fromarray(pixels.astype("uint8")).save(tmp_path / f"{row}.png")
        rows.append((str(tmp_path / f"{row}.png"), word))
    found = pd.DataFrame(rows, columns=["image", "caption"])
    found.to_csv(tmp_path / "table.csv", index=False)
    return found


def application(folder: Path) -> mg.Loader:
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV3Small(
        include_top=False, weights=None, input_shape=(*SIZE, 3)
    )
    # Random weights as small as the first ones leave nothing of a picture.
    model.set_weights([4.5 * one if one.ndim > 1 else one for one in model.get_weights()])
    model.save_weights(folder / "large.weights.h5")
    return mg.from_preset(
        "MobileNetV3Small", "image", weights=folder / "large.weights.h5", image_size=SIZE
    ).loader


def own_network(folder: Path) -> mg.Loader:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((*SIZE, 3))
    x = layers.Conv2D(5, 3, strides=2, activation="relu")(layers.Rescaling(1 / 255)(inputs))
    return mg.from_preset(keras.Model(inputs, layers.Conv2D(6, 3)(x)), "image").loader


def sentences(folder: Path) -> mg.Loader:
    pytest.importorskip("onnxruntime")
    return mg.from_preset(onnx_files.sentence_folder(folder / "sentences"), "caption").loader


def function(folder: Path) -> mg.Loader:
    encoder = mg.FunctionEncoder(colours, 3, name="colours")
    return mg.EncodedLoader(mg.ImageLoader("image", image_size=SIZE), encoder)


LOADERS = (application, own_network, sentences, function)


def saved(make: Callable[[Path], mg.Loader], table: pd.DataFrame, folder: Path) -> np.ndarray:
    """Save a bundle under the name of an encoder, and return its predictions."""
    inputs = {"input": make(folder)}
    target = mg.ClassLabel("label", CLASSES)
    model = build_fusion_classifier(inputs, target)
    # Heads start at zero, which predicts the same for all rows.
    rng = np.random.default_rng(0)
    head = model.get_layer("input_head")
    head.set_weights([rng.normal(size=one.shape) for one in head.get_weights()])
    bundle = mg.Bundle(model, inputs, target)
    bundle.save(folder / make.__name__)
    found = bundle.predict(table)[CLASSES].to_numpy()
    assert np.ptp(found, axis=0).max() > 1e-3
    return found


@pytest.mark.slow
def test_a_bundle_with_each_encoder_predicts_the_same_on_another_backend(
    table: pd.DataFrame, tmp_path: Path, other_backends: list[str]
) -> None:
    want = {make.__name__: saved(make, table, tmp_path) for make in LOADERS}
    for backend in other_backends:
        run_on(backend, PREDICT, str(tmp_path), *want)
        for name, predictions in want.items():
            found = np.load(tmp_path / f"{name}.npy")
            assert np.abs(found - predictions).max() < 1e-5, (backend, name)
            (tmp_path / f"{name}.npy").unlink()


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that can be imported as `trap`; whatever runs in it leaves a file."""
    mark = tmp_path / "ran"
    code = f"open({str(mark)!r}, 'w').close()\n"
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "trap.py").write_text(
        f"{code}class Evil:\n    def __init__(self, **_):\n        {code}"
        f"    @classmethod\n    def from_config(cls, config):\n        {code}"
    )
    monkeypatch.syspath_prepend(tmp_path / "modules")
    return mark


def encoder_of(description: Any) -> dict[str, Any]:
    found: dict[str, Any] = description["inputs"]["input"]["config"]["encoder"]
    return found


@pytest.mark.parametrize(
    "change",
    [
        {"class_name": "Evil"},
        {"class_name": "trap>Evil"},
        {"class_name": "trap.Evil", "module": "trap"},
        {"class_name": "FunctionEncoder", "config": {"function": "trap.Evil", "size": 3}},
        {"class_name": "FunctionEncoder", "config": {"name": "trap.Evil", "size": 3}},
        {"class_name": "Encoder", "config": {}},
        {"class_name": "KerasEncoder", "config": {"model": "trap.Evil", "batch_size": 3}},
        {"class_name": "OnnxTextEncoder", "config": {"model": "trap.Evil"}},
        {"module": "trap", "registered_name": "trap>Evil"},
        {"class_name": ["trap", "Evil"]},
    ],
    ids=lambda change: "-".join(map(str, change.values())),
)
def test_a_strangers_bundle_with_an_encoder_that_is_not_ours_runs_no_code(
    table: pd.DataFrame, tmp_path: Path, trap: Path, change: dict[str, Any]
) -> None:
    saved(own_network, table, tmp_path)
    path = tmp_path / "own_network" / "bundle.json"
    description = json.loads(path.read_text())
    encoder_of(description).update(change)
    path.write_text(json.dumps(description))
    with pytest.raises(mg.BundleError):
        mg.load_bundle(tmp_path / "own_network")
    assert "trap" not in sys.modules
    assert not trap.exists()


def test_a_layer_of_elsewhere_in_an_encoders_file_is_not_imported(
    table: pd.DataFrame, tmp_path: Path, trap: Path
) -> None:
    import zipfile

    saved(own_network, table, tmp_path)
    path = tmp_path / "own_network" / "encoder.keras"
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    text = members["config.json"].decode()
    assert '"module": "keras.layers", "class_name": "Rescaling"' in text
    members["config.json"] = text.replace(
        '"module": "keras.layers", "class_name": "Rescaling"',
        '"module": "trap", "class_name": "Evil"',
    ).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(mg.BundleError, match="encoder.keras|Evil"):
        mg.load_bundle(tmp_path / "own_network")
    assert "trap" not in sys.modules
    assert not trap.exists()
