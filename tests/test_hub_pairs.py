"""A CLIP or SigLIP of keras-hub as one object: its numbers are keras-hub's own, rightly fed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from conftest import run_on

import multimodal_gen as mg

keras_hub = pytest.importorskip("keras_hub")

import hub_presets as presets  # noqa: E402  (it needs keras-hub)

pytestmark = pytest.mark.filterwarnings(
    # keras-hub leaves the vocabularies open that it reads.
    "ignore:unclosed file:ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)
# Three of five tokens, one of four, with the special ones, and one that is cut.
CAPTIONS = ["a red mug", "a lamp!", "A RED mug", "mug a red", "blue " * 20, "a b mug"]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    shape = (len(CAPTIONS), presets.SIZE, presets.SIZE, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype("uint8")
    return pd.DataFrame({"image": list(pixels), "caption": CAPTIONS})


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return presets.clip(tmp_path_factory.mktemp("pairs") / "clip")


@pytest.fixture(scope="module")
def pair(clip: Path) -> mg.DualEncoder:
    return mg.pair_from_preset(clip)


def numbers(tensor: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def own_logits(path: Path, kind: str, table: pd.DataFrame) -> np.ndarray:
    """What keras-hub's backbone says, given the inputs that it has and no others."""
    prepare = getattr(keras_hub.models, f"{kind}Preprocessor").from_preset(str(path))
    backbone = getattr(keras_hub.models, f"{kind}Backbone").from_preset(str(path))
    pixels = np.stack(table["image"]).astype("float32")
    found = prepare({"prompts": list(table["caption"]), "images": pixels})
    given = {name: keras.ops.convert_to_tensor(numbers(found[name])) for name in backbone.input}
    return numbers(backbone(given)["vision_logits"])


def logits_of(pair: mg.DualEncoder, table: pd.DataFrame) -> np.ndarray:
    return pair.scale * pair.embed(table, "image") @ pair.embed(table, "text").T


def test_the_logits_of_a_clip_are_those_of_keras_hub(
    pair: mg.DualEncoder, clip: Path, table: pd.DataFrame
) -> None:
    want = own_logits(clip, "CLIP", table)
    found = logits_of(pair, table)
    assert np.abs(found - want).max() < 1e-4
    assert np.abs(np.diag(found) / pair.scale - pair.similarity(table)).max() < 1e-5
    # With the mask in the place of the ids, all captions of one length would be the same.
    same_length = found[:, [0, 3, 5]]
    assert np.ptp(same_length, axis=1).min() > 1e-2
    # And the case of letters makes no difference.
    assert np.abs(found[:, 0] - found[:, 2]).max() < 1e-4


def test_the_logits_of_a_siglip_are_those_of_keras_hub_without_its_bias(
    tmp_path: Path, table: pd.DataFrame
) -> None:
    path = presets.siglip(tmp_path / "siglip")
    backbone = keras_hub.models.SigLIPBackbone.from_preset(str(path))
    for weight in backbone.weights:
        if weight.name in ("logit_scale", "logit_bias"):
            # As in the published ones: a scale of 117.
            weight.assign({"logit_scale": 4.765, "logit_bias": -16.5}[weight.name])
    backbone.save_to_preset(path)
    pair = mg.pair_from_preset(path)
    assert pair.scale == pytest.approx(117.33, abs=0.01)
    assert np.abs(logits_of(pair, table) - 16.5 - own_logits(path, "SigLIP", table)).max() < 1e-3


def test_pictures_and_texts_find_each_other(pair: mg.DualEncoder, table: pd.DataFrame) -> None:
    vectors = {name: pair.embed(table, name) for name in ("image", "text")}
    similar = vectors["text"][0] @ vectors["image"].T
    found = pair.index(table).search("a red mug", k=6)
    assert list(found.index) == list(np.argsort(-similar))
    np.testing.assert_allclose(found["similarity"], np.sort(similar)[::-1], atol=1e-5)
    texts = pair.index(table, "text").search(table["image"][1], k=3)
    assert list(texts.index) == list(
        np.argsort(-(vectors["text"] @ vectors["image"][1]), kind="stable")[:3]
    )
    prompts = {"red": ["a red mug", "mug a red"], "lamp": "a lamp!"}
    labels = pair.zero_shot(table[["image"]], prompts)
    np.testing.assert_allclose(labels[["red", "lamp"]].astype(float).sum(axis=1), 1, rtol=1e-5)
    mean = vectors["text"][[0, 3]].mean(axis=0)
    two = np.stack([mean / np.linalg.norm(mean), vectors["text"][1]])
    nearest = (vectors["image"] @ two.T).argmax(axis=1)
    assert list(labels["label"]) == [list(prompts)[one] for one in nearest]
    scores = pair.evaluate(table, ranks=(6,))
    assert scores == {"image_to_text_recall_at_6": 1.0, "text_to_image_recall_at_6": 1.0}


