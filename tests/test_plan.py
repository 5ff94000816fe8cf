from __future__ import annotations

import pickle
import tracemalloc
import zlib

import numpy as np
import pytest

from multimodal_gen.rows.plan import Plan
from multimodal_gen.rows.shuffling import ROUNDS, shuffled_rows


@pytest.mark.parametrize(("rows", "batch_size"), [(1, 1), (7, 3), (64, 8), (65, 8), (5, 100)])
@pytest.mark.parametrize("shuffle", [True, False])
def test_every_row_comes_exactly_once_an_epoch(rows: int, batch_size: int, shuffle: bool) -> None:
    plan = Plan(rows, batch_size, shuffle=shuffle, seed=5)
    for epoch in range(3):
        positions = np.concatenate(
            [plan.batch(epoch, index)[0] for index in range(plan.num_batches)]
        )
        assert sorted(positions) == list(range(rows))
        if not shuffle:
            assert list(positions) == list(range(rows))


def test_a_batch_is_a_function_of_seed_epoch_and_index_alone() -> None:
    plan = Plan(100, 8, shuffle=True, seed=1)
    first = plan.batch(4, 3)[0]
    plan.batch(0, 0), plan.batch(9, 12)
    assert np.array_equal(plan.batch(4, 3)[0], first)
    assert np.array_equal(Plan(100, 8, shuffle=True, seed=1).batch(4, 3)[0], first)
    assert not np.array_equal(Plan(100, 8, shuffle=True, seed=2).batch(4, 3)[0], first)
    assert not np.array_equal(plan.batch(5, 3)[0], first)


def test_the_order_of_rows_does_not_depend_on_the_batch_size() -> None:
    orders = []
    for batch_size in (1, 7, 50):
        plan = Plan(50, batch_size, shuffle=True, seed=1)
        orders.append(
            np.concatenate([plan.batch(2, index)[0] for index in range(plan.num_batches)]).tolist()
        )
    assert orders[0] == orders[1] == orders[2]


def test_a_shuffled_order_is_uniform() -> None:
    # Where row 0 lands in 3,000 epochs of 10 rows: chi-square with 9 degrees of freedom, 27.9 is
    # its 0.999 quantile.
    landed = [
        int(np.flatnonzero(Plan(10, 1, shuffle=True, seed=3).order(epoch) == 0)[0])
        for epoch in range(3000)
    ]
    counts = np.bincount(landed, minlength=10)
    assert ((counts - 300) ** 2 / 300).sum() < 27.9


def test_orders_are_fixed_for_good() -> None:
    assert Plan(8, 8, shuffle=True, seed=42).order(1).tolist() == [6, 4, 1, 2, 3, 0, 7, 5]
    assert Plan(8, 8, seed=42).rng(1, 3, "image").random() == 0.5057227437431263


def test_random_streams_differ_by_seed_epoch_row_and_column_and_repeat_otherwise() -> None:
    plan = Plan(10, 2, seed=1)
    draws = [
        plan.rng(0, 0, "image").random(),
        plan.rng(1, 0, "image").random(),
        plan.rng(0, 1, "image").random(),
        plan.rng(0, 0, "caption").random(),
        plan.rng(0, 0, ("image", "caption")).random(),
        Plan(10, 2, seed=2).rng(0, 0, "image").random(),
    ]
    assert len(set(draws)) == len(draws)
    assert plan.rng(0, 1, "image").random() == draws[2]


def test_a_stream_is_philox_with_key_and_counter_and_spawns_the_same_streams_again() -> None:
    for seed, epoch, position in ((0, 0, 0), (2**64 - 1, 2**40, 10**9)):
        stream = Plan(2, 1, seed=seed).rng(epoch, position, "image")
        key, counter = seed + (zlib.crc32(b"image") << 64), (position << 64) + (epoch << 128)
        plain = np.random.Generator(np.random.Philox(key=key, counter=counter))
        np.testing.assert_array_equal(stream.random(9), plain.random(9))
    first, again, other = (Plan(2, 1, seed=seed).rng(0, 1, "image") for seed in (1, 1, 2))
    spawned = [one.random() for one in [*first.spawn(2), *first.spawn(1)]]
    assert spawned == [one.random() for one in pickle.loads(pickle.dumps(again)).spawn(3)]
    assert len({*spawned, *(one.random() for one in other.spawn(3))}) == 6


