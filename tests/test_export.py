"""Exports: how networks are compared, what they predict without Keras, and what is refused."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from conftest import make_picture_table
from typer.testing import CliRunner

import multimodal_gen as mg
from multimodal_gen import serving
from multimodal_gen.bundle.exporting import exporting
from multimodal_gen.bundle.exporting.checking import largest_difference, rows_for
from multimodal_gen.bundle.exporting.exporting import Exported
from multimodal_gen.cli.app import app
from multimodal_gen.models import TokenBranch, build_fusion_classifier
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


def test_an_export_is_no_bundle_and_says_what_reads_it(exported: Exported) -> None:
    with pytest.raises(mg.BundleError, match=r"is an export.*`multimodal_gen.serving.load` reads"):
        mg.load_bundle(exported.directory)


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
def test_threads_predict_at_once_and_pictures_may_have_moved(
    bundle: mg.Bundle,
    exported: Exported,
    served: serving.Served,
    table: pd.DataFrame,
    tmp_path: Path,
) -> None:
    expected = bundle.predict(table)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: served.predict(table, batch_size=2), range(8)):
            alike(found, expected)
    shutil.copytree(table.attrs["folder"], tmp_path / "moved")
    moved = serving.load(exported.directory, pictures=tmp_path / "moved")
    assert moved.inputs["image"].get_config()["directory"] == str(tmp_path / "moved")
    alike(moved.predict(table), expected)


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


@needs_onnx
def test_sets_and_decisions_are_those_of_the_bundle(
    bundle: mg.Bundle, served: serving.Served, table: pd.DataFrame
) -> None:
    many = pd.concat([table] * 3, ignore_index=True)
    calibrated = bundle.calibrate(many)
    # The network is the same; what was learned is in the target.
    same = serving.Served(served.network, served._run, bundle.inputs, calibrated.target)
    alike(same.predict(many), calibrated.predict(many))
    # Of other rows: a limit is the score of a row that it was learned from, to which a millionth
    # more or less would decide.
    other = many.assign(caption=many["caption"].to_numpy()[::-1])
    alike(same.sets(other, coverage=0.8), calibrated.sets(other, coverage=0.8))
    costs = {"x": 1, "y": 2, "z": 5}
    alike(
        same.decide(many, costs, abstain=0.7, target="label"),
        calibrated.decide(many, costs, abstain=0.7, target="label"),
    )
    with pytest.raises(ValueError, match="keeps no limits"):
        served.sets(table)


def test_networks_are_compared_on_blank_rows_single_tokens_and_several_sizes(
    bundle: mg.Bundle,
) -> None:
    arrays = rows_for(bundle.inputs)
    assert list(arrays) == [*bundle.inputs, "image_present"]
    rows = len(arrays["caption"])
    tokens = (arrays["caption"] != 0).sum(axis=1)
    # Full ones, one blank by itself, one where all are, and one with a single token.
    assert sorted(tokens) == [0, 0, 1, *[6] * (rows - 3)]
    absent = arrays["image_present"][:, 0] == 0
    assert absent.sum() == 2
    assert not arrays["image"][absent].any()
    assert arrays["image"][~absent].any(axis=(1, 2, 3)).all()
    vocabulary = bundle.inputs["caption"].spec.vocabulary_size
    assert vocabulary is not None
    assert arrays["caption"].max() < vocabulary
    sizes = []

    def right(given: Any) -> np.ndarray:
        sizes.append(len(given["caption"]))
        return given["caption"].sum(axis=1, keepdims=True).astype("float32") / 100

    expected = right(arrays)
    sizes.clear()
    assert largest_difference(right, arrays, expected) == 0
    assert {1, 2, 5, rows} <= set(sizes)


TOKENS = {"caption": np.array([[3, 2, 1], [2, 0, 0], [0, 0, 0], [5, 1, 0], [1, 1, 1], [9, 9, 9]])}
SUMS = TOKENS["caption"].sum(axis=1, keepdims=True) / 10.0


@pytest.mark.parametrize(
    ("run", "why"),
    [
        # As torch's exporter does with a recurrent layer over tokens in any number.
        (lambda given: given["caption"][:, :1] / 10.0, "up to .* away"),
        # As litert-torch does with some networks.
        (lambda given: given["caption"][:1].sum(axis=1, keepdims=True) / 10.0, "the shape"),
        (lambda given: given["caption"].sum(axis=1) / 10.0, "the shape"),
        (lambda given: {"other": SUMS[: len(given["caption"])]}, "the shape None"),
        (lambda given: SUMS[: len(given["caption"])] * np.nan, "up to inf away"),
        # The first row for all, in batches of one only.
        (
            lambda given: (
                SUMS[:1] if len(given["caption"]) == 1 else given["caption"].sum(1)[:, None] / 10
            ),
            "in 1 of 1 rows",
        ),
    ],
)
def test_what_a_converter_gets_wrong_is_seen(run: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        largest_difference(run, TOKENS, SUMS)


def test_numbers_are_compared_as_shares_of_the_largest_and_nan_is_nan() -> None:
    large = np.array([[1e6], [np.nan], [5.0]])
    given = {"x": large}
    assert largest_difference(lambda one: one["x"] + 1, given, large) == pytest.approx(1e-6)
    with pytest.raises(ValueError, match=r"up to 2e-05 away"):
        largest_difference(lambda one: one["x"] + 20, given, large)


@needs_onnx
@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"format": 2}, "format=2"),
        ({"network": None}, "must name one of the formats"),
        ({"network": {"format": "pickle"}}, "must name one of the formats"),
        ({"network": {"file": "../bundle/model.onnx"}}, "must be its own 'model.onnx'"),
        ({"network": {"inputs": []}}, "must list the network's inputs"),
        ({"network": {"inputs": [{"name": "image"}]}}, "must have a name, a node"),
        ({"network": {"outputs": "label"}}, "must list the network's outputs"),
    ],
)
def test_a_manifest_that_lies_is_a_clear_error(
    exported: Exported, tmp_path: Path, change: dict[str, Any], why: str
) -> None:
    for one in exported.directory.iterdir():
        (tmp_path / one.name).symlink_to(one)
    values = json.loads((exported.directory / "export.json").read_text("utf-8"))
    for name, value in change.items():
        if isinstance(value, dict):
            values[name] |= value
        else:
            values[name] = value
    (tmp_path / "export.json").unlink()
    (tmp_path / "export.json").write_text(json.dumps(values), "utf-8")
    with pytest.raises(mg.BundleError, match=why) as raised:
        serving.load(tmp_path)
    assert str(tmp_path) in str(raised.value)


@needs_onnx
def test_a_damaged_export_is_a_clear_error(exported: Exported, tmp_path: Path) -> None:
    with pytest.raises(mg.BundleError, match=r"no export\.json in the folder"):
        serving.load(tmp_path)
    copied = shutil.copytree(exported.directory, tmp_path / "copy")
    values = json.loads((copied / "export.json").read_text("utf-8"))
    values["network"]["inputs"][0]["shape"] = [8, 8, 3]
    (copied / "export.json").write_text(json.dumps(values), "utf-8")
    with pytest.raises(mg.BundleError, match="do not match"):
        serving.load(copied)
    values["network"]["inputs"][0] |= {"shape": [16, 16, 3], "node": "picture"}
    (copied / "export.json").write_text(json.dumps(values), "utf-8")
    with pytest.raises(mg.BundleError, match=r"inputs of model\.onnx must be those"):
        serving.load(copied)
    values["network"]["inputs"][0]["node"] = "image"
    (copied / "export.json").write_text(json.dumps(values), "utf-8")
    whole = (copied / "model.onnx").read_bytes()
    (copied / "model.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(mg.BundleError, match=r"model\.onnx cannot be"):
        serving.load(copied)
    (copied / "model.onnx").unlink()
    with pytest.raises(mg.BundleError, match=r"Received: no model\.onnx"):
        serving.load(copied)
    (copied / "model.onnx").symlink_to(exported.directory / "model.onnx")
    with pytest.raises(mg.BundleError, match="a link"):
        serving.load(copied)
    values["network"] |= {"format": "saved_model", "file": "saved_model"}
    (copied / "export.json").write_text(json.dumps(values), "utf-8")
    with pytest.raises(mg.BundleError, match=r"is a program.*`trusted=True`"):
        serving.load(copied)


def test_what_cannot_be_exported_is_refused_and_nothing_is_left(
    bundle: mg.Bundle, table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "deep" / "export"
    with pytest.raises(ValueError, match="Only networks of the format 'onnx' can be rounded"):
        bundle.export(place, "litert", int8=table)
    with pytest.raises(TypeError, match="`int8` must be a table"):
        bundle.export(place, int8=True)  # type: ignore[arg-type]
    encoder = mg.KerasEncoder(keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)]))
    numbers = mg.NumericLoader(["a", "b"], mean=[0, 0], scale=[1, 1])
    encoded = mg.EncodedLoader(numbers, encoder)
    model = build_fusion_classifier({"x": encoded}, mg.ClassLabel("label", ["x", "y"]))
    needing = mg.Bundle(model, {"x": encoded}, mg.ClassLabel("label", ["x", "y"]))
    with pytest.raises(ValueError, match=r"'x' is read by a KerasEncoder, which needs Keras"):
        needing.export(place)
    if importlib.util.find_spec("onnxruntime") is not None:
        monkeypatch.setattr(exporting, "backends_for", lambda *_: [])
        with pytest.raises(ValueError, match="no converter is installed"):
            bundle.export(place)
    assert list(tmp_path.iterdir()) == []


def needs(form: str) -> None:
    """Skip a test where no converter to a format, or nothing to run it, is installed."""
    module = {"saved_model": "tensorflow", "litert": "ai_edge_litert", "onnx": "onnxruntime"}[form]
    pytest.importorskip(module)
    if form == "litert" and keras.version() < "3.13":
        pytest.skip("this Keras does not export to LiteRT")
    if not backends_for(exporting.KERAS_FORMATS[form], BACKEND):
        pytest.skip(f"no converter to {form} is installed")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", ["saved_model", "litert"])
def test_the_other_formats_predict_the_same(
    form: str, bundle: mg.Bundle, table: pd.DataFrame, tmp_path: Path
) -> None:
    needs(form)
    done = bundle.export(tmp_path / "export", form)
    served = serving.load(done.directory, trusted=True)
    alike(served.predict(table), bundle.predict(table))
    alike(served.predict(table.iloc[:3], batch_size=2), bundle.predict(table.iloc[:3]))


CLASSES = mg.ClassLabel("label", ["a", "b", "c"])
CAPTION = mg.TextLoader.from_texts("caption", ["a red mug", "a blue lamp"], sequence_length=5)
NUMBERS = mg.NumericLoader(["x", "y"], mean=[0, 0], scale=[1, 1])


def of_layers(kind: str) -> mg.Bundle:
    """A bundle of a network with layers that some converters cannot write."""
    layers = keras.layers
    if kind == "gelu":
        branch = TokenBranch(embedding_size=8, blocks=1, heads=2)
        model = build_fusion_classifier({"x": CAPTION}, CLASSES, branches={"x": branch})
        return mg.Bundle(shaken(model), {"x": CAPTION}, CLASSES)
    taken: Any
    loader: mg.Loader
    if kind == "normalization":
        taken, loader = keras.Input((2,), name="x"), NUMBERS
        made = layers.LayerNormalization()(layers.Dense(6)(taken))
    else:
        taken, loader = keras.Input((None,), dtype="int32", name="x"), CAPTION
        ids = layers.Embedding(CAPTION.spec.vocabulary_size, 6, mask_zero=True)(taken)
        made = layers.LSTM(5, name="reader")(ids)
    model = keras.Model(taken, layers.Dense(3, activation="softmax")(made))
    return mg.Bundle(shaken(model), {"x": loader}, CLASSES)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["gelu", "normalization", "recurrent"])
def test_layers_that_a_converter_gets_wrong_are_right_all_the_same(
    kind: str, tmp_path: Path
) -> None:
    if not {"tensorflow", "torch"} <= set(CONVERTERS):
        pytest.skip("one of the two converters that these layers need is not installed")
    bundle = of_layers(kind)
    done = bundle.export(tmp_path / "export")
    rows = pd.DataFrame({"caption": ["a mug", "?", "red"], "x": [1, 2, 3], "y": [0, 5, 1]})
    alike(serving.load(done.directory).predict(rows), bundle.predict(rows))
    wrong = {"tensorflow": ["recurrent"], "torch": ["normalization", "gelu"], "jax": ["recurrent"]}
    if BACKEND in CONVERTERS:
        assert (done.made_on != BACKEND) == (kind in wrong[BACKEND])
        assert (BACKEND in done.not_made_on) == (kind in wrong[BACKEND])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_refusal_names_the_first_layer_at_fault_and_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, form = {
        "tensorflow": ("recurrent", "litert"),
        "torch": ("normalization", "onnx"),
        "jax": ("recurrent", "onnx"),
    }[BACKEND]
    needs(form)
    if BACKEND not in backends_for(exporting.KERAS_FORMATS[form], BACKEND):
        pytest.skip(f"the converter of {BACKEND} is not installed")
    monkeypatch.setattr(exporting, "backends_for", lambda *_: [BACKEND])
    layer = {"recurrent": "LSTM 'reader'", "normalization": "LayerNormalization '"}[kind]
    with pytest.raises(ValueError, match=f"at fault is the {layer}.*Export to '.*', put another"):
        of_layers(kind).export(tmp_path / "export", form)
    assert list(tmp_path.iterdir()) == []


@needs_onnx
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_eight_bits_make_it_small_and_say_what_they_cost(
    bundle: mg.Bundle, exported: Exported, table: pd.DataFrame, tmp_path: Path
) -> None:
    done = bundle.export(tmp_path / "export", int8=table)
    assert done.network_bytes < 0.4 * exported.network_bytes
    assert done.int8 is not None
    assert done.int8["before"] == pytest.approx(bundle.evaluate(table, on_error="skip"))
    rounded = serving.load(done.directory)
    after = rounded.evaluate(table, on_error="skip")
    assert done.int8["after"] == pytest.approx(after, abs=1e-4)
    assert after != pytest.approx(done.int8["before"], abs=1e-7)
    names = ["label.x", "label.y", "label.z"]
    apart = rounded.predict(table)[names] - bundle.predict(table)[names]
    assert apart.abs().to_numpy().max() < 0.1


@needs_onnx
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_command_line_exports_a_run(
    bundle: mg.Bundle, table: pd.DataFrame, tmp_path: Path
) -> None:
    bundle.save(tmp_path / "run")
    command = ["export", str(tmp_path / "run"), str(tmp_path / "out")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert "ms a row" in said
    assert "the largest difference is" in said
    alike(serving.load(tmp_path / "out").predict(table), bundle.predict(table))
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 2
    assert "overwrite" in again.output
