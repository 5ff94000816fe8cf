"""`Mix` and `concat_tables`: sources of unlike formats in exact shares, the same in every run."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from test_open_table import CLASSES, ROWS, as_parquet, as_tar, assert_equal_batches, contents, flat
from test_resume import BrokenOffError, Interrupt, outcome

import multimodal_gen as mg
from multimodal_gen.rows.mixture import Mixture
from multimodal_gen.rows.plan import Plan
from multimodal_gen.rows.stores.column import StoredColumn

SHARES = {"shop": 0.5, "web": 0.3, "news": 0.2}


def plan_of(
    sizes: list[int], shares: list[list[float]], batch_size: int, rows: int, **named: Any
) -> Plan:
    ends = np.cumsum([0, *sizes]).tolist()
    mixture = Mixture(
        tuple("abcdefgh"[: len(sizes)]),
        tuple(map(range, ends, ends[1:])),
        tuple(map(tuple, shares)),
        rows,
    )
    return Plan(rows, batch_size, shuffle=True, mixture=mixture, **named)


def sources_of(rows: np.ndarray, sizes: list[int]) -> np.ndarray:
    return np.searchsorted(np.cumsum(sizes), rows, side="right")


@pytest.mark.parametrize(
    ("sizes", "shares", "batch_size", "rows"),
    [
        ([50, 7, 300], [0.5, 0.2, 0.3], 8, 357),
        ([5, 5], [1, 2], 1, 30),
        ([2000, 3], [99, 1], 32, 4000),
        ([40, 40, 40, 40], [0.4, 0.3, 0.2, 0.1], 7, 700),
        ([9], [3.0], 4, 9),
        ([30, 30, 30], [1 / 3, 1 / 3, 1 / 3], 64, 50),
        ([11, 13, 17, 19, 23], [5, 4, 3, 2, 1], 12, 12 * 13 + 5),
    ],
)
def test_every_batch_and_every_epoch_have_their_shares_and_each_row_comes_once_a_pass(
    sizes: list[int], shares: list[float], batch_size: int, rows: int
) -> None:
    plan = plan_of(sizes, [shares], batch_size, rows, seed=3)
    exact = np.array(shares) / sum(shares)
    drawn = []
    for epoch in range(4):
        batches = [plan.batch(epoch, index)[0] for index in range(plan.num_batches)]
        assert np.array_equal(np.concatenate(batches), plan.order(epoch))
        counts = np.array(
            [np.bincount(sources_of(one, sizes), minlength=len(sizes)) for one in batches]
        )
        full = counts[: rows // batch_size]
        assert (np.abs(full - batch_size * exact) < 1).all()
        assert (np.abs(counts[-1] - len(batches[-1]) * exact) < 1).all()
        assert (np.abs(full.sum(axis=0) - len(full) * batch_size * exact) < 1).all()
        # Batches that round up are spread: so are the shares of any run of batches.
        for length in (2, 5, 11):
            runs = np.array(
                [full[start : start + length].sum(axis=0) for start in range(len(full) - length)]
            )
            if len(runs):
                assert (np.abs(runs - length * batch_size * exact) < 3).all()
        drawn += batches
    order = np.concatenate(drawn)
    found = sources_of(order, sizes)
    for source, size in enumerate(sizes):
        own = order[found == source]
        passes = [own[start : start + size] for start in range(0, len(own), size)]
        times = np.bincount(own - sum(sizes[:source]), minlength=size)
        assert times.max() - times.min() <= 1
        if batch_size == 1:
            # Rows of a batch come in any order; with one row a batch, passes can be told apart.
            assert all(len(set(one)) == len(one) for one in passes)
            assert len({tuple(one) for one in passes}) > 1


def test_a_batch_is_a_function_of_seed_epoch_and_index_and_ranks_are_its_slices() -> None:
    plan = plan_of([500, 1500], [[0.3, 0.7]], 20, 2000, seed=1)
    first = plan.batch(4, 3)[0]
    plan.batch(0, 0), plan.batch(9, 12)
    assert np.array_equal(pickle.loads(pickle.dumps(plan)).batch(4, 3)[0], first)
    assert not np.array_equal(plan.batch(5, 3)[0], first)
    assert not np.array_equal(
        plan_of([500, 1500], [[0.3, 0.7]], 20, 2000, seed=2).batch(4, 3)[0], first
    )
    ranks = [plan.shard(rank, 4).batch(4, 3)[0] for rank in range(4)]
    assert np.array_equal(np.concatenate(ranks), first)


def test_rows_come_in_a_uniform_order() -> None:
    # Where the first row of the second source is among those of its source, in 600 passes: its
    # place is in each of ten parts as often, chi-square with 9 degrees of freedom below 27.9.
    sizes = [1000, 1000]
    plan = plan_of(sizes, [[1, 1]], 20, 2000)
    places = []
    for epoch in range(600):
        order = plan.order(epoch)
        places.append(int(np.flatnonzero(order[order >= 1000] == 1000)[0]))
    counts = np.histogram(places, bins=10, range=(0, 1000))[0]
    assert ((counts - 60) ** 2 / 60).sum() < 27.9


def test_shares_by_epoch_go_on_and_a_large_source_goes_on_where_it_stopped() -> None:
    sizes = [100, 900]
    plan = plan_of(sizes, [[1, 0], [1, 1], [1, 3]], 10, 200)
    seen = [plan.order(epoch) for epoch in range(6)]
    counts = [np.bincount(sources_of(one, sizes), minlength=2).tolist() for one in seen]
    assert counts == [[200, 0], [100, 100], *[[50, 150]] * 4]
    large = np.concatenate(seen)[np.concatenate(seen) >= 100]
    assert len(set(large)) == len(large) == 700


def test_very_many_rows_take_no_memory_and_no_time() -> None:
    import tracemalloc

    plan = plan_of([90_000_000, 10_000_000], [[0.7, 0.3]], 32, 100_000_000)
    plan.batch(0, 0)
    tracemalloc.start()
    batch, _ = plan.batch(3, 3_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000
    assert np.bincount(sources_of(batch, [90_000_000, 10_000_000])).tolist() in ([22, 10], [23, 9])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mix")


@pytest.fixture(scope="module")
def loose(folder: Path) -> dict[str, pd.DataFrame]:
    """Three tables of loose files: image, caption, label, price; the first has 7 rows."""
    rng = np.random.default_rng(0)
    tables = {}
    for source, size in (("shop", 7), ("web", ROWS), ("news", ROWS)):
        rows = []
        for row in range(size):
            path = folder / f"{source}-{row:03}.png"
            Image.fromarray(rng.integers(0, 256, (9, 12, 3), "uint8")).save(path)
            rows.append((str(path), f"a {row % 7} thing of {source}", CLASSES[row % 3], row / 4))
        tables[source] = pd.DataFrame(rows, columns=["image", "caption", "label", "price"])
    return tables


@pytest.fixture(scope="module")
def tables(loose: dict[str, pd.DataFrame], folder: Path) -> dict[str, pd.DataFrame]:
    """The same as a DataFrame of paths, tar shards and parquet files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        return {
            "shop": loose["shop"],
            "web": mg.open_table(as_tar(loose["web"], folder)).rename(columns={"png": "image"}),
            "news": mg.open_table(as_parquet(loose["news"], folder)),
        }


