"""Features: what an encoder makes of a cell, computed once and kept."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.batch.batch_rows import TableRows
from multimodal_gen.batch.cache import ArrayCache
from multimodal_gen.batch.draft import Draft
from multimodal_gen.batch.reading import read_together, take_cells
from multimodal_gen.batch.windows import Windows, batches_together
from multimodal_gen.loaders.encoded.kept import KeptVectors

COLOURS = ("red", "green", "blue", "grey")


class Counter:
    """Encodes pictures or texts by simple sums, and counts what it was given."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(self, rows: list[Any]) -> np.ndarray:
        self.calls.append(len(rows))
        return np.array(
            [[len(str(one)), sum(map(ord, str(one))) % 97, 1.0] for one in rows], "float32"
        )


class Means(mg.Encoder):
    """The mean colour of a picture; of a picture that is all 7, an error of its own."""

    def __init__(self, *, batch_size: int = 8) -> None:
        super().__init__(batch_size=batch_size)
        self.spec, self.digest = mg.ArraySpec((3,), "float32"), "means 1"

    def prepare(self, value: Any) -> Any:
        if (value == 7).all():
            raise mg.LoadError("the picture is all 7")
        return value

    def run(self, values: Sequence[Any]) -> np.ndarray:
        assert len(values) == self.batch_size
        return np.mean(np.stack(values), (1, 2)).astype("float32")


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "image": [rng.integers(8, 256, (6, 6, 3)).astype("uint8") for _ in range(24)],
            "caption": [f"a {COLOURS[row % 4]} cup, number {row}" for row in range(24)],
            "label": [COLOURS[row % 4] for row in range(24)],
        },
        index=[f"r{row}" for row in range(24)],
    )


def pictures(**options: Any) -> mg.ImageLoader:
    return mg.ImageLoader("image", image_size=(6, 6), **options)


def texts(function: Any = None, **options: Any) -> mg.EncodedLoader:
    encoder = mg.FunctionEncoder(function or Counter(), 3, name="sums", batch_size=8)
    return mg.EncodedLoader("caption", encoder, **options)


def test_an_encoder_of_pictures_and_one_of_texts_keep_the_contract(table: pd.DataFrame) -> None:
    mg.check_loader(mg.EncodedLoader(pictures(), Means()), table["image"].head(3))
    mg.check_loader(texts(), table["caption"].head(3))
    varied = pictures(augment=[mg.augment.RandomFlip(), mg.augment.RandomCrop(4, 4)])
    mg.check_loader(mg.EncodedLoader(varied, Means(), views=4), table["image"].head(3))


def test_rows_are_encoded_once_and_in_whole_groups_even_if_batches_are_small(
    table: pd.DataFrame,
) -> None:
    count = Counter()
    sequence = mg.MultimodalSequence(table, {"text": texts(count)}, batch_size=2, seed=1)
    epochs = [[batch[0][0] for batch in sequence] for _ in range(3)]
    assert sum(count.calls) == len(table)
    assert count.calls == [8, 8, 8]
    assert all(np.array_equal(a, b) for a, b in zip(epochs[0], epochs[2], strict=True))
    want = np.concatenate([Counter()([cell]) for cell in table["caption"]])
    assert np.array_equal(np.concatenate(epochs[0]), want)


