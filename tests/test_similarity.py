"""The similarity of a row's picture and caption as an input: what it tells a model, and bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression

import multimodal_gen as mg

COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 200, 40),
    "blue": (40, 50, 220),
    "yellow": (230, 220, 40),
    "pink": (250, 150, 180),
    "black": (10, 10, 10),
}
NAMES = list(COLOURS)


def seen(pictures: list[Any]) -> np.ndarray:
    """The mean colour of pictures, around grey."""
    return np.stack([one.mean((0, 1)) for one in pictures]).astype("float32") - 128


def said(texts: list[str]) -> np.ndarray:
    """The colour that a caption names, around grey."""
    named = [next(one for one in NAMES if one in text.split()) for text in texts]
    return np.array([COLOURS[one] for one in named], "float32") - 128


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Cards of which every second has the caption of another one, and whether it fits."""
    folder, rng = tmp_path_factory.mktemp("cards"), np.random.default_rng(0)
    rows = []
    for number in range(96):
        colour = number % len(NAMES)
        fits = bool(number // len(NAMES) % 2)
        pixels = np.clip(rng.normal(COLOURS[NAMES[colour]], 12, (8, 8, 3)), 0, 255)
        Image.fromarray(pixels.astype("uint8")).save(folder / f"{number}.png")
        other = NAMES[(colour + int(rng.integers(1, len(NAMES)))) % len(NAMES)]
        caption = f"a {NAMES[colour] if fits else other} card"
        rows.append((str(folder / f"{number}.png"), caption, "yes" if fits else "no"))
    return pd.DataFrame(rows, columns=["image", "caption", "fits"])


@pytest.fixture(scope="module")
def pair() -> mg.DualEncoder:
    """Two encoders that share the space of colours without training."""
    inputs = {
        "image": mg.EncodedLoader(
            mg.ImageLoader("image", image_size=(8, 8)), mg.FunctionEncoder(seen, 3, name="seen")
        ),
        "caption": mg.EncodedLoader("caption", mg.FunctionEncoder(said, 3, name="said")),
    }
    return mg.DualEncoder(mg.build_dual_encoder(inputs, embedding_size=None), inputs)


def inputs_of(pair: mg.DualEncoder) -> dict[str, mg.loaders.Loader]:
    return {**pair.inputs, "similarity": mg.similarity_loader(pair)}


def test_the_similarity_says_what_both_cells_alone_do_not(
    pair: mg.DualEncoder, cards: pd.DataFrame
) -> None:
    arrays = mg.MultimodalSequence(cards, inputs_of(pair), batch_size=len(cards))[0][0]
    image, caption, similarity = (np.asarray(one) for one in arrays)
    label, half = cards["fits"], len(cards) // 2
    scores = {}
    for name, given in {"alone": [image, caption], "and": [image, caption, similarity]}.items():
        x = np.concatenate(given, axis=1)
        x = (x - x.mean(0)) / x.std(0)
        model = LogisticRegression().fit(x[:half], label[:half])
        scores[name] = model.score(x[half:], label[half:])
    assert scores["alone"] < 0.75
    assert scores["and"] > 0.9


def test_it_is_what_the_pair_itself_says(pair: mg.DualEncoder, cards: pd.DataFrame) -> None:
    loader = mg.similarity_loader(pair)
    assert loader.column == ("image", "caption")
    cells = list(cards[["image", "caption"]].itertuples(index=False, name=None))
    found = np.concatenate(loader.read_batch(cells))
    np.testing.assert_allclose(found, pair.similarity(cards), atol=1e-5)
    mg.check_loader(loader, cells[:3])


@pytest.mark.parametrize("features", [False, True])
def test_encoders_of_ones_own_are_copied_with_all_that_they_learned(
    features: bool, cards: pd.DataFrame
) -> None:
    keras.utils.set_random_seed(0)
    image: mg.loaders.Loader = mg.ImageLoader(
        "image", image_size=(8, 8), augment=[mg.augment.RandomFlip()]
    )
    if features:
        image = mg.EncodedLoader(image, mg.FunctionEncoder(seen, 3, name="seen"))
    inputs = {
        "image": image,
        "caption": mg.TextLoader.from_texts("caption", cards, output_mode="ngrams"),
    }
    model = mg.build_dual_encoder(inputs, embedding_size=8)
    pair = mg.DualEncoder(model, inputs)
    loader = mg.similarity_loader(pair)
    vectors = [pair.embed(cards.head(20), name).astype("float64") for name in inputs]
    one, other = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in vectors)
    want = (one * other).sum(axis=1)
    model.set_weights([0.5 * weight for weight in model.get_weights()])
    batch = mg.MultimodalSequence(cards.head(20), {"x": loader}, batch_size=20)[0][0]
    np.testing.assert_allclose(np.ravel(batch[0]), want, atol=1e-5)


