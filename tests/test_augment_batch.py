from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.augment.batch import Batch, CutMix, MixUp

SPECS = {
    "image": mg.ArraySpec((8, 10, 3), "uint8", "image"),
    "caption": mg.ArraySpec((6,), "int32", "tokens", 50),
    "words": mg.ArraySpec((4, 2), "int32", "ngrams", 50),
    "price": mg.ArraySpec((1,), "float32", "vector"),
}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def make_batch(rows: int = 64, **changes: object) -> Batch:
    draw = rng(99)
    captions = np.zeros((rows, 6), "int32")
    words = np.zeros((rows, 4, 2), "int32")
    for row in range(rows):
        captions[row, : 1 + row % 3] = row % 40 + 1
        words[row, :2] = [[row % 40 + 1, 40000], [row % 40 + 2, 50000]]
    batch = Batch(
        {
            "image": np.repeat(np.arange(rows, dtype="uint8")[:, None, None, None], 240, 1).reshape(
                rows, 8, 10, 3
            )
            * 3,
            "caption": captions,
            "words": words,
            "price": draw.normal(size=(rows, 1)).astype("float32"),
        },
        np.eye(rows, dtype="float32"),
        None,
        SPECS,
    )
    return dataclasses.replace(batch, **changes)


def only(name: str) -> Batch:
    specs = {"price": SPECS["price"], "ids": mg.ArraySpec((1,), "int32")}
    return Batch(
        {name: np.zeros((2, 1), specs[name].dtype)},
        np.eye(2, dtype="float32"),
        None,
        {name: specs[name]},
    )


def test_mixup_blends_pictures_numbers_and_targets_by_the_same_share() -> None:
    batch = make_batch()
    mixed = MixUp(1.0)(batch, rng())
    pixels = mixed.inputs["image"][:, 0, 0, 0].astype(float)
    assert np.allclose(pixels, (mixed.target * np.arange(64) * 3).sum(axis=1), atol=0.51)
    assert np.allclose(mixed.inputs["price"], mixed.target @ batch.inputs["price"], atol=1e-5)
    assert np.allclose(mixed.target.sum(axis=1), 1, atol=1e-6)
    assert (mixed.target.max(axis=1) < 0.95).sum() > 32
    for name, array in mixed.inputs.items():
        assert array.dtype == batch.inputs[name].dtype
        assert array.shape == batch.inputs[name].shape
    assert batch.target.max() == 1


def test_the_caption_of_the_heavier_part_is_kept() -> None:
    batch = make_batch()
    mixed = MixUp(1.0)(batch, rng())
    heavier = mixed.target.argmax(axis=1)
    assert np.array_equal(mixed.inputs["caption"], batch.inputs["caption"][heavier])
    assert np.array_equal(mixed.inputs["words"], batch.inputs["words"][heavier])
    assert (heavier != np.arange(64)).any()


def test_joined_captions_hold_the_tokens_of_both_the_heavier_first() -> None:
    batch = make_batch()
    mixed = MixUp(1.0, text="joined")(batch, rng())
    for row, shares in enumerate(mixed.target):
        first, second = np.argsort(-shares, kind="stable")[:2]
        if shares[second] == 0:
            continue
        one, two = (batch.inputs["caption"][part] for part in (first, second))
        expected = [*one[one > 0], *two[two > 0]]
        assert mixed.inputs["caption"][row].tolist() == (expected + [0] * 6)[:6]


def test_joined_ngrams_weigh_in_proportion_and_keep_increasing_ids() -> None:
    batch = make_batch()
    mixed = MixUp(1.0, text="joined")(batch, rng())
    for row, shares in enumerate(mixed.target):
        expected = np.zeros(50)
        for part in np.flatnonzero(shares):
            for number, weight in batch.inputs["words"][part]:
                expected[number] += weight * shares[part]
        ids, weights = mixed.inputs["words"][row].T
        kept = ids > 0
        assert (np.diff(ids[kept]) > 0).all()
        assert np.allclose(weights[kept], expected[ids[kept]], atol=1)


