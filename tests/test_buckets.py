"""Buckets: batches of captions of like length, cut to a handful of lengths, and everything else as
without them.
"""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.batch.buckets import Buckets, learn_buckets
from multimodal_gen.batch.draft import Draft
from multimodal_gen.batch.pending import PendingBatch

FULL = 40
WORDS = [f"word{number}" for number in range(30)]


def make_table(rows: int = 203) -> pd.DataFrame:
    """Captions of 0 to 40 words, most of them short; `price` is the row's number."""
    rng = np.random.default_rng(0)
    lengths = np.minimum(rng.geometric(0.12, rows) - 1, FULL)
    captions = [" ".join(rng.choice(WORDS, length)) for length in lengths]
    label = ["ab"[length % 2] for length in lengths]
    frame = pd.DataFrame(
        {"caption": captions, "price": np.arange(rows, dtype="float64"), "label": label}
    )
    return frame.set_index(pd.Index([f"row-{row}" for row in range(rows)]))


TABLE = make_table()


def text_loader(**arguments: Any) -> mg.TextLoader:
    return mg.TextLoader.from_texts(
        "caption", TABLE, model="wordlevel", sequence_length=FULL, **arguments
    )


def make_data(
    loader: mg.Loader | None = None, table: pd.DataFrame = TABLE, **arguments: Any
) -> mg.MultimodalSequence:
    inputs = {
        "price": mg.NumericLoader("price", mean=[0.0], scale=[1.0]),
        "caption": loader or text_loader(),
    }
    target = mg.ClassLabel.from_values("label", TABLE)
    defaults = {
        "target": target,
        "batch_size": 16,
        "shuffle": True,
        "seed": 3,
        "bucket_by_length": "caption",
    }
    return mg.MultimodalSequence(table, inputs, **{**defaults, **arguments})


def by_row(data: mg.MultimodalSequence) -> dict[int, tuple[np.ndarray, Any]]:
    """Row -> its ids without padding, and its target."""
    rows = {}
    for (prices, captions), target in data:
        for price, ids, label in zip(prices, captions, target, strict=True):
            rows[int(price[0])] = (ids[ids != 0], label)
    return rows


def test_batches_come_in_a_handful_of_lengths_and_hold_every_row_once_with_all_its_ids() -> None:
    data, plain = make_data(), make_data(bucket_by_length=None)
    for epoch in range(3):
        data.epoch = plain.epoch = epoch
        batches = [inputs for inputs, _ in data]
        assert [len(captions) for _, captions in batches] == [16] * 12 + [11]
        assert {captions.shape[1] for _, captions in batches} <= {8, 16, 24, 32, FULL}
        assert len({captions.shape[1] for _, captions in batches}) >= 3
        assert all(
            captions.flags.c_contiguous and captions.dtype == "int32" for _, captions in batches
        )
        assert sorted(np.concatenate([prices for prices, _ in batches])[:, 0]) == list(range(203))
        one, other = by_row(data), by_row(plain)
        assert list(one) != list(other)
        for row, (ids, label) in one.items():
            assert np.array_equal(ids, other[row][0])
            assert label == other[row][1]


def test_the_padding_is_less_and_its_share_as_the_repr_says() -> None:
    def share(data: mg.MultimodalSequence) -> float:
        arrays = [captions for (_, captions), _ in data]
        return float(
            1 - sum(np.count_nonzero(one) for one in arrays) / sum(one.size for one in arrays)
        )

    for arguments in ({}, {"drop_remainder": True}):
        data = make_data(**arguments)
        line = next(line for line in repr(data).splitlines() if "padded" in line)
        padded, plain = share(data), share(make_data(bucket_by_length=None, **arguments))
        assert padded < 0.5 < 0.75 < plain
        assert line.startswith("  caption padded to 8, 16, 24, 32 or 40 ids by length: ")
        # What is dropped is not looked at row by row, but by the mean of its bucket.
        assert np.abs(float(line.split(": ")[1].split(" %")[0]) - 100 * padded) < 1.5
        assert line.endswith(f" % padding instead of {100 * plain:.0f} %")
    assert "padded" not in repr(make_data(bucket_by_length=None))


