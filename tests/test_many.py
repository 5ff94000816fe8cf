"""Cells with several items: what they may hold, one of them in training, all when evaluating."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

import multimodal_gen as mg
from multimodal_gen import augment
from multimodal_gen.batch.cache import ArrayCache
from multimodal_gen.batch.cache.filling import fill_cache
from multimodal_gen.batch.processes.pool import process_pool_of
from multimodal_gen.models import ImageBranch, ManyBranch, TokenBranch
from multimodal_gen.models.many import AnyItem, ItemShares, PoolItems
from multimodal_gen.spec import many_of


def vectors(**options: Any) -> mg.ManyLoader:
    """A loader of up to three pairs of numbers, whose items are easy to tell apart."""
    given = {"at_most": 3, **options}
    return mg.ManyLoader(mg.ArrayLoader("pairs", shape=(2,), dtype="float32"), **given)


def pairs(*counts: int) -> pd.DataFrame:
    """Rows of `[row, item]` pairs."""
    cells = [[[float(row), float(item)] for item in range(n)] for row, n in enumerate(counts)]
    table = pd.DataFrame({"label": [f"class {row % 2}" for row in range(len(counts))]})
    table["pairs"] = pd.Series(cells, dtype=object)
    return table


def training(table: pd.DataFrame, loader: mg.Loader, **options: Any) -> mg.MultimodalSequence:
    target = mg.ClassLabel("label", ["class 0", "class 1"])
    given = {"batch_size": len(table), "shuffle": True, **options}
    return mg.MultimodalSequence(table, {"pairs": loader}, target, **given)


def items_by_epoch(sequence: mg.MultimodalSequence, epochs: range) -> dict[int, list[int]]:
    """Row -> the number of the item that it had in each epoch."""
    found: dict[int, list[int]] = {}
    for epoch in epochs:
        sequence.epoch = epoch
        for index in range(sequence.num_batches):
            for row, item in sequence[index][0][0][:, 0].astype(int).tolist():
                found.setdefault(row, []).append(item)
    return found


@pytest.fixture
def photos(tmp_path: Path) -> pd.DataFrame:
    """Eight rows of one to four photos, some of them in two rows, and five captions."""
    rng = np.random.default_rng(0)
    rows = []
    for row in range(8):
        names = [f"{(row + item) % 8}.png" for item in range(row % 4 + 1)]
        Image.fromarray(rng.integers(0, 256, (12, 12, 3), "uint8")).save(tmp_path / f"{row}.png")
        captions = [f"a {'red' if row % 2 else 'blue'} mug, said in way {way}" for way in range(5)]
        rows.append((";".join(names), captions, "xy"[row % 2]))
    return pd.DataFrame(rows, columns=["photos", "captions", "label"])


def photo_loader(folder: Path, **options: Any) -> mg.ManyLoader:
    loader = mg.ImageLoader("photos", directory=folder, image_size=(8, 8))
    return mg.ManyLoader(loader, at_most=4, separator=";", **options)


@pytest.mark.parametrize(
    ("cell", "separator"),
    [
        (["a", "b"], None),
        (("a", "b"), ";"),
        (np.array(["a", "b"]), None),
        (np.array(["a", "b"], object), None),
        (pd.Series(["a", "b"]), None),
        (pd.Index(["a", "b"]), None),
        (pd.array(["a", "b"], dtype="string"), None),
        (pa.array([["a", "b"]]).to_pandas()[0], None),
        ('["a", "b"]', None),
        (" ['a', 'b']", None),
        ("['a' 'b']", None),
        ("['a'\n \"b\"]", None),
        ("a; b ;; ", ";"),
        ("a and b", " and "),
    ],
)
def test_each_form_of_a_list_gives_the_same_items(cell: Any, separator: str | None) -> None:
    loader = mg.ManyLoader.from_texts("c", [["a b"]], output_mode="tokens", separator=separator)
    assert loader.items(cell) == ["a", "b"]


def test_lists_that_went_from_parquet_to_csv_are_the_same_lists(tmp_path: Path) -> None:
    lists = [["a.jpg", "b's.jpg"], ['say "c"'], ["x" * 50] * 3, ["d' 'e", "f"], ["d' 'e"]]
    pd.DataFrame({"c": lists}).to_parquet(tmp_path / "lists.parquet")
    # Read as arrays, which print without commas.
    pd.read_parquet(tmp_path / "lists.parquet").to_csv(tmp_path / "lists.csv", index=False)
    table = mg.read_table(tmp_path / "lists.csv")
    loader = mg.ManyLoader(mg.ImageLoader("c"), at_most=3)
    assert [loader.items(cell) for cell in table["c"]] == lists
    assert loader.items("['d\\' \\'e', 'f']") == ["d' 'e", "f"]
    with pytest.raises(mg.LoadError, match="commas between some items and none between others"):
        loader.items("['a', 'b' 'c']")


def test_a_column_of_arrow_lists_is_read(tmp_path: Path) -> None:
    table = pairs(1, 3)
    types = pa.list_(pa.list_(pa.float64()))
    table["pairs"] = table["pairs"].astype(pd.ArrowDtype(types))
    batch = training(table, vectors()).for_evaluation()[0][0]
    assert batch[1].tolist() == [[1, 0, 0], [1, 1, 1]]
    assert batch[0][1].tolist() == [[1, 0], [1, 1], [1, 2]]


def test_an_array_of_pictures_is_as_many_items_as_its_first_axis() -> None:
    cell = np.arange(2 * 4 * 4 * 3, dtype="uint8").reshape(2, 4, 4, 3)
    loader = mg.ManyLoader(mg.ImageLoader("c", image_size=(4, 4)), at_most=2)
    assert (loader.read(cell) == cell).all()


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("a.jpg|b.jpg", "separator='|'"),
        ("a.jpg", "expected a list"),
        ('["a.jpg", ', "begins with '\\['"),
        ("[__import__('os').getcwd()]", "begins with '\\['"),
        ({"a.jpg"}, "A set has no order"),
        ({"bytes": b""}, "must be in a list too"),
        ([], "holds no items"),
        ("", "holds no items"),
        ("[]", "holds no items"),
        (None, "missing"),
        (["a.jpg", None], "item 2 of 2 is missing"),
    ],
)
def test_a_cell_that_is_not_a_list_of_items_is_an_error_with_the_way_out(
    cell: Any, words: str
) -> None:
    loader = mg.ManyLoader(mg.ImageLoader("photos"), at_most=2)
    with pytest.raises(mg.LoadError, match=words):
        loader.read(cell)


def test_by_turns_each_item_comes_once_in_as_many_epochs_as_there_are() -> None:
    table = pairs(*[1, 2, 3, 5] * 5)
    found = items_by_epoch(training(table, vectors()), range(30))
    for row, items in found.items():
        count = len(table["pairs"][row])
        for start in range(0, 30, count):
            # Also items after `at_most`, which is 3 here.
            assert sorted(items[start : start + count]) == list(range(count))
    orders = {tuple(items[:5]) for row, items in found.items() if len(table["pairs"][row]) == 5}
    assert len(orders) > 3, "rows must not go through their items in step"
    five = found[3]
    assert len({tuple(five[start : start + 5]) for start in range(0, 30, 5)}) > 1


def test_drawn_items_come_in_any_order_about_equally_often() -> None:
    table = pairs(*[4] * 50)
    found = items_by_epoch(training(table, vectors(training="draw")), range(20))
    counts = Counter(item for items in found.values() for item in items)
    assert all(200 < counts[item] < 300 for item in range(4))
    assert any(len(set(items[:4])) < 4 for items in found.values())


def test_the_item_of_a_row_does_not_depend_on_batches_threads_or_what_was_read_before() -> None:
    table = pairs(*[3] * 12)
    expected = items_by_epoch(training(table, vectors()), range(4))
    for other in (
        training(table, vectors(), batch_size=5, threads=1),
        training(table, vectors(), batch_size=4, max_queue_size=0),
    ):
        assert items_by_epoch(other, range(4)) == expected
    last = items_by_epoch(training(table, vectors()), range(3, 4))
    assert {row: items[-1:] for row, items in expected.items()} == last
    sequence = training(table, vectors())
    replayed = sequence.replay(2, 7)[0][0][0, 0]
    assert replayed.tolist() == [7, expected[7][2]]


@pytest.mark.skipif(sys.platform == "win32", reason="threads are used on Windows")
def test_worker_processes_give_the_same_items(tmp_path: Path, photos: pd.DataFrame) -> None:
    inputs = {
        "photos": photo_loader(tmp_path),
        "captions": mg.ManyLoader.from_texts("captions", photos),
    }
    target = mg.ClassLabel("label", ["x", "y"])
    batches = []
    pool = process_pool_of(2)
    assert pool.wait(90)
    for processes in (0, 2):
        data = mg.MultimodalSequence(
            photos, inputs, target, batch_size=4, shuffle=True, processes=processes
        )
        data.epoch = 5
        batches.append([array for batch in data for array in (*batch[0], batch[1])])
        batches[-1] += [array for batch in data.for_evaluation() for array in batch[0]]
    pool.close()
    for one, two in zip(*batches, strict=True):
        assert np.array_equal(one, two)


def test_evaluation_has_the_first_items_and_a_mask_and_fills_up_with_repetitions() -> None:
    arrays, mask = training(pairs(1, 2, 4), vectors()).for_evaluation()[0][0]
    assert mask.tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert mask.dtype == "float32"
    assert arrays[:, :, 1].tolist() == [[0, 0, 0], [0, 1, 0], [0, 1, 2]]


def test_with_all_items_training_reads_what_evaluation_does() -> None:
    data = training(pairs(1, 2, 4), vectors(training="all"), sampler=None)
    data.epoch = 3
    rows = data.rows(0).index
    evaluated = data.for_evaluation()[0][0]
    for one, two in zip(data[0][0], evaluated, strict=True):
        assert np.array_equal(one, two[rows])
    assert data.specs["pairs"].shape == (3, 2)
    assert training(pairs(1), vectors()).specs["pairs"].shape == (1, 2)


def test_rows_without_items_are_blank_where_they_may_be() -> None:
    table = pairs(2, 0, 1)
    table.loc[3] = ["class 0", None]
    table.at[2, "pairs"] = [None, [2.0, 0.0]]
    loader = vectors(missing="blank")
    arrays, mask = training(table, loader).for_evaluation()[0][0]
    assert mask.tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert not arrays[[1, 3]].any()
    data = training(table, loader)
    arrays, mask = data[0][0]
    there = mask[np.argsort(data.rows(0).index), 0]
    assert there.tolist() == [1, 0, 1, 0]
    assert mask.shape == (4, 1)
    with pytest.raises(mg.LoadError, match="index 1, column 'pairs': the cell holds no items"):
        training(table.iloc[:2], vectors())[0]


@pytest.mark.parametrize("mode", ["turns", "all"])
def test_one_bad_item_is_an_error_with_row_column_and_the_number_of_the_item(
    tmp_path: Path, photos: pd.DataFrame, mode: str
) -> None:
    photos = photos.set_index(pd.Index([f"row {row}" for row in range(8)]))
    photos.loc["row 2", "photos"] = "0.png;gone.png;1.png"
    loader, target = photo_loader(tmp_path, training=mode), mg.ClassLabel("label", ["x", "y"])
    data = mg.MultimodalSequence(photos, {"photos": loader}, target, batch_size=8)
    with pytest.raises(mg.LoadError, match="item 2 of 3: there is no such file") as caught:
        # In one of three epochs it is the item's turn.
        [list(data) for _ in range(3)]
    assert (caught.value.index, caught.value.column) == ("row 2", "photos")
    assert caught.value.path == str(tmp_path / "gone.png")


def test_one_bad_caption_among_several_is_named_too() -> None:
    table = pd.DataFrame({"captions": [["a mug", "a cup"], ["a mug", 7]], "label": ["x", "y"]})
    loader = mg.ManyLoader.from_texts("captions", [["a mug", "a cup"]])
    data = mg.MultimodalSequence(table, {"captions": loader}, batch_size=2)
    with pytest.raises(mg.LoadError, match="index 1, column 'captions': item 2 of 2: expected tex"):
        data[0]


def test_a_row_whose_cell_cannot_be_split_is_lost_alone() -> None:
    table = pairs(2, 2, 2)
    table["pairs"] = [json.dumps(cell) for cell in table["pairs"]]
    table.loc[1, "pairs"] = "[[1, 2]"
    data = training(table, vectors(), on_error="blank", max_error_rate=0.9)
    batch = data[0]
    order = np.argsort(data.rows(0).index)
    assert batch[2][order].tolist() == [1, 0, 1]
    assert batch[0][1][order, 0].tolist() == [1, 0, 1]
    assert data.failures["index"].tolist() == [1]


def test_a_cache_keeps_each_picture_once_for_training_and_evaluation(
    tmp_path: Path, photos: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    original = mg.ImageLoader.read

    def counting(loader: mg.ImageLoader, cell: Any) -> np.ndarray:
        read.append(cell)
        return original(loader, cell)

    loader, target = photo_loader(tmp_path), mg.ClassLabel("label", ["x", "y"])
    plain = mg.MultimodalSequence(photos, {"photos": loader}, target, batch_size=4, shuffle=True)
    expected = [batch[0] for batch in (*plain, *plain.for_evaluation())]
    monkeypatch.setattr(mg.ImageLoader, "read", counting)
    cache = tmp_path / "cache"
    filled = fill_cache(photos, [loader], ArrayCache(cache))
    assert (filled.cells, filled.bad) == (8, 0)
    assert sorted(read) == [f"{row}.png" for row in range(8)]
    data = mg.MultimodalSequence(
        photos, {"photos": loader}, target, batch_size=4, shuffle=True, cache=cache
    )
    found = [batch[0] for batch in (*data, *data.for_evaluation())]
    assert len(read) == 8
    for one, two in zip(expected, found, strict=True):
        assert all(map(np.array_equal, one, two))


def test_features_of_items_are_computed_once_with_a_cache_also_several_views(
    tmp_path: Path, photos: pd.DataFrame
) -> None:
    encoded: list[int] = []

    def means(values: list[np.ndarray]) -> np.ndarray:
        encoded.extend([1] * len(values))
        return np.stack([one.mean(axis=(0, 1)) for one in values])

    picture = mg.ImageLoader(
        "photos", directory=tmp_path, image_size=(8, 8), augment=[augment.RandomBrightness(0.2)]
    )
    encoder = mg.FunctionEncoder(means, 3, name="means of items")
    loader = mg.ManyLoader(mg.EncodedLoader(picture, encoder, views=2), at_most=4, separator=";")
    target = mg.ClassLabel("label", ["x", "y"])
    data = mg.MultimodalSequence(
        photos, {"photos": loader}, target, batch_size=4, shuffle=True, cache=tmp_path / "cache"
    )
    assert [batch[0][0].shape for batch in data.for_evaluation()] == [(4, 4, 3)] * 2
    # Two batches that are made at the same time may both encode a picture.
    first = len(encoded)
    for _ in range(4):
        assert [batch[0][0].shape for batch in data] == [(4, 1, 3)] * 2
    assert len(encoded) == first
    bad = photos.assign(photos="0.png;gone.png")
    one = mg.MultimodalSequence(bad, {"photos": loader}, target, batch_size=8).for_evaluation()
    with pytest.raises(mg.LoadError, match="item 2 of 2: there is no such file"):
        one[0]


def test_features_of_all_items_are_kept_in_memory_without_a_cache(photos: pd.DataFrame) -> None:
    encoded: list[str] = []

    def lengths(values: list[str]) -> np.ndarray:
        encoded.extend(values)
        return np.array([[len(value)] for value in values], "float32")

    item = mg.EncodedLoader("captions", mg.FunctionEncoder(lengths, 1, name="lengths of texts"))
    loader = mg.ManyLoader(item, at_most=5, training="all")
    target = mg.ClassLabel("label", ["x", "y"])
    data = mg.MultimodalSequence(
        photos, {"captions": loader}, target, batch_size=4, shuffle=True, threads=1
    )
    for _ in range(3):
        assert [batch[0][0].shape for batch in data] == [(4, 5, 1)] * 2
    # Padded to one size, but not computed again.
    assert set(encoded) == set(photos["captions"].sum())
    before = len(encoded)
    list(data)
    assert len(encoded) == before


def test_items_are_varied_like_single_cells_and_each_by_itself(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), "uint8")
    item = mg.ImageLoader("c", image_size=(8, 8), augment=[augment.RandomFlip("horizontal")])
    loader = mg.ManyLoader(item, at_most=4, training="all")
    table = pd.DataFrame({"c": [[picture] * 4] * 8, "label": list("xyxyxyxy")})
    target = mg.ClassLabel("label", ["x", "y"])
    batch = mg.MultimodalSequence(table, {"c": loader}, target, batch_size=8)[0][0][0]
    flipped = (batch == picture[:, ::-1]).all(axis=(2, 3, 4))
    assert (flipped | (batch == picture).all(axis=(2, 3, 4))).all()
    assert 0 < flipped.sum(axis=1).min(initial=4, where=flipped.any(axis=1)) < 4
    single = mg.MultimodalSequence(
        table.assign(c=[[picture]] * 8), {"c": loader.replace(training="turns")}, target
    )
    plain = mg.MultimodalSequence(table.assign(c=[picture] * 8), {"c": item}, target)
    assert np.array_equal(single[0][0][0][:, 0], plain[0][0][0])


def test_one_item_of_each_row_can_be_mixed_and_several_cannot(photos: pd.DataFrame) -> None:
    loader = mg.ManyLoader.from_texts("captions", photos)
    target = mg.ClassLabel("label", ["x", "y"], label_mode="categorical")
    mixed = {"batch_augment": [augment.MixUp(text="joined")], "batch_size": 8}
    data = mg.MultimodalSequence(photos, {"captions": loader}, target, **mixed)
    assert data[0][0][0].shape == (8, 1, *loader.item.spec.shape)
    whole = {"captions": loader.replace(training="all")}
    with pytest.raises(mg.LoaderError, match='read one at a time \\(training="turns"\\)'):
        mg.MultimodalSequence(photos, whole, target, **mixed)[0]


def test_an_encoder_and_the_number_of_items_are_learned_from_all_items() -> None:
    cells = ["['a red mug', 'crimson cup']", None, "['teal']", "not a list"]
    loader = mg.ManyLoader.from_texts("c", cells, model="wordlevel")
    assert loader.at_most == 2
    decoded = [loader.item.decode(one) for one in loader.read(cells[0])]
    assert decoded == ["a red mug", "crimson cup"]
    learned = mg.ManyLoader.from_values(mg.ImageLoader("p"), ["a;b;c", "d"], separator=";")
    assert learned.at_most == 3
    with pytest.raises(mg.LoadError, match="index 0, column 'p': expected a list"):
        mg.ManyLoader.from_values(mg.ImageLoader("p"), ["a.jpg"])


def test_captions_grouped_by_picture_are_one_row(tmp_path: Path) -> None:
    # As Flickr8k and COCO have them: a row for each of five captions.
    lines = pd.DataFrame({"image": ["a.jpg"] * 5 + ["b.jpg"] * 5})
    lines["caption"] = [f"caption {row}" for row in range(10)]
    table = lines.groupby("image", as_index=False).agg(list)
    loader = mg.ManyLoader.from_texts("caption", table)
    assert loader.at_most == 5
    assert len(table) == 2


def test_what_needs_a_single_item_says_so(photos: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="several items have no single array"):
        mg.InputTarget(photo_loader(tmp_path))
    inputs = {
        "image": photo_loader(tmp_path, training="all"),
        "caption": mg.ManyLoader.from_texts("captions", photos, training="all"),
    }
    target = mg.ClassLabel("label", ["x", "y"])
    mirrored = {"sample_augment": [augment.FlipWithWords(rate=1.0)], "batch_size": 8}
    with pytest.raises(mg.LoaderError, match="swap the words of one caption"):
        mg.MultimodalSequence(photos, inputs, target, **mirrored)[0]


def test_an_input_of_items_can_be_dropped_like_any_other(
    photos: pd.DataFrame, tmp_path: Path
) -> None:
    inputs = {
        "image": photo_loader(tmp_path),
        "caption": mg.ManyLoader.from_texts("captions", photos),
    }
    target = mg.ClassLabel("label", ["x", "y"])
    dropped = {"sample_augment": [augment.ModalityDropout(1.0)], "batch_size": 8}
    image, caption, *masks = mg.MultimodalSequence(photos, inputs, target, **dropped)[0][0]
    there = np.concatenate(masks, axis=1)
    assert (there.sum(axis=1) == 1).all()
    assert not image[there[:, 0] == 0].any()
    assert not caption[there[:, 1] == 0].any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"at_most": 0}, "at_most"),
        ({"training": "one"}, "training"),
        ({"separator": ""}, "separator"),
        ({"missing": "mean"}, "missing"),
    ],
)
def test_arguments_out_of_range_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        vectors(**options)


def test_only_the_loader_of_one_item_of_one_column_is_taken() -> None:
    picture = mg.ImageLoader("c")
    for loader in (
        vectors(),
        mg.ImageLoader("c", missing="blank"),
        mg.ImageLoader("d", vary_with=picture),
        mg.NumericLoader.from_values(["a", "b"], pd.DataFrame({"a": [1, 2], "b": [3, 4]})),
    ):
        with pytest.raises(ValueError, match="`loader` must"):
            mg.ManyLoader(loader, at_most=2)
    with pytest.raises(TypeError, match="loader of one item"):
        mg.ManyLoader("photos", at_most=2)  # type: ignore[arg-type]


def test_it_keeps_the_contract_of_a_loader(tmp_path: Path, photos: pd.DataFrame) -> None:
    for mode in ("turns", "draw", "all"):
        mg.check_loader(photo_loader(tmp_path, training=mode), photos["photos"])
        captions = mg.ManyLoader.from_texts(
            "captions", photos, training=mode, augment=[augment.RandomWordDeletion(0.5)]
        )
        mg.check_loader(captions, photos["captions"])


@dataclass(frozen=True)
class PassingFrame(mg.Loader):
    """Another frame of a film in each epoch, by a loader of one's own."""

    column: str
    kept_by_row = True
    spec = mg.ArraySpec((1,), "float32", "vector")

    def choose(self, cell: Any, epoch: int, stream: Any) -> Any:
        return cell[epoch % len(cell)]

    def read(self, cell: Any) -> np.ndarray:
        return np.full(1, np.mean(cell), "float32")


