"""The pieces of an audit: nearest hashes, copies, endings of files, texts and parts."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import multimodal_gen as mg
from multimodal_gen.inspection.audit.alike import are_copies, differences
from multimodal_gen.inspection.audit.captions import Captions
from multimodal_gen.inspection.audit.clusters import groups, joined
from multimodal_gen.inspection.audit.endings import ends_early
from multimodal_gen.inspection.audit.labels import balance_note
from multimodal_gen.inspection.audit.near_texts import near_identical
from multimodal_gen.inspection.audit.neighbours import nearest
from multimodal_gen.inspection.audit.parts import parts_of
from multimodal_gen.inspection.audit.pictures import wrong_name
from multimodal_gen.inspection.audit.texts import (
    is_empty,
    normalised,
    telling_nothing,
)


def test_the_nearest_hashes_are_found_without_comparing_all() -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (5000, 192), "uint8")
    copies = bits[:500] ^ (rng.random((500, 192)) < 0.08)
    found, distances = nearest(np.packbits(np.concatenate([bits, copies]), axis=1), 3)
    assert (found[5000:, 0] == np.arange(500)).mean() > 0.98
    assert (np.diff(distances.astype("int64"), axis=1) >= 0).all()
    assert not (found == np.arange(5500)[:, None]).any()


def test_fewer_hashes_than_asked_for_leave_places_empty() -> None:
    found, distances = nearest(np.zeros((2, 8), "uint8"), 3)
    assert found.tolist() == [[1, -1, -1], [0, -1, -1]] and distances[:, 0].tolist() == [0, 0]
    assert nearest(np.zeros((1, 8), "uint8"), 3)[0].tolist() == [[-1, -1, -1]]


def test_copies_are_told_from_other_pictures_and_from_other_colours() -> None:
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (9, 9, 3), "uint8")).resize(
        (200, 200), Image.Resampling.BICUBIC
    )
    other = Image.fromarray(rng.integers(0, 256, (9, 9, 3), "uint8")).resize(
        (200, 200), Image.Resampling.BICUBIC
    )

    def small(image: Image.Image) -> np.ndarray:
        return np.asarray(image.resize((64, 64), Image.Resampling.BOX))[None]

    brighter = Image.fromarray(np.clip(np.asarray(picture) * 1.2, 0, 255).astype("uint8"))
    usual = np.array([1.0])
    for copy in (picture, picture.crop((6, 4, 194, 200)), brighter):
        assert are_copies(small(picture), small(copy), usual)[0]
    red, green, blue = picture.split()
    for another in (
        other,
        Image.merge("RGB", (blue, red, green)),
        Image.eval(picture, lambda value: 255 - value),
    ):
        assert not are_copies(small(picture), small(another), usual)[0]
        assert differences(small(picture), small(another))[0] > 0.5


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
def test_a_file_that_was_cut_anywhere_ends_early_and_a_whole_one_does_not(form: str) -> None:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), "uint8")
    Image.fromarray(pixels).save(buffer, form)
    content = buffer.getvalue()
    assert not ends_early(content) and not ends_early(b"<html>") and not ends_early(b"")
    for share in (0.1, 0.5, 0.9):
        assert ends_early(content[: int(len(content) * share)])


def test_names_are_wrong_where_the_ending_is_of_another_format() -> None:
    for name, form in (
        ("a.jpg", "JPEG"),
        ("a.JPEG", "MPO"),
        ("a", "PNG"),
        ("v1.2", "PNG"),
        ("a.tif", "TIFF"),
    ):
        assert wrong_name(name, form) is None
    assert wrong_name("a.jpg", "PNG") == "it is PNG, not JPEG"
    assert wrong_name("a.txt", "PNG") == "it is PNG, not text/plain"


def test_texts_are_compared_by_their_words() -> None:
    assert (
        normalised("  A Red-Mug!\n") == normalised("a red mug") and normalised("😀  😀") == "😀 😀"
    )
    assert all(map(is_empty, ["", " \t", "...", "N/A", "none", "\u200b"]))
    assert not any(map(is_empty, ["a", "7", "😀", "杯"]))
    long = "a tall glass lamp with a long cord made by hand in a small town"
    texts = [
        long,
        long.replace("small", "smal"),
        long.replace("glass lamp", "wooden box"),
        "a b",
        f"{long} 3",
        f"{long} 4",
    ]
    table = pd.DataFrame({"caption": texts})
    pairs = near_identical(Captions(table, "caption", np.arange(len(texts)))).tolist()
    assert [0, 1] in pairs and [4, 5] not in pairs
    assert not any(2 in pair or 3 in pair for pair in pairs)


def test_a_caption_that_many_rows_share_tells_nothing_if_their_classes_are_mixed() -> None:
    labels = np.arange(100) % 10
    keys = np.arange(100)
    keys[:10], keys[20:95:10] = 0, 20
    telling = telling_nothing(keys, labels)
    assert telling[:10].all() and not telling[10:].any()
    assert (
        not telling_nothing(keys, None)[20] and telling_nothing(np.zeros(100, "int64"), None).all()
    )
    # Of a handful, half may be of one class by chance, but not nearly all.
    few = np.append(np.zeros(6, "int64"), np.arange(1, 95))
    assert telling_nothing(few, np.append([1, 1, 1, 2, 3, 4], labels[6:]))[:6].all()
    assert not telling_nothing(few, np.append([1, 1, 1, 1, 1, 4], labels[6:]))[:6].any()


@pytest.mark.parametrize(
    ("classes", "own", "idle"),
    [
        # Four of five rows of one class, and one label that is misspelt.
        (3, [0, 0, 0, 0, 3], False),
        (3, [0, 0, 1, 1, 2], True),
        (2, [0, 0, 0, 0, 0, 0, 0, 1], False),
        (2, [0, 0, 0, 1, 1, 0], True),
    ],
)
def test_a_few_rows_of_nearly_one_class_say_something_of_it(
    classes: int, own: list[int], idle: bool
) -> None:
    labels = np.append(own, np.arange(90) % classes)
    keys = np.append(np.zeros(len(own), "int64"), np.arange(1, 91))
    assert telling_nothing(keys, labels)[: len(own)].all() == idle
    assert not telling_nothing(keys, labels)[len(own) :].any()


def test_groups_are_joined_over_several_steps() -> None:
    numbers = joined(5, np.array([[0, 3], [3, 4]]))
    assert [group.tolist() for group in groups(numbers)] == [[0, 3, 4]]
    assert groups(np.array([-1, -1])) == []


def test_the_training_part_comes_first_and_the_test_part_last() -> None:
    table = pd.DataFrame({"split": ["test", "dev", "train", "test", None]})
    _, parts = parts_of(table, "split")
    assert parts.names == ("train", "dev", "test") and parts.codes.tolist() == [2, 1, 0, 2, 0]
    _, parts = parts_of(pd.DataFrame({"split": list("bbba")}), "split")
    assert parts.names == ("b", "a")


@pytest.mark.parametrize(
    ("labels", "note"),
    [
        ("aabb", "label: 2 classes of 2 rows each"),
        ("ab", "label: 2 classes of 1 row each"),
        ("aab", "label: 2 classes of 1 to 2 rows; fewest 'b', most 'a'"),
        ("aa", "label: 1 class of 2 rows; 1 class has no row"),
        ("", None),
    ],
)
def test_the_balance_of_classes_is_told_without_repeating_a_number(
    labels: str, note: str | None
) -> None:
    target = mg.ClassLabel("label", ["a", "b"])
    found = balance_note(pd.DataFrame({"label": list(labels)}), target)
    assert found == ([] if note is None else [note])


def test_near_duplicates_are_found_beside_a_caption_that_tells_nothing() -> None:
    long = "a tall glass lamp with a long cord made by hand in a small town"
    other = "seven wooden chairs around an old table under the tree behind our house"
    texts = ["see the picture"] * 10 + [other, long, long.replace("small", "smal")]
    table = pd.DataFrame({"caption": texts, "label": [f"c{row % 5}" for row in range(13)]})
    loader = mg.TextLoader.from_texts("caption", texts, vocabulary_size=300)
    report = mg.audit(table, {"caption": loader}, mg.ClassLabel.from_values("label", table))
    near = report.problems[report.problems["kind"] == "near duplicate"]
    assert near["index"].tolist() == [11, 12]
    assert report.duplicates[11] == report.duplicates[12] != report.duplicates[10]
