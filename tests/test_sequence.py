from __future__ import annotations

import pickle
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import multimodal_gen as mg


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, mg.Loader]:
    augment = [mg.augment.RandomFlip("horizontal"), mg.augment.RandomTranslation(0.2, 0.2)]
    return {
        "image": mg.ImageLoader("image", directory=tmp_path, image_size=(12, 16), augment=augment),
        "caption": mg.TextLoader.from_texts(
            "caption", ["a red mug number 1 2 3", "a blue mug"], sequence_length=6
        ),
    }


@pytest.fixture
def target() -> mg.ClassLabel:
    return mg.ClassLabel("label", list("xyz"))


def flat(batch: tuple) -> list[np.ndarray]:
    inputs = batch[0].values() if isinstance(batch[0], dict) else batch[0]
    return [*inputs, *batch[1:]]


def same(one: tuple, two: tuple) -> bool:
    return all(
        a.tobytes() == b.tobytes() and a.shape == b.shape
        for a, b in zip(flat(one), flat(two), strict=True)
    )


def test_a_batch_is_what_the_loaders_give_row_by_row(picture_table, inputs, target) -> None:
    data = mg.MultimodalSequence(picture_table, inputs, target, batch_size=4).for_evaluation()
    assert len(data) == 3
    (images, ids), labels = data[1]
    assert images.shape == (4, 12, 16, 3)
    assert images.dtype == np.uint8
    for row, position in enumerate(range(4, 8)):
        cells = picture_table.iloc[position]
        assert np.array_equal(images[row], inputs["image"].read(cells["image"]))
        assert np.array_equal(ids[row], inputs["caption"].read(cells["caption"]))
        assert labels[row] == "xyz".index(cells["label"])
    assert len(data[2][1]) == 2
    assert same(data[-1], data[2])


@pytest.mark.parametrize(("inputs_as", "kind"), [("list", list), ("tuple", tuple), ("dict", dict)])
def test_inputs_come_as_asked(picture_table, inputs, target, inputs_as: str, kind: type) -> None:
    batch = mg.MultimodalSequence(picture_table, inputs, target, inputs_as=inputs_as)[0]
    assert type(batch[0]) is kind
    if kind is dict:
        assert list(batch[0]) == ["image", "caption"]


def test_a_single_input_may_come_as_its_array(picture_table, inputs, target) -> None:
    data = mg.MultimodalSequence(
        picture_table, {"image": inputs["image"]}, target, inputs_as="array", batch_size=4
    )
    images, labels = data[0]
    assert images.shape == (4, 12, 16, 3)
    assert labels.shape == (4,)
    with pytest.raises(
        ValueError,
        match=r"for a single input without a mask, \"array\".*inputs=\['image', 'caption'\]",
    ):
        mg.MultimodalSequence(picture_table, inputs, target, inputs_as="array")


def test_without_a_target_a_batch_has_inputs_only_and_nothing_random(picture_table, inputs) -> None:
    data = mg.MultimodalSequence(picture_table, inputs)
    (batch,) = data[0]
    assert np.array_equal(batch[0][3], inputs["image"].read("3.png"))


def test_an_item_is_a_pure_function_of_seed_epoch_and_index(picture_table, inputs, target) -> None:
    def make(**arguments: int) -> mg.MultimodalSequence:
        return mg.MultimodalSequence(
            picture_table, inputs, target, batch_size=3, shuffle=True, **{"seed": 7, **arguments}
        )

    data = make(threads=1, max_queue_size=0)
    data.epoch = 2
    expected = [data[index] for index in range(len(data))]
    others = [make(threads=8), make(max_queue_size=20), pickle.loads(pickle.dumps(data))]
    for other in others:
        _ = other[3], other[0]
        other.epoch = 2
        assert all(same(a, b) for a, b in zip(expected, other, strict=True))
        other.epoch = 2
        assert same(other[1], expected[1])
    data.epoch = 3
    assert not same(data[0], expected[0])
    different = make(seed=8)
    different.epoch = 2
    assert not same(different[0], expected[0])


def test_changing_the_batch_size_changes_no_pixel(picture_table, inputs, target) -> None:
    def images(batch_size: int) -> np.ndarray:
        data = mg.MultimodalSequence(
            picture_table, inputs, target, batch_size=batch_size, shuffle=True, seed=1
        )
        return np.concatenate([batch[0][0] for batch in data])

    assert images(1).tobytes() == images(4).tobytes() == images(64).tobytes()


