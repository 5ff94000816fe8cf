"""What becomes of models elsewhere: quantised and saved, exported after loading, trained with
Keras's class weights.
"""

import inspect
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from benchmarks import exports
from multimodal_gen.loaders.base import ArraySpec
from multimodal_gen.models import FusionModel, TokenBranch, build_fusion_classifier, exporting

BACKEND = keras.backend.backend()
TOKENS = mg.TextLoader.from_texts(
    "caption", ["a red mug", "a blue lamp", "a mug on a table"], sequence_length=6
)
TARGET = mg.ClassLabel("label", ["lamp", "mug"])
TABLE = pd.DataFrame(
    {"caption": ["a red mug", "a lamp", "a blue lamp on a table"], "label": ["mug", "lamp", "lamp"]}
)


def build(blocks: int) -> FusionModel:
    branch = TokenBranch(embedding_size=8, blocks=blocks, heads=2)
    model = build_fusion_classifier({"caption": TOKENS}, TARGET, branches={"caption": branch})
    model.set_weights([np.random.default_rng(0).normal(size=w.shape) for w in model.get_weights()])
    return model


class Cautious(keras.layers.Layer):
    """A layer of your own that warns when it is quantized."""

    def call(self, inputs):
        return inputs

    def quantize(self, mode, **options):
        warnings.warn(f"{mode} is coarse", stacklevel=2)


def test_quantizing_tells_what_your_own_layers_warn_of_and_no_more():
    # Warnings are errors here, and Keras has one for each kind of layer that it leaves alone.
    model = build(blocks=0)
    model.quantize("int8")
    assert model.get_layer("caption_head").quantization_mode == "int8"
    own = FusionModel(model.inputs, Cautious()(build(blocks=0)(model.inputs)))
    with pytest.warns(UserWarning, match="int8 is coarse") as told:
        own.quantize("int8")
    said = [str(one.message) for one in told if issubclass(one.category, UserWarning)]
    assert said == ["int8 is coarse"]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_a_quantised_model_that_keras_could_not_load_is_refused_when_it_is_saved(mode, tmp_path):
    model = build(blocks=1)
    model.quantize(mode)
    bundle = mg.Bundle(model, {"caption": TOKENS}, TARGET)
    with pytest.raises(
        ValueError, match=r"Save the bundle before `quantize`.*types \['Dense', 'EinsumDense'"
    ):
        bundle.save(tmp_path / "bundle")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
