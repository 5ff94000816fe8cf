"""Pairs of encoders: what they learn without labels, and what is done with their vectors."""

from __future__ import annotations

import warnings
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import multimodal_gen as mg
from multimodal_gen.bundle.retrieval import VectorIndex
from multimodal_gen.models.pairs import ContrastivePair, same_rows
from multimodal_gen.rows.arrays import table_from_arrays

COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 200, 40),
    "blue": (40, 50, 220),
    "grey": (128, 128, 128),
    "yellow": (230, 220, 40),
    "black": (10, 10, 10),
    "white": (250, 250, 250),
    "pink": (250, 150, 180),
}


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Noisy cards of one colour each, with captions that name it."""
    folder, rng = tmp_path_factory.mktemp("cards"), np.random.default_rng(0)
    rows = []
    for number in range(192):
        name = list(COLOURS)[number % len(COLOURS)]
        pixels = np.array(COLOURS[name]) + rng.normal(0, 12, (16, 16, 3))
        path = str(folder / f"{number}.png")
        Image.fromarray(np.clip(pixels, 0, 255).astype("uint8")).save(path)
        sentence = ("a {} card", "one card, {}", "{} card on a table")[number // 8 % 3]
        rows.append((path, sentence.format(name), name))
    return pd.DataFrame(rows, columns=["image", "caption", "colour"])


@pytest.fixture(scope="module")
def pair(cards: pd.DataFrame) -> mg.DualEncoder:
    keras.utils.set_random_seed(0)
    train, held_out = cards[:128], cards[128:]
    inputs = {
        "image": mg.ImageLoader("image", image_size=(16, 16)),
        "caption": mg.TextLoader.from_texts("caption", train["caption"], output_mode="ngrams"),
    }
    branches = {"image": mg.models.ImageBranch(widths=(16, 32), dropout=0.0)}
    model = mg.build_dual_encoder(inputs, embedding_size=32, branches=branches)
    data = mg.MultimodalSequence(train, inputs, batch_size=64, shuffle=True)
    history = mg.fit_contrastive(
        model,
        data,
        mg.MultimodalSequence(held_out, inputs, batch_size=64),
        epochs=15,
        learning_rate=5e-3,
        verbose=0,
    )
    assert history.history["val_loss"][-1] < history.history["val_loss"][0]
    assert 0 < history.history["accuracy"][-1] <= 1
    return mg.DualEncoder(model, inputs)


def test_pictures_are_labelled_by_words_without_labels(
    pair: mg.DualEncoder, cards: pd.DataFrame
) -> None:
    held_out = cards[128:]
    prompts = {name: [f"a {name} card", f"one card, {name}"] for name in COLOURS}
    found = pair.zero_shot(held_out[["image"]], prompts)
    assert list(found) == ["label", *COLOURS]
    assert (found["label"] == held_out["colour"]).mean() >= 0.85
    assert found.index.equals(held_out.index)
    np.testing.assert_allclose(found[list(COLOURS)].astype(float).sum(axis=1), 1, rtol=1e-5)


def test_a_text_finds_pictures_and_a_picture_finds_texts(
    pair: mg.DualEncoder, cards: pd.DataFrame
) -> None:
    found = pair.index(cards[["image", "colour"]]).search("a blue card", k=5)
    assert len(found) == 5 and (found["colour"] == "blue").mean() >= 0.8
    assert found["similarity"].is_monotonic_decreasing
    red = cards.index[cards["colour"] == "red"][0]
    texts = pair.index(cards[["caption", "colour"]], "caption")
    for query in (Path(cards["image"][red]), Image.open(cards["image"][red])):
        assert (texts.search(query, k=3)["colour"] == "red").all()
    assert (texts.search(cards["image"][red], k=3, by="image")["colour"] == "red").all()
    assert len(texts.search("pink", k=1000)) == len(texts) == len(cards)


def test_exchanged_captions_have_the_lowest_similarity(
    pair: mg.DualEncoder, cards: pd.DataFrame
) -> None:
    table = cards[128:].copy()
    wrong = list(table.index[[3, 20, 41]])
    # The colours stand in a row, so the next caption names another one.
    table.loc[wrong, "caption"] = [cards["caption"][row + 1] for row in wrong]
    similarity = pair.similarity(table)
    assert similarity.index.equals(table.index)
    assert set(wrong) <= set(similarity.nsmallest(8).index)


def test_an_audit_names_pictures_with_the_caption_of_another(
    pair: mg.DualEncoder, cards: pd.DataFrame, tmp_path: Path
) -> None:
    table = cards[128:].copy()
    # Each gets the caption that is furthest from its picture.
    wrong = list(table.index[[3, 20]])
    fits = pair.embed(table.loc[wrong], "image") @ pair.embed(table, "caption").T
    table.loc[wrong, "caption"] = list(table["caption"].iloc[fits.argmin(axis=1)])
    table.loc[table.index[7], "image"] = "no such file.png"
    shares = pair.better_fits(table.drop(index=table.index[7]))
    assert (shares.loc[wrong] > 0.25).all(axis=None) and shares.median().max() < 0.2
    report = mg.audit(table, pair.inputs, pair=pair, progress=lambda done: None)
    found = report.problems[report.problems["kind"] == "unlike pair"]
    # Of those named, at least half are exchanged.
    assert set(wrong) <= set(found["index"]) and len(found) <= 2 * len(wrong)
    assert set(found["column"]) == {"image, caption"}
    assert "of other rows have a better caption for this image" in found["message"].iloc[0]
    assert not report.dropped[wrong].any()
    page = tmp_path / "audit.html"
    report.write_page(page)
    assert "unlike pair" in page.read_text("utf-8")
    assert "unlike pair" not in mg.audit(table, pair.inputs, progress=lambda done: None).counts
    with pytest.raises(TypeError, match="`pair` must be a DualEncoder"):
        mg.audit(table, pair.inputs, pair=pair.model)


def test_recall_counts_equal_captions_as_right(pair: mg.DualEncoder, cards: pd.DataFrame) -> None:
    scores = pair.evaluate(cards[128:], ranks=(1, 64))
    assert set(scores) == {
        f"{query}_to_{found}_recall_at_{rank}"
        for query, found in (("image", "caption"), ("caption", "image"))
        for rank in (1, 64)
    }
    # Several captions name a colour, and any picture of it is as good, unless its caption differs.
    assert scores["caption_to_image_recall_at_1"] > 0.2
    assert scores["image_to_caption_recall_at_64"] == 1
    alike = cards[128:].assign(caption="a card")
    assert pair.evaluate(alike, ranks=(1,))["image_to_caption_recall_at_1"] == 1


def test_a_saved_pair_gives_the_same_vectors(
    pair: mg.DualEncoder, cards: pd.DataFrame, tmp_path: Path
) -> None:
    pair.save(tmp_path)
    loaded = mg.DualEncoder.load(tmp_path)
    assert loaded.scale == pytest.approx(pair.scale)
    assert repr(loaded) == repr(pair) and "vectors of 32 numbers" in repr(pair)
    for name in ("image", "caption"):
        np.testing.assert_allclose(
            loaded.embed(cards[:9], name), pair.embed(cards[:9], name), atol=1e-6
        )
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    mg.Bundle(model, {"x": mg.NumericLoader(("a", "b"), mean=(0, 0), scale=(1, 1))}).save(
        tmp_path / "other"
    )
    with pytest.raises(TypeError, match="result of `build_dual_encoder`"):
        mg.DualEncoder.load(tmp_path / "other")


def test_rows_that_cannot_be_read_are_named_and_left_out(
    pair: mg.DualEncoder, cards: pd.DataFrame
) -> None:
    table = cards[:6].copy()
    table.loc[4, "image"] = "no such file.png"
    said = "1 of 6 rows cannot be loaded and has no vector: their numbers are NaN. The first is at "
    with pytest.warns(UserWarning, match=f"{said}index 4: .*no such file") as warned:
        vectors = pair.embed(table, "image")
    # There is no table with a column of errors; and the line is the one that called.
    assert "column 'error'" not in str(warned[0].message) and warned[0].filename == __file__
    assert np.isnan(vectors[4]).all() and not np.isnan(np.delete(vectors, 4, axis=0)).any()
    with pytest.warns(UserWarning, match="no such file"):
        index = pair.index(table)
    with pytest.warns(UserWarning, match="no such file") as warned:
        pair.similarity(table)
    assert {one.filename for one in warned} == {__file__}, "also through other methods"
    assert len(index) == 5 and 4 not in index.search("red", k=9).index
    with pytest.warns(UserWarning, match="no such file"):
        labels = pair.zero_shot(table, {"red": "red", "blue": "blue"})
    assert labels.loc[4].isna().all() and labels.drop(index=4).notna().all(axis=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(mg.LoadError, match="no such file"):
            pair.evaluate(table)


def test_rows_of_one_text_are_not_each_others_negatives() -> None:
    ids = np.array([[5, 9, 0], [7, 0, 0], [5, 9, 0], [9, 5, 0], [7, 0, 0]], "int32")
    expected = np.zeros((5, 5))
    for one, two in ((0, 2), (1, 4)):
        expected[one, two] = expected[two, one] = 1
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(same_rows([ids], 5)), expected)
    # A second array that is equal elsewhere adds its rows.
    other = np.array([[1.5], [2.5], [3.5], [1.5], [4.5]], "float32")
    expected[0, 3] = expected[3, 0] = 1
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(same_rows([ids, other], 5)), expected)
    layer = ContrastivePair(scale=10.0)
    vectors = np.eye(5, dtype="float32")[[0, 1, 0, 2, 1]]
    layer([vectors, vectors, ids])
    (loss,) = (float(keras.ops.convert_to_numpy(one)) for one in layer.losses)
    # Every row has its own and the rows with other texts, whose similarity is 0.
    counts = np.array([3, 3, 3, 4, 3])
    assert loss == pytest.approx(np.mean(np.log(1 + counts * np.exp(-10.0))), rel=1e-3)


def test_small_differences_between_long_rows_are_seen() -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 2**20, (1, 1024, 2)).repeat(40, axis=0).astype("int32")
    rows[np.arange(40), rng.integers(0, 1024, 40), 0] += np.arange(1, 41, dtype="int32")
    assert keras.ops.convert_to_numpy(same_rows([rows], 40)).sum() == 0


def test_vectors_that_share_a_space_already_need_no_training() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(30, 6)).astype("float32")
    table = table_from_arrays(one=vectors, two=3 * vectors + 0.01)
    inputs = {name: mg.ArrayLoader.from_values(name, vectors) for name in ("one", "two")}
    pair = mg.DualEncoder(mg.build_dual_encoder(inputs, embedding_size=None), inputs)
    assert pair.similarity(table).min() > 0.99
    assert pair.evaluate(table, ranks=(1,)) == {
        "one_to_two_recall_at_1": 1.0,
        "two_to_one_recall_at_1": 1.0,
    }
    assert pair.scale == pytest.approx(1 / 0.07)
    with pytest.raises(ValueError, match="One of the two inputs must read texts"):
        pair.zero_shot(table, {"a": "a", "b": "b"})


def test_wrong_arguments_are_named() -> None:
    vector, longer = mg.ArraySpec((4,), "float32"), mg.ArraySpec((5,), "float32")
    many = mg.ManyLoader(mg.ImageLoader("x"), at_most=2, training="all")
    for arguments, message in (
        ({"inputs": {"a": vector}}, "must be two"),
        ({"inputs": {"a": vector, "b": longer}, "embedding_size": None}, "vectors of one size"),
        ({"inputs": {"a": vector, "b": vector}, "scale": 0.5}, r"must be in \[1, 1000\]"),
        (
            {"inputs": {"a": mg.ImageLoader("x", missing="blank"), "b": vector}},
            "Both inputs of a pair must be there",
        ),
        (
            {"inputs": {"a": many, "b": vector}},
            r"one item of each cell at a time.*inputs with training=.all., \['a'\]",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            mg.build_dual_encoder(**arguments)
    inputs = {name: mg.NumericLoader.from_values(name, [1.0, 2.0, 4.0]) for name in ("x", "y")}
    model = mg.build_dual_encoder(inputs)
    table = pd.DataFrame({"x": [1.0, 2.0], "y": [3.0, 4.0]})
    with pytest.raises(ValueError, match="Pairs need no labels"):
        mg.fit_contrastive(model, mg.MultimodalSequence(table, inputs, mg.NumericTarget("x")))
    with pytest.raises(TypeError, match="result of `build_dual_encoder`"):
        mg.fit_contrastive(keras.Sequential([keras.Input((2,))]), None)
    with pytest.raises(TypeError, match="`train_data` must be a MultimodalSequence"):
        mg.fit_contrastive(model, table)
    with pytest.raises(ValueError, match="`prompts` must map at least two labels"):
        mg.DualEncoder(model, inputs).zero_shot(table, {"a": "a"})


@pytest.mark.parametrize("k", [1, 5, 50])
def test_a_search_compares_all_vectors_and_orders_equal_ones_by_row(k: int) -> None:
    rng = np.random.default_rng(0)
    # Of other lengths than 1, and the first three again.
    vectors = 3 * rng.normal(size=(40, 6)).astype("float32")
    vectors = np.concatenate([vectors, vectors[:3]])
    table = pd.DataFrame({"number": range(len(vectors))})
    query = vectors[1] + 0.1 * rng.normal(size=6).astype("float32")
    found = VectorIndex(table, vectors, lambda query, by: query).search(query, k)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    similar = (unit @ (query / np.linalg.norm(query))).round(5)
    want = np.lexsort((np.arange(len(vectors)), -similar))[:k]
    assert list(found["number"]) == list(want)
    np.testing.assert_allclose(found["similarity"], similar[want], atol=1e-4)
