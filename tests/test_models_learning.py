"""Each kind of target trains, from a table to scores on rows held out, to a figure that no broken
part would reach.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers

import multimodal_gen as mg
from multimodal_gen.loaders.targets.inputs import InputTarget
from multimodal_gen.loaders.targets.multi_label import MultiLabel
from multimodal_gen.loaders.targets.numbers import NumericTarget

# On tensorflow, compiling with XLA would take most of the time of these tests.
JIT = False if keras.backend.backend() == "tensorflow" else "auto"


@pytest.fixture(scope="module")
def digits() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test rows of scikit-learn's digits: pictures of 8x8 pixels and their labels."""
    from sklearn.datasets import load_digits

    images, digit = load_digits(return_X_y=True)
    pictures = (images.reshape(-1, 8, 8) * 15).astype("uint8")
    has = {"even": {0, 2, 4, 6, 8}, "loop": {0, 6, 8, 9}, "large": {5, 6, 7, 8, 9}}
    tags = ["|".join(tag for tag, members in has.items() if one in members) for one in digit]
    table = pd.DataFrame({"picture": list(pictures), "tags": tags})
    return mg.split_table(table, (0.8, 0.2), seed=0)


def picture_loader(**arguments: object) -> mg.ImageLoader:
    return mg.ImageLoader("picture", image_size=(8, 8), color_mode="grayscale", **arguments)


def flat(pixels: keras.KerasTensor) -> keras.KerasTensor:
    return layers.Dense(64, activation="relu")(layers.Flatten()(layers.Rescaling(1 / 255)(pixels)))