def test_a_quantised_model_is_loaded_unchanged_and_one_with_attention_is_quantised_after_loading(
    tmp_path,
):
    # An operation and a layer of one name, as in MobileNetV3: the check before saving keeps them
    # apart.
    pooled = build(blocks=0)
    outputs = keras.layers.Add()([pooled.output, pooled.output]) * 0.5 + 0.0
    model = keras.Model(pooled.inputs, outputs)
    model.quantize("int8")
    bundle = mg.Bundle(model, {"caption": TOKENS}, TARGET)
    bundle.save(tmp_path / "pooled")
    loaded = mg.load_bundle(tmp_path / "pooled")
    assert loaded.model.get_layer("caption_head").quantization_mode == "int8"
    pd.testing.assert_frame_equal(loaded.predict(TABLE), bundle.predict(TABLE), atol=1e-6)

    mg.Bundle(build(blocks=1), {"caption": TOKENS}, TARGET).save(tmp_path / "attention")
    attention = mg.load_bundle(tmp_path / "attention")
    before = attention.predict(TABLE)["mug"]
    attention.model.quantize("int8")
    np.testing.assert_allclose(attention.predict(TABLE)["mug"], before, atol=0.1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif(
    BACKEND == "torch", reason="Keras exports to the SavedModel format from tensorflow and jax only"
)
@pytest.mark.parametrize("blocks", [0, 1])
def test_tokens_in_any_number_are_exported_with_and_without_positions(blocks, tmp_path):
    tensorflow = pytest.importorskip("tensorflow", reason="the SavedModel format is TensorFlow's")
    model = build(blocks)
    model.export(tmp_path / "exported", format="tf_saved_model", verbose=False)
    served = tensorflow.saved_model.load(str(tmp_path / "exported"))
    for length in (6, 3):
        tokens = np.random.default_rng(1).integers(1, 9, (2, length)).astype("int32")
        np.testing.assert_allclose(
            served.serve([tokens]), model.predict([tokens], verbose=0), atol=1e-5
        )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("own", [False, True])
def test_a_model_that_was_loaded_is_exported_to_onnx_and_says_the_same_there(own, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime and a converter")
    pytest.importorskip(
        {"tensorflow": "tf2onnx", "jax": "jax2onnx", "torch": "onnxscript"}[BACKEND]
    )
    model = build(blocks=0)
    if own:
        model = keras.Model(model.inputs, model.outputs)
    mg.Bundle(model, {"caption": TOKENS}, TARGET).save(tmp_path / "bundle")
    bundle = mg.load_bundle(tmp_path / "bundle")
    bundle.model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    tokens = np.stack([TOKENS.read(text) for text in TABLE["caption"]])
    (outputs,) = session.run(None, {session.get_inputs()[0].name: tokens})
    np.testing.assert_allclose(outputs[:, 1], bundle.predict(TABLE)["mug"], atol=1e-5)


def test_a_model_was_called_before_it_is_exported_for_the_first_time(tmp_path):
    # Without the extras that ONNX needs: what Keras asks for before it looks for them.
    model = build(blocks=0)
    functional = keras.Model(model.inputs, model.outputs)
    mg.Bundle(functional, {"caption": TOKENS}, TARGET).save(tmp_path)
    assert mg.load_bundle(tmp_path).model._called
    mg.Bundle(model, {"caption": TOKENS}, TARGET).save(tmp_path)
    model = mg.load_bundle(tmp_path).model
    assert not model._called
    with pytest.raises(ValueError, match="Unrecognized format"):
        model.export(tmp_path / "exported", format="none")
    assert model._called


@pytest.mark.parametrize(
    ("backend", "form", "package"),
    [
        ("tensorflow", "onnx", "tf2onnx"),
        ("jax", "onnx", "jax2onnx"),
        ("torch", "onnx", "onnxscript"),
        ("torch", "litert", "litert-torch"),
        ("jax", "tf_saved_model", "tensorflow"),
    ],
)
def test_an_export_without_its_converter_names_the_package(
    backend, form, package, monkeypatch, tmp_path
):
    model = build(blocks=0)
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    monkeypatch.setitem(sys.modules, package.replace("-", "_"), None)
    rule = f"from {backend} needs {package}: pip install {package}.*Received: format='{form}'"
    if form == "tf_saved_model":
        # It is Keras's default.
        with pytest.raises(ImportError, match=rule):
            model.export(tmp_path / "exported")
    else:
        with pytest.raises(ImportError, match=rule):
            model.export(tmp_path / "exported", format=form)
    with pytest.raises(ImportError, match=rule):
        model.export(tmp_path / "exported", form, verbose=False)
    assert not list(tmp_path.iterdir())


def test_the_page_on_models_names_the_package_of_every_converter():
    page = (Path(__file__).parents[1] / "docs" / "models.md").read_text("utf-8")
    table = [line for line in page.splitlines() if line.startswith('| `"')]
    for (form, backend), (_, package) in exporting._CONVERTERS.items():
        column = 2 + ["tensorflow", "jax", "torch"].index(backend)
        row = next(line for line in table if line.startswith(f'| `"{form}"`'))
        assert f"`pip install {package}`" in row.split("|")[column]


def test_the_table_of_exports_knows_every_application_and_groups_backends_by_what_they_did(
    tmp_path,
):
    functions = {name for name, one in vars(keras.applications).items() if inspect.isfunction(one)}
    assert functions <= set(exports.APPLICATIONS)
    assert exports.check("VectorBranch", "keras", tmp_path) == "yes"
    left = [
        name
        for name in (*exports.BRANCHES, *exports.APPLICATIONS)
        if name not in ("VectorBranch", "VGG16")
    ]
    results = {
        "jax/VectorBranch/keras": "yes",
        "torch/VectorBranch/keras": "yes",
        "jax/VGG16/onnx": "fails: TypeError",
    }
    results |= {
        "jax/VectorBranch/onnx": "WRONG by 0.20",
        "jax/VectorBranch/litert": "not tried: no such module",
    }
    results |= {"torch/VGG16/int8": "over 240 s"}
    nothing = "tensorflow, jax, torch: not measured"
    rows = exports.table(results).splitlines()[2:]
    assert rows[:2] == [
        f"| `VectorBranch` | tensorflow: not measured; jax, torch: yes | {nothing} "
        f"| tensorflow, torch: not measured; jax: WRONG by 0.20 | {nothing} | {nothing} |",
        f"| `VGG16` | {nothing} | {nothing} | tensorflow, torch: not measured; jax: no | {nothing} "
        "| tensorflow, jax: not measured; torch: over 240 s |",
    ]
    assert rows[2:] == ["", f"Nothing was measured of {', '.join(f'`{name}`' for name in left)}."]


INPUTS = {"v": ArraySpec((2,), "float32", "vector")}
ARRAYS = np.zeros((4, 2), "float32")


@pytest.mark.parametrize("way", ["fit", "train_on_batch"])
@pytest.mark.parametrize(
    ("target", "labels", "message"),
    [
        (
            {"kind": mg.ClassLabel("kind", ["a", "b"]), "price": mg.NumericTarget("price")},
            {"kind": np.array([0, 1, 0, 1]), "price": np.zeros((4, 1), "float32")},
            r"MultimodalSequence\(\.\.\., class_weight=.*are \['kind', 'price'\]. "
            r"Received: class_weight=\{0: 1.0",
        ),
        (
            mg.MultiLabel("tags", ["p", "q"]),
            np.ones((4, 2), "float32"),
            "needs a target that is a class.*sample_weight",
        ),
        (
            mg.NumericTarget("price"),
            np.ones((4, 1), "float32"),
            "needs a target that is a class.*sample_weight",
        ),
    ],
)
def test_class_weights_of_keras_are_refused_where_there_is_not_one_class_target(
    way, target, labels, message
):
    model = build_fusion_classifier(INPUTS, target)
    model.compile("sgd", loss="mse")
    with pytest.raises(ValueError, match=message):
        getattr(model, way)(ARRAYS, labels, class_weight={0: 1.0, 1: 2.0})


@pytest.mark.parametrize("label_mode", ["int", "binary"])
def test_class_weights_of_keras_count_for_one_class_target(label_mode):
    target = mg.ClassLabel("kind", ["a", "b"], label_mode=label_mode)
    model = build_fusion_classifier(INPUTS, target)
    model.compile(
        "sgd",
        loss="binary_crossentropy" if label_mode == "binary" else target.loss,
        jit_compile=False,
    )
    labels = np.stack([target.read(cell) for cell in "abab"])
    head = model.get_layer("v_head")
    model.fit([ARRAYS], labels, class_weight={0: 1.0, 1: 0.0}, batch_size=4, verbose=0)
    bias = keras.ops.convert_to_numpy(head.bias)
    # Only rows of the first class have pulled.
    assert (bias[0] < 0) if label_mode == "binary" else (bias[0] > 0 > bias[1])


@pytest.mark.parametrize("way", ["fit", "train_on_batch"])
@pytest.mark.parametrize(
    ("mode", "keys", "last", "unknown"),
    [
        ("int", ["a", "b"], 1, r"\['a', 'b'\]"),
        ("binary", [0, "1"], 1, r"\['1'\]"),
        ("categorical", [0, 2], 1, r"\[2\]"),
    ],
)
def test_class_weights_of_keras_by_other_keys_than_class_numbers_are_refused(
    way, mode, keys, last, unknown
):
    target = mg.ClassLabel("kind", ["a", "b"], label_mode=mode)
    model = build_fusion_classifier(INPUTS, target)
    model.compile("sgd", loss=target.loss)
    labels = np.stack([target.read(cell) for cell in "abab"])
    message = (
        rf"here 0 to {last}.*MultimodalSequence\(.*target.class_weight.*"
        rf"Received: class_weight with the keys {unknown}"
    )
    with pytest.raises(ValueError, match=message):
        getattr(model, way)(ARRAYS, labels, class_weight=dict.fromkeys(keys, 2.0))