def test_rows_in_memory_are_not_looked_up_in_the_table_again(
    table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.loc["r3", "caption"] = None
    inputs, target = {"text": texts(missing="blank")}, mg.ClassLabel("label", COLOURS)
    sequence = mg.MultimodalSequence(table, inputs, target, batch_size=4)
    first = list(sequence)
    looked_up: list[str] = []
    cells = TableRows.cells

    def counted(self: TableRows, column: str) -> list[Any]:
        looked_up.append(column)
        return cells(self, column)

    monkeypatch.setattr(TableRows, "cells", counted)
    second = list(sequence)
    for one, other in zip(first, second, strict=True):
        for mine, same in zip((*one[0], one[1]), (*other[0], other[1]), strict=True):
            assert np.array_equal(mine, same)
    # The batch with the missing caption only.
    assert looked_up == ["caption"]
    # What another thread has cleared meanwhile is read again.
    draft = Draft(sequence.assembly, sequence.plan, 0, 0)
    take_cells(draft)
    sequence.assembly.release()
    for slot in draft.sources:
        assert read_together(draft, slot, lambda read, *given: read(*given))
        assert draft.arrays[slot].any()


@pytest.mark.parametrize(
    ("batch", "best", "batches"), [(8, 32, 4), (32, 32, 1), (64, 32, 1), (20, 32, 3), (48, 32, 2)]
)
def test_a_window_fills_the_encoder_to_nine_tenths(batch: int, best: int, batches: int) -> None:
    assert batches_together(batch, best) == batches


def test_a_thread_that_needs_a_window_in_work_begins_the_next_one() -> None:
    windows, begun, release = Windows(), threading.Event(), threading.Event()
    read: list[tuple[str, int]] = []

    def slow(number: int) -> None:
        begun.set()
        assert release.wait(20)
        read.append(("first", number))

    def quick(number: int) -> None:
        read.append(("second", number))
        release.set()

    first = threading.Thread(target=windows.read, args=(0, 0, 1, slow))
    first.start()
    assert begun.wait(20)
    windows.read(0, 0, 1, quick)
    first.join(20)
    assert read == [("second", 1), ("first", 0)]
    windows.read(0, 1, 1, quick)
    assert len(read) == 2


def test_a_row_that_cannot_be_encoded_is_lost_alone(table: pd.DataFrame) -> None:
    table.at["r5", "image"] = np.full((6, 6, 3), 7, "uint8")
    loader = mg.EncodedLoader(pictures(), Means())
    sequence = mg.MultimodalSequence(
        table, {"image": loader}, mg.ClassLabel("label", COLOURS), batch_size=4, on_error="blank"
    )
    batches = list(sequence)
    assert np.concatenate([weights for *_, weights in batches]).sum() == 23
    assert sequence.failures["index"].tolist() == ["r5"]
    assert "all 7" in sequence.failures["error"][0]
    strict = mg.MultimodalSequence(table, {"image": loader}, batch_size=4)
    with pytest.raises(mg.LoadError, match=r"'r5', column 'image': .*all 7"):
        list(strict)


def test_missing_cells_are_blank_with_a_mask_or_errors(table: pd.DataFrame) -> None:
    table.loc["r3", "caption"] = None
    blank = mg.MultimodalSequence(table, {"text": texts(missing="blank")}, batch_size=24)
    array, mask = blank[0][0]
    assert not array[3].any()
    assert mask[:, 0].tolist() == [row != 3 for row in range(24)]
    with pytest.raises(mg.LoadError, match=r"'r3', column 'caption'.*missing"):
        list(mg.MultimodalSequence(table, {"text": texts()}, batch_size=5))


def test_training_draws_one_of_several_views_and_evaluation_takes_the_clean_one(
    table: pd.DataFrame,
) -> None:
    varied = pictures(augment=[mg.augment.RandomCrop(2, 2)])
    loader = mg.EncodedLoader(varied, Means(), views=4)
    assert loader.read_spec.shape == (4, 3)
    inputs, target = {"image": loader}, mg.ClassLabel("label", COLOURS)
    sequence = mg.MultimodalSequence(table, inputs, target, batch_size=6, shuffle=True, seed=3)
    seen: dict[str, set[bytes]] = {}
    for epoch in range(12):
        for number in range(len(sequence)):
            labels = sequence.rows(number, epoch).index
            sequence.epoch = epoch
            for label, row in zip(labels, sequence[number][0][0], strict=True):
                seen.setdefault(label, set()).add(row.tobytes())
    views = {label: {one.tobytes() for one in loader.read(table.image[label])} for label in seen}
    assert all(seen[label] <= views[label] for label in seen)
    # 12 draws leave out one of four given views of a row in 3 % of the cases.
    assert sum(seen[label] == views[label] for label in seen) > len(seen) / 2
    clean = np.concatenate([batch[0][0] for batch in sequence.for_evaluation()])
    want = mg.EncodedLoader(pictures(), Means()).read_batch(list(table["image"]))
    assert np.array_equal(clean, np.stack(want))
    replayed = sequence.replay(5, "r7")[0][0][0].tobytes()
    assert replayed in seen["r7"]


def test_a_cache_fills_in_whole_groups_and_knows_the_encoder(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    count = Counter()
    filled = mg.fill_cache(table, [texts(count)], tmp_path, threads=1)
    assert (filled.cells, filled.bad) == (24, 0)
    assert count.calls == [8, 8, 8]
    again = Counter()
    sequence = mg.MultimodalSequence(
        table, {"text": texts(again)}, batch_size=5, cache=tmp_path, shuffle=True
    )
    list(sequence)
    assert again.calls == []
    newer = mg.FunctionEncoder(again, 3, name="sums", version="2", batch_size=8)
    other = mg.EncodedLoader("caption", newer)
    list(mg.MultimodalSequence(table, {"text": other}, batch_size=5, cache=tmp_path))
    assert sum(again.calls) == 24


def test_views_and_bad_cells_are_kept_and_left_out_by_a_cache(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    table.at["r5", "image"] = np.full((6, 6, 3), 7, "uint8")
    varied = pictures(augment=[mg.augment.RandomCrop(2, 2)])
    loader = mg.EncodedLoader(varied, Means(), views=3)
    filled = mg.fill_cache(table, [loader], tmp_path)
    assert (filled.cells, filled.bad) == (23, 1)
    assert filled.errors[0].index == "r5"
    cache = ArrayCache(tmp_path).of(loader)
    assert cache is not None
    cell = table.image["r1"]
    assert cache.read(cell).tobytes() == loader.read(cell).tobytes()
    flipped = mg.EncodedLoader(pictures(augment=[mg.augment.RandomFlip()]), Means(), views=3)
    same = ArrayCache(tmp_path).of(flipped)
    assert same is not None
    assert same.folder.path != cache.folder.path


def test_the_batch_size_of_the_encoder_is_in_the_key_and_in_the_state(table: pd.DataFrame) -> None:
    small, large = (mg.EncodedLoader(pictures(), Means(batch_size=size)) for size in (4, 8))
    assert small.read_config() != large.read_config()
    state = mg.MultimodalSequence(table, {"image": small}, batch_size=8).state()
    with pytest.raises(ValueError, match="input 'image'"):
        mg.MultimodalSequence(table, {"image": large}, batch_size=8).set_state(state)


def test_worker_processes_are_refused_and_not_chosen(table: pd.DataFrame) -> None:
    inputs = {"text": texts()}
    with pytest.raises(ValueError, match=r"EncodedLoader reads in the process.*processes=2"):
        mg.MultimodalSequence(table, inputs, batch_size=4, processes=2)
    assert "an encoder" in mg.MultimodalSequence(table, inputs, batch_size=4).makers


def test_arguments_that_cannot_work_are_refused() -> None:
    function = mg.FunctionEncoder(len, 3, name="sums")
    for make, words in (
        (lambda: mg.EncodedLoader("caption", len), "must be an Encoder"),
        (lambda: mg.EncodedLoader(3, function), "name of a column"),
        (lambda: mg.EncodedLoader("caption", function, views=2), "Several views"),
        (lambda: mg.EncodedLoader(pictures(), function, missing="blank"), "loader inside"),
        (lambda: mg.FunctionEncoder(len, 3, name=""), "`name` must be a text"),
        (lambda: mg.FunctionEncoder(3, 3, name="x"), "`function` must take"),
    ):
        with pytest.raises((TypeError, ValueError), match=words):
            make()


def test_a_function_that_returns_another_shape_or_nan_is_named() -> None:
    for result, words in ((np.zeros((1, 4)), r"\(1, 4\) for 1 rows"), ([[np.nan] * 3], "NaN")):
        loader = texts(lambda rows, result=result: result)
        with pytest.raises(mg.LoaderError, match=words):
            loader.read("a cup")


def test_kept_vectors_are_those_of_the_encoder_and_never_more_than_there_is_room_for():
    calls = []

    def encode(values):
        calls.append(list(values))
        return np.array([[len(str(one)), 1] for one in values], "float32").reshape(-1, 2)

    kept = KeptVectors(most_bytes=24)
    values = ["a", "bb", "a", ("no", "key"), "ccc"]
    for _ in range(3):
        np.testing.assert_array_equal(kept.encode(encode, values)[:, 0], [1, 2, 1, 13, 3])
    # Equal ones once, and what cannot be compared each time.
    assert calls == [["a", "bb", ("no", "key"), "ccc"], [("no", "key")], [("no", "key")]]
    # There is no room for a fourth.
    for _ in range(2):
        assert kept.encode(encode, ["dddd"])[0, 0] == 4
    assert calls[3:] == [["dddd"], ["dddd"]]
    # Arrays of equal bytes and another shape, and a text of these bytes, are other values.
    arrays = [np.zeros((2, 3), "uint8"), np.zeros((3, 2), "uint8"), np.zeros((2, 3), "int8")]
    seen = []

    def number(values):
        seen.extend(values)
        return np.arange(len(values), dtype="float32")[:, None]

    roomy = KeptVectors()
    assert roomy.encode(number, [*arrays, arrays[0].copy()])[:, 0].tolist() == [0, 1, 2, 0]
    assert len(seen) == 3
    assert roomy.encode(number, arrays)[:, 0].tolist() == [0, 1, 2]
    assert len(seen) == 3


def test_an_encoder_that_keeps_encodes_a_row_of_several_sequences_once():
    calls = []

    def lengths(texts):
        calls.append(len(texts))
        return np.array([[len(one)] for one in texts], "float32")

    encoder = mg.FunctionEncoder(lengths, 1, name="lengths")
    table = pd.DataFrame({"text": ["a", "bb", "ccc"]})
    inputs = {"text": mg.EncodedLoader("text", encoder)}
    encoder.keep()
    first = mg.MultimodalSequence(table, inputs)[0]
    second = mg.MultimodalSequence(table, inputs)[0]
    np.testing.assert_array_equal(first[0][0], second[0][0])
    assert sum(calls) == 3
    encoder.keep()
    assert mg.MultimodalSequence(table, inputs)[0] is not None
    assert sum(calls) == 3
