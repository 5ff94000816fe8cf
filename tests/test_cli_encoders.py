"""`--image-encoder`: pictures of a run are read as features of a pretrained model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from click.testing import Result
from keras import layers
from PIL import Image
from typer.testing import CliRunner

import multimodal_gen as mg
from multimodal_gen.cli.app import app
from multimodal_gen.models import ImageBranch, build_fusion_classifier

SIZE = (16, 12)


@pytest.fixture
def shop(tmp_path: Path) -> pd.DataFrame:
    """A table of dark and light pictures, in shop.csv."""
    rng = np.random.default_rng(0)
    rows = []
    for row in range(40):
        pixels = rng.integers(0, 128, (20, 20, 3)) + 127 * (row % 2)
        Image.fromarray(pixels.astype("uint8")).save(tmp_path / f"{row}.png")
        rows.append(
            (f"{row}.png", f"{row - 1 if row else 39}.png", ("dark", "light")[row % 2], row)
        )
    table = pd.DataFrame(rows, columns=["photo", "back", "label", "price"])
    table.to_csv(tmp_path / "shop.csv", index=False)
    return table


def network(path: Path, size: Any = SIZE) -> Path:
    """A file with a small model of pictures."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((*size, 3))
    x = layers.Conv2D(4, 3, strides=3, activation="relu")(layers.Rescaling(1 / 255)(inputs))
    keras.Model(inputs, x).save(path)
    return path


def invoke(command: str, folder: Path, *arguments: Any) -> Result:
    given = [command, folder / "shop.csv", *arguments]
    if command == "train":
        given += ["--runs", folder / "runs", "--epochs", 1]
    return CliRunner().invoke(app, [str(one) for one in given])


def words(result: Result) -> str:
    return " ".join(result.output.split())


def test_a_run_on_features_is_cached_trained_scored_and_predicts_from_pictures(
    shop: pd.DataFrame, tmp_path: Path
) -> None:
    encoder = ("--image-encoder", network(tmp_path / "network.keras"), "--image", "photo")
    cache = ("--cache", tmp_path / "cache")
    filled = invoke("cache", tmp_path, *encoder, *cache)
    assert filled.exit_code == 0, filled.output
    (folder,) = (tmp_path / "cache").glob("EncodedLoader-*")
    before = {one: one.stat().st_mtime_ns for one in folder.iterdir()}
    trained = invoke("train", tmp_path, *encoder, *cache, "--number", "price")
    assert trained.exit_code == 0, trained.output
    # The cache is that of the command before, and nothing was added to it.
    assert {one: one.stat().st_mtime_ns for one in folder.iterdir()} == before
    bundle = mg.load_bundle(tmp_path / "runs" / "shop")
    assert list(bundle.inputs) == ["image", "number"]
    features = bundle.inputs["image"]
    assert isinstance(features, mg.EncodedLoader)
    assert features.spec.shape == (8,)
    assert features.loader is not None
    assert features.loader.spec.shape == (*SIZE, 3)
    run = str(tmp_path / "runs" / "shop")
    for command in (["evaluate"], ["predict", "--out", str(tmp_path / "out.csv")]):
        done = CliRunner().invoke(app, [command[0], run, str(tmp_path / "shop.csv"), *command[1:]])
        assert done.exit_code == 0, done.output
    assert len(pd.read_csv(tmp_path / "out.csv")) == len(shop)