def test_left_padding_stays_left_in_joined_captions() -> None:
    batch = make_batch()
    batch.inputs["caption"] = batch.inputs["caption"][:, ::-1].copy()
    joined = MixUp(1.0, text="joined")(batch, rng()).inputs["caption"]
    assert (joined[:, -1] > 0).all()


def test_cutmix_pastes_a_rectangle_and_blends_targets_by_its_area() -> None:
    batch = make_batch()
    mixed = CutMix()(batch, rng())
    for row, (image, shares) in enumerate(zip(mixed.inputs["image"], mixed.target, strict=True)):
        own = image[:, :, 0] == row * 3
        assert own.mean() == pytest.approx(shares[row], abs=1e-6)
        other = np.argwhere(~own)
        if len(other):
            (top, left), (bottom, right) = other.min(axis=0), other.max(axis=0) + 1
            assert (bottom - top) * (right - left) == len(other)
            (partner,) = set(np.flatnonzero(shares)) - {row}
            assert np.unique(image[~own]).tolist() == [3 * partner]
    shares = np.diag(mixed.target)
    assert 0.3 < shares.mean() < 0.75


@pytest.mark.parametrize(
    "operation", [MixUp(1.0), MixUp(1.0, text="joined"), CutMix(), CutMix(text="joined")]
)
def test_what_only_one_of_two_rows_has_is_taken_as_it_is(operation) -> None:
    presence = mg.ArraySpec((1,), "float32", "presence")
    specs = SPECS | {f"{name}_present": presence for name in SPECS}
    for gone in SPECS:
        batch = make_batch(8)
        there = np.array([[1], [0]] * 4, "float32")
        arrays = {
            **batch.inputs,
            **{f"{name}_present": np.ones((8, 1), "float32") for name in SPECS},
        }
        arrays["image"] = arrays["image"] + np.uint8(1)
        arrays[gone][1::2] = 0
        arrays[f"{gone}_present"] = there
        mixed = operation(dataclasses.replace(batch, inputs=arrays, specs=specs), rng())
        assert list(mixed.inputs) == list(arrays)
        for row, shares in enumerate(mixed.target):
            partners = np.flatnonzero((shares > 0) & (np.arange(8) != row))
            pair = [row, int(partners[0])] if len(partners) else [row]
            holders = [one for one in pair if there[one]]
            assert mixed.inputs[f"{gone}_present"][row] == bool(holders) or len(pair) == 1
            if len(holders) == 1 and len(pair) == 2:
                assert np.array_equal(mixed.inputs[gone][row], arrays[gone][holders[0]])
            if not holders and len(pair) == 2:
                assert not mixed.inputs[gone][row].any()
        assert mixed.inputs[f"{gone}_present"].sum() > there.sum()
        assert set(np.unique(mixed.inputs[f"{gone}_present"])) <= {0.0, 1.0}


def test_several_targets_and_sample_weights_are_mixed_too() -> None:
    rows = 16
    target = {
        "kind": np.eye(rows, dtype="float32"),
        "price": np.arange(rows, dtype="float32")[:, None],
    }
    weights = {"kind": np.ones(rows, "float32"), "price": np.arange(rows, dtype="float32")}
    mixed = MixUp(1.0)(make_batch(rows, target=target, sample_weight=weights), rng())
    assert np.allclose(
        mixed.target["price"][:, 0], mixed.target["kind"] @ np.arange(rows), atol=1e-5
    )
    assert np.allclose(mixed.sample_weight["price"], mixed.target["price"][:, 0], atol=1e-5)
    assert np.allclose(mixed.sample_weight["kind"], 1)


def test_a_batch_of_one_row_stays_as_it_is() -> None:
    batch = make_batch(1)
    for operation in (MixUp(text="joined"), CutMix()):
        mixed = operation(batch, rng())
        assert all(
            np.array_equal(mixed.inputs[name], array) for name, array in batch.inputs.items()
        )


