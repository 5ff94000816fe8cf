from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.augment.sample import FlipWithWords, ModalityDropout, Sample, SampleAugmentation


def rng(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


PICTURE = np.arange(24, dtype="uint8").reshape(2, 4, 3)


def flip(caption: object, seed: int, **arguments: object) -> tuple[object, bool]:
    cells, step = FlipWithWords(**arguments).prepare(
        {"image": "a.png", "caption": caption}, rng(seed)
    )
    if step is None:
        return cells["caption"], False
    mirrored = step(Sample({"image": PICTURE, "caption": np.zeros(3)})).inputs["image"]
    assert np.array_equal(mirrored, PICTURE[:, ::-1])
    return cells["caption"], True


def test_a_mirrored_picture_has_left_and_right_exchanged_in_its_caption() -> None:
    seen = {
        flip("A cup LEFT of the rightmost Left plate, not in leftovers", seed) for seed in range(20)
    }
    assert seen == {
        ("A cup LEFT of the rightmost Left plate, not in leftovers", False),
        ("A cup RIGHT of the leftmost Right plate, not in leftovers", True),
    }


def test_a_caption_that_names_a_side_is_left_alone_without_exchange() -> None:
    assert {flip("a cup to the left", seed, exchange=False)[1] for seed in range(20)} == {False}
    assert {flip("a cup", seed, exchange=False) for seed in range(20)} == {
        ("a cup", False),
        ("a cup", True),
    }


def test_half_of_the_rows_are_mirrored_and_words_of_ones_own_may_be_given() -> None:
    count = sum(
        flip("links", seed, words=[("links", "rechts")]) == ("rechts", True) for seed in range(400)
    )
    assert 160 < count < 240
    assert flip("left", 0, rate=1.0) == ("right", True)
    assert flip("left", 0, rate=0.0) == ("left", False)


def test_a_caption_that_is_no_text_is_left_for_its_loader_to_report() -> None:
    assert flip(None, 0, rate=1.0) == (None, True)


def blanked(rate: float, seed: int, **arguments: object) -> frozenset[str]:
    arrays = {
        "image": np.ones((2, 2, 3), "uint8"),
        "caption": np.ones(3, "int32"),
        "price": np.ones(1, "float32"),
    }
    _, step = ModalityDropout(rate, **arguments).prepare(dict.fromkeys(arrays, ""), rng(seed))
    sample = Sample(arrays) if step is None else step(Sample(arrays))
    for name, array in sample.inputs.items():
        assert array.dtype == arrays[name].dtype
        assert array.shape == arrays[name].shape
    return frozenset(name for name, array in sample.inputs.items() if not array.any())


def test_inputs_are_blanked_at_the_given_rate_but_never_all() -> None:
    drawn = [blanked(0.3, seed) for seed in range(3000)]
    assert max(map(len, drawn)) == 2
    # 0.3 each; of the 0.027 where all three would be blank, one in three keeps this one.
    for name in ("image", "caption", "price"):
        share = np.mean([name in one for one in drawn])
        assert share == pytest.approx(0.3 - 0.027 / 3, abs=0.03)
    assert {len(blanked(1.0, seed)) for seed in range(30)} == {2}
    assert {blanked(1.0, seed) for seed in range(30)} == {
        frozenset(pair) for pair in (("image", "caption"), ("image", "price"), ("caption", "price"))
    }


def test_what_is_dropped_is_marked_as_missing_where_there_is_a_mask() -> None:
    seen = set()
    for seed in range(30):
        arrays = {"image": np.ones((2, 2, 3), "uint8"), "caption": np.ones(3, "int32")}
        masks = {"image_present": np.ones(1, "float32")}
        _, step = ModalityDropout(0.5).prepare(dict.fromkeys(arrays, ""), rng(seed))
        after = Sample(arrays | masks) if step is None else step(Sample(arrays | masks))
        assert after.inputs["image_present"].tolist() == [float(after.inputs["image"].any())]
        assert arrays["image"].all() and masks["image_present"].all()
        seen.add((bool(after.inputs["image"].any()), bool(after.inputs["caption"].any())))
    assert seen == {(True, True), (True, False), (False, True)}


def test_the_last_input_that_a_row_has_is_never_dropped() -> None:
    arrays = {
        "image": np.ones((2, 2, 3), "uint8"),
        "caption": np.zeros(3, "int32"),
        "price": np.ones(1, "float32"),
    }
    cells = {"image": "a.png", "caption": None, "price": 2.0}
    left = set()
    for seed in range(30):
        _, step = ModalityDropout(1.0).prepare(cells, rng(seed))
        left.add(
            frozenset(name for name, array in step(Sample(arrays)).inputs.items() if array.any())
        )
        assert (
            ModalityDropout(1.0).prepare({"image": "a.png", "caption": None}, rng(seed))[1] is None
        )
    assert left == {frozenset({"image"}), frozenset({"price"})}


def test_an_input_that_is_named_like_a_mask_is_none() -> None:
    arrays = {"image": np.ones((2, 2, 3), "uint8"), "image_present": np.ones(2, "float32")}
    _, step = ModalityDropout(1.0, inputs=["image"]).prepare(dict.fromkeys(arrays, ""), rng(0))
    assert step(Sample(arrays)).inputs["image_present"].all()


def test_only_the_named_inputs_are_blanked() -> None:
    assert {blanked(0.5, seed, inputs=["caption"]) for seed in range(30)} == {
        frozenset(),
        frozenset(["caption"]),
    }


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: ModalityDropout(-0.1),
            r"`rate` must be a probability in \[0, 1\]. Received: rate=-0.1",
        ),
        (lambda: FlipWithWords(rate=2), "`rate` must be a probability.*Received: rate=2"),
        (lambda: FlipWithWords(words=["left"]), "`words` must be pairs of words. Received: words="),
        (
            lambda: FlipWithWords().prepare({"image": 1}, rng(0)),
            "`caption` of FlipWithWords must be the name of an input.*Received: caption='caption'",
        ),
        (
            lambda: ModalityDropout(inputs=["picture"]).prepare({"image": 1}, rng(0)),
            "must name some of the inputs.*'picture'",
        ),
        (
            lambda: Sample({"image": PICTURE}).replace(picture=PICTURE),
            r"The inputs are \['image'\]",
        ),
    ],
)
def test_wrong_arguments_are_named(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.fixture
def table() -> pd.DataFrame:
    picture = np.arange(4 * 6 * 3, dtype="uint8").reshape(4, 6, 3)
    return pd.DataFrame(
        {
            "image": [picture] * 40,
            "caption": ["a cup left of a plate"] * 40,
            "label": ["x", "y"] * 20,
        },
        index=[f"row-{row}" for row in range(40)],
    )


def sequence(
    table: pd.DataFrame, *operations: object, **arguments: object
) -> mg.MultimodalSequence:
    inputs = {
        "image": mg.ImageLoader("image", image_size=(4, 6)),
        "caption": mg.TextLoader.from_texts(
            "caption", ["left right cup plate a of"], model="wordlevel"
        ),
    }
    target = mg.ClassLabel.from_values("label", table["label"], label_mode="categorical")
    return mg.MultimodalSequence(
        table, inputs, target, batch_size=16, sample_augment=list(operations), **arguments
    )


def test_in_a_sequence_picture_and_caption_turn_together(table) -> None:
    data = sequence(table, FlipWithWords())
    loader = data.inputs["caption"]
    seen = {
        (bool(np.array_equal(image, table["image"].iloc[0])), loader.decode(ids))
        for batch in data
        for image, ids in zip(*batch[0], strict=True)
    }
    assert seen == {(True, "a cup left of a plate"), (False, "a cup right of a plate")}
    plain = data.for_evaluation()[0][0]
    assert all(np.array_equal(image, table["image"].iloc[0]) for image in plain[0])


def test_targets_that_are_made_of_the_same_cells_turn_too(table) -> None:
    captions = mg.TextLoader.from_texts("caption", ["left right cup plate a of"], model="wordlevel")
    masked = mg.MaskedTextLoader(captions, rate=1.0)
    inputs = {
        "image": mg.ImageLoader("image", image_size=(4, 6)),
        "caption": captions,
        "masked": masked,
    }
    targets = {"image": mg.InputTarget(inputs["image"]), "caption": mg.MaskedTokens(masked)}
    data = mg.MultimodalSequence(
        table, inputs, targets, batch_size=40, sample_augment=[FlipWithWords()]
    )
    (images, ids, _), truth = data[0]
    assert len({array.tobytes() for array in images}) == 2
    assert np.array_equal(np.rint(truth["image"] * 255), images)
    assert np.array_equal(truth["caption"], ids)


def test_what_a_row_draws_depends_on_neither_batch_nor_threads_and_changes_with_the_epoch(
    table,
) -> None:
    def images(batch_size: int, threads: int, epoch: int = 0) -> bytes:
        data = sequence(table, ModalityDropout(0.5), FlipWithWords())
        other = mg.MultimodalSequence(
            table,
            data.inputs,
            data.target,
            batch_size=batch_size,
            threads=threads,
            shuffle=True,
            seed=3,
            sample_augment=[ModalityDropout(0.5), FlipWithWords()],
        )
        other.epoch = epoch
        return b"".join(
            array.tobytes() for part in range(2) for batch in other for array in batch[0][part]
        )

    assert images(16, 1) == images(7, 4) == images(40, 2)
    assert images(16, 1) != images(16, 1, epoch=1)


def test_a_callable_sees_and_changes_all_arrays_of_a_row(table) -> None:
    def forget(sample: Sample, rng: np.random.Generator) -> Sample:
        if rng.random() < 0.5:
            return Sample(
                {**sample.inputs, "caption": sample.inputs["caption"] * 0}, np.zeros(2, "float32")
            )
        return sample

    (_, ids), labels = sequence(table, forget)[0]
    forgotten = ~ids.any(axis=1)
    assert 0 < forgotten.sum() < 16
    assert np.array_equal(forgotten, ~labels.any(axis=1))


def wrong_shape(sample: Sample, rng: np.random.Generator) -> Sample:
    return sample.replace(image=sample.inputs["image"][1:])


def wrong_kind(sample: Sample, rng: np.random.Generator) -> dict:
    return sample.inputs


class Slow(SampleAugmentation):
    def prepare(self, cells, rng):
        time.sleep(0.002)
        return {**cells, "caption": "cup"}, None


def test_no_thread_reads_a_cell_before_it_is_decided(table) -> None:
    (_, ids), _ = sequence(table, Slow(), threads=8)[0]
    assert len({row.tobytes() for row in ids}) == 1


class Failing(SampleAugmentation):
    def prepare(self, cells, rng):
        raise KeyError("no such word")


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (
            wrong_shape,
            r"index 'row-0': A sample operation must keep the shape and dtype of input 'image'.*"
            r"\(3, 6, 3\)",
        ),
        (wrong_kind, "index 'row-0': .*must return a Sample. Received: dict"),
        (Failing(), "index 'row-0': KeyError: 'no such word'"),
    ],
)
def test_a_broken_operation_is_an_error_with_the_row(table, operation, message: str) -> None:
    with pytest.raises(mg.LoaderError, match=message):
        sequence(table, operation)[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sample_augment": ModalityDropout()}, "`sample_augment` must be a list of operations"),
        ({"sample_augment": [mg.augment.MixUp()]}, "MixUp belongs in `batch_augment`"),
        ({"batch_augment": [FlipWithWords()]}, "FlipWithWords belongs in `sample_augment`"),
        (
            {"sample_augment": [mg.augment.RandomFlip()]},
            r"RandomFlip belongs in `ImageLoader\(augment=\[...\]\)`",
        ),
        (
            {"batch_augment": [mg.augment.TokenMasking()]},
            r"TokenMasking belongs in `TextLoader\(augment",
        ),
        (
            {"batch_augment": [mg.augment.MixUp]},
            r"`batch_augment` must hold objects, not classes; write MixUp\(\)",
        ),
        ({"sample_augment": ["flip"]}, "`sample_augment` must hold operations. Received: 'flip'"),
    ],
)
def test_operations_in_the_wrong_place_are_refused_at_once(
    table, arguments: dict, message: str
) -> None:
    data = sequence(table)
    with pytest.raises(ValueError, match=message):
        mg.MultimodalSequence(table, data.inputs, data.target, **arguments)


def test_a_callable_may_name_its_parameters_as_it_likes(table) -> None:
    assert len(sequence(table, lambda s, r: s)[0][1]) == 16


def test_masked_words_are_only_asked_for_where_the_input_masks_them(table) -> None:
    plain = sequence(table).inputs["caption"]
    masked = mg.MaskedTextLoader(plain, rate=0.3)
    for loader in (plain, mg.MaskedTextLoader(plain, rate=0.1)):
        with pytest.raises(ValueError, match="needs that same loader among the inputs"):
            mg.MultimodalSequence(table, {"caption": loader}, mg.MaskedTokens(masked))