def test_a_batch_depends_on_neither_threads_nor_what_was_asked_before_and_survives_pickling() -> (
    None
):
    data = make_data(threads=1)
    data.epoch = 3
    expected = [data[index] for index in range(len(data))]
    other = pickle.loads(pickle.dumps(make_data(threads=3)))
    for _ in other:
        pass
    other.epoch = 3
    for index in reversed(range(len(other))):
        (prices, captions), label = other[index]
        assert captions.tobytes() == expected[index][0][1].tobytes()
        assert prices.tobytes() == expected[index][0][0].tobytes()
        assert label.tobytes() == expected[index][1].tobytes()


def test_pictures_ride_along_and_are_varied_as_without_buckets(
    picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    picture_table["caption"] = ["word " * (1 + 3 * row) for row in range(10)]
    flip = [mg.augment.RandomFlip("horizontal"), mg.augment.RandomRotation(0.1)]
    inputs = {
        "image": mg.ImageLoader("image", directory=tmp_path, image_size=(12, 12), augment=flip),
        "caption": mg.TextLoader.from_texts("caption", picture_table, sequence_length=28),
        "price": mg.NumericLoader("price", mean=[0.0], scale=[1.0]),
    }
    sequences = [
        mg.MultimodalSequence(
            picture_table, inputs, batch_size=2, shuffle=True, bucket_by_length=name
        )
        for name in ("caption", None)
    ]
    one, other = (
        {
            float(price[0]): image
            for ((images, _, prices),) in data
            for image, price in zip(images, prices, strict=True)
        }
        for data in sequences
    )
    assert len(one) == 10
    assert all(np.array_equal(image, other[price]) for price, image in one.items())
    assert {captions.shape[1] for ((_, captions, _),) in sequences[0]} == {8, 16, 24, 28}


def test_the_lengths_are_those_that_leave_the_least_padding() -> None:
    loader = text_loader()
    buckets = learn_buckets("caption", TABLE, {"caption": loader}, {}, shuffle=True)
    assert isinstance(buckets, Buckets)
    needed = np.array([np.count_nonzero(loader.read(caption)) for caption in TABLE["caption"]])
    assert buckets.lengths == (8, 16, 24, 32, 40)
    assert np.array_equal(buckets.of_row, np.ceil(np.maximum(needed, 1) / 8) - 1)
    assert buckets.ids.tolist() == [needed[buckets.of_row == one].sum() for one in range(5)]

    table = pd.DataFrame(
        {"caption": ["word " * length for length in np.random.default_rng(0).integers(0, 75, 50)]}
    )
    longer = mg.TextLoader.from_texts("caption", table, sequence_length=100)
    found = learn_buckets("caption", table, {"caption": longer}, {}, shuffle=True)
    needed = np.array([len(caption.split()) for caption in table["caption"]])

    def places(lengths: tuple[int, ...]) -> int:
        return sum(min(one for one in lengths if one >= length) for length in needed)

    longest = -(-max(needed) // 8) * 8
    assert found is not None
    assert found.lengths[-1] == longest < 100
    assert places(found.lengths) == min(
        places((*shorter, longest)) for shorter in itertools.combinations(range(8, longest, 8), 4)
    )


def test_captions_of_one_length_and_empty_ones_have_one_length() -> None:
    for words in ("", "word " * 9, "word " * 12):
        table = pd.DataFrame({"caption": [words] * 4})
        loader = mg.TextLoader.from_texts("caption", ["word"], sequence_length=12)
        data = mg.MultimodalSequence(
            table, {"caption": loader}, batch_size=2, shuffle=True, bucket_by_length="caption"
        )
        ((captions,),) = data[0]
        assert captions.shape == (2, 12 if words else 8)


def test_padding_on_the_left_is_cut_off_on_the_left() -> None:
    data, plain = make_data(text_loader(padding="left")), make_data()
    assert {captions.shape[1] for (_, captions), _ in data} == {
        captions.shape[1] for (_, captions), _ in plain
    }
    for (_, captions), _ in data:
        assert all(np.array_equal(ids != 0, np.sort(ids != 0)) for ids in captions)
    other = by_row(plain)
    assert all(np.array_equal(ids, other[row][0]) for row, (ids, _) in by_row(data).items())


def test_all_ranks_have_batches_of_one_shape_that_are_slices_of_the_whole() -> None:
    whole = make_data()
    ranks = [whole.shard(rank, 2) for rank in range(2)]
    for index in range(len(whole)):
        (prices, captions), _ = whole[index]
        parts = [rank[index] for rank in ranks]
        assert parts[0][0][1].shape == parts[1][0][1].shape
        joined = np.concatenate([inputs[1] for inputs, _, _ in parts])
        assert np.array_equal(joined[: len(captions)], captions)
        assert np.array_equal(
            np.concatenate([inputs[0] for inputs, _, _ in parts])[: len(prices)], prices
        )


def test_masked_tokens_are_cut_like_their_captions() -> None:
    masked = mg.MaskedTextLoader(text_loader(), rate=0.3)
    targets = {"words": mg.MaskedTokens(masked), "kind": mg.ClassLabel.from_values("label", TABLE)}
    # A caption that is blanked keeps its hidden words, which may be more than those of all others
    # in the batch.
    blank = [mg.augment.ModalityDropout(0.3, inputs=["caption"])]
    data = make_data(masked, target=targets, sample_augment=blank)
    plain = make_data(masked, target=targets, sample_augment=blank, bucket_by_length=None)
    expected = {
        price: (ids, words)
        for (prices, captions), labels in plain
        for price, ids, words in zip(prices[:, 0], captions, labels["words"], strict=True)
    }
    lengths = set()
    for (prices, captions), labels in data:
        lengths.add(captions.shape[1])
        assert labels["words"].shape == captions.shape
        assert labels["kind"].shape == (len(captions),)
        for price, ids, words in zip(prices[:, 0], captions, labels["words"], strict=True):
            padding = (0, FULL - len(ids))
            assert np.array_equal(np.pad(ids, padding), expected[price][0])
            assert np.array_equal(np.pad(words, padding), expected[price][1])
    assert len(lengths) >= 3


def test_joined_captions_have_room() -> None:
    target = mg.ClassLabel.from_values("label", TABLE, label_mode="categorical")
    mixing = {"target": target, "batch_augment": [mg.augment.MixUp(1.0, text="joined")]}
    data = make_data(**mixing)
    lengths = {captions.shape[1] for (_, captions), _ in data}
    assert lengths <= {8, 16, 24, 32, FULL}
    data.epoch = 0
    # The whole arrays of the same batches, that is to say what the operation has made.
    full = make_data(**mixing)
    for index in range(len(data)):
        (_, captions), _ = data[index]
        (_, uncut), _ = PendingBatch(Draft(full.assembly, data.plan, 0, index, FULL)).result()
        assert np.array_equal(np.pad(captions, ((0, 0), (0, FULL - captions.shape[1]))), uncut)


def append(text: str, rng: np.random.Generator) -> str:
    return text + " word0 word1 word2"


def test_what_an_operation_makes_longer_is_not_cut_off_and_refused_where_ranks_would_differ() -> (
    None
):
    data, plain = make_data(text_loader(augment=[append])), make_data()
    other = by_row(plain)
    for row, (ids, _) in by_row(data).items():
        assert len(ids) == min(len(other[row][0]) + 3, FULL)
    assert {captions.shape[1] for (_, captions), _ in data} <= {8, 16, 24, 32, FULL}
    with pytest.raises(
        mg.LoaderError,
        match="no random operation may make a caption of 'caption' longer.*Received: ",
    ):
        list(data.shard(0, 2))


def test_evaluation_is_at_the_full_length_and_in_the_tables_order() -> None:
    data = make_data().for_evaluation(TABLE[:40])
    prices = np.concatenate([inputs[0] for inputs, _ in data])[:, 0]
    assert prices.tolist() == list(range(40))
    assert {captions.shape[1] for (_, captions), _ in data} == {FULL}
    assert "padded" not in repr(data)


def test_an_epoch_of_one_batch_is_at_the_full_length() -> None:
    data = make_data(batch_size=300)
    (_, captions), _ = data[0]
    assert captions.shape == (203, FULL)
    assert repr(data).count("79 % padding instead of 79 %") == 1


@pytest.mark.parametrize("inputs_as", ["list", "dict"])
def test_rows_drawn_by_weight_and_endless_sequences_come_in_buckets_too(inputs_as: str) -> None:
    data = make_data(shuffle=False, sampler="balanced", endless=True, inputs_as=inputs_as)
    assert data.plan.num_batches == 13
    shapes = [
        np.shape(data[index][0]["caption" if inputs_as == "dict" else 1])[1] for index in range(26)
    ]
    assert len(set(shapes)) >= 3
    assert "padded to" in repr(data)


@pytest.mark.parametrize("blocks", [0, 1])
def test_keras_trains_on_batches_of_several_lengths_even_where_the_first_two_have_the_same(
    blocks: int,
) -> None:
    loader = text_loader()
    data = next(
        data
        for data in (make_data(loader, seed=seed) for seed in range(100))
        if np.shape(data[0][0][1]) == np.shape(data[1][0][1]) != np.shape(data[2][0][1])
    )
    branch = mg.models.TokenBranch(embedding_size=8, blocks=blocks, heads=2)
    model = mg.build_fusion_classifier(data.inputs, data.target, branches={"caption": branch})
    model.compile("adam", loss=data.assembly.targets[None].loss)
    model.fit(
        data,
        validation_data=data.for_evaluation(),
        epochs=3,
        initial_epoch=1,
        shuffle=False,
        verbose=0,
    )
    assert data.epoch == 2
    assert np.isfinite(model.evaluate(data.for_evaluation(), verbose=0))
    bundle = mg.Bundle(model, data.inputs, data.target)
    (prices, captions), _ = data[2]
    rows = data.rows(2)
    predicted = bundle.predict(rows)[["a", "b"]].to_numpy()
    np.testing.assert_allclose(model.predict_on_batch((prices, captions)), predicted, atol=1e-5)


@pytest.mark.slow
def test_endless_sequences_train_too() -> None:
    data = make_data(endless=True, sampler="balanced")
    model = mg.build_fusion_classifier(data.inputs, data.target)
    model.compile("adam", loss=data.assembly.targets[None].loss)
    history = model.fit(data, steps_per_epoch=20, epochs=2, shuffle=False, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_a_model_of_ones_own_is_taught_to_guess_words_at_every_length() -> None:
    masked = mg.MaskedTextLoader(text_loader())
    target = mg.MaskedTokens(masked)
    data = mg.MultimodalSequence(
        TABLE,
        {"caption": masked},
        target,
        batch_size=16,
        shuffle=True,
        bucket_by_length="caption",
        inputs_as="array",
    )
    ids = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(masked.spec.vocabulary_size, 8)(ids)
    model = keras.Model(ids, keras.layers.Dense(target.units, activation="softmax")(x))
    model.compile("adam", loss=target.loss, metrics=target.metrics)
    model.fit(data, epochs=2, shuffle=False, verbose=0)
    assert model.predict(data.for_evaluation(TABLE[:20]), verbose=0).shape == (
        20,
        FULL,
        target.units,
    )


def test_a_bad_caption_is_named_before_training() -> None:
    for cell, reason in ((None, "the cell is missing"), (7, "expected text.*Received: int 7")):
        broken = TABLE.astype({"caption": object})
        broken.iloc[150, 0] = cell
        with pytest.raises(mg.LoadError, match=f"index 'row-150', column 'caption': {reason}"):
            make_data(table=broken)


def test_measuring_many_captions_shows_its_progress(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_data()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("multimodal_gen.batch.buckets._ROWS_WITH_A_BAR", 200)
    make_data()
    assert "measuring captions: 100%" in capsys.readouterr().err


class EveryOther(mg.Loader):
    """Ids of several columns, from any package."""

    column = ("price", "label")
    spec = mg.ArraySpec((20,), "int32", "tokens", 300)

    def read(self, cell: tuple[float, str]) -> np.ndarray:
        return np.where(np.arange(20) < cell[0] % 20, 1 + ord(cell[1]), 0).astype("int32")


def test_tokens_of_a_loader_of_ones_own_come_in_buckets_too() -> None:
    data = make_data(EveryOther())
    assert {captions.shape[1] for (_, captions), _ in data} == {8, 16, 20}
    assert sorted(len(ids) for ids, _ in by_row(data).values()) == sorted(
        row % 20 for row in range(203)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"bucket_by_length": "text"},
            "must name an input of kind 'tokens'.*Received: bucket_by_length='text'",
        ),
        (
            {"bucket_by_length": "price"},
            "'price': 'vector', 'caption': 'tokens'.*Received: bucket_by_length='price'",
        ),
        ({"shuffle": False}, "needs `shuffle=True` or a sampler. Received: .*shuffle=False"),
        (
            {"loader": mg.TextLoader.from_texts("caption", TABLE, output_mode="ngrams")},
            "'caption': 'ngrams'.*Received: bucket_by_length='caption'",
        ),
    ],
)
def test_what_cannot_be_bucketed_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_data(**arguments)
