"""The branch of a trained model, reused elsewhere: as an encoder, and as a `.keras` file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers

import multimodal_gen as mg
from multimodal_gen.models import BackboneBranch, ImageBranch, build_fusion_classifier

SIZE = (16, 12)
SMALL = ImageBranch(widths=(4, 6))
TARGET = mg.ClassLabel("label", ["dark", "light"])


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 128, (*SIZE, 3)) + 127 * (row % 2) for row in range(8)]
    return pd.DataFrame(
        {
            "image": [one.astype("uint8") for one in pictures],
            "price": [float(row) for row in range(8)],
            "label": [TARGET.class_names[row % 2] for row in range(8)],
        }
    )


def backbone() -> keras.Model:
    inputs = keras.Input((*SIZE, 3))
    return keras.Model(inputs, layers.Conv2D(4, 3, strides=2, activation="relu")(inputs))


def trained(table: pd.DataFrame, branch: Any = SMALL, grey: bool = False) -> mg.Bundle:
    """A bundle with weights that are not the first ones, as after training."""
    mode: Any = "grayscale" if grey else "rgb"
    inputs: dict[str, mg.Loader] = {
        "image": mg.ImageLoader("image", image_size=SIZE, color_mode=mode),
        "price": mg.NumericLoader.from_values("price", table["price"]),
    }
    model = build_fusion_classifier(inputs, TARGET, branches={"image": branch})
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0, 0.5, one.shape) for one in model.get_weights()])
    return mg.Bundle(model, inputs, TARGET)


@pytest.mark.parametrize(
    ("grey", "branch"),
    [
        (False, SMALL),
        (True, ImageBranch(widths=(4, 6), residual=True)),
        (False, BackboneBranch(backbone())),
    ],
    ids=["image branch", "of grey pictures", "backbone branch"],
)
def test_the_branch_of_a_trained_model_travels_as_a_keras_file(
    table: pd.DataFrame, tmp_path: Path, grey: bool, branch: Any
) -> None:
    trained(table, branch, grey).save(tmp_path / "run")
    bundle = mg.load_bundle(tmp_path / "run")
    encoder = mg.KerasEncoder.from_branch(bundle.model, "image")
    encoder.save(tmp_path / "network.keras")
    reused = mg.from_preset(tmp_path / "network.keras", "image")
    assert isinstance(reused.loader, mg.EncodedLoader)
    features = np.stack(reused.loader.read_batch(list(table["image"])))
    # They are what the branch's last layer reads in the trained model.
    last = bundle.model.get_layer("image_embedding")
    kernel, bias = last.get_weights()
    pictures = np.stack([bundle.inputs["image"].read(one) for one in table["image"]])
    embedding = keras.Model(bundle.model.inputs[0], last.output).predict(pictures, verbose=0)
    assert embedding.any()
    found = np.maximum(features @ kernel + bias, 0)
    assert np.abs(found - embedding).max() < 1e-5 * embedding.max()
    again = mg.EncodedLoader(bundle.inputs["image"], encoder)
    assert np.abs(again.read(table["image"][1]) - features[1]).max() < 1e-6


def test_a_network_taken_out_stays_as_it_was_when_the_model_is_trained_on(
    table: pd.DataFrame,
) -> None:
    bundle = trained(table)
    loader = mg.EncodedLoader(
        bundle.inputs["image"], mg.KerasEncoder.from_branch(bundle.model, "image")
    )
    before = loader.read(table["image"][0])
    bundle.model.set_weights([2 * weight for weight in bundle.model.get_weights()])
    assert np.array_equal(loader.read(table["image"][0]), before)


def test_a_branch_that_cannot_be_taken_out_is_refused(table: pd.DataFrame) -> None:
    own = layers.Flatten()
    spec = mg.ArraySpec((4,), "float32", "vector")
    model = build_fusion_classifier({"own": spec, "price": spec}, TARGET, branches={"own": own})
    take: Any = mg.KerasEncoder.from_branch
    assert take(model, "price").spec.shape == (64,)
    for arguments, words in (
        ((model, "image"), r"inputs are \['own', 'price'\]"),
        ((model, "own"), r"only you know.*name='own'"),
        (("runs/shop", "image"), "load_bundle"),
    ):
        with pytest.raises((TypeError, ValueError), match=words):
            take(*arguments)


def test_a_keras_file_that_cannot_be_an_encoder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.keras").write_text("not a model")
    inputs = keras.Input((*SIZE, 3))
    code = keras.Model(inputs, layers.Lambda(lambda x: x[:, 0, 0])(inputs))
    code.save(tmp_path / "code.keras")
    backbone().save(tmp_path / "good.keras")
    for name, words in (("text", "cannot be loaded"), ("code", "cannot be loaded.*Lambda")):
        with pytest.raises(ValueError, match=f"(?s){words}.*{name}.keras"):
            mg.from_preset(tmp_path / f"{name}.keras", "image")
    with pytest.raises(FileNotFoundError, match=r"No such file: preset='.*none.keras'"):
        mg.from_preset(tmp_path / "none.keras", "image")
    with pytest.raises(ValueError, match="has its own weights"):
        mg.from_preset(tmp_path / "good.keras", "image", weights="imagenet")