def test_a_run_without_a_cache_encodes_each_picture_once(
    shop: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    encode = mg.KerasEncoder.encode

    def counted(self: Any, values: Any) -> Any:
        seen.extend(np.asarray(one).tobytes() for one in values)
        return encode(self, values)

    monkeypatch.setattr(mg.KerasEncoder, "encode", counted)
    encoder = ("--image-encoder", network(tmp_path / "network.keras"), "--image", "photo")
    trained = invoke("train", tmp_path, *encoder, "--number", "price")
    assert trained.exit_code == 0, trained.output
    # It is checked, fitted twice, scored, and explained, by pictures with hidden windows.
    loader = mg.load_bundle(tmp_path / "runs" / "shop").inputs["image"].loader
    own = {loader.read(path).tobytes() for path in shop["photo"]}
    assert sum(one in own for one in seen) == len(shop)


def test_folds_encode_each_picture_once_and_the_ensemble_has_the_encoder(
    shop: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    encode = mg.KerasEncoder.encode

    def counted(self: Any, values: Any) -> Any:
        seen.extend(np.asarray(one).tobytes() for one in values)
        return encode(self, values)

    monkeypatch.setattr(mg.KerasEncoder, "encode", counted)
    encoder = ("--image-encoder", network(tmp_path / "network.keras"), "--image", "photo")
    trained = invoke("train", tmp_path, *encoder, "--number", "price", "--folds", 2)
    assert trained.exit_code == 0, trained.output
    bundle = mg.load_bundle(tmp_path / "runs" / "shop")
    assert list(bundle.inputs) == ["image", "number_1", "number_2"]
    # Mistakes are explained besides, by pictures with hidden windows.
    loader = bundle.inputs["image"].loader
    own = {loader.read(path).tobytes() for path in shop["photo"]}
    assert sum(one in own for one in seen) == len(shop)
    assert (tmp_path / "runs" / "shop" / "encoder.keras").exists()


def test_the_pictures_that_are_found_are_encoded_by_one_model(
    shop: pd.DataFrame, tmp_path: Path
) -> None:
    shop.loc[3, "back"] = None
    shop.drop(columns="price").to_csv(tmp_path / "shop.csv", index=False)
    encoder = network(tmp_path / "network.keras", (None, None))
    done = invoke("train", tmp_path, "--image-encoder", encoder, "--image-size", "24x18")
    assert done.exit_code == 0, done.output
    front, back = mg.load_bundle(tmp_path / "runs" / "shop").inputs.values()
    assert isinstance(front, mg.EncodedLoader)
    assert isinstance(back, mg.EncodedLoader)
    assert (front.missing, back.missing) == ("error", "blank")
    assert front.encoder.digest == back.encoder.digest
    assert front.loader is not None
    assert front.loader.spec.shape == (24, 18, 3)


def test_pixels_can_be_an_input_beside_the_features(shop: pd.DataFrame, tmp_path: Path) -> None:
    encoder = ("--image-encoder", network(tmp_path / "network.keras"), "--also-pixels")
    small = ("--image", "photo", "--image-size", "8x8")
    done = invoke("train", tmp_path, *encoder, *small)
    assert done.exit_code == 0, done.output
    inputs = mg.load_bundle(tmp_path / "runs" / "shop").inputs
    specs = {name: loader.spec.shape for name, loader in inputs.items()}
    assert specs == {"image": (8, 8, 3), "image_features": (8,)}


def test_several_pictures_in_a_cell_are_encoded_each(shop: pd.DataFrame, tmp_path: Path) -> None:
    # No picture twice, which would be in several parts.
    rows = shop.head(20).assign(photo=[f"{row}.png|{row + 20}.png" for row in range(20)])
    rows.drop(columns="back").to_csv(tmp_path / "shop.csv", index=False)
    encoder = network(tmp_path / "network.keras")
    done = invoke("train", tmp_path, "--image-encoder", encoder, "--images", "photo")
    assert done.exit_code == 0, done.output
    bundle = mg.load_bundle(tmp_path / "runs" / "shop", directory=tmp_path)
    (found,) = bundle.inputs.values()
    assert isinstance(found, mg.ManyLoader)
    assert found.spec.shape == (2, 8)
    alone = mg.from_preset(encoder, "photo", directory=tmp_path).loader
    read = found.read("3.png|2.png")
    assert np.array_equal(read, [alone.read("3.png"), alone.read("2.png")])
    assert len(bundle.predict(rows.head(3))) == 3


def test_several_pictures_that_are_found_are_encoded_by_the_network_of_a_run_on_several(
    shop: pd.DataFrame, tmp_path: Path
) -> None:
    rows = shop.head(20).assign(photos=[f"{row}.png|{row + 20}.png" for row in range(20)])
    rows = rows[["photos", "label"]]
    rows.to_csv(tmp_path / "shop.csv", index=False)
    first = invoke("train", tmp_path, "--image-size", "8x8", "--name", "first")
    assert first.exit_code == 0, first.output
    run = tmp_path / "runs" / "first"
    assert isinstance(mg.load_bundle(run).inputs["images"], mg.ManyLoader)
    second = invoke("train", tmp_path, "--image-encoder", run, "--name", "second")
    assert second.exit_code == 0, second.output
    bundle = mg.load_bundle(tmp_path / "runs" / "second", directory=tmp_path)
    found = bundle.inputs["images"]
    assert isinstance(found, mg.ManyLoader)
    assert isinstance(found.item, mg.EncodedLoader)
    # The network of the first run, on each picture.
    encoder = mg.KerasEncoder.from_branch(mg.load_bundle(run).model, "images")
    encoder.save(tmp_path / "network.keras")
    alone = mg.from_preset(
        tmp_path / "network.keras", "photos", image_size=(8, 8), directory=tmp_path
    ).loader
    read = found.read("3.png|2.png")
    np.testing.assert_allclose(read[0], alone.read("3.png"), atol=1e-5)
    assert np.abs(read[0] - read[1]).max() > 1e-3


@pytest.mark.filterwarnings(
    # keras-hub leaves the vocabularies open that it reads.
    "ignore:unclosed file:ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)
def test_a_preset_with_two_parts_encodes_pictures_and_captions(
    shop: pd.DataFrame, tmp_path: Path
) -> None:
    pytest.importorskip("keras_hub")
    import hub_presets

    clip = hub_presets.clip(tmp_path / "clip")
    shop.assign(title=["a red mug", "the lamps"] * 20).to_csv(tmp_path / "shop.csv", index=False)
    given = ("--image", "photo", "--image-encoder", clip)
    texts = ("--caption", "title", "--text-encoder", clip)
    done = invoke("train", tmp_path, *given, *texts)
    assert done.exit_code == 0, done.output
    bundle = mg.load_bundle(tmp_path / "runs" / "shop", directory=tmp_path)
    assert list(bundle.inputs) == ["image", "caption", "caption_meaning"]
    for name, part, cell in (("image", "image", "3.png"), ("caption_meaning", "text", "a mug")):
        own = {"directory": tmp_path} if part == "image" else {}
        want = mg.from_preset(clip, "x", part=part, **own).loader.read(cell)
        assert np.abs(bundle.inputs[name].read(cell) - want).max() < 1e-5
    assert len(bundle.predict(pd.read_csv(tmp_path / "shop.csv").head(3))) == 3
    refused = invoke("train", tmp_path, *given, "--image-weights", "imagenet", "--name", "x")
    assert "have their own" in words(refused)


def earlier_run(folder: Path, names: tuple[str, ...]) -> Path:
    """A bundle, as a run leaves it, whose pictures are floats of their own range."""
    inputs: dict[str, mg.Loader] = {
        name: mg.ImageLoader(name, image_size=SIZE, dtype="float32", rescale=1 / 255)
        for name in names
    }
    inputs["price"] = mg.NumericLoader.from_values("price", [1.0, 2.0])
    target = mg.ClassLabel("label", ["x", "y"])
    branches = {name: ImageBranch(widths=(4, 6)) for name in names}
    model = build_fusion_classifier(inputs, target, branches=branches)
    mg.Bundle(model, inputs, target).save(folder)
    return folder


def test_the_pictures_of_an_earlier_run_are_read_as_that_run_read_them(
    shop: pd.DataFrame, tmp_path: Path
) -> None:
    first = earlier_run(tmp_path / "first", ("photo",))
    done = invoke("train", tmp_path, "--image-encoder", first, "--image", "back")
    assert done.exit_code == 0, done.output
    (found,) = mg.load_bundle(tmp_path / "runs" / "shop", directory=tmp_path).inputs.values()
    bundle = mg.load_bundle(first, directory=tmp_path)
    pictures = bundle.inputs["photo"]
    want = mg.EncodedLoader(pictures, mg.KerasEncoder.from_branch(bundle.model, "photo"))
    assert np.array_equal(found.read("3.png"), want.read("3.png"))
    # A run that reused features can be reused itself.
    second = tmp_path / "runs" / "shop"
    done = invoke(
        "train", tmp_path, "--image-encoder", second, "--image", "photo", "--name", "third"
    )
    assert done.exit_code == 0, done.output
    (again,) = mg.load_bundle(tmp_path / "runs" / "third", directory=tmp_path).inputs.values()
    assert np.array_equal(again.read("3.png"), want.read("3.png"))


def test_a_function_of_keras_applications_takes_its_weights_from_a_file(
    shop: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(include_top: bool, weights: Any, input_shape: Any) -> keras.Model:
        inputs = keras.Input(input_shape)
        return keras.Model(inputs, layers.Conv2D(4, 3, strides=4)(inputs))

    # Smaller than any of theirs, and found as they are.
    build.__module__ = "keras.src.applications.mobilenet_v2"
    monkeypatch.setattr(keras.applications, "TinyNet", build, raising=False)
    build(False, None, (224, 224, 3)).save_weights(tmp_path / "tiny.weights.h5")
    named = ("--image-encoder", "TinyNet", "--image", "photo")
    weights = ("--image-weights", tmp_path / "tiny.weights.h5")
    refused = invoke("train", tmp_path, *named)
    assert refused.exit_code != 0
    assert "--image-weights imagenet, which Keras downloads, or a file" in words(refused)
    done = invoke("train", tmp_path, *named, *weights)
    assert done.exit_code == 0, done.output
    (found,) = mg.load_bundle(tmp_path / "runs" / "shop").inputs.values()
    assert isinstance(found, mg.EncodedLoader)
    assert found.loader is not None
    assert found.loader.spec.shape == (224, 224, 3)


def test_what_cannot_encode_pictures_is_refused_in_words_of_the_command_line(
    shop: pd.DataFrame, tmp_path: Path
) -> None:
    file = network(tmp_path / "network.keras")
    two = earlier_run(tmp_path / "two", ("photo", "back"))
    photo = ("--image", "photo")
    calls: tuple[tuple[tuple[Any, ...], str], ...] = (
        (("--image-encoder", file, "--number", "price"), "name one with --image"),
        (("--image-encoder", tmp_path / "none.keras", *photo), "no such file or folder"),
        (("--image-encoder", "runs/none", *photo), "no such file or folder"),
        (("--image-encoder", "NoSuchNet", *photo), "no file, folder or function of keras.app"),
        (("--image-weights", "imagenet", *photo), "are those of --image-encoder"),
        (("--also-pixels", *photo), "are read as pixels anyway"),
        (("--image-encoder", file, "--image-weights", "imagenet", *photo), "have their own"),
        (("--image-encoder", "mobilenetv2", *photo), "Did you mean 'MobileNetV2'? Received: --"),
        (("--image-encoder", two, *photo), "the one input of pictures of a run"),
    )
    for arguments, said in calls:
        for command in ("train", "cache"):
            own = ("--cache", tmp_path / "cache") if command == "cache" else ()
            if command == "cache" and "--number" in arguments:
                continue
            done = invoke(command, tmp_path, *arguments, *own)
            assert done.exit_code != 0
            assert said in words(done), done.output
    assert not (tmp_path / "runs").exists()