def test_no_row_is_its_own_partner() -> None:
    for seed in range(20):
        mixed = MixUp(1.0)(make_batch(5), rng(seed))
        assert (np.count_nonzero(mixed.target, axis=1) == 2).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MixUp(0), "`alpha` must be positive. Received: alpha=0"),
        (lambda: CutMix(text="both"), "`text` must be .*Received: text='both'"),
        (
            lambda: MixUp()(make_batch(4, target=np.arange(4)), rng()),
            'whole numbers. For a class, use ClassLabel.*"categorical"',
        ),
        (
            lambda: MixUp()(make_batch(4, target={"k": np.arange(4)}), rng()),
            "the target 'k' has whole numbers",
        ),
        (lambda: MixUp()(make_batch(4, target=None), rng()), "mixes targets, but there is none"),
        (lambda: CutMix()(only("price"), rng()), "CutMix needs an input of kind 'image'"),
        (
            lambda: MixUp()(only("ids"), rng()),
            "can mix pictures, captions, categories and float32 numbers. Received: input 'ids'",
        ),
    ],
)
def test_what_cannot_be_mixed_is_named(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.fixture
def table() -> pd.DataFrame:
    pictures = list(rng(1).integers(0, 256, (12, 6, 6, 3), "uint8"))
    return pd.DataFrame(
        {"image": pictures, "caption": ["a cup", "one plate"] * 6, "label": ["x", "y", "z"] * 4}
    )


def sequence(table: pd.DataFrame, operations: list, **arguments: object) -> mg.MultimodalSequence:
    inputs = {
        "image": mg.ImageLoader("image", image_size=(6, 6)),
        "caption": mg.TextLoader.from_texts("caption", table["caption"], output_mode="ngrams"),
    }
    target = mg.ClassLabel("label", list("xyz"), label_mode="categorical")
    return mg.MultimodalSequence(
        table,
        inputs,
        target,
        batch_size=6,
        shuffle=True,
        seed=5,
        batch_augment=operations,
        **arguments,
    )


def test_in_a_sequence_batches_are_mixed_in_training_only_and_repeat(table) -> None:
    data = sequence(table, [MixUp(1.0), CutMix()])
    first = data[0]
    assert first[1].max(axis=1).min() < 1
    again = sequence(table, [MixUp(1.0), CutMix()], threads=1, max_queue_size=0)
    _ = again[1]
    assert again[0][1].tobytes() == first[1].tobytes()
    assert again[0][0][0].tobytes() == first[0][0].tobytes()
    again.epoch = 1
    assert again[0][1].tobytes() != first[1].tobytes()
    assert set(np.unique(data.for_evaluation()[0][1])) == {0, 1}


def test_a_callable_on_the_batch_is_checked(table) -> None:
    def halve(batch: Batch, rng: np.random.Generator) -> Batch:
        return dataclasses.replace(
            batch, inputs={**batch.inputs, "image": batch.inputs["image"][:3]}
        )

    def weigh(batch: Batch, rng: np.random.Generator) -> Batch:
        return dataclasses.replace(
            batch, sample_weight=rng.random(len(batch.target)).astype("float32")
        )

    with pytest.raises(
        mg.LoaderError,
        match=r"must keep the shapes and dtypes.*halve.*input 'image'.*\(3, 6, 6, 3\)",
    ):
        sequence(table, [halve])[0]
    with pytest.raises(mg.LoaderError, match="must return a Batch. Received: NoneType"):
        sequence(table, [lambda batch, rng: None])[0]
    assert sequence(table, [weigh])[0][2].shape == (6,)
    for weights in (np.ones(3), -np.ones(6), np.full(6, np.nan)):
        with pytest.raises(mg.LoaderError, match="each row a finite weight of at least 0"):
            sequence(
                table,
                [
                    lambda batch, rng, weights=weights: dataclasses.replace(
                        batch, sample_weight=weights
                    )
                ],
            )[0]
    with pytest.raises(mg.LoaderError, match="must keep targets finite"):
        sequence(
            table,
            [
                lambda batch, rng: dataclasses.replace(
                    batch, target=batch.target * np.float32(np.nan)
                )
            ],
        )[0]
    with pytest.raises(mg.LoaderError, match="A batch operation failed; .*KeyError: 'prise'"):
        sequence(table, [lambda batch, rng: batch.inputs["prise"]])[0]