def test_neighbouring_streams_do_not_overlap_or_correlate() -> None:
    plan = Plan(1000, 1)
    draws = np.array([plan.rng(0, row, "image").random(50) for row in range(1000)])
    assert len(np.unique(draws)) == draws.size
    assert abs(np.corrcoef(draws[:-1, 0], draws[1:, 0])[0, 1]) < 0.1
    assert abs(draws[:, 0].mean() - 0.5) < 0.03


@pytest.mark.parametrize("rows", [16, 17, 18, 19, 20])
def test_shards_are_equal_slices_of_every_batch_and_padding_is_marked(rows: int) -> None:
    whole = Plan(rows, 4, shuffle=True, seed=1)
    ranks = [whole.shard(rank, 4) for rank in range(4)]
    assert {plan.num_batches for plan in ranks} == {whole.num_batches}
    for index in range(whole.num_batches):
        parts = [plan.batch(2, index) for plan in ranks]
        assert len({len(positions) for positions, _ in parts}) == 1
        real = [positions[: len(positions) - padding] for positions, padding in parts]
        assert np.array_equal(np.concatenate(real), whole.batch(2, index)[0])


def test_drop_remainder_leaves_out_the_short_batch() -> None:
    assert Plan(10, 4, drop_remainder=True).num_batches == 2
    assert Plan(10, 4).num_batches == 3


def bucketed(rows: int = 103, batch_size: int = 8, **arguments: object) -> Plan:
    buckets = np.random.default_rng(0).choice(3, rows, p=[0.6, 0.3, 0.1]).astype("uint8")
    return Plan(rows, batch_size, shuffle=True, seed=1, buckets=buckets, **arguments)


def test_full_batches_are_of_one_bucket_but_on_the_borders_and_every_row_comes_once() -> None:
    plan, orders = bucketed(), []
    assert plan.buckets is not None
    for epoch in range(5):
        batches = [plan.batch(epoch, index)[0] for index in range(plan.num_batches)]
        assert [len(one) for one in batches] == [8] * 12 + [7]
        assert sorted(np.concatenate(batches)) == list(range(103))
        assert sum(len(set(plan.buckets[one])) > 1 for one in batches[:-1]) <= 2
        greatest = [plan.bucket(epoch, index) for index in range(plan.num_batches)]
        assert greatest == [plan.buckets[one].max() for one in batches]
        orders.append(greatest[:-1])
    # Neither do they come by length, nor alike in every epoch.
    assert all(order != sorted(order) for order in orders)
    assert len(set(map(tuple, orders))) == 5


def test_buckets_change_neither_what_is_drawn_by_weight_nor_which_rows_the_short_batch_has() -> (
    None
):
    weights = np.random.default_rng(1).random(103)
    for drawn in (None, weights):
        plain = Plan(103, 8, shuffle=True, seed=1, weights=drawn)
        plan = bucketed(weights=drawn)
        assert not np.array_equal(plan.order(2), plain.order(2))
        assert np.array_equal(np.sort(plan.order(2)[:96]), np.sort(plain.order(2)[:96]))
        assert np.array_equal(plan.order(2)[96:], plain.order(2)[96:])


def test_what_drop_remainder_leaves_out_is_of_any_bucket() -> None:
    plan = bucketed(drop_remainder=True)
    assert plan.buckets is not None
    left_out = np.concatenate([plan.order(epoch)[96:] for epoch in range(300)])
    share = np.bincount(plan.buckets[left_out]) / len(left_out)
    np.testing.assert_allclose(share, np.bincount(plan.buckets) / 103, atol=0.05)


def test_shards_of_a_bucketed_plan_are_slices_of_its_batches() -> None:
    whole = bucketed()
    ranks = [whole.shard(rank, 4) for rank in range(4)]
    for index in range(whole.num_batches):
        parts = [plan.batch(2, index) for plan in ranks]
        real = [positions[: len(positions) - padding] for positions, padding in parts]
        assert np.array_equal(np.concatenate(real), whole.batch(2, index)[0])
        assert {plan.bucket(2, index) for plan in ranks} == {whole.bucket(2, index)}


def test_bucketed_orders_are_fixed_for_good() -> None:
    buckets = np.array([0, 1] * 5, "uint8")
    assert Plan(10, 2, shuffle=True, seed=42, buckets=buckets).order(1).tolist() == [
        7,
        5,
        0,
        1,
        9,
        3,
        2,
        8,
        6,
        4,
    ]
    assert Plan(5, 8, shuffle=True, seed=42, buckets=buckets[:5]).num_batches == 1