def test_each_row_and_epoch_is_augmented_anew(picture_table, inputs, target) -> None:
    same_picture = picture_table.assign(image="0.png")
    data = mg.MultimodalSequence(same_picture, inputs, target, batch_size=10, seed=1)
    seen = set()
    for epoch in range(3):
        data.epoch = epoch
        seen |= {image.tobytes() for image in data[0][0][0]}
    assert len(seen) > 25


def test_for_evaluation_keeps_order_and_draws_nothing(picture_table, inputs, target) -> None:
    data = mg.MultimodalSequence(
        picture_table, inputs, target, batch_size=3, shuffle=True, drop_remainder=True
    )
    other = data.for_evaluation(picture_table[::-1])
    assert sum(len(batch[1]) for batch in other) == 10
    images = np.concatenate([batch[0][0] for batch in other])
    assert np.array_equal(images[0], inputs["image"].read("9.png"))
    assert data.for_evaluation().table is picture_table
    assert "not augmenting" in repr(other)


def test_shards_put_together_are_the_whole_batch(picture_table, inputs, target) -> None:
    data = mg.MultimodalSequence(picture_table, inputs, target, batch_size=4, shuffle=True, seed=3)
    ranks = [data.shard(rank, 2) for rank in range(2)]
    assert [len(rank) for rank in ranks] == [3, 3]
    for index in range(3):
        parts = [rank[index] for rank in ranks]
        weights = np.concatenate([part[2] for part in parts])
        for position in range(2):
            joined = np.concatenate([part[0][position] for part in parts])[weights > 0]
            assert np.array_equal(joined, data[index][0][position])


def test_the_last_batch_of_a_shard_is_padded_with_rows_of_weight_zero(
    picture_table, inputs, target
) -> None:
    data = mg.MultimodalSequence(picture_table[:9], inputs, target, batch_size=4)
    sizes, weights = [], []
    for rank in range(4):
        (images, _), _, weight = data.shard(rank, 4)[2]
        sizes.append(len(images))
        weights += weight.tolist()
    assert sizes == [1, 1, 1, 1]
    assert weights == [1, 0, 0, 0]


def test_sample_weights_come_from_their_column(picture_table, inputs, target) -> None:
    table = picture_table.assign(weight=np.arange(10) / 2)
    data = mg.MultimodalSequence(table, inputs, target, batch_size=4, sample_weight="weight")
    assert data[1][2].tolist() == [2, 2.5, 3, 3.5]
    assert data[1][2].dtype == np.float32
    for bad in (-1.0, float("nan"), float("inf")):
        table.loc["row-5", "weight"] = bad
        with pytest.raises(
            mg.LoadError,
            match="index 'row-5', column 'weight'.*finite float32 number of at least 0",
        ):
            data[1]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (
            "image",
            "none.jpg",
            "index 'row-6', column 'image', path '.*none.jpg': there is no such file",
        ),
        (
            "image",
            "text.jpg",
            "index 'row-6', column 'image', path '.*text.jpg': the content is not a picture",
        ),
        ("image", None, "index 'row-6', column 'image': the cell is missing"),
        ("caption", None, "index 'row-6', column 'caption': the cell is missing"),
        ("caption", float("nan"), "index 'row-6', column 'caption': the cell is missing"),
        ("label", "w", "index 'row-6', column 'label': the label 'w' is not one of the 3 known"),
    ],
)
def test_a_bad_cell_is_one_error_with_index_column_and_path(
    picture_table, inputs, target, tmp_path: Path, column: str, value: object, message: str
) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    table = picture_table.astype({column: object})
    table.loc["row-6", column] = value
    data = mg.MultimodalSequence(table, inputs, target, batch_size=4)
    data[0], data[2]
    with pytest.raises(mg.LoadError, match=message) as caught:
        data[1]
    assert (caught.value.index, caught.value.column) == ("row-6", column)