def test_a_loader_of_your_own_learns_the_epoch_by_choose() -> None:
    table = pd.DataFrame({"film": [[0.0, 1.0, 2.0], [10.0, 11.0]], "label": ["x", "y"]})
    mg.check_loader(PassingFrame("film"), table["film"])
    target = mg.ClassLabel("label", ["x", "y"])
    data = mg.MultimodalSequence(table, {"film": PassingFrame("film")}, target)
    seen = []
    for _ in range(3):
        seen += [batch[0][0][:, 0].tolist() for batch in data]
    assert seen == [[0, 10], [1, 11], [2, 10]]
    # Evaluation reads the table's cells, and is the same in every epoch.
    assert data.for_evaluation()[0][0][0][:, 0].tolist() == [1.0, 10.5]


@dataclass(frozen=True)
class Restless(PassingFrame):
    def choose(self, cell: Any, epoch: int, stream: Any) -> Any:
        return [np.random.default_rng().random()]


def test_check_loader_finds_a_choice_that_does_not_repeat() -> None:
    with pytest.raises(mg.LoaderError, match="choose must depend only on the cell, the epoch"):
        mg.check_loader(Restless("film"), [[0.0, 1.0]])


def test_the_state_of_lists_is_the_same_in_another_process() -> None:
    # Arrays of objects hold addresses, as those that Parquet files give.
    tables = [pairs(1, 2) for _ in range(2)]
    for table in tables:
        table["pairs"] = [np.array([f"{n}.jpg", "b.jpg"], object) for n in range(2)]
    loader = mg.ManyLoader.from_texts("pairs", [["a jpg"]])
    first, second = (training(table, loader).state() for table in tables)
    assert first == second
    tables[1].at[0, "pairs"] = np.array(["0.jpg", "c.jpg"], object)
    assert training(tables[1], loader).state() != first