def test_a_saved_pair_does_not_need_the_preset(
    clip: Path, table: pd.DataFrame, tmp_path: Path
) -> None:
    path = shutil.copytree(clip, tmp_path / "clip")
    pair = mg.pair_from_preset(path)
    want = pair.similarity(table)
    pair.save(tmp_path / "pair")
    shutil.rmtree(path)
    assert {one.name for one in (tmp_path / "pair").iterdir()} == {
        "bundle.json",
        "encoder.keras",
        "encoder_1.keras",
        "model.keras",
        "tokenizer.json",
    }
    found = mg.DualEncoder.load(tmp_path / "pair")
    np.testing.assert_allclose(found.similarity(table), want, atol=1e-5)
    assert found.scale == pytest.approx(pair.scale)


@pytest.mark.slow
def test_a_saved_pair_says_the_same_on_another_backend(
    pair: mg.DualEncoder, table: pd.DataFrame, tmp_path: Path, other_backends: list[str]
) -> None:
    pair.save(tmp_path / "pair")
    table.to_pickle(tmp_path / "table.pkl")
    code = (
        "import json, pandas as pd, multimodal_gen as mg\n"
        f"pair = mg.DualEncoder.load({str(tmp_path / 'pair')!r})\n"
        f"found = pair.similarity(pd.read_pickle({str(tmp_path / 'table.pkl')!r}))\n"
        "print(json.dumps(found.tolist()))"
    )
    printed = run_on(other_backends[0], code)
    found = np.array(json.loads(printed.splitlines()[-1]))
    assert np.abs(found - pair.similarity(table)).max() < 1e-5


def test_the_similarity_of_a_clip_is_an_input(
    pair: mg.DualEncoder, table: pd.DataFrame, tmp_path: Path
) -> None:
    loader = mg.similarity_loader(pair)
    # Its vectors share the space already, so nothing runs after the preset.
    assert (loader.first, loader.second) == tuple(pair.inputs.values())
    batch = mg.MultimodalSequence(table, {"fits": loader}, batch_size=6)[0][0]
    np.testing.assert_allclose(np.ravel(batch[0]), pair.similarity(table), atol=1e-5)
    target = mg.ClassLabel("label", ["no", "yes"])
    bundle = mg.Bundle(
        mg.build_fusion_classifier({"fits": loader}, target), {"fits": loader}, target
    )
    bundle.save(tmp_path)
    again = mg.load_bundle(tmp_path).inputs["fits"]
    cells = list(table[["image", "caption"]].itertuples(index=False, name=None))
    np.testing.assert_allclose(
        np.concatenate(again.read_batch(cells)), pair.similarity(table), atol=1e-5
    )


def test_one_half_of_a_clip_is_an_encoder(
    clip: Path, pair: mg.DualEncoder, table: pd.DataFrame
) -> None:
    image = mg.from_preset(clip, "image", part="image").loader
    text = mg.from_preset(clip, "caption", part="text").loader
    np.testing.assert_allclose(
        np.stack(image.read_batch(list(table["image"]))), pair.embed(table, "image"), atol=1e-5
    )
    np.testing.assert_allclose(
        np.stack(text.read_batch(CAPTIONS)), pair.embed(table, "text"), atol=1e-5
    )


def test_presets_that_are_no_pair_say_why(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs a preset with an encoder of pictures and one of"):
        mg.pair_from_preset(presets.bert(tmp_path / "bert"))
    with pytest.raises(ValueError, match="There is no such preset"):
        mg.pair_from_preset(tmp_path / "nothing")
    with pytest.raises(ValueError, match="There is no such preset"):
        mg.pair_from_preset(tmp_path)
    with pytest.raises(ValueError, match=r"used with part='image' or part='text'"):
        mg.from_preset(clip, "image")
    (clip / "preprocessor.json").rename(tmp_path / "preprocessor.json")
    try:
        shutil.copytree(clip, tmp_path / "bare")
    finally:
        (tmp_path / "preprocessor.json").rename(clip / "preprocessor.json")
    (tmp_path / "bare" / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match="has no CausalLMPreprocessor"):
        mg.pair_from_preset(tmp_path / "bare")
