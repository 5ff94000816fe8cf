from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import QuantileTransformer

import multimodal_gen as mg
from multimodal_gen.config import deserialize, serialize

RNG = np.random.default_rng(0)
PRICES = np.round(np.exp(RNG.normal(3, 1.5, 900)), 2)
# Half of the numbers are 0, as counts of sales are.
STOCK = RNG.poisson(0.7, 900).astype("float64")


@pytest.mark.parametrize("values", [PRICES, STOCK, PRICES - 40], ids=["prices", "ties", "signs"])
def test_quantiles_are_those_of_scikit_learn_except_beyond_half_a_knot(values: np.ndarray) -> None:
    loader = mg.NumericLoader.from_values("x", values, scaling="quantile")
    knots = loader.quantiles.shape[1]
    assert knots == 30
    theirs = QuantileTransformer(
        n_quantiles=knots, output_distribution="normal", subsample=None
    ).fit(values[:, None])
    # Values that training did not have, in between and beyond, too.
    asked = np.concatenate([values, np.linspace(values.min() - 5, values.max() * 2, 200)])
    found = np.array([loader.read(one)[0] for one in asked])
    expected = theirs.transform(asked[:, None])[:, 0]
    edge = np.abs(found).max()
    np.testing.assert_allclose(found, np.clip(expected, -edge, edge), atol=1e-6)
    assert edge == pytest.approx(2.128, abs=1e-3)  # half of one of 30 knots
    assert found.dtype == np.float32


def test_a_quantile_scaling_gives_what_training_had_a_normal_distribution() -> None:
    frame = pd.DataFrame({"price": PRICES, "stock": STOCK})
    loader = mg.NumericLoader.from_values(["price", "stock"], frame, scaling="quantile")
    found = np.array([loader.read(cell)[0] for cell in frame.itertuples(index=False, name=None)])
    assert abs(found.mean()) < 0.05
    assert abs(found.std() - 1) < 0.05
    plain = mg.NumericLoader.from_values("price", frame)
    assert max(plain.read(one)[0] for one in PRICES) > 8


def test_logarithms_are_taken_of_the_size_and_keep_the_sign() -> None:
    loader = mg.NumericLoader.from_values("x", [0, 9, 99, -99], scaling="log")
    logs = np.array([0, np.log(10), np.log(100), -np.log(100)])
    expected = (logs - logs.mean()) / logs.std()
    np.testing.assert_allclose([loader.read(one)[0] for one in (0, "9", 99.0, -99)], expected, 1e-6)


@pytest.mark.parametrize("scaling", ["standard", "log", "quantile"])
def test_a_flag_after_the_numbers_says_which_were_missing(scaling: str) -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0, 6.0], "b": [5.0, np.nan, 7.0]})
    plain = mg.NumericLoader.from_values(["a", "b"], frame, scaling=scaling, missing="mean")
    loader = plain.replace(missing="flag")
    assert loader.spec.shape == (4,)
    for cell in [(1.0, 5.0), (2.0, None), (None, "7"), (None, np.nan)]:
        gone = [float(one is None or one != one) for one in cell]
        expected = [*plain.read(cell), *gone]
        assert loader.read(cell).tolist() == expected
        # The value of a missing number is the middle, whatever the scaling.
        assert all(expected[place] == 0 for place in range(2) if gone[place])
    assert loader.describe(loader.read((2.0, None))) == {"a": "2", "b": "(missing)"}
    mg.check_loader(loader, [(1.0, 5.0), (2.0, None)])
    with pytest.raises(mg.LoadError, match="a number is infinite"):
        loader.read((1.0, np.inf))


@pytest.mark.parametrize("scaling", ["log", "quantile"])
def test_scaled_numbers_are_shown_in_the_units_of_the_table(scaling: str) -> None:
    loader = mg.NumericLoader.from_values("price", PRICES, scaling=scaling)
    for price in (PRICES.min(), np.median(PRICES), 20.0, PRICES.max()):
        (shown,) = loader.describe(loader.read(price)).values()
        assert float(shown) == pytest.approx(price, rel=1e-4)


@pytest.mark.parametrize("missing", ["mean", "flag"])
@pytest.mark.parametrize("scaling", ["standard", "log", "quantile"])
def test_every_number_of_the_table_is_shown_as_it_is_there_and_a_missing_one_as_missing(
    scaling: str, missing: str
) -> None:
    loader = mg.NumericLoader.from_values("price", PRICES, scaling=scaling, missing=missing)
    # The first and the last few too, which are one number for a model with "quantile".
    for price in (*np.sort(PRICES)[:9], *np.sort(PRICES)[-9:], 1e9):
        assert loader.describe(loader.read(price), price) == {"price": f"{price:.15g}"}
    for cell, said in (("12.50", "12.5"), (np.float32(0.1), "0.1"), (np.nan, "(missing)")):
        assert loader.describe(loader.read(cell), cell) == {"price": said}
    # A number that was changed for training is the one that the model is given.
    changed = loader.read(20.0)
    changed[0] = loader.read(30.0)[0]
    assert float(loader.describe(changed, 20.0)["price"]) == pytest.approx(30, rel=1e-4)
    # In a cell of several too.
    many = mg.ManyLoader(loader.replace(missing="error"), at_most=3)
    cell = [float(PRICES.max()), 20.0]
    said = many.describe(many.read(cell), cell)["price"]
    assert f"{PRICES.max():.15g}" in said and "20" in said


@pytest.mark.parametrize("scaling", ["standard", "log", "quantile"])
def test_a_scaling_comes_back_from_json_and_reads_the_same(scaling: str) -> None:
    loader = mg.NumericLoader.from_values("price", PRICES, scaling=scaling, missing="flag")
    again = deserialize(json.loads(json.dumps(serialize(loader))))
    assert again == loader
    for price in (3, "17.5", None, 1e9):
        assert again.read(price).tobytes() == loader.read(price).tobytes()


def test_few_numbers_and_equal_numbers_have_quantiles_too() -> None:
    assert mg.NumericLoader.from_values("x", [3.0], scaling="quantile").read(7.0) == 0
    assert mg.NumericLoader.from_values("x", [3.0] * 50, scaling="quantile").read(2.0) == 0
    two = mg.NumericLoader.from_values("x", [1.0, 2.0], scaling="quantile")
    assert two.read(1.5)[0] == pytest.approx(0)
    assert -two.read(1.0)[0] == two.read(2.0)[0] > 0.6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "need one finite number each.*Received: mean=None"),
        ({"mean": 0, "scale": 1, "scaling": "rank"}, "`scaling` must be one of .*'rank'"),
        ({"mean": 0, "scale": 1, "quantiles": [[0, 1]]}, "`quantiles` are for scaling="),
        ({"mean": 0, "scaling": "quantile", "quantiles": [[0, 1]]}, "`mean` and `scale` are not"),
        ({"scaling": "quantile"}, "`quantiles` need one row per column.*quantiles=None"),
        ({"scaling": "quantile", "quantiles": [[0, 1], [0, 1]]}, "need one row per column"),
        ({"scaling": "quantile", "quantiles": [[1, 0]]}, "ascending"),
        ({"scaling": "quantile", "quantiles": [[1]]}, "two or more"),
        ({"scaling": "quantile", "quantiles": [[0, 1], [0]]}, "all of one length"),
        ({"scaling": "quantile", "quantiles": [[0, np.nan]]}, "finite"),
    ],
)
def test_arguments_that_do_not_fit_a_scaling_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mg.NumericLoader("x", **arguments)
