"""Numbers far outside of their column in an audit."""

import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.inspection.audit.extremes import strange_values

PRICES = np.random.default_rng(0).uniform(10, 200, 300).round(2)
SPREAD = np.random.default_rng(1).lognormal(4, 0.8, 300).round(2)


@pytest.mark.parametrize("prices", [PRICES, SPREAD], ids=["uniform", "lognormal"])
@pytest.mark.parametrize(
    "bad", [[9_999_999], [999_999] * 4, [-1] * 3, [-99] * 2, [9999] * 3, [1e12, 9e12]]
)
def test_numbers_far_outside_and_placeholders_are_found(prices, bad):
    found = strange_values(np.append(prices, bad).astype("float64"))
    assert found.tolist() == sorted(set(map(float, bad)))


@pytest.mark.parametrize("seed", range(20))
def test_long_tails_and_counts_are_left_alone(seed):
    rng = np.random.default_rng(seed)
    for spread in (0.5, 1, 2):
        assert not len(strange_values(rng.lognormal(3, spread, 500).round(2)))
    for numbers in (rng.normal(size=500), rng.poisson(0.3, 500), rng.exponential(50, 500)):
        assert not len(strange_values(numbers.astype("float64")))


def test_the_only_number_below_zero_is_kept_unless_it_repeats():
    assert not len(strange_values(np.append(PRICES, -1.0)))


def test_the_audit_names_the_rows_of_inputs_and_of_the_target():
    table = pd.DataFrame({"price": PRICES, "weight": SPREAD.astype(str)})
    table.loc[7, "price"] = 9_999_999
    table.loc[[3, 9], "weight"] = "-1"
    inputs = {"weight": mg.NumericLoader.from_values("weight", table)}
    target = mg.NumericTarget.from_values("price", table)
    report = mg.audit(table, inputs, target, progress=lambda _: None)
    found = report.problems[report.problems["kind"] == "extreme number"]
    assert found[["index", "column"]].to_numpy().tolist() == [
        [3, "weight"],
        [7, "price"],
        [9, "weight"],
    ]
    assert "9999999, where all other rows have 10" in found["message"].iloc[1]
    assert "in 2 rows" in found["message"].iloc[0]
    assert not report.dropped.any()