def test_an_encoder_of_vectors_runs_on_whole_batches(cards: pd.DataFrame) -> None:
    calls = []

    def counted(pictures: list[Any]) -> np.ndarray:
        calls.append(len(pictures))
        return seen(pictures)

    inner = mg.EncodedLoader(
        mg.ImageLoader("image", image_size=(8, 8)), mg.FunctionEncoder(counted, 3, name="counted")
    )
    double = mg.FunctionEncoder(lambda rows: 2 * np.stack(rows), 3, name="double")
    outer = mg.EncodedLoader(inner, double)
    found = outer.read_batch([*cards["image"][:20], "absent.png"])
    assert calls == [20]
    assert isinstance(found[-1], Exception)
    np.testing.assert_array_equal(
        np.stack(found[:20]), 2 * np.stack(inner.read_batch(list(cards["image"][:20])))
    )


def test_a_bundle_compares_raw_cells(
    pair: mg.DualEncoder, cards: pd.DataFrame, tmp_path: Path
) -> None:
    loader, target = mg.similarity_loader(pair), mg.ClassLabel("fits", ["no", "yes"])
    keras.utils.set_random_seed(1)
    model = mg.build_fusion_classifier({"similarity": loader}, target)
    head = model.get_layer("similarity_embedding")
    head.set_weights([one + 1 for one in head.get_weights()])
    bundle = mg.Bundle(model, {"similarity": loader}, target)
    bundle.save(tmp_path)
    found = mg.load_bundle(tmp_path, custom_objects={"seen": seen, "said": said})
    table = cards[["image", "caption"]].head(6)
    pd.testing.assert_frame_equal(found.predict(table), bundle.predict(table))


def test_a_cache_knows_both_cells(cards: pd.DataFrame, tmp_path: Path) -> None:
    calls: list[int] = []

    def counted(texts: list[str]) -> np.ndarray:
        calls.append(len(texts))
        return said(texts)

    inputs = {
        "image": mg.EncodedLoader(
            mg.ImageLoader("image", image_size=(8, 8)), mg.FunctionEncoder(seen, 3, name="seen")
        ),
        "caption": mg.EncodedLoader("caption", mg.FunctionEncoder(counted, 3, name="counted")),
    }
    loader = mg.SimilarityLoader(*inputs.values())

    def read(table: pd.DataFrame) -> int:
        calls.clear()
        assert mg.fill_cache(table, [loader], tmp_path / "cache").cells == len(table)
        sequence = mg.MultimodalSequence(
            table, {"x": loader}, batch_size=6, cache=tmp_path / "cache"
        )
        assert np.asarray(sequence[0][0][0]).shape == (len(table), 1)
        return sum(calls)

    table = cards.head(6)
    assert read(table) == 6
    assert read(table) == 0
    # Another caption of the same picture is another row, and so is a picture that has changed.
    assert read(table.assign(caption="one pink card")) == 6
    changed = tmp_path / "changed.png"
    for colour in ("red", "blue"):
        Image.new("RGB", (8, 8), colour).save(changed)
        assert read(table.head(1).assign(image=str(changed))) == 1
    assert read(table.head(1).assign(image=str(changed))) == 0


def test_a_row_that_cannot_be_read_is_named(pair: mg.DualEncoder, cards: pd.DataFrame) -> None:
    loader = mg.similarity_loader(pair)
    table = cards.head(4).copy()
    table.loc[2, "image"] = "absent.png"
    with pytest.raises(
        mg.LoadError, match=r"index 2, column \('image', 'caption'\), path 'absent\.png'"
    ):
        mg.MultimodalSequence(table, {"x": loader}, batch_size=4)[0]
    table.loc[2, "image"] = None
    with pytest.raises(mg.LoadError, match="index 2, .*the cell is missing"):
        mg.MultimodalSequence(table, {"x": loader}, batch_size=4)[0]
    kept = mg.MultimodalSequence(
        table, {"x": loader}, batch_size=4, on_error="blank", max_error_rate=0.5
    )
    assert np.flatnonzero(np.ravel(kept[0][0][0]) == 0).tolist() == [2]


def test_loaders_that_have_no_similarity_say_why(pair: mg.DualEncoder) -> None:
    image, caption = pair.inputs.values()
    with pytest.raises(ValueError, match="must read vectors of one size"):
        mg.SimilarityLoader(mg.ImageLoader("image", image_size=(8, 8)), caption)
    two = mg.NumericLoader(("a", "b", "c"), mean=[0.0] * 3, scale=[1.0] * 3)
    with pytest.raises(ValueError, match="must read one column"):
        mg.SimilarityLoader(image, two)
    views = mg.EncodedLoader(
        mg.ImageLoader("image", image_size=(8, 8), augment=[mg.augment.RandomFlip()]),
        mg.FunctionEncoder(seen, 3, name="seen"),
        views=2,
    )
    with pytest.raises(ValueError, match="leave out `augment` and `views`"):
        mg.SimilarityLoader(views, caption)