def test_ten_million_rows_are_not_put_in_order_before_the_first_batch() -> None:
    tracemalloc.start()
    plan = Plan(10_000_000, 32, shuffle=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000
    assert plan.order(0).nbytes == 40_000_000


def test_a_plan_survives_pickling_without_its_order() -> None:
    plan = Plan(1000, 8, shuffle=True, seed=1)
    plan.batch(0, 0)
    data = pickle.dumps(plan)
    assert len(data) < 1000
    assert np.array_equal(pickle.loads(data).batch(3, 1)[0], plan.batch(3, 1)[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"batch_size": "16"},
            "`batch_size` must be a positive integer. Received: batch_size='16'",
        ),
        ({"batch_size": 2, "seed": None}, "`seed` must be an integer"),
        ({"batch_size": 0}, "`batch_size` must be a positive integer. Received: batch_size=0"),
        ({"batch_size": 2, "seed": -1}, "`seed` must be an integer in .* Received: seed=-1"),
        ({"batch_size": 3, "world_size": 2}, "must be a multiple of `world_size`"),
        (
            {"batch_size": 2, "rank": 2, "world_size": 2},
            "`rank` must be an integer in .0, world_size.*Received: rank=2",
        ),
        (
            {"batch_size": 20, "drop_remainder": True},
            "must fill at least one batch. Received: 10 rows",
        ),
    ],
)
def test_arguments_out_of_range_are_named(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Plan(10, **arguments)


def test_an_order_of_very_many_rows_takes_no_memory() -> None:
    plan = Plan(100_000_003, 64, shuffle=True, seed=1)
    tracemalloc.start()
    first, _ = plan.batch(3, 0)
    last, _ = plan.batch(3, plan.num_batches - 1)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(set(first.tolist()) | set(last.tolist())) == 64 + 3
    # A tenth of a megabyte is usual; sorted, the order would take 800.
    assert most < 1_000_000


@pytest.mark.parametrize("rows", [1000, 1024, 1025, 4097])
def test_an_order_that_is_computed_has_each_row_once_and_is_the_same_in_batches(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("multimodal_gen.rows.plan.MOST_SORTED", 500)
    plan = Plan(rows, 7, shuffle=True, seed=9)
    order = plan.order(2)
    assert sorted(order) == list(range(rows))
    batches = [plan.batch(2, index)[0] for index in range(plan.num_batches)]
    assert np.array_equal(np.concatenate(batches), order)
    assert not np.array_equal(plan.order(3), order)
    weighted = Plan(rows, 7, shuffle=True, seed=9, weights=np.repeat([1.0, 3.0], [1, rows - 1]))
    assert len(weighted.order(0)) == rows


def test_an_order_that_is_computed_is_as_uniform_as_one_that_is_sorted() -> None:
    # Statistics of 400 orders of 1,025 rows, just above a power of two, in standard errors from
    # what holds for uniform ones: fixed points, ascents, the row at a place by tenths, and pairs.
    rows, orders, rng = 1025, 400, np.random.default_rng(0)
    keys = rng.integers(0, 2**64, (orders, ROUNDS), "uint64")
    drawn = np.stack([shuffled_rows(rows, one, np.arange(rows)) for one in keys])
    fixed = (drawn == np.arange(rows)).sum(1)
    assert abs(fixed.mean() - 1) < 4 / np.sqrt(orders)
    assert abs(fixed.var() - 1) < 4 * np.sqrt(3 / orders)
    ascents = (np.diff(drawn) > 0).sum(1)
    assert abs(ascents.mean() - (rows - 1) / 2) < 4 * np.sqrt((rows + 1) / 12 / orders)
    assert 0.75 < ascents.var() / ((rows + 1) / 12) < 1.33
    tenths = (drawn * 10 // rows).astype(int)
    shares = np.diff([np.ceil(tenth * rows / 10) for tenth in range(11)]) / rows
    counts = np.stack([(tenths == tenth).sum(0) for tenth in range(10)])
    chi_square = ((counts - orders * shares[:, None]) ** 2 / (orders * shares[:, None])).sum()
    degrees = 9 * rows
    assert abs(chi_square - degrees) < 4 * np.sqrt(2 * degrees)
    together = np.corrcoef(drawn[:, :-1].ravel(), drawn[:, 1:].ravel())[0, 1]
    assert abs(together + 1 / (rows - 1)) < 4 / np.sqrt(drawn.size)
