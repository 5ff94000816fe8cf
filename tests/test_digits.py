"""The second tutorial from end to end: a table of small pictures in memory, and a convolutional
network that learns it.

The pictures are the handwritten digits that scikit-learn brings (Alpaydin and Kaynak, 1998): 1,797
of 8x8 pixels.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

import multimodal_gen as mg


@pytest.fixture(scope="module")
def parts() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training rows, and 20 % held out."""
    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype("uint8")
    train, test = mg.split_table(
        mg.table_from_arrays(x=images, y=digits.target), (0.8, 0.2), stratify="y", seed=0
    )
    return train, test


def make_data(train: pd.DataFrame) -> mg.MultimodalSequence:
    augment = [
        mg.augment.RandomRotation(0.03, fill_mode="constant"),
        mg.augment.RandomZoom(0.1, fill_mode="constant"),
        mg.augment.RandomTranslation(0.1, 0.1, fill_mode="constant"),
    ]
    inputs = {"x": mg.ArrayLoader.from_values("x", train["x"], augment=augment)}
    target = mg.ClassLabel.from_values("y", train["y"])
    return mg.MultimodalSequence(
        train, inputs, target, batch_size=32, shuffle=True, seed=0, inputs_as="array"
    )


def make_model(target: mg.ClassLabel) -> keras.Model:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(32, 3, activation="relu", padding="same"),
            layers.Conv2D(64, 3, activation="relu", padding="same"),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(target.units, activation=target.activation),
        ]
    )


def test_the_first_batch_can_be_looked_at(parts: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    data = make_data(parts[0])
    x, y = next(iter(data))
    assert x.shape == (32, 8, 8, 1)
    assert x.dtype == "uint8"
    assert y.tolist() == data.rows(0)["y"].tolist()


@pytest.mark.slow
def test_the_network_of_the_tutorial_reaches_98_percent_and_predicts_without_labels(
    parts: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path
) -> None:
    train, test = parts
    keras.utils.set_random_seed(0)
    data = make_data(train)
    model = make_model(data.target)
    model.compile(keras.optimizers.Adam(1e-3), loss=data.target.loss, metrics=["accuracy"])
    model.fit(data, epochs=15, shuffle=False, verbose=0)
    assert (
        model.evaluate(data.for_evaluation(test), verbose=0, return_dict=True)["accuracy"] >= 0.98
    )

    # In an order of its own, as predictions must come in the table's.
    unlabelled = test[["x"]].iloc[::-1]
    rows = mg.MultimodalSequence(unlabelled, data.inputs, batch_size=100, inputs_as="array")
    outputs = model.predict(rows, verbose=0)
    assert np.mean(outputs.argmax(axis=1) == test["y"].iloc[::-1]) >= 0.98

    mg.Bundle(model, data.inputs, data.target, inputs_as="array").save(tmp_path)
    predictions = mg.load_bundle(tmp_path).predict(unlabelled)
    assert predictions.index.equals(unlabelled.index)
    assert predictions["label"].tolist() == outputs.argmax(axis=1).tolist()