def test_a_loader_that_breaks_its_spec_is_named_with_the_row(picture_table, target) -> None:
    class Wrong(mg.Loader):
        def __init__(self, column: str) -> None:
            self.column, self.spec = column, mg.ArraySpec((2,), "float32")

        def read(self, cell: float) -> np.ndarray:
            if cell > 7:
                raise KeyError("no such price")
            return np.zeros(2 if cell < 3 else 3, "float32")

    data = mg.MultimodalSequence(picture_table, {"price": Wrong("price")}, target, batch_size=2)
    data[0]
    with pytest.raises(
        mg.LoaderError,
        match=r"Wrong.read must return what `spec` says; input 'price', index 'row-2'",
    ):
        data[1]
    with pytest.raises(
        mg.LoadError,
        match=r"'row-8', column 'price': Wrong.read failed with KeyError: 'no such price'",
    ):
        data[4]


def test_columns_are_checked_when_the_sequence_is_built(picture_table, inputs, target) -> None:
    with pytest.raises(mg.TableError, match="no such column.*'caption'"):
        mg.MultimodalSequence(picture_table.drop(columns="caption"), inputs, target)
    with pytest.raises(mg.TableError, match="'wait'"):
        mg.MultimodalSequence(picture_table, inputs, target, sample_weight="wait")
    with pytest.raises(mg.TableError, match="no rows"):
        mg.MultimodalSequence(picture_table[:0], inputs, target)
    with pytest.raises(mg.TableError, match="'label'"):
        mg.MultimodalSequence(picture_table, inputs, target).for_evaluation(
            picture_table.drop(columns="label")
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inputs": {}}, "at least one name"),
        ({"inputs": ["image"]}, "must map at least one name"),
        ({"inputs": {"image": "image"}}, "must map names to loaders. Received: 'image': 'image'"),
        ({"target": "label"}, "`target` must be a target such as ClassLabel"),
        ({"inputs_as": "set"}, "`inputs_as` must be .*set"),
        ({"max_queue_size": -1}, "`max_queue_size` must be an integer of at least 0"),
        ({"threads": 0}, "`threads` an integer of at least 1"),
        ({"threads": 2.5}, "Received: .*threads=2.5"),
        ({"max_queue_size": None}, "Received: max_queue_size=None"),
        ({"cache": ""}, "`cache` must be a directory, or None"),
        ({"batch_size": 0}, "`batch_size` must be a positive integer"),
    ],
)
def test_arguments_out_of_range_are_named(
    picture_table, inputs, target, arguments: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        mg.MultimodalSequence(picture_table, **{"inputs": inputs, "target": target, **arguments})


def test_there_is_no_batch_beyond_the_last_and_no_epoch_before_the_first(
    picture_table, inputs, target
) -> None:
    data = mg.MultimodalSequence(picture_table, inputs, target, batch_size=4)
    with pytest.raises(IndexError, match=r"must be in \[-3, 3\). Received: index=3"):
        data[3]
    with pytest.raises(ValueError, match="must be at least 0. Received: epoch=-1"):
        data.epoch = -1


class Slow(mg.Loader):
    """Counts its reads, and takes its time for each."""

    reads = 0
    active = 0
    most_active = 0
    lock = threading.Lock()

    def __init__(self, column: str, seconds: float = 0.0) -> None:
        self.column, self.seconds, self.spec = column, seconds, mg.ArraySpec((1,), "float32")

    def read(self, cell: float) -> np.ndarray:
        with Slow.lock:
            Slow.reads += 1
            Slow.active += 1
            Slow.most_active = max(Slow.active, Slow.most_active)
        time.sleep(self.seconds)
        with Slow.lock:
            Slow.active -= 1
        return np.array([cell], "float32")


@pytest.fixture
def counted() -> type[Slow]:
    Slow.reads = Slow.active = Slow.most_active = 0
    return Slow


def test_nothing_is_read_before_it_is_asked_for_nor_ahead_outside_of_an_epoch(
    counted: type[Slow],
) -> None:
    table = pd.DataFrame({"price": np.arange(1000.0)})
    data = mg.MultimodalSequence(table, {"price": Slow("price")}, batch_size=10)
    assert counted.reads == 0
    data[0], data[1]
    time.sleep(0.05)
    assert counted.reads == 20


def test_within_an_epoch_the_next_batches_are_prepared_and_no_more(counted: type[Slow]) -> None:
    table = pd.DataFrame({"price": np.arange(1000.0)})
    data = mg.MultimodalSequence(table, {"price": Slow("price")}, batch_size=10, max_queue_size=3)
    iterator = iter(data)
    next(iterator)
    until = time.monotonic() + 60
    while counted.reads < 40 and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.1)
    assert counted.reads == 40
    iterator.close()
    time.sleep(0.05)
    assert counted.reads == 40