def test_pictures_and_words_of_all_items_are_shown(tmp_path: Path, photos: pd.DataFrame) -> None:
    loader = photo_loader(tmp_path)
    drawn = loader.draw(loader.read(photos["photos"][1]))
    assert drawn is not None
    assert drawn.shape == (8, 16, 3)
    captions = mg.ManyLoader.from_texts("captions", photos, output_mode="ngrams")
    cell = photos["captions"][0]
    said = captions.describe(captions.read(cell), cell)
    assert said[""].startswith("(1) a blue mug, said in way 0 (2) a blue mug, said in way 1")
    inputs = {"photos": loader, "captions": captions}
    data = mg.MultimodalSequence(photos, inputs, mg.ClassLabel("label", ["x", "y"]), batch_size=8)
    assert "photos_present for its items, 1 a row in training" in repr(data)
    for one in (data, data.for_evaluation()):
        mg.show_batch(one).savefig(tmp_path / "shown.png")
    found = mg.audit(photos, inputs, data.target, progress=lambda _: None)
    # Rows share photos here.
    assert set(found.problems["kind"]) == {"duplicate", "conflicting labels"}
    assert set(found.problems["column"]) == {"photos"}


def test_shares_are_means_or_a_softmax_over_the_items_there_are() -> None:
    mask = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0]], "float32")
    shares = keras.ops.convert_to_numpy(ItemShares()([mask]))
    assert np.allclose(shares, [[0.5, 0.5, 0], [1, 0, 0], [0, 0, 0]])
    scores = np.array([0, np.log(3), 99, 500, 0, 0, 1, 2, 3], "float32")[:, None]
    shares = keras.ops.convert_to_numpy(ItemShares()([mask, scores]))
    assert np.allclose(shares, [[0.25, 0.75, 0], [1, 0, 0], [0, 0, 0]])
    vectors = np.arange(18, dtype="float32").reshape(9, 2)
    pooled = keras.ops.convert_to_numpy(PoolItems()([vectors, shares]))
    assert np.allclose(pooled, [[1.5, 2.5], [6, 7], [0, 0]])
    assert keras.ops.convert_to_numpy(AnyItem()(mask)).tolist() == [[1], [1], [0]]


