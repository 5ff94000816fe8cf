"""Pretrained Keras models: features computed once, the same model as a branch, and bundles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from conftest import run_on
from keras import layers

import multimodal_gen as mg
from multimodal_gen.models import (
    EncoderBranch,
    FeatureBranch,
    FusionModel,
    build_fusion_classifier,
)

SIZE = (24, 20)
CLASSES = ("dark", "light")


def network(seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((*SIZE, 3))
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(5, 3, strides=2, activation="relu")(x)
    x = layers.BatchNormalization()(x)
    return keras.Model(inputs, layers.Conv2D(6, 3, strides=2)(x))


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 128, (*SIZE, 3)) + 127 * (row % 2) for row in range(20)]
    return pd.DataFrame(
        {
            "image": [one.astype("uint8") for one in pictures],
            "label": [CLASSES[row % 2] for row in range(20)],
        }
    )


def classifier(image: mg.models.Pretrained) -> FusionModel:
    keras.utils.set_random_seed(3)
    model = build_fusion_classifier(
        {"image": image.loader},
        mg.ClassLabel("label", CLASSES),
        branches={"image": image.branch},
        fusion="concat",
    )
    # Heads start at zero, which predicts the same for all rows.
    rng = np.random.default_rng(0)
    head = model.get_layer("concat_head")
    head.set_weights([rng.normal(size=one.shape) for one in head.get_weights()])
    return model


@pytest.mark.parametrize("batch_size", [1, 7, 32])
def test_features_are_the_same_bits_in_any_company(batch_size: int, table: pd.DataFrame) -> None:
    loader = mg.from_preset(network(), "image").loader
    cells = list(table["image"])
    want = np.stack(loader.read_batch(cells))
    sequence = mg.MultimodalSequence(
        table,
        {"image": loader},
        mg.ClassLabel("label", CLASSES),
        batch_size=batch_size,
        shuffle=True,
        seed=batch_size,
    )
    for number in range(len(sequence)):
        rows = [table.index.get_loc(row) for row in sequence.rows(number).index]
        assert np.array_equal(sequence[number][0][0], want[rows])
    assert loader.read(cells[3]).tobytes() == want[3].tobytes()


def test_a_keras_encoder_keeps_the_contract_of_loaders(table: pd.DataFrame) -> None:
    loader = mg.from_preset(network(), "image", augment=[mg.augment.RandomFlip()], views=2).loader
    mg.check_loader(loader, table["image"].head(2))


def test_features_and_the_same_model_as_a_branch_predict_the_same(table: pd.DataFrame) -> None:
    given = network()
    given.trainable = False
    encoder = mg.KerasEncoder(given)
    assert encoder.digest == mg.KerasEncoder(network()).digest
    frozen = mg.from_preset(encoder, "image")
    trained = mg.from_preset(encoder, "image", trainable=True)
    assert isinstance(frozen.branch, FeatureBranch)
    assert isinstance(trained.branch, EncoderBranch)
    few, all_ = classifier(frozen), classifier(trained)
    assert len(all_.trainable_weights) > len(few.trainable_weights)
    heads = [layer for layer in all_.layers if layer.name != "image_encoder" and layer.weights]
    for layer in heads:
        layer.set_weights(few.get_layer(layer.name).get_weights())
    one, other = (
        model.predict(mg.MultimodalSequence(table, {"image": used.loader}), verbose=0)
        for model, used in ((few, frozen), (all_, trained))
    )
    assert np.ptp(one[:, 0]) > 1e-3
    assert np.abs(one - other).max() < 1e-5
    before = [weight.copy() for weight in encoder.model.get_weights()]
    all_.compile("sgd", "sparse_categorical_crossentropy")
    all_.fit(
        mg.MultimodalSequence(table, {"image": trained.loader}, mg.ClassLabel("label", CLASSES)),
        verbose=0,
    )
    assert all(map(np.array_equal, before, encoder.model.get_weights()))


def test_training_the_given_model_later_does_not_change_its_features(table: pd.DataFrame) -> None:
    model = network()
    loader = mg.from_preset(model, "image").loader
    before = loader.read(table.image[0])
    digest = loader.encoder.digest
    model.set_weights([2 * weight for weight in model.get_weights()])
    assert np.array_equal(loader.read(table.image[0]), before)
    other = mg.KerasEncoder(model).digest
    assert other != digest
    # Not by name: Keras counts the layers of a process.
    assert mg.KerasEncoder(network()).digest == digest


def small_application(include_top: bool, weights: Any, input_shape: Any) -> keras.Model:
    """As the functions of `keras.applications` are called, and smaller than any of them."""
    assert not include_top
    keras.utils.set_random_seed(5)
    inputs = keras.Input(input_shape)
    return keras.Model(inputs, layers.Conv2D(4, 3, strides=4)(inputs))


# What preprocessing is right is known by the module of the function.
small_application.__module__ = "keras.src.applications.mobilenet_v2"


def test_an_application_brings_its_preprocessing_and_weights_from_a_file(tmp_path: Path) -> None:
    model = small_application(False, None, (32, 32, 3))
    model.set_weights([weight + 0.1 for weight in model.get_weights()])
    model.save_weights(tmp_path / "own.weights.h5")
    encoder = mg.KerasEncoder.from_application(
        small_application, weights=tmp_path / "own.weights.h5", image_size=(32, 32), batch_size=2
    )
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype("uint8")
    maps = model.predict(picture[None] / np.float32(127.5) - 1, verbose=0)
    want = np.concatenate([maps.mean((1, 2)), maps.max((1, 2))], 1)[0]
    found = mg.EncodedLoader(mg.ImageLoader("x", image_size=(32, 32)), encoder).read(picture)
    assert np.abs(found - want).max() < 1e-5 * np.abs(want).max() + 1e-6
    with pytest.raises(ValueError, match=r"does not fit.*missing layers/.* and \d+ more"):
        mg.KerasEncoder.from_application(
            "MobileNetV3Small", weights=tmp_path / "own.weights.h5", image_size=(32, 32)
        )


def test_weights_that_lack_a_layer_or_have_another_shape_are_listed(tmp_path: Path) -> None:
    import h5py

    def build(**_: Any) -> keras.Model:
        return network()

    path = tmp_path / "partial.weights.h5"
    network().save_weights(path)
    with h5py.File(path, "r+") as file:
        del file["layers/conv2d/vars/1"]
        del file["layers/batch_normalization/vars/0"]
        file["layers/batch_normalization/vars/0"] = np.zeros(4)
    with pytest.raises(ValueError, match="missing layers/conv2d/vars/1 .*shape .4,. instead of"):
        mg.KerasEncoder.from_application(build, weights=path)
    (tmp_path / "text.h5").write_text("not weights")
    with pytest.raises(ValueError, match="must be HDF5"):
        mg.KerasEncoder.from_application(build, weights=tmp_path / "text.h5")
    with pytest.raises(FileNotFoundError, match="Nothing is downloaded"):
        mg.KerasEncoder.from_application(build, weights=tmp_path / "none.h5")


def test_arguments_that_cannot_work_are_refused() -> None:
    one, two = keras.Input((2,)), keras.Input((2,))
    several = keras.Model([one, two], layers.Add()([one, two]))
    encoder = mg.KerasEncoder(network())
    function = mg.FunctionEncoder(len, 3, name="sums")
    calls: tuple[tuple[Any, str], ...] = (
        (lambda: mg.from_preset("MobileNetV2", "image"), "Say which weights"),
        (lambda: mg.from_preset("MobileNetV9", "image", weights=None), "keras.applications"),
        (lambda: mg.from_preset(encoder, "image", weights=None), "its own weights"),
        (lambda: mg.from_preset(function, "x", trainable=True), "Only a Keras model"),
        (lambda: mg.KerasEncoder(len), "must be a Keras model"),
        (lambda: mg.KerasEncoder(several), "2 inputs"),
        (lambda: mg.EncodedLoader("image", encoder), r"arrays of shape \(24, 20, 3\)"),
        (
            lambda: mg.EncodedLoader(mg.ImageLoader("image", image_size=(9, 9)), encoder),
            r"arrays of shape \(24, 20, 3\)",
        ),
    )
    for call, words in calls:
        with pytest.raises((TypeError, ValueError), match=words):
            call()


def test_a_classifier_as_an_encoder_is_a_warning() -> None:
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(inputs))
    with pytest.warns(UserWarning, match="ends in a softmax"):
        mg.KerasEncoder(model)


def test_grey_pictures_go_into_a_model_of_colours(table: pd.DataFrame) -> None:
    grey = mg.ImageLoader("image", image_size=SIZE, color_mode="grayscale")
    encoder = mg.KerasEncoder(network())
    features = mg.EncodedLoader(grey, encoder).read(table.image[0])
    colours = np.repeat(grey.read(table.image[0]), 3, axis=-1)
    assert np.array_equal(features, encoder.encode([colours])[0])
    image = mg.models.Pretrained(grey, EncoderBranch(encoder, trainable=False))
    assert classifier(image).predict([grey.read(table.image[0])[None]], verbose=0).shape == (1, 2)


def bundle_of(table: pd.DataFrame, folder: Path) -> np.ndarray:
    image = mg.from_preset(network(), "image", augment=[mg.augment.RandomFlip()], views=2)
    target = mg.ClassLabel("label", CLASSES)
    bundle = mg.Bundle(classifier(image), {"image": image.loader}, target)
    bundle.save(folder)
    return bundle.predict(table)[list(CLASSES)].to_numpy()


def test_a_bundle_predicts_from_raw_cells(table: pd.DataFrame, tmp_path: Path) -> None:
    want = bundle_of(table, tmp_path)
    assert np.ptp(want[:, 0]) > 1e-3
    assert {one.name for one in tmp_path.iterdir()} == {
        "bundle.json",
        "model.keras",
        "encoder.keras",
    }
    again = mg.load_bundle(tmp_path)
    assert np.abs(again.predict(table)[list(CLASSES)].to_numpy() - want).max() < 1e-6


def test_a_bundle_predicts_from_raw_cells_on_another_backend(
    table: pd.DataFrame, tmp_path: Path, other_backends: list[str]
) -> None:
    want = bundle_of(table, tmp_path)
    np.save(tmp_path / "pictures.npy", np.stack(table["image"]))
    code = (
        "import sys, numpy as np, pandas as pd, multimodal_gen as mg; folder = sys.argv[1]; "
        "table = pd.DataFrame({'image': list(np.load(folder + '/pictures.npy'))}); "
        "found = mg.load_bundle(folder).predict(table)[['dark', 'light']].to_numpy(); "
        "np.save(folder + '/found.npy', found)"
    )
    run_on(other_backends[0], code, str(tmp_path))
    assert np.abs(np.load(tmp_path / "found.npy") - want).max() < 1e-5


def test_the_encoder_of_a_strangers_bundle_is_checked_like_its_model(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    bundle_of(table, tmp_path)
    text = (tmp_path / "bundle.json").read_text()
    for bad, words in (
        ('"file": "../encoder.keras"', "in its own folder"),
        ('"file": "encoder.keras", "model": "/etc/passwd"', "in its own folder"),
        ('"file": "encoder.keras", "size": 3', "a file and a batch size"),
        ('"digest": "x"', "in its own folder"),
        ('"file": "encoder_7.keras"', "encoder_7.keras"),
    ):
        (tmp_path / "bundle.json").write_text(text.replace('"file": "encoder.keras"', bad))
        with pytest.raises(mg.BundleError, match=words):
            mg.load_bundle(tmp_path)
    (tmp_path / "bundle.json").write_text(text)
    inputs = keras.Input((*SIZE, 3))
    evil = keras.Model(inputs, layers.Lambda(lambda x: x[:, 0, 0])(inputs))
    evil.save(tmp_path / "encoder.keras")
    with pytest.raises(mg.BundleError, match=r"encoder.keras contains a Lambda"):
        mg.load_bundle(tmp_path)
    (tmp_path / "encoder.keras").unlink()
    (tmp_path / "encoder.keras").symlink_to(tmp_path / "model.keras")
    with pytest.raises(mg.BundleError, match="a link"):
        mg.load_bundle(tmp_path)


def test_a_bundle_asks_for_the_function_that_it_does_not_hold(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    def means(rows: list[np.ndarray]) -> np.ndarray:
        return np.stack([one.mean((0, 1)) / 255 for one in rows])

    encoder = mg.FunctionEncoder(means, 3, name="means", version="2")
    loader = mg.EncodedLoader(mg.ImageLoader("image", image_size=SIZE), encoder)
    image = mg.models.Pretrained(loader, FeatureBranch())
    bundle = mg.Bundle(classifier(image), {"image": loader}, mg.ClassLabel("label", CLASSES))
    bundle.save(tmp_path)
    with pytest.raises(mg.BundleError, match=r"custom_objects=\{'means': function\}.*version '2'"):
        mg.load_bundle(tmp_path)
    again = mg.load_bundle(tmp_path, custom_objects={"means": means})
    pd.testing.assert_frame_equal(again.predict(table), bundle.predict(table))
    assert "means" in json.dumps(json.loads((tmp_path / "bundle.json").read_text())["inputs"])


def test_a_name_that_is_no_preset_is_called_preset_and_told_what_was_meant() -> None:
    for weights in ({}, {"weights": None}):
        with pytest.raises(ValueError, match=r"^`preset` must be .* Did you mean 'MobileNetV2'\?"):
            mg.from_preset("mobilenet_v2", "image", **weights)
    with pytest.raises(ValueError, match="function of keras.app.* Did you mean 'ResNet50'"):
        mg.KerasEncoder.from_application("resnet50", weights=None)


def test_an_argument_that_an_encoder_cannot_use_is_an_error() -> None:
    network = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    with pytest.raises(ValueError, match=r"pictures of \(8, 8\) only: leave `image_size` out"):
        mg.from_preset(network, "image", image_size=(16, 16))
    assert mg.from_preset(network, "image", image_size=(8, 8)).loader.loader.spec.shape == (8, 8, 3)
    with pytest.raises(ValueError, match="Views are features that are kept.*views=4"):
        mg.from_preset(network, "image", trainable=True, views=4)
    own = mg.FunctionEncoder(len, 2, name="own")
    for argument, value in (("image_size", (8, 8)), ("directory", "pictures")):
        with pytest.raises(ValueError, match=f"`{argument}` is for Keras models of pictures: Func"):
            mg.from_preset(own, "x", **{argument: value})


def test_the_warning_about_a_softmax_names_the_line_that_passed_the_model() -> None:
    pictures = keras.Sequential(
        [keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")]
    )
    for make in (lambda: mg.KerasEncoder(pictures), lambda: mg.from_preset(pictures, "image")):
        with pytest.warns(UserWarning, match="ends in a softmax") as warned:
            make()
        softmax = [one for one in warned if "softmax" in str(one.message)]
        assert [one.filename for one in softmax] == [__file__]