def test_rows_of_a_batch_are_read_by_many_threads(counted: type[Slow]) -> None:
    table = pd.DataFrame({"price": np.arange(64.0)})
    data = mg.MultimodalSequence(table, {"price": Slow("price", 0.002)}, batch_size=64, threads=8)
    data[0]
    assert counted.most_active > 3


def test_reading_out_of_order_does_not_read_ahead_in_vain(counted: type[Slow]) -> None:
    table = pd.DataFrame({"price": np.arange(1000.0)})
    data = mg.MultimodalSequence(table, {"price": Slow("price")}, batch_size=10, max_queue_size=5)
    data.on_epoch_begin()
    for index in (50, 3, 70, 20):
        data[index]
    time.sleep(0.1)
    data.on_epoch_end()
    assert counted.reads == 40


def test_the_first_batch_of_200_000_rows_costs_its_order_and_little_else(
    picture_table, inputs, target
) -> None:
    table = picture_table.iloc[np.arange(200_000) % 10].reset_index(drop=True)
    tracemalloc.start()
    data = mg.MultimodalSequence(table, inputs, target, batch_size=32, shuffle=True, threads=1)
    data[0]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The order takes four bytes a row, and twice that while it is drawn.
    assert peak < 10 * 4 * len(table)


def test_the_table_is_neither_copied_nor_changed(picture_table, inputs, target) -> None:
    before = picture_table.copy()
    data = mg.MultimodalSequence(picture_table, inputs, target, shuffle=True)
    list(data)
    assert data.table is picture_table
    pd.testing.assert_frame_equal(picture_table, before)


def test_cells_of_several_columns_come_as_tuples(picture_table, target) -> None:
    table = picture_table.assign(weight=np.arange(10.0))
    loader = mg.NumericLoader.from_values(["price", "weight"], table[["price", "weight"]])
    ((numbers,), _) = mg.MultimodalSequence(table, {"numbers": loader}, target)[0]
    assert numbers.shape == (10, 2)
    assert numbers.mean(axis=0) == pytest.approx([0, 0], abs=1e-6)