def test_multi_label_on_the_digits(digits: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    train, test = digits
    keras.utils.set_random_seed(0)
    inputs = {"picture": picture_loader()}
    target = MultiLabel.from_values("tags", train["tags"], separator="|")
    model = mg.build_fusion_classifier(inputs, target, branches={"picture": flat})
    model.compile(
        keras.optimizers.Adam(0.01), loss=target.loss, metrics=target.metrics, jit_compile=JIT
    )
    data = mg.MultimodalSequence(train, inputs, target, batch_size=64, shuffle=True)
    model.fit(data, epochs=10, shuffle=False, verbose=0)
    scores = mg.Bundle(model, inputs, target).evaluate(test)
    # One answer for every row gives a micro F1 of 0.64 at most, and a subset accuracy of 0.3.
    assert scores["micro_f1"] > 0.94
    assert scores["subset_accuracy"] > 0.87
    assert scores["mean_average_precision"] > 0.97


def test_regression_on_the_diabetes_data() -> None:
    from sklearn.datasets import load_diabetes

    table = load_diabetes(as_frame=True).frame
    train, test = mg.split_table(table, (0.75, 0.25), seed=0)
    keras.utils.set_random_seed(0)
    columns = [column for column in table if column != "target"]
    inputs = {"measurements": mg.NumericLoader.from_values(columns, train[columns])}
    target = NumericTarget.from_values("target", train["target"])
    model = mg.build_fusion_classifier(inputs, target)
    model.compile(
        keras.optimizers.Adam(0.003), loss=target.loss, metrics=target.metrics, jit_compile=JIT
    )
    data = mg.MultimodalSequence(train, inputs, target, batch_size=32, shuffle=True)
    model.fit(data, epochs=12, shuffle=False, verbose=0)
    bundle = mg.Bundle(model, inputs, target)
    scores = bundle.evaluate(test)
    # Least squares gives 0.50 here, and the mean 0 and an absolute error of 67.
    assert scores["r2"] > 0.45
    errors = bundle.predict(test)["target"] - test["target"]
    assert scores["mean_absolute_error"] == pytest.approx(errors.abs().mean(), rel=1e-4)
    assert scores["mean_absolute_error"] < 48


@pytest.mark.slow
def test_three_targets_at_once_on_the_catalogue(sample_data: Path) -> None:
    table = mg.read_table(sample_data / "catalog.csv")
    small = mg.ImageLoader("image", directory=sample_data, image_size=(8, 8))
    pictures = [small.read(cell) for cell in table["image"]]
    # The picture alone tells how bright it is; the caption alone of what the thing is made, and
    # some of its words.
    table["image"] = pictures
    table["brightness"] = [float(picture.mean()) for picture in pictures]
    table["material"] = table["label"].str.split().str[0]
    table["words"] = [
        [word for word in ("with", "by", "in") if f" {word} " in text] for text in table["caption"]
    ]
    train, test = mg.split_table(table, (0.75, 0.25), stratify="label", seed=0)
    keras.utils.set_random_seed(0)
    inputs = {
        "image": mg.ImageLoader("image", image_size=(8, 8)),
        "caption": mg.TextLoader.from_texts("caption", train["caption"], output_mode="ngrams"),
    }
    targets = {
        "material": mg.ClassLabel.from_values("material", train["material"]),
        "brightness": NumericTarget.from_values("brightness", train["brightness"]),
        "words": MultiLabel.from_values("words", train["words"]),
    }
    model = mg.build_fusion_classifier(inputs, targets, branches={"image": flat})
    data = mg.MultimodalSequence(train, inputs, targets, batch_size=64, shuffle=True)
    mg.fit_with_recipe(model, targets, data, epochs=8, learning_rate=5e-3, verbose=0)
    scores = mg.Bundle(model, inputs, targets).evaluate(test)
    # One answer for every row gives an accuracy of 0.33, an R2 of 0 and a micro F1 of 0.6.
    assert scores["material.accuracy"] > 0.95
    assert scores["brightness.r2"] > 0.8
    assert scores["words.micro_f1"] > 0.9


@pytest.mark.slow
def test_an_autoencoder_on_the_digits(digits: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    train, test = digits
    keras.utils.set_random_seed(0)
    loader = picture_loader(augment=[mg.augment.RandomFlip("horizontal")])
    target = InputTarget(loader)
    pixels = keras.Input((8, 8, 1), dtype="uint8", name="picture")
    code = layers.Dense(16, name="code")(flat(pixels))
    x = layers.Dense(64, activation="relu")(code)
    picture = layers.Reshape((8, 8, 1))(layers.Dense(64, activation=target.activation)(x))
    model = keras.Model([pixels], picture)
    model.compile(
        keras.optimizers.Adam(0.01), loss=target.loss, metrics=target.metrics, jit_compile=JIT
    )
    data = mg.MultimodalSequence(train, {"picture": loader}, target, batch_size=64, shuffle=True)
    history = model.fit(data, epochs=10, shuffle=False, verbose=0).history
    assert history["mean_squared_error"] == pytest.approx(history["loss"], rel=1e-2)
    scores = mg.Bundle(model, {"picture": loader}, target).evaluate(test)
    # The mean picture gives 0; were the target flipped apart from the input, the best answer would
    # give 0.56.
    assert scores["r2"] > 0.7


def test_a_fusion_model_gives_a_vector_back_through_a_narrow_layer() -> None:
    rng = np.random.default_rng(0)
    # Six columns that two numbers make up.
    columns = list("abcdef")
    table = pd.DataFrame(rng.normal(size=(300, 2)) @ rng.normal(size=(2, 6)), columns=columns)
    keras.utils.set_random_seed(0)
    loader = mg.NumericLoader.from_values(columns, table)
    inputs, target = {"numbers": loader}, InputTarget(loader)
    model = mg.build_fusion_classifier(inputs, target, branches={"numbers": layers.Dense(2)})
    model.compile(
        keras.optimizers.Adam(0.05), loss=target.loss, metrics=target.metrics, jit_compile=JIT
    )
    model.fit(
        mg.MultimodalSequence(table, inputs, target, shuffle=True),
        epochs=15,
        shuffle=False,
        verbose=0,
    )
    assert mg.Bundle(model, inputs, target).evaluate(table)["r2"] > 0.95
