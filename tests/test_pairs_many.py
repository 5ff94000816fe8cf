"""Pairs of encoders where a cell holds several captions or pictures."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.bundle.pair_items import item_places, items_in
from multimodal_gen.rows.arrays import table_from_arrays

COLOURS = ["red", "green", "blue", "grey", "pink", "white", "black", "brown"]
SENTENCES = ("a {} card", "one card, {}", "{} card on a table", "the {} one", "a card in {}")


def vectors_of(rows: int, most: int, seed: int) -> tuple[pd.DataFrame, dict[str, mg.Loader]]:
    """Rows of one vector and of one to several near ones, which share a space already."""
    rng = np.random.default_rng(seed)
    one = rng.normal(size=(rows, 6)).astype("float32")
    table = table_from_arrays(one=one)
    counts = rng.integers(1, most + 1, rows)
    table["several"] = pd.Series(
        [
            [(row + rng.normal(0, 0.8, 6)).astype("float32") for _ in range(count)]
            for row, count in zip(one, counts, strict=True)
        ],
        dtype=object,
    )
    item = mg.ArrayLoader("several", shape=(6,), dtype="float32")
    inputs = {
        "one": mg.ArrayLoader.from_values("one", one),
        "several": mg.ManyLoader(item, at_most=most),
    }
    return table, inputs


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def recall_by_loops(table: pd.DataFrame, rank: int) -> tuple[float, float]:
    """Recall of both directions, as papers on Flickr30k define it, without any shortcut."""
    ones = unit(np.stack(table["one"].tolist()))
    items = [(row, unit(item)) for row, cell in enumerate(table["several"]) for item in cell]
    found, asked = 0, 0
    for row, one in enumerate(ones):
        nearest = sorted(items, key=lambda item, one=one: -float(one @ item[1]))[:rank]
        found += any(item_row == row for item_row, _ in nearest)
    for row, item in items:
        nearest = np.argsort(-(ones @ item), kind="stable")[:rank]
        asked += row in nearest.tolist()
    return found / len(ones), asked / len(items)


def test_recall_counts_any_caption_of_a_picture_as_the_standard_does() -> None:
    ranks = (1, 3, 10)
    table, inputs = vectors_of(40, 5, seed=0)
    # Items beyond `at_most` are looked for too.
    inputs["several"] = inputs["several"].replace(at_most=2)
    pair = mg.DualEncoder(mg.build_dual_encoder(inputs, embedding_size=None), inputs)
    scores = pair.evaluate(table, ranks=ranks)
    for rank in ranks:
        found, asked = recall_by_loops(table, rank)
        assert scores[f"one_to_several_recall_at_{rank}"] == pytest.approx(found)
        assert scores[f"several_to_one_recall_at_{rank}"] == pytest.approx(asked)
    assert 0 < scores["several_to_one_recall_at_1"] < scores["one_to_several_recall_at_1"] < 1


def test_items_of_equal_content_are_right_for_each_others_rows() -> None:
    table = pd.DataFrame({"image": ["a", "b", "c"], "caption": [["x", "y"], ["y", "z"], ["w"]]})
    text = mg.TextLoader.from_texts("caption", ["x", "y", "z", "w"])
    many = mg.ManyLoader(text, at_most=2)
    captions = items_in(table, many)
    assert captions.rows.tolist() == [0, 0, 1, 1, 2]
    pictures = items_in(table, mg.ImageLoader("image"))
    # Nearer to the caption of row 2 than to any of their own.
    similar = unit(np.array([[0.1, 0.1, 1], [0.1, 0.1, 1], [0.1, 0.1, 1]]))
    near = np.array([[1, 0, 0], [0, 0.6, 0.8], [0, 0.6, 0.8], [0, 1, 0], [0, 0, 1.0]])
    pixels = np.eye(3)
    places = item_places(near, pixels, captions, pictures, 3)
    # "y" is of rows 0 and 1, so that only row 2 is wrong.
    assert places.tolist() == [0, 1, 1, 0, 0]
    back = item_places(pixels, near, pictures, captions, 3)
    assert back.tolist() == [0, 0, 0]
    far = item_places(similar, near, pictures, captions, 3)
    assert far.tolist() == [1, 1, 0]
    joined = table.assign(caption=[json.dumps(one) for one in table["caption"]])
    assert items_in(joined, many).contents == captions.contents


@pytest.fixture(scope="module")
def cards() -> pd.DataFrame:
    """Noisy cards of a colour: a picture, two more of them, and two to five captions."""
    rng, rows = np.random.default_rng(0), []
    for number in range(96):
        name = COLOURS[number % 8]
        shade = np.random.default_rng(number % 8).integers(0, 256, 3)
        pixels = [
            np.clip(shade + rng.normal(0, 10, (8, 8, 3)), 0, 255).astype("uint8") for _ in range(3)
        ]
        captions = [SENTENCES[(number + way) % 5].format(name) for way in range(number % 4 + 2)]
        rows.append((pixels[0], pixels[1:], captions, name))
    return pd.DataFrame(rows, columns=["image", "views", "captions", "colour"])


@pytest.fixture(scope="module")
def pair(cards: pd.DataFrame) -> mg.DualEncoder:
    """Several pictures and several captions in each row, learned by turns."""
    keras.utils.set_random_seed(0)
    train = cards[:64]
    picture = mg.ImageLoader("views", image_size=(8, 8))
    inputs = {
        "views": mg.ManyLoader(picture, at_most=2, training="draw"),
        "captions": mg.ManyLoader.from_texts("captions", train, output_mode="ngrams"),
    }
    branches = {"views": mg.models.ImageBranch(widths=(8,), dropout=0.0)}
    model = mg.build_dual_encoder(inputs, embedding_size=16, branches=branches)
    data = mg.MultimodalSequence(train, inputs, batch_size=32, shuffle=True)
    pictures, captions, *masks = data[0][0]
    assert pictures.shape[:2] == captions.shape[:2] == masks[0].shape == masks[1].shape == (32, 1)
    held_out = mg.MultimodalSequence(cards[64:], inputs, batch_size=32)
    history = mg.fit_contrastive(
        model, data, held_out, epochs=12, learning_rate=1e-2, verbose=0
    ).history
    assert history["val_loss"][-1] < history["val_loss"][0]
    return mg.DualEncoder(model, inputs)


def test_a_pair_learns_from_one_caption_and_one_picture_at_a_time(
    pair: mg.DualEncoder, cards: pd.DataFrame
) -> None:
    held_out = cards[64:]
    found = pair.zero_shot(
        held_out[["views"]], {name: [f"a {name} card", f"the {name} one"] for name in COLOURS}
    )
    assert (found["label"] == held_out["colour"]).mean() >= 0.8
    scores = pair.evaluate(held_out, ranks=(1, 8))
    assert set(scores) == {
        f"{one}_to_{two}_recall_at_{rank}"
        for one, two in (("views", "captions"), ("captions", "views"))
        for rank in (1, 8)
    }
    assert min(scores.values()) > 1 / 32


def test_search_returns_each_row_once_with_its_nearest_item(
    pair: mg.DualEncoder, cards: pd.DataFrame
) -> None:
    pictures = pair.index(cards[["views", "colour"]])
    found = pictures.search("a blue card", k=6)
    assert found.index.is_unique and len(found) == 6
    assert (found["colour"] == "blue").mean() >= 0.8
    texts = pair.index(cards[["captions", "colour"]], "captions")
    assert len(texts) == len(cards)
    red = texts.search(cards["image"][0], k=5, by="views")
    assert red.index.is_unique and (red["colour"] == "red").mean() >= 0.8
    assert red["similarity"].is_monotonic_decreasing
    every = texts.search("pink", k=1000)
    assert len(every) == len(cards) and every.index.is_unique
    # Several texts are one query of words, as one text is.
    several = pictures.search(["a blue card", "blue"], k=6)
    assert (several["colour"] == "blue").mean() >= 0.8
    # The similarity is that of the row's nearest caption.
    query = pair.encode_query("pink")
    best = max(float(pair.encode_query(one) @ query) for one in cards["captions"][every.index[0]])
    assert every["similarity"].iloc[0] == pytest.approx(best, abs=1e-5)


def test_rows_of_equal_captions_are_masked_in_training() -> None:
    table = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0], "words": [["a mug"]] * 2 + [["a"], ["b"]]})
    inputs = {
        "x": mg.NumericLoader.from_values("x", table),
        "words": mg.ManyLoader.from_texts("words", table, output_mode="tokens"),
    }
    model = mg.build_dual_encoder(inputs, embedding_size=4)
    data = mg.MultimodalSequence(table, inputs, batch_size=4)
    (batch,) = (one[0] for one in data)
    model(batch, training=False)
    (loss,) = (float(keras.ops.convert_to_numpy(one)) for one in model.losses)
    vectors = [keras.ops.convert_to_numpy(one) for one in model(batch, training=False).values()]
    logits = vectors[0] @ vectors[1].T / 0.07
    logits[0, 1] = logits[1, 0] = -np.inf
    both = np.log(np.exp(logits).sum(axis=0)) + np.log(np.exp(logits).sum(axis=1))
    assert loss == pytest.approx(np.mean(both / 2 - np.diag(logits)), rel=1e-4)


def test_a_saved_pair_of_several_gives_the_same_vectors(
    pair: mg.DualEncoder, cards: pd.DataFrame, tmp_path: Path
) -> None:
    pair.save(tmp_path)
    loaded = mg.DualEncoder.load(tmp_path)
    assert repr(loaded) == repr(pair)
    for name in ("views", "captions"):
        vectors = pair.embed(cards[:9], name)
        assert vectors.shape == (9, 16)
        np.testing.assert_allclose(loaded.embed(cards[:9], name), vectors, atol=1e-6)
    # A list of one item is what the item is, and a query may be a list too.
    np.testing.assert_allclose(
        pair.encode_query(["a red card"], "captions"), pair.encode_query("a red card"), atol=1e-6
    )


def test_a_bad_item_is_named_and_its_row_left_out(
    pair: mg.DualEncoder, cards: pd.DataFrame
) -> None:
    table = cards[:6].copy()
    table.at[3, "captions"] = ["a red card", 7]
    table.at[4, "captions"] = None
    with pytest.warns(UserWarning, match="2 of 6 rows cannot be loaded"):
        vectors = pair.embed(table, "captions")
    assert np.isnan(vectors).any(axis=1).tolist() == [False] * 3 + [True] * 2 + [False]
    with pytest.warns(UserWarning, match="cannot be loaded"):
        index = pair.index(table, "captions")
    # The other caption of row 3 can be found.
    assert len(index) == 5
    with (
        pytest.warns(UserWarning, match="cannot be loaded"),
        pytest.raises(mg.LoadError, match="index 3, column 'captions'.*item 2 of 2"),
    ):
        pair.evaluate(table)


def test_several_items_count_as_other_rows_only_where_they_differ(
    pair: mg.DualEncoder, cards: pd.DataFrame
) -> None:
    shares = pair.better_fits(cards[64:])
    assert shares.shape == (32, 2) and shares.notna().all(axis=None)
    # Rows of the same captions are neither better nor worse.
    alike = cards[64:].assign(captions=[["a card", "the card"]] * 32)
    assert (pair.better_fits(alike) == 0).all(axis=None)
    assert pair.similarity(cards[64:]).between(-1, 1).all()


def test_what_a_pair_cannot_learn_from_is_refused() -> None:
    vector = mg.ArraySpec((4,), "float32")
    blank = mg.ManyLoader(mg.ImageLoader("x"), at_most=2, missing="blank")
    with pytest.raises(ValueError, match=r"must be there.*may be blank, \['a'\]"):
        mg.build_dual_encoder({"a": blank, "b": vector})
