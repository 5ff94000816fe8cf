"""Sentence encoders in ONNX files: settings of their folder, the same bits always, and bundles."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import onnx_files
import pandas as pd
import pytest
from typer.testing import CliRunner

import multimodal_gen as mg
from multimodal_gen.cli.app import app
from multimodal_gen.loaders.encoded.onnx_file import check_onnx
from multimodal_gen.models import Pretrained, build_fusion_classifier

pytest.importorskip("onnxruntime")

TEXTS = ["red cup", "blue shirt", "a red shirt " * 5, "", "cup " * 40, "blue", "Red Cup", "red"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return onnx_files.sentence_folder(tmp_path / "encoder")


def by_hand(text: str, *, pooling: str = "mean", normalize: bool = True) -> np.ndarray:
    """What the small network gives, in float64 and without padding."""
    rng = np.random.default_rng(0)
    words = rng.normal(size=(len(onnx_files.VOCABULARY), onnx_files.SIZE))
    mixing = rng.normal(size=(onnx_files.SIZE, onnx_files.SIZE))
    known = {word: row for row, word in enumerate(onnx_files.VOCABULARY)}
    split = text.lower().replace(":", " : ").split()
    ids = [2, *[known.get(word, 1) for word in split][:18], 3]
    tokens = words[ids].astype("float32").astype("float64")
    both = (tokens + tokens.sum(0)) @ mixing.astype("float32")
    pooled = {"mean": both.mean(0), "max": both.max(0), "cls_token": both[0]}[pooling]
    return pooled / np.linalg.norm(pooled) if normalize else pooled


@pytest.mark.parametrize("pooling", ["mean", "max", "cls_token"])
@pytest.mark.parametrize("normalize", [True, False])
def test_pooling_length_and_lower_case_are_those_of_the_folder(
    tmp_path: Path, pooling: str, normalize: bool
) -> None:
    key = {"max": "max_tokens", "mean": "mean_tokens"}.get(pooling, pooling)
    path = onnx_files.sentence_folder(tmp_path / "one", pooling=key, normalize=normalize)
    loader = mg.from_preset(path, "caption").loader
    want = np.stack([by_hand(text, pooling=pooling, normalize=normalize) for text in TEXTS])
    assert np.abs(np.stack(loader.read_batch(TEXTS)) - want).max() < 1e-6 * np.abs(want).max()


def test_a_sequence_has_the_vectors_of_all_tokens_and_zeros_after_them(folder: Path) -> None:
    tokens = mg.OnnxTextEncoder.from_folder(folder, sequence=True, max_length=12)
    loader = mg.EncodedLoader("caption", tokens)
    assert loader.spec == mg.ArraySpec((12, onnx_files.SIZE), "float32", "features")
    mean = mg.OnnxTextEncoder.from_folder(folder, max_length=12)
    mean = mg.OnnxTextEncoder(**{**mean.get_config(), "pooling": "mean", "normalize": False})
    for text, array in zip(TEXTS, loader.read_batch(TEXTS), strict=True):
        length = len(tokens.prepare(text))
        assert (array[length:] == 0).all()
        want = mg.EncodedLoader("caption", mean).read(text)
        np.testing.assert_allclose(array[:length].mean(0), want, rtol=1e-4, atol=1e-5)
    assert tokens.digest != mg.OnnxTextEncoder.from_folder(folder, max_length=12).digest
    assert pickle.loads(pickle.dumps(tokens)).spec == tokens.spec
    mg.check_loader(loader, TEXTS)


def test_a_text_gives_the_same_bits_in_any_company(folder: Path) -> None:
    loader = mg.from_preset(folder, "caption").loader
    alone = [loader.read(text).tobytes() for text in TEXTS]
    rng = np.random.default_rng(0)
    for size in (1, 2, 7, 32, 64):
        rows = rng.integers(0, len(TEXTS), size)
        batch = loader.read_batch([TEXTS[row] for row in rows])
        assert [one.tobytes() for one in batch] == [alone[row] for row in rows]
    mg.check_loader(loader, TEXTS)


def test_a_prompt_of_the_folder_is_put_before_each_text(folder: Path) -> None:
    plain = mg.OnnxTextEncoder.from_folder(folder)
    query = mg.OnnxTextEncoder.from_folder(folder, prompt="query")
    found = mg.EncodedLoader("caption", query).read("red cup")
    assert np.array_equal(found, mg.EncodedLoader("caption", plain).read("query: red cup"))
    assert plain.digest != query.digest
    path = folder / "config_sentence_transformers.json"
    path.write_text(json.dumps({"prompts": {"q": "query: "}, "default_prompt_name": "q"}))
    default = mg.OnnxTextEncoder.from_folder(folder)
    assert np.array_equal(mg.EncodedLoader("caption", default).read("red cup"), found)
    with pytest.raises(ValueError, match=r"which are \['q'\].*prompt='query'"):
        mg.OnnxTextEncoder.from_folder(folder, prompt="query")


def test_a_folder_that_lacks_a_file_or_a_setting_says_which(folder: Path) -> None:
    (folder / "sentence_bert_config.json").unlink()
    with pytest.raises(ValueError, match="how many tokens"):
        mg.OnnxTextEncoder.from_folder(folder)
    config = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"must name one of.*\['cls', 'mean'\]"):
        mg.OnnxTextEncoder.from_folder(folder)
    (folder / "model.onnx").unlink()
    with pytest.raises(FileNotFoundError, match=r"Missing: model.onnx or onnx/model.onnx"):
        mg.from_preset(folder, "caption")


def test_an_encoder_is_pickled_by_path_and_notices_another_file(folder: Path) -> None:
    encoder = mg.OnnxTextEncoder.from_folder(folder)
    loader = mg.EncodedLoader("caption", pickle.loads(pickle.dumps(encoder)))
    want = mg.EncodedLoader("caption", encoder).read("red cup")
    assert np.array_equal(loader.read("red cup"), want)
    late = mg.OnnxTextEncoder.from_folder(folder)
    (folder / "model.onnx").write_bytes(onnx_files.sentence_model(seed=1))
    assert mg.OnnxTextEncoder.from_folder(folder).digest != encoder.digest
    with pytest.raises(ValueError, match="has changed since"):
        mg.EncodedLoader("caption", late).read("red cup")


def test_a_cell_that_is_not_text_is_named(folder: Path) -> None:
    table = pd.DataFrame({"caption": ["red", 3.5, "cup"]}, index=list("abc"))
    sequence = mg.MultimodalSequence(
        table, {"caption": mg.from_preset(folder, "caption").loader}, batch_size=3
    )
    with pytest.raises(mg.LoadError, match="'b', column 'caption'.*expected text"):
        list(sequence)
    with pytest.raises(ValueError, match="takes the texts of a column"):
        mg.EncodedLoader(
            mg.ImageLoader("x", image_size=(8, 8)), mg.OnnxTextEncoder.from_folder(folder)
        )


def bundle_of(folder: Path, path: Path) -> mg.Bundle:
    text: Pretrained = mg.from_preset(folder, "caption")
    target = mg.ClassLabel("label", ["x", "y"])
    model = build_fusion_classifier({"text": text.loader}, target)
    bundle = mg.Bundle(model, {"text": text.loader}, target)
    bundle.save(path)
    return bundle


def test_a_bundle_holds_the_file_and_needs_the_folder_no_more(folder: Path, tmp_path: Path) -> None:
    table = pd.DataFrame({"caption": TEXTS})
    bundle = bundle_of(folder, tmp_path / "bundle")
    want = bundle.predict(table)
    for one in sorted(folder.rglob("*"), reverse=True):
        one.rmdir() if one.is_dir() else one.unlink()
    assert {one.name for one in (tmp_path / "bundle").iterdir()} == {
        "bundle.json",
        "model.keras",
        "encoder.onnx",
        "tokenizer.json",
    }
    again = mg.load_bundle(tmp_path / "bundle")
    pd.testing.assert_frame_equal(again.predict(table), want)
    again.save(tmp_path / "copy")
    pd.testing.assert_frame_equal(mg.load_bundle(tmp_path / "copy").predict(table), want)


def test_the_command_line_computes_vectors_before_and_trains_on_them(
    folder: Path, tmp_path: Path
) -> None:
    texts = ["a red cup", "a blue shirt", "red shirt", "blue cup"] * 10
    table = pd.DataFrame({"caption": texts, "label": ["cup", "shirt", "shirt", "cup"] * 10})
    table["price"] = range(40)
    table.to_csv(tmp_path / "shop.csv", index=False)
    cache = ["--cache", str(tmp_path / "cache"), "--caption", "caption"]
    shared = [str(tmp_path / "shop.csv"), *cache, "--text-encoder", str(folder)]
    filled = CliRunner().invoke(app, ["cache", *shared])
    assert filled.exit_code == 0, filled.output
    assert any(one.name.startswith("EncodedLoader") for one in (tmp_path / "cache").iterdir())
    options = ["--epochs", "2", "--runs", str(tmp_path)]
    trained = CliRunner().invoke(app, ["train", *shared, *options])
    assert trained.exit_code == 0, trained.output
    bundle = mg.load_bundle(tmp_path / "shop")
    assert list(bundle.inputs) == ["caption", "caption_meaning"]
    assert bundle.inputs["caption_meaning"].spec.kind == "features"
    assert len(bundle.predict(table.head(3))) == 3
    alone = [*shared, *options, "--text", "encoder", "--name", "alone"]
    assert CliRunner().invoke(app, ["train", *alone]).exit_code == 0
    assert list(mg.load_bundle(tmp_path / "alone").inputs) == ["caption_meaning"]
    nothing = CliRunner().invoke(app, ["train", *shared[:1], "--text", "encoder", *options])
    assert "of --text-encoder alone: name one" in " ".join(nothing.output.split())
    no_texts = ["train", str(tmp_path / "shop.csv"), "--text-encoder", str(folder), *options]
    refused = CliRunner().invoke(app, [*no_texts, "--number", "price", "--name", "x"])
    assert refused.exit_code != 0
    assert "name one with --caption" in " ".join(refused.output.split())


def attack(kind: str) -> bytes:
    """A model that would be dangerous, or is none."""
    weights = np.ones(2, "float32")
    inputs = [onnx_files.value("input_ids", onnx_files.INT64, ["batch", "length"])]
    outputs = [onnx_files.value("y", onnx_files.FLOAT, [2])]
    elsewhere = onnx_files.field(
        13, onnx_files.field(1, "location") + onnx_files.field(2, "/etc/passwd")
    )
    node = onnx_files.node("Identity", ["w"], "y")
    tensors = [onnx_files.tensor("w", weights)]
    match kind:
        case "outside":
            tensors = [onnx_files.tensor("w", weights, onnx_files.field(14, 1))]
        case "location":
            tensors = [onnx_files.tensor("w", weights, elsewhere)]
        case "hidden":
            # Inside the attribute of a node of a graph of an attribute.
            inner = onnx_files.field(
                6, onnx_files.field(5, onnx_files.tensor("w", weights, elsewhere))
            )
            node = onnx_files.node("If", ["w"], "y", onnx_files.field(5, inner))
        case "library":
            node = onnx_files.node("Own", ["w"], "y", onnx_files.field(7, "own.domain"))
        case "loop":
            node = onnx_files.node("Loop", ["w"], "y")
        case "text":
            return b"not a model at all"
        case "cut":
            return onnx_files.model([node], tensors, inputs, outputs)[:-9]
        case "empty":
            return b""
    return onnx_files.model([node], tensors, inputs, outputs)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("outside", "weights in another file"),
        ("location", "weights in another file"),
        ("hidden", "weights in another file"),
        ("library", "'own.domain'"),
        ("loop", "'Loop'"),
        ("text", "not an ONNX model"),
        ("cut", "not an ONNX model"),
        ("empty", "1 to"),
    ],
)
def test_the_onnx_file_of_a_stranger_is_looked_through_before_it_is_opened(
    folder: Path, tmp_path: Path, kind: str, words: str
) -> None:
    (tmp_path / "bad.onnx").write_bytes(attack(kind))
    with pytest.raises(ValueError, match=words):
        check_onnx(tmp_path / "bad.onnx")
    bundle_of(folder, tmp_path / "bundle")
    (tmp_path / "bundle" / "encoder.onnx").write_bytes(attack(kind))
    with pytest.raises(mg.BundleError, match=words):
        mg.load_bundle(tmp_path / "bundle")


def test_the_onnx_file_of_a_bundle_is_its_own(folder: Path, tmp_path: Path) -> None:
    bundle_of(folder, tmp_path / "bundle")
    path = tmp_path / "bundle" / "bundle.json"
    text = path.read_text()
    changes: tuple[tuple[str, str], ...] = (
        ('"file": "../encoder.onnx"', "in its own folder"),
        (f'"model": "{folder / "model.onnx"}"', "in its own folder"),
        ('"file": "encoder.onnx", "model": "x"', "in its own folder"),
        ('"file": "encoder_3.onnx"', "encoder_3.onnx"),
    )
    for bad, words in changes:
        path.write_text(text.replace('"file": "encoder.onnx"', bad))
        with pytest.raises(mg.BundleError, match=words):
            mg.load_bundle(tmp_path / "bundle")
    path.write_text(text)
    (tmp_path / "bundle" / "encoder.onnx").unlink()
    (tmp_path / "bundle" / "encoder.onnx").symlink_to(folder / "model.onnx")
    with pytest.raises(mg.BundleError, match="a link"):
        mg.load_bundle(tmp_path / "bundle")


def test_a_sound_model_passes_the_look_through(folder: Path) -> None:
    check_onnx(folder / "model.onnx")
    found: Any = mg.OnnxTextEncoder.from_folder(folder)
    assert found.spec.shape == (onnx_files.SIZE,)
