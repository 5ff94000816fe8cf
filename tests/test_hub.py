"""Presets of keras-hub: keras-hub's own vectors, as features, as a branch and in bundles."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from conftest import run_on

import multimodal_gen as mg
from multimodal_gen.errors import BundleError
from multimodal_gen.models.hub.tokenizer import tokenizer_as_json

# It is in the environment of `make test`, but not in that of the lowest versions.
keras_hub = pytest.importorskip("keras_hub")

import hub_presets as presets  # noqa: E402  (it needs keras-hub)

pytestmark = pytest.mark.filterwarnings(
    # keras-hub leaves the vocabularies open that it reads.
    "ignore:unclosed file:ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)
TEXTS = ["a red mug", "The lamps on the table!", "", "blue " * 40, "a photo of a RED mug"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("presets")


@pytest.fixture(scope="module")
def bert(folder: Path) -> Path:
    return presets.bert(folder / "bert")


@pytest.fixture(scope="module")
def vit(folder: Path) -> Path:
    return presets.vit(folder / "vit")


def pictures(rows: int) -> np.ndarray:
    shape = (rows, presets.SIZE, presets.SIZE, 3)
    return np.random.default_rng(0).integers(0, 256, shape).astype("uint8")


def table_of(rows: int = 8) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image": list(pictures(rows)),
            "caption": [TEXTS[row % len(TEXTS)] for row in range(rows)],
            "label": ["cup", "light"] * (rows // 2),
        }
    )


def numbers(tensor: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def test_the_vector_of_a_text_is_that_of_keras_hub(bert: Path) -> None:
    loader = mg.from_preset(bert, "caption").loader
    models = keras_hub.models
    prepare = models.TextEmbedderPreprocessor.from_preset(str(bert), sequence_length=24)
    embedder = models.TextEmbedder.from_preset(str(bert), preprocessor=prepare)
    want = embedder.predict(TEXTS, verbose=0)
    assert np.abs(np.stack(loader.read_batch(TEXTS)) - want).max() < 1e-6
    assert np.ptp(want, axis=0).max() > 1e-2


def test_byte_pairs_without_segments_are_packed_as_keras_hub_packs_them(folder: Path) -> None:
    path = presets.roberta(folder / "roberta")
    found = mg.from_preset(path, "caption")
    prepare = keras_hub.models.TextClassifierPreprocessor.from_preset(str(path), sequence_length=20)
    given = prepare(["a mug", "a"])
    ids = np.stack([found.loader.loader.read(text) for text in ("a mug", "a")])
    assert np.array_equal(np.where(ids > 0, ids - 1, 1), numbers(given["token_ids"]))
    vectors = numbers(keras_hub.models.Backbone.from_preset(str(path))(given))
    mask = numbers(given["padding_mask"])[..., None]
    want = (vectors * mask).sum(1) / mask.sum(1)
    assert np.abs(np.stack(found.loader.read_batch(["a mug", "a"])) - want).max() < 1e-5


@pytest.mark.parametrize(("name", "leading"), [("vit", 1), ("dino", 3)])
def test_the_vector_of_a_picture_is_the_first_token_and_the_mean_patch(
    name: str, leading: int, tmp_path: Path
) -> None:
    path = getattr(presets, name)(tmp_path / name)
    loader = mg.from_preset(path, "image").loader
    pixels = pictures(3)
    scaled = keras_hub.layers.ImageConverter.from_preset(str(path))(pixels.astype("float32"))
    given = {"pixel_values": scaled} if name == "dino" else scaled
    tokens = numbers(keras_hub.models.Backbone.from_preset(str(path))(given))
    want = np.concatenate([tokens[:, 0], tokens[:, leading:].mean(1)], axis=1)
    assert np.abs(np.stack(loader.read_batch(list(pixels))) - want).max() < 1e-5
    assert loader.loader.get_config()["crop_to_aspect_ratio"] == (name == "vit")


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_a_text_has_the_same_bits_in_any_company(batch_size: int, bert: Path) -> None:
    loader = mg.from_preset(bert, "caption").loader
    want = {text: loader.read(text).tobytes() for text in TEXTS}
    table = table_of(10)
    sequence = mg.MultimodalSequence(table, {"caption": loader}, batch_size=batch_size)
    for number in range(len(sequence)):
        for text, vector in zip(
            sequence.rows(number)["caption"], sequence[number][0][0], strict=True
        ):
            assert np.asarray(vector).tobytes() == want[text]


def classifier(inputs: dict[str, mg.models.Pretrained]) -> Any:
    keras.utils.set_random_seed(3)
    return mg.build_fusion_classifier(
        {name: one.loader for name, one in inputs.items()},
        mg.ClassLabel("label", ["cup", "light"]),
        branches={name: one.branch for name, one in inputs.items()},
        fusion="concat",
    )


def test_features_and_the_same_preset_as_a_branch_predict_the_same(bert: Path, vit: Path) -> None:
    table, models, loaders = table_of(), [], []
    for trainable in (False, True):
        both = {
            "caption": mg.from_preset(bert, "caption", trainable=trainable, max_length=20),
            "image": mg.from_preset(vit, "image", trainable=trainable),
        }
        models.append(classifier(both))
        loaders.append({name: one.loader for name, one in both.items()})
    frozen, tuned = models
    assert len(tuned.trainable_weights) > len(frozen.trainable_weights)
    for layer in tuned.layers:
        if layer.weights and not layer.name.endswith("_encoder"):
            layer.set_weights(frozen.get_layer(layer.name).get_weights())
    one, other = (
        model.predict(mg.MultimodalSequence(table, given), verbose=0)
        for model, given in zip(models, loaders, strict=True)
    )
    assert np.abs(one - other).max() < 1e-5
    assert loaders[1]["caption"].spec.shape == (20,)
    # No warning about the weights of BERT's other output, which get no gradient.
    before = [numbers(weight).copy() for weight in tuned.trainable_weights]
    target = mg.ClassLabel("label", ["cup", "light"])
    tuned.compile("adam", target.loss)
    # Two steps: the heads begin with zeros, which let no gradient through.
    tuned.fit(mg.MultimodalSequence(table, loaders[1], target), epochs=2, verbose=0)
    same = [
        weight.path
        for old, weight in zip(before, tuned.trainable_weights, strict=True)
        if np.array_equal(old, numbers(weight)) and old.size > 100
    ]
    assert not same


def test_weights_without_a_gradient_are_not_trained(tmp_path: Path) -> None:
    found = mg.from_preset(presets.dino(tmp_path / "dino"), "image", trainable=True)
    model = classifier({"image": found})
    assert not [one.path for one in model.trainable_weights if one.name == "mask_token"]
    assert [one.path for one in model.trainable_weights if "register" in one.path]


@pytest.mark.parametrize("trainable", [False, True])
def test_a_bundle_predicts_from_raw_cells_without_the_preset(
    trainable: bool, folder: Path, tmp_path: Path
) -> None:
    text, image = (
        shutil.copytree(source, tmp_path / source.name)
        for source in (presets.bert(folder / "bert2"), presets.vit(folder / "vit2"))
    )
    both = {
        "caption": mg.from_preset(text, "caption", trainable=trainable),
        "image": mg.from_preset(image, "image", trainable=trainable),
    }
    target, table = mg.ClassLabel("label", ["cup", "light"]), table_of()
    inputs = {name: one.loader for name, one in both.items()}
    bundle = mg.Bundle(classifier(both), inputs, target)
    bundle.save(tmp_path / "bundle")
    want = bundle.predict(table)
    shutil.rmtree(text)
    shutil.rmtree(image)
    files = {one.name for one in (tmp_path / "bundle").iterdir()}
    encoders = set() if trainable else {"encoder.keras", "encoder_1.keras"}
    assert files == {"bundle.json", "model.keras", "tokenizer.json", *encoders}
    found = mg.load_bundle(tmp_path / "bundle").predict(table)
    assert np.abs(found[["cup", "light"]] - want[["cup", "light"]]).max().max() < 1e-6


@pytest.mark.slow
def test_a_bundle_predicts_the_same_in_another_process_and_on_another_backend(
    bert: Path, tmp_path: Path, other_backends: list[str]
) -> None:
    found = {"caption": mg.from_preset(bert, "caption")}
    target = mg.ClassLabel("label", ["cup", "light"])
    bundle = mg.Bundle(classifier(found), {"caption": found["caption"].loader}, target)
    bundle.save(tmp_path / "bundle")
    code = (
        "import sys, json, pandas as pd, multimodal_gen as mg\n"
        f"found = mg.load_bundle({str(tmp_path / 'bundle')!r}).predict("
        f"pd.DataFrame({{'caption': {TEXTS!r}}}))\n"
        "print(json.dumps(found['cup'].tolist()))"
    )
    want = bundle.predict(pd.DataFrame({"caption": TEXTS}))["cup"]
    printed = run_on(other_backends[0], code)
    assert np.abs(np.array(json.loads(printed.splitlines()[-1])) - want).max() < 1e-5


def test_loaders_of_presets_keep_the_contract(bert: Path) -> None:
    loader = mg.from_preset(bert, "caption", trainable=True, missing="blank").loader
    assert isinstance(loader, mg.PresetTextLoader)
    mg.check_loader(loader, TEXTS[:2])
    assert loader.tokenizer == pickle.loads(pickle.dumps(loader)).tokenizer
    assert loader.describe(loader.read("a red mug")) == {"": "[CLS] a red mug [SEP]"}
    said = loader.text_coverage(["a mug", "blue " * 40])
    assert said == "as tokens, 50.0% of the captions are longer than 24 and are truncated"
    assert loader.text_coverage(["a mug"]) is None
    table = pd.DataFrame({"caption": ["a mug", None]})
    batch = mg.MultimodalSequence(table, {"caption": loader}, batch_size=2)[0][0]
    assert not np.asarray(batch[0])[1].any()


def test_a_text_with_nothing_but_padding_is_not_nan(bert: Path) -> None:
    encoder = mg.from_preset(bert, "caption").loader.encoder
    assert np.isfinite(encoder.encode([np.zeros(24, "int32")])).all()


def test_a_tokenizer_says_what_is_wrong_with_its_settings(bert: Path) -> None:
    tokenizer = mg.from_preset(bert, "caption").loader.loader.tokenizer
    assert isinstance(tokenizer, mg.PresetTokenizer)
    with pytest.raises(ValueError, match="more than the 2 ids that each text gets"):
        tokenizer.replace(length=2)
    with pytest.raises(TypeError, match="must be a PresetTokenizer"):
        mg.PresetTextLoader("caption", "bert")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="takes at most 24 tokens"):
        mg.from_preset(bert, "caption", max_length=25)


def test_weights_that_do_not_fit_are_listed(folder: Path, tmp_path: Path) -> None:
    other = presets.vit(tmp_path / "vit")
    broken = presets.bert(tmp_path / "bert")
    shutil.copy(other / "model.weights.h5", broken)
    with pytest.raises(ValueError, match=r"missing layers/dense/vars/0 \(16, 16\); .* more"):
        mg.from_preset(broken, "caption")
    (broken / "model.weights.h5").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no model\.weights\.h5"):
        mg.from_preset(broken, "caption")


def test_a_preset_without_its_tokenizer_or_converter_says_what_to_add(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no TextEmbedderPreprocessor, so nothing says how"):
        mg.from_preset(presets.bert(tmp_path / "bert", tokenizer=False), "caption")
    with pytest.raises(ValueError, match="has no ImageConverter, so nothing says how pixels"):
        mg.from_preset(presets.vit(tmp_path / "vit", converter=False), "image")


def test_names_that_are_no_preset_are_errors_without_a_download(
    bert: Path, vit: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"it has \['bert_base_en"):
        mg.from_preset("bert_base_em", "caption")
    with pytest.raises(ValueError, match="`preset` must be the name of a .*, a folder"):
        mg.from_preset("nothing/like/it", "caption")
    with pytest.raises(FileNotFoundError, match="preset of keras-hub"):
        mg.from_preset(tmp_path, "caption")
    with pytest.raises(ValueError, match="its own weights"):
        mg.from_preset(bert, "caption", weights=None)
    with pytest.raises(ValueError, match="`image_size` is not for an encoder of texts"):
        mg.from_preset(bert, "caption", image_size=(8, 8))
    with pytest.raises(ValueError, match="`max_length` is not for an encoder of pictures"):
        mg.from_preset(vit, "image", max_length=8)
    with pytest.raises(ValueError, match=r"takes pictures of \(32, 32\)"):
        mg.from_preset(vit, "image", image_size=(8, 8))
    network = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten()])
    with pytest.raises(ValueError, match="is for presets of keras-hub"):
        mg.from_preset(network, "image", part="image")


def test_a_preset_of_foreign_code_is_refused(bert: Path, tmp_path: Path) -> None:
    path = shutil.copytree(bert, tmp_path / "foreign")
    config = json.loads((path / "config.json").read_text())
    config["module"] = "os"
    (path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="neither Keras's nor keras-hub's"):
        mg.from_preset(path, "caption")
    config |= {"module": "keras_hub.src.models.bert.bert_backbone", "class_name": "Gone"}
    (path / "config.json").write_text(json.dumps(config | {"registered_name": "keras_hub>Gone"}))
    with pytest.raises(ValueError, match="cannot build the model of this preset"):
        mg.from_preset(path, "caption")


def spoiled(bundle: Path, change: Any) -> None:
    """Change the description of the model of a bundle's encoder."""
    path = bundle / "encoder.keras"
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(files["config.json"])
    change(config)
    files["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)


@pytest.mark.parametrize(
    "foreign",
    [
        {"class_name": "function", "config": "keras_hub>upload_preset", "module": "builtins"},
        {
            "class_name": "WordPieceTokenizer",
            "config": {"vocabulary": "/etc/passwd"},
            "module": "keras_hub.src.tokenizers.word_piece_tokenizer",
            "registered_name": "keras_hub>WordPieceTokenizer",
        },
        {
            "class_name": "upload_preset",
            "config": {},
            "module": "keras_hub.src.utils.preset_utils",
            "registered_name": "upload_preset",
        },
        {
            "class_name": "CLIPPreprocessor",
            "config": {},
            "module": "keras_hub.src.models.clip.clip_preprocessor",
            "registered_name": "CLIPPreprocessor",
        },
        {
            "class_name": "BertTextClassifier",
            "config": {},
            "module": "keras_hub.src.models.bert.bert_text_classifier",
            "registered_name": "keras_hub>BertTextClassifier",
        },
    ],
)
def test_a_strangers_bundle_gets_layers_of_keras_hub_and_nothing_else(
    foreign: dict[str, Any], bert: Path, tmp_path: Path
) -> None:
    found = {"caption": mg.from_preset(bert, "caption")}
    bundle = mg.Bundle(classifier(found), {"caption": found["caption"].loader})
    bundle.save(tmp_path)

    def add(config: dict[str, Any]) -> None:
        config["config"]["layers"][-1]["config"]["name"] = foreign

    spoiled(tmp_path, add)
    with pytest.raises(BundleError, match="not in `custom_objects`|runs code"):
        mg.load_bundle(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class": "Tokenizer.__init__"}, "has no tokenizer of this class"),
        ({"class": "keras_hub_export"}, "has no tokenizer of this class"),
        ({"config": {"vocabulary": "/etc/passwd"}}, "may not have this setting"),
        ({"config": {"dtype": {"class_name": "Lambda"}}}, "may not have this setting"),
        ({"files": {"../vocabulary.txt": "a"}}, r"has the files \['vocabulary.txt'\]"),
    ],
)
def test_a_strangers_tokenizer_opens_no_file(
    change: dict[str, Any], message: str, bert: Path
) -> None:
    tokenizer = keras_hub.tokenizers.Tokenizer.from_preset(str(bert))
    described = {**json.loads(tokenizer_as_json(tokenizer)), **change}
    with pytest.raises(ValueError, match=message):
        mg.PresetTokenizer(json.dumps(described), length=8)


def test_a_missing_keras_hub_is_named(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(ImportError, match=r"pip install 'multimodal_gen\[hub\]'"):
        mg.from_preset(bert, "caption")
    with pytest.raises(
        ValueError, match=r"if that is installed \(pip install 'multimodal_gen\[hub\]'\)"
    ):
        mg.from_preset("bert_base_en", "caption")


def test_a_bundle_without_keras_hub_says_what_to_install(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {"caption": mg.from_preset(bert, "caption", trainable=True)}
    mg.Bundle(classifier(found), {"caption": found["caption"].loader}).save(tmp_path)
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(BundleError, match=r"pip install 'multimodal_gen\[hub\]'"):
        mg.load_bundle(tmp_path)
