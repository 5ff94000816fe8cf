from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.rows.plan import Plan
from multimodal_gen.rows.sampling import BalancedSampler, Sampler, WeightedSampler, draw_weights


@pytest.fixture
def table() -> pd.DataFrame:
    labels = ["common"] * 70 + ["rare"] * 20 + ["rarest"] * 10
    return pd.DataFrame(
        {"number": np.arange(100.0), "label": labels, "weight": np.linspace(0, 2, 100)},
        index=[f"row-{row}" for row in range(100)],
    )


def drawn(data: mg.MultimodalSequence, epoch: int = 0) -> list[str]:
    data.epoch = epoch
    return [label for index in range(len(data)) for label in data.rows(index).index]


def sequence(table: pd.DataFrame, sampler: object, **arguments: object) -> mg.MultimodalSequence:
    inputs = {"number": mg.NumericLoader("number", mean=[0], scale=[1])}
    target = mg.ClassLabel.from_values("label", table["label"])
    return mg.MultimodalSequence(
        table, inputs, target, sampler=sampler, seed=4, **{"batch_size": 8, **arguments}
    )


def test_a_balanced_sampler_gives_every_class_its_equal_share_in_every_epoch(table) -> None:
    data = sequence(table, "balanced")
    for epoch in range(5):
        counts = table.loc[drawn(data, epoch), "label"].value_counts()
        assert counts.sum() == 100
        assert set(counts) <= {33, 34}
    rarest = pd.Series(drawn(data)).value_counts().filter(like="row-9")
    assert rarest.between(3, 4).all()


def test_rows_come_as_often_as_their_weights_say_to_within_one(table) -> None:
    data = sequence(table, WeightedSampler("weight"))
    expected = table["weight"] / table["weight"].sum() * 100
    total = pd.Series(0, table.index)
    for epoch in range(200):
        counts = pd.Series(drawn(data, epoch)).value_counts().reindex(table.index, fill_value=0)
        assert (counts - expected).abs().max() < 1
        total += counts
    assert (total / 200 - expected).abs().max() < 0.15
    assert total["row-0"] == 0


def test_the_rows_of_an_epoch_are_the_same_for_any_batch_size_and_host_and_others_in_the_next(
    table,
) -> None:
    one = drawn(sequence(table, "balanced"))
    assert one == drawn(sequence(table, "balanced", batch_size=32))
    assert one != drawn(sequence(table, "balanced"), epoch=1)
    ranks = [sequence(table, "balanced").shard(rank, 2) for rank in range(2)]
    joined = [label for index in range(13) for rank in ranks for label in rank.rows(index).index]
    assert joined == one


def test_drawn_rows_stand_in_random_order(table) -> None:
    order = Plan(100, 1, shuffle=True, weights=np.ones(100)).order(3)
    assert sorted(order) == list(range(100))
    assert abs(np.corrcoef(order, np.arange(100))[0, 1]) < 0.3


def test_evaluation_has_every_row_once(table) -> None:
    data = sequence(table, "balanced").for_evaluation()
    assert drawn(data) == table.index.tolist()
    assert "rows drawn by BalancedSampler(column='label')" in repr(sequence(table, "balanced"))


def test_a_sampler_of_ones_own_and_a_balance_by_another_column_work(table) -> None:
    class Newest(Sampler):
        def weights(self, table: pd.DataFrame) -> np.ndarray:
            return (table["number"] >= 90).to_numpy("float64")

    assert set(drawn(sequence(table, Newest()))) == set(table.index[90:])
    halves = table.assign(half=["a"] * 5 + ["b"] * 95)
    counts = halves.loc[drawn(sequence(halves, BalancedSampler("half"))), "half"].value_counts()
    assert counts.to_dict() == {"a": 50, "b": 50}


class Wrong(Sampler):
    def weights(self, table: pd.DataFrame) -> np.ndarray:
        return np.ones(3)


@pytest.mark.parametrize(
    ("sampler", "changes", "message"),
    [
        (
            "even",
            {},
            '`sampler` must be "balanced", None, or an object of a class derived from '
            "`mg.Sampler`.*'even'",
        ),
        ({"a": 1}, {}, "derived from `mg.Sampler`"),
        (WeightedSampler("wait"), {}, "no such column.*Did you mean 'weight'"),
        (
            WeightedSampler("weight"),
            {"weight": -1.0},
            "at least 0. Received: -1.0 at index 'row-7' from Weighted",
        ),
        (
            WeightedSampler("weight"),
            {"weight": None},
            "finite number of at least 0. Received: nan at index 'row-7'",
        ),
        (
            WeightedSampler("weight"),
            {"weight": np.inf},
            "finite number of at least 0. Received: inf at index 'row-7'",
        ),
        (
            BalancedSampler("label"),
            {"label": None},
            r"needs a class in every row; drop.*index 'row-7', column 'label'",
        ),
        (Wrong(), {}, r"one weight per row. Received: shape \(3,\) for 100 rows"),
    ],
)
def test_what_cannot_be_drawn_by_is_named(table, sampler, changes: dict, message: str) -> None:
    for column, value in changes.items():
        table.loc["row-7", column] = value
    with pytest.raises(ValueError, match=message):
        draw_weights(sampler, table) if isinstance(sampler, Sampler) else sequence(table, sampler)


def test_weights_that_are_all_zero_and_a_balance_without_a_target_are_refused(table) -> None:
    with pytest.raises(mg.TableError, match="at least one row must have a weight above 0"[1:]):
        sequence(table.assign(weight=0.0), WeightedSampler("weight"))
    with pytest.raises(ValueError, match="needs a single target with one class per row"):
        mg.MultimodalSequence(table, sequence(table, None).inputs, sampler="balanced")
    with pytest.raises(ValueError, match="use `shuffle=True`"):
        Plan(3, 1, weights=np.ones(3))