@pytest.fixture(scope="module")
def mixed(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return mg.concat_tables(tables)


def sequence_of(table: pd.DataFrame, **named: Any) -> mg.MultimodalSequence:
    return mg.MultimodalSequence(
        table,
        {
            "image": mg.ImageLoader(
                "image", image_size=(8, 8), augment=[mg.augment.RandomFlip("horizontal")]
            ),
            "price": mg.NumericLoader("price", mean=[5.0], scale=[2.0]),
        },
        mg.ClassLabel("label", CLASSES),
        batch_size=10,
        seed=5,
        **{"sampler": mg.Mix(SHARES), **named},
    )


def test_tables_of_unlike_formats_are_one_whose_cells_stay_where_they_are(
    mixed: pd.DataFrame, loose: dict[str, pd.DataFrame]
) -> None:
    assert mixed["source"].tolist() == [
        name for name, one in loose.items() for _ in range(len(one))
    ]
    assert mixed.index[7] == ("web", 0)
    whole = pd.concat(loose.values(), ignore_index=True)
    for column in ("caption", "label", "price"):
        assert mixed[column].tolist() == whole[column].tolist()
        assert isinstance(mixed[column].array, StoredColumn)
    pictures = [
        *loose["shop"]["image"],
        *contents(pd.concat([loose["web"], loose["news"]]))["image"],
    ]
    assert mixed["image"].tolist() == pictures
    # What only one has is missing in the others.
    assert mixed["__key__"].isna().tolist() == [name != "web" for name in mixed["source"]]
    train, test = mg.split_table(mixed, (0.8, 0.2), stratify="source", seed=0)
    assert isinstance(train["image"].array, StoredColumn)
    assert len(test) == 17


def test_batches_are_those_of_loose_files_go_on_in_the_middle_and_come_from_processes(
    mixed: pd.DataFrame, loose: dict[str, pd.DataFrame]
) -> None:
    expected = sequence_of(mg.concat_tables(loose))
    sequence = sequence_of(mixed)
    assert len(sequence) == 9
    for number in range(len(expected)):
        counts = sequence.rows(number)["source"].value_counts()
        if number < 8:
            assert [counts[name] for name in SHARES] == [5, 3, 2]
        assert_equal_batches(sequence[number], expected[number])
    state = {**sequence.state(), "epoch": 1, "batch": 3}
    again = sequence_of(pickle.loads(pickle.dumps(mixed)), processes=1)
    again.set_state(state)
    assert state["columns"] == again.state()["columns"]
    sequence.set_state(state)
    rest = list(again)
    assert len(rest) == 6
    for one, two in zip(rest, sequence, strict=True):
        assert_equal_batches(one, two)
    with pytest.raises(ValueError, match="sampler differs"):
        sequence_of(mixed, sampler=mg.Mix({**SHARES, "shop": 0.6})).set_state(state)


def fitted(
    folder: Path, table: pd.DataFrame, *callbacks: Any
) -> tuple[keras.Model, keras.callbacks.History]:
    by_epoch = mg.Mix([SHARES, {"shop": 0.2, "web": 0.2, "news": 0.6}], rows=47)
    data = sequence_of(table, sampler=by_epoch)
    keras.utils.set_random_seed(3)
    image, price = keras.Input((8, 8, 3), name="image"), keras.Input((1,), name="price")
    pixels = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    joined = keras.layers.Dropout(0.3)(keras.layers.Concatenate()([pixels, price]))
    model = keras.Model((image, price), keras.layers.Dense(len(CLASSES), "softmax")(joined))
    model.compile(keras.optimizers.Adam(0.01), loss=data.target.loss, jit_compile=False)
    resume = mg.ResumeTraining(folder, data, save_every=1)
    history = model.fit(data, epochs=3, shuffle=False, verbose=0, callbacks=[*callbacks, resume])
    return model, history


def test_a_training_that_is_broken_off_in_the_middle_ends_with_the_same_bytes(
    mixed: pd.DataFrame, tmp_path: Path
) -> None:
    expected = outcome(fitted(tmp_path / "alone", mixed))
    # Five batches an epoch: in the first, in the second, whose shares are others, and in the third.
    for batches in (3, 5, 4):
        with pytest.raises(BrokenOffError):
            fitted(tmp_path / "broken", mixed, Interrupt(batches))
    assert outcome(fitted(tmp_path / "broken", mixed)) == expected


def test_ranks_have_slices_and_an_epoch_may_have_other_rows(mixed: pd.DataFrame) -> None:
    sequence = sequence_of(mixed, sampler=mg.Mix(SHARES, rows=25))
    assert [len(flat(batch)[0]) for batch in sequence] == [10, 10, 5]
    ranks = [sequence.shard(rank, 2) for rank in range(2)]
    joined = [np.concatenate(parts) for parts in zip(*(flat(one[1]) for one in ranks), strict=True)]
    for one, two in zip(joined, flat(sequence[1]), strict=True):
        assert np.array_equal(one, two)
    assert "rows drawn by Mix(" in repr(sequence)


def test_a_bad_row_is_named_by_its_table_and_its_row_in_it(
    tables: dict[str, pd.DataFrame], folder: Path
) -> None:
    shop = tables["shop"].copy()
    shop.index = [f"item {row}" for row in range(7)]
    shop.loc["item 2", "image"] = str(folder / "gone.png")
    mixed = mg.concat_tables({**tables, "shop": shop})
    sequence = sequence_of(mixed, on_error="skip", max_error_rate=0.5)
    list(sequence)
    assert sequence.failures["index"].tolist() == [("shop", "item 2")]
    with pytest.raises(mg.LoadError, match=r"index \('shop', 'item 2'\), column 'image'"):
        list(sequence_of(mixed))
    sequence.failures.to_csv(folder / "failures.csv", index=False)
    for failures in (sequence.failures, folder / "failures.csv"):
        assert len(mg.leave_out(mixed, failures)) == len(mixed) - 1
    there = next(one for one in sequence.rows(0, 0).index if one[0] == "web")
    (image, _), _ = sequence.replay(0, there)[:2]
    assert image.shape == (1, 8, 8, 3)
    rest = mg.leave_out(mixed, sequence.failures)
    evaluated = sequence_of(rest).for_evaluation()
    assert len(evaluated) == 9
    assert evaluated.rows(8).index.tolist() == rest.index[80:].tolist()


def test_any_column_of_any_table_can_be_mixed_by() -> None:
    table = pd.DataFrame({"x": np.arange(60.0), "style": ["a", "b", "c"] * 20})
    sampler = mg.Mix([{"a": 1}, {"a": 1, "b": 1, "c": 2}], column="style", rows=40)
    mg.check_sampler(sampler, table)
    sequence = mg.MultimodalSequence(
        table, {"x": mg.NumericLoader("x", mean=[0.0], scale=[1.0])}, batch_size=8, sampler=sampler
    )
    assert set(sequence.rows(3)["style"]) == {"a"}
    sequence.epoch = 1
    for number in range(5):
        assert sequence.rows(number)["style"].value_counts().to_dict() == {"a": 2, "b": 2, "c": 4}


def test_tables_in_memory_are_joined_as_they_are() -> None:
    one = pd.DataFrame({"id": [2**60 + 1, 5], "text": ["a", None]}, index=[4, 9])
    two = mg.table_from_arrays(array=np.ones((3, 2, 2)), text=["c", "d", "e"])
    table = mg.concat_tables({"one": one, "two": two}, column="from")
    assert table.columns.tolist() == ["from", "id", "text", "array"]
    assert table["id"].tolist()[:2] == [2**60 + 1, 5]
    assert table.index.tolist() == [("one", 4), ("one", 9), ("two", 0), ("two", 1), ("two", 2)]
    assert table["array"].isna().tolist() == [True, True, False, False, False]
    assert table["text"].isna().tolist() == [False, True, False, False, False]


TEXTS = pd.DataFrame({"label": ["mug", "jug"], "price": ["1.5", "7"]})
NUMBERS = pd.DataFrame({"label": [3, 5], "price": [2.5, 1]})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mg.concat_tables({}), "must map names to DataFrames"),
        (lambda: mg.concat_tables([TEXTS]), "must map names to DataFrames"),
        (lambda: mg.concat_tables({1: TEXTS}), "name of a table must be a string"),
        (lambda: mg.concat_tables({"a": [1]}), "Received: list for 'a'"),
        (lambda: mg.concat_tables({"a": TEXTS, "b": TEXTS[:0]}), "has no rows.*in the table 'b'"),
        (lambda: mg.concat_tables({"a": TEXTS}, column="label"), "choose another name"),
        (
            lambda: mg.concat_tables({"a": TEXTS, "b": NUMBERS}),
            "'label', which holds numbers in the table 'b', and 'mug' in 'a'",
        ),
        (lambda: mg.Mix({}), "must map sources to numbers"),
        (lambda: mg.Mix([]), "at least one source"),
        (lambda: mg.Mix({"a": 0}), "greater than 0.*'a': 0"),
        (lambda: mg.Mix({"a": 1, "b": -0.1}), "'b': -0.1"),
        (lambda: mg.Mix({"a": float("nan")}), "'a': nan"),
        (lambda: mg.Mix([{"a": 1}, 3]), "must map sources to numbers"),
        (lambda: mg.Mix({"a": 1}, rows=0), "rows"),
        (lambda: drawn({"a": 1, "c": 1}), "the table has 'a', 'b' in 'source'.*share for 'c'"),
        (lambda: drawn({"a": 1}), "shares for 'a', and also rows of 'b'"),
        (lambda: drawn({"a": 1, "b": 1}, column="from"), "no such column"),
        (lambda: drawn({"a": 1e6, "b": 1}), "a share of 1e-06 for 'b', 4 rows an epoch"),
        (lambda: drawn({"a": 1, "b": 1}, source=["a", None, "a", "b"]), r"at index \('a', 1\)"),
    ],
)
def test_what_is_wrong_is_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def drawn(shares: Any, source: list[Any] | None = None, **named: Any) -> mg.MultimodalSequence:
    table = mg.concat_tables({"a": TEXTS, "b": TEXTS})
    if source is not None:
        table["source"] = source
    loader = mg.NumericLoader("price", mean=[0.0], scale=[1.0])
    return mg.MultimodalSequence(table, {"price": loader}, sampler=mg.Mix(shares, **named))


def test_batches_of_one_length_cannot_have_shares(mixed: pd.DataFrame) -> None:
    texts = mg.TextLoader.from_texts("caption", ["a thing of web"] * 3)
    with pytest.raises(ValueError, match="either `bucket_by_length` or `Mix`"):
        mg.MultimodalSequence(
            mixed, {"caption": texts}, sampler=mg.Mix(SHARES), bucket_by_length="caption"
        )