def test_a_loader_of_ones_own_that_names_a_column_twice_is_refused(
    picture_table, inputs, target
) -> None:
    class Sum(mg.Loader):
        spec = mg.ArraySpec((1,), "float32", "vector")

        def __init__(self, column: tuple[str, ...]) -> None:
            self.column = column

        def read(self, cell: tuple[float, ...]) -> np.ndarray:
            return np.array([sum(cell)], "float32")

    class Total(Sum, mg.Target):
        units, activation, loss = 1, None, "mse"

        def score(self, truth: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
            return {}

        def decode_outputs(self, outputs: np.ndarray) -> dict[str, np.ndarray]:
            return {"total": outputs[:, 0]}

    twice = r"'price' appears twice. Received: column=\['price', 'price'\]"
    for arguments in (
        ({"sum": Sum(("price", "price"))}, target),
        (inputs, Total(("price", "price"))),
        (inputs, {"label": target, "total": Total(("price", "price"))}),
    ):
        with pytest.raises(ValueError, match=twice):
            mg.MultimodalSequence(picture_table, *arguments)
    with pytest.raises(
        mg.LoaderError, match=r"Sum.column must name each column once. Received: column=\('price'"
    ):
        mg.check_loader(Sum(("price", "price")), [(1.0, 1.0)])


def test_duplicate_and_arrow_backed_tables_are_read_as_they_are(
    picture_table, inputs, target
) -> None:
    arrow = picture_table.convert_dtypes(dtype_backend="pyarrow")
    arrow.index = ["same"] * 10
    data = mg.MultimodalSequence(arrow, inputs, target, batch_size=10).for_evaluation()
    plain = mg.MultimodalSequence(picture_table, inputs, target, batch_size=10).for_evaluation()
    assert same(data[0], plain[0])


def test_rows_tells_which_rows_a_batch_has(picture_table, inputs, target) -> None:
    data = mg.MultimodalSequence(picture_table, inputs, target, batch_size=4, shuffle=True, seed=1)
    data.epoch = 5
    expected = data[1][1]
    data.epoch = 0
    assert ["xyz".index(label) for label in data.rows(1, epoch=5)["label"]] == expected.tolist()


def test_repr_explains_the_sequence(picture_table, inputs, target) -> None:
    data = mg.MultimodalSequence(
        picture_table, inputs, target, batch_size=4, shuffle=True, seed=9, threads=3
    )
    assert repr(data) == (
        "MultimodalSequence: 10 rows in 3 batches of 4, the last of 2\n"
        "  image: image (12, 16, 3) uint8 from 'image'\n"
        "  caption: tokens (6,) int32 from 'caption'\n"
        "  target: label () int32 from 'label'\n"
        "  a new order every epoch, seed 9, epoch 0, augmenting\n"
        "  3 threads (fewer than 2,000 rows), 4 batches ahead, inputs as list"
    )
    assert "rank 1 of 2" in repr(data.shard(1, 2))


def test_an_endless_sequence_goes_on_with_the_next_epoch(picture_table, inputs, target) -> None:
    data = mg.MultimodalSequence(picture_table, inputs, target, batch_size=4, shuffle=True, seed=2)
    endless = mg.MultimodalSequence(
        picture_table, inputs, target, batch_size=4, shuffle=True, seed=2, endless=True
    )
    assert endless.num_batches is None
    assert "in 3 batches of 4, the last of 2, endlessly" in repr(endless)
    for index, batch in zip(range(7), endless, strict=False):
        data.epoch = index // 3
        assert same(batch, data[index % 3])
        assert same(endless[index], batch)
        assert endless.rows(index).equals(data.rows(index % 3))
    with pytest.raises(TypeError, match="An endless sequence has no length"):
        len(endless)
    with pytest.raises(IndexError, match="must be at least 0. Received: index=-1"):
        endless[-1]
    assert endless.for_evaluation().num_batches == 3


def test_a_first_batch_can_be_looked_at_by_iterating(picture_table, inputs, target) -> None:
    data = mg.MultimodalSequence(picture_table, inputs, target, batch_size=4)
    assert same(next(iter(data)), data[0])


def test_a_cell_is_varied_before_it_is_read_and_with_the_stream_that_augment_goes_on_with(
    picture_table,
) -> None:
    class Doubled(mg.Loader):
        def __init__(self, column: str) -> None:
            self.column, self.spec = column, mg.ArraySpec((2,), "float32")

        def augment_cell(self, cell: float, rng: np.random.Generator) -> float:
            return cell + rng.random()

        def read(self, cell: float) -> np.ndarray:
            return np.array([cell, 0], "float32")

        def augment(self, array: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
            return array if rng is None else array + np.array([0, rng.random()], "float32")

    data = mg.MultimodalSequence(
        picture_table, {"price": Doubled("price")}, batch_size=10, shuffle=True, seed=6
    )
    ((numbers,),) = data[0]
    for position, (price, second) in zip(data.rows(0)["price"] / 1.5, numbers, strict=True):
        stream = data.plan.rng(0, int(position), "price")
        assert price == pytest.approx(position * 1.5 + stream.random())
        assert second == pytest.approx(stream.random())
    assert data.for_evaluation()[0][0][0][3].tolist() == [4.5, 0]


def test_an_operation_that_fails_or_breaks_the_spec_is_named_with_the_row(
    picture_table, target, tmp_path
) -> None:
    def fail(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        raise RuntimeError("no luck")

    for operation, message in (
        (fail, "ImageLoader.augment failed; input 'image', index 'row-0'. RuntimeError: no luck"),
        (
            lambda image, rng: image[1:],
            "index 'row-0'. ValueError: An augmentation must return an array like its input",
        ),
    ):
        loader = mg.ImageLoader("image", directory=tmp_path, image_size=(4, 4), augment=[operation])
        with pytest.raises(mg.LoaderError, match=message):
            mg.MultimodalSequence(picture_table, {"image": loader}, target, threads=1)[0]


def test_an_operation_that_writes_into_the_tables_own_arrays_fails_and_changes_nothing(
    target,
) -> None:
    def darken(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        array //= 2
        return array

    table = pd.DataFrame(
        {"x": [np.full((8, 8), 200, "uint8") for _ in range(4)], "label": list("xyzx")}
    )
    loader = mg.ArrayLoader.from_values("x", table["x"], augment=[darken])
    with pytest.raises(mg.LoaderError, match="read-only.*Return a new array"):
        mg.MultimodalSequence(table, {"x": loader}, target)[0]
    assert all((array == 200).all() for array in table["x"])


def test_rows_without_targets_point_to_the_sequence_for_them(picture_table, inputs, target) -> None:
    data = mg.MultimodalSequence(picture_table, inputs, target)
    with pytest.raises(
        mg.TableError, match=r"column='label'. To predict rows without targets, use"
    ):
        data.for_evaluation(picture_table.drop(columns="label"))


@pytest.mark.parametrize("target", [{}, {"kind": "label"}, {1: mg.ClassLabel("label", "xyz")}])
def test_several_targets_must_be_a_mapping_of_names_to_targets(
    picture_table, inputs, target
) -> None:
    with pytest.raises(ValueError, match="`target` must"):
        mg.MultimodalSequence(picture_table, inputs, target)


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_batches_with_a_cache_are_those_without_to_the_byte(
    picture_table: pd.DataFrame, tmp_path: Path, threads: int
) -> None:
    augment = [mg.augment.RandomFlip("horizontal"), mg.augment.RandomRotation(0.1)]
    inputs = {
        "image": mg.ImageLoader("image", directory=tmp_path, image_size=(16, 16), augment=augment),
        "caption": mg.TextLoader.from_texts(
            "caption", picture_table, augment=[mg.augment.RandomWordSwap(0.3)]
        ),
    }
    target = mg.ClassLabel.from_values("label", picture_table)
    arguments: dict[str, Any] = {"batch_size": 3, "shuffle": True, "seed": 3}
    plain = mg.MultimodalSequence(picture_table, inputs, target, threads=1, **arguments)
    cached = mg.MultimodalSequence(
        picture_table,
        inputs,
        target,
        threads=threads,
        cache=tmp_path / "cache",
        cache_limit=10**7,
        **arguments,
    )
    assert "cache of 9.3 kB, at most 10.0 MB in" in repr(cached)
    for epoch in range(3):
        plain.epoch = cached.epoch = epoch
        for one, other in zip(plain, cached, strict=True):
            for array, again in zip(
                keras.tree.flatten(one), keras.tree.flatten(other), strict=True
            ):
                assert array.tobytes() == again.tobytes()
    assert any((tmp_path / "cache").iterdir())


def test_a_picture_that_is_changed_is_read_anew_from_the_next_batch_on(
    picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    inputs = {"image": mg.ImageLoader("image", directory=tmp_path, image_size=(8, 8))}
    cached = mg.MultimodalSequence(picture_table, inputs, cache=tmp_path / "cache")
    assert cached[0][0][0][2].any()
    Image.new("RGB", (8, 8)).save(tmp_path / "2.png")
    assert not cached[0][0][0][2].any()
    assert cached[0][0][0][3].any()


def test_a_cache_that_is_a_file_or_has_no_room_at_all_is_refused(
    picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    inputs = {"image": mg.ImageLoader("image", directory=tmp_path)}
    with pytest.raises(NotADirectoryError, match="`cache` must be a directory"):
        mg.MultimodalSequence(picture_table, inputs, cache=tmp_path / "2.png")
    with pytest.raises(ValueError, match="`cache_limit` must be a positive integer"):
        mg.MultimodalSequence(picture_table, inputs, cache=tmp_path / "cache", cache_limit=0)
    with pytest.raises(ValueError, match="`cache_limit` needs `cache`"):
        mg.MultimodalSequence(picture_table, inputs, cache_limit=10**6)


def test_arrays_lie_where_backends_can_take_them_over_without_a_copy(
    picture_table: pd.DataFrame, inputs: dict[str, mg.Loader], target: mg.ClassLabel
) -> None:
    for batch in mg.MultimodalSequence(picture_table, inputs, target, batch_size=3):
        for array in keras.tree.flatten(batch):
            assert array.__array_interface__["data"][0] % 64 == 0
            assert array.flags.c_contiguous