def test_a_model_of_single_items_is_the_model_of_many_with_the_same_weights() -> None:
    target = mg.ClassLabel("label", ["class 0", "class 1"])
    item = mg.ArrayLoader("pairs", shape=(2,), dtype="float32")
    single = mg.build_fusion_classifier({"pairs": item}, target)
    many = mg.build_fusion_classifier({"pairs": vectors()}, target)
    many.set_weights([np.random.default_rng(0).normal(size=w.shape) for w in many.get_weights()])
    single.set_weights(many.get_weights())
    rows = np.random.default_rng(1).normal(size=(5, 1, 2)).astype("float32")
    given = [np.repeat(rows, 3, axis=1), np.tile(np.array([[1, 0, 0]], "float32"), (5, 1))]
    expected = single.predict([rows[:, 0]], verbose=0)
    assert np.allclose(many.predict(given, verbose=0), expected, atol=1e-6)
    # Equal items have the mean of one, and so do other arrays in the places of absent ones.
    given = [np.concatenate([rows, rows, rows + 9], axis=1), np.ones((5, 3), "float32")]
    given[1][:, 2] = 0
    assert np.allclose(many.predict(given, verbose=0), expected, atol=1e-6)


def test_a_model_learns_from_one_item_and_predicts_from_all_and_is_loaded_again(
    tmp_path: Path, photos: pd.DataFrame
) -> None:
    inputs = {
        "photos": photo_loader(tmp_path, missing="blank"),
        "captions": mg.ManyLoader.from_texts("captions", photos, output_mode="ngrams"),
    }
    photos.loc[3, "photos"] = None
    target = mg.ClassLabel("label", ["x", "y"])
    data = mg.MultimodalSequence(photos, inputs, target, batch_size=4, shuffle=True)
    small = ImageBranch(widths=(4,), embedding_size=8)
    model = mg.build_fusion_classifier(inputs, target, fusion="late", branches={"photos": small})
    model.compile(keras.optimizers.Adam(0.01), loss=target.loss)
    history = model.fit(
        data, validation_data=data.for_evaluation(), epochs=3, shuffle=False, verbose=0
    )
    assert history.history["val_loss"][-1] < history.history["val_loss"][0]
    expected = mg.Bundle(model, inputs, target).predict(photos)
    # The captions say it.
    assert (expected["label"] == photos["label"]).all()
    mg.Bundle(model, inputs, target).save(tmp_path / "bundle")
    found = mg.load_bundle(tmp_path / "bundle").predict(photos)
    assert np.allclose(found[["x", "y"]], expected[["x", "y"]], atol=1e-6)


def test_attention_learns_which_item_tells_the_class_where_the_mean_cannot() -> None:
    # One of three items has a mark, and its sign is the class; the others are large and random.
    rng = np.random.default_rng(0)
    items = rng.normal(size=(256, 3, 2)).astype("float32") * [4, 0]
    signs, marked = rng.integers(0, 2, 256), rng.integers(0, 3, 256)
    items[np.arange(256), marked] = np.stack([signs * 2 - 1, np.full(256, 3)], axis=1)
    spec = many_of(mg.ArraySpec((2,), "float32"), 3)
    target = mg.ClassLabel("label", ["class 0", "class 1"])
    right = {}
    for pool in ("mean", "attention"):
        keras.utils.set_random_seed(0)
        # Linear, so that only the shares can tell the marked item from the others.
        branch = ManyBranch(keras.layers.Dense(2), pool, hidden_units=8)
        model = mg.build_fusion_classifier({"p": spec}, target, branches={"p": branch})
        model.compile(keras.optimizers.Adam(0.05), loss=target.loss, metrics=target.metrics)
        given = [items, np.ones((256, 3), "float32")]
        model.fit(given, signs, epochs=60, batch_size=256, verbose=0)
        right[pool] = float((model.predict(given, verbose=0).argmax(axis=1) == signs).mean())
    assert right["attention"] > 0.95
    assert right["mean"] < 0.85


def test_attention_is_refused_where_it_could_not_be_learned() -> None:
    target, attention = mg.ClassLabel("label", ["x", "y"]), ManyBranch(pool="attention")
    with pytest.raises(ValueError, match='training="all"'):
        mg.build_fusion_classifier({"p": vectors()}, target, branches={"p": attention})
    spec = many_of(mg.ArraySpec((2,), "float32"), 3)
    mg.build_fusion_classifier({"p": spec}, target, branches={"p": attention})
    # A branch of one's own is that of an item.
    mg.build_fusion_classifier({"p": spec}, target, branches={"p": keras.layers.Dense(4)})
    with pytest.raises(ValueError, match="kind 'many'"):
        ManyBranch(TokenBranch()).encode(None, mg.ArraySpec((2,), "int32", "tokens"), 2, "p")


def test_a_spec_of_many_names_the_spec_of_its_items() -> None:
    item = mg.ArraySpec((2,), "float32")
    assert many_of(item, 3).each == item
    assert item.each == item
    for item_given, kind in ((None, "many"), (item, "vector"), (mg.ArraySpec((3,), "f4"), "many")):
        with pytest.raises(ValueError, match='Kind "many"'):
            mg.ArraySpec((3, 2), "float32", kind, item=item_given)
