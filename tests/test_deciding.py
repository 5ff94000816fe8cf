"""Decisions cost least by what mistakes cost, and are left to people where that costs less."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_calibration import bundle_of, numbers_of, softmax, true_logits

import multimodal_gen as mg


def bundle_and_rows(names: Any, rows: int = 400) -> tuple[mg.Bundle, pd.DataFrame, np.ndarray]:
    units = len(names)
    logits, classes = true_logits(rows, units)
    table = pd.DataFrame({**numbers_of(logits / 4), "kind": np.array(names, object)[classes]})
    return bundle_of(mg.ClassLabel("kind", names), units, "softmax"), table, softmax(logits)


def test_of_two_classes_the_ratio_of_costs_is_a_threshold() -> None:
    bundle, table, shares = bundle_and_rows(["no", "yes"])
    found = bundle.decide(table, {"no": 1, "yes": 4})
    assert list(found) == ["label", "decision", "expected_cost"]
    assert ((found["decision"] == "yes") == (shares[:, 1] > 1 / 5)).all()
    expected = np.minimum(shares[:, 0], 4 * shares[:, 1])
    assert found["expected_cost"].to_numpy() == pytest.approx(expected, abs=1e-5)
    # The most likely class is said as before.
    assert found["label"].equals(bundle.predict(table)["label"])


def test_expected_costs_are_those_that_come_and_no_other_decision_is_cheaper() -> None:
    bundle, table, _ = bundle_and_rows(["a", "b", "c"], 4000)
    costs = {"a": {"b": 1, "c": 10}, "b": {"a": 2, "c": 1}, "c": {"a": 30, "b": 5}}
    matrix = pd.DataFrame(costs).T.reindex(index=list("abc"), columns=list("abc")).fillna(0)
    found = bundle.decide(table, costs)

    def paid(decisions: Any) -> float:
        pairs = zip(table["kind"], decisions, strict=True)
        return float(np.mean([matrix.loc[true, said] for true, said in pairs]))

    assert paid(found["decision"]) == pytest.approx(found["expected_cost"].mean(), rel=0.1)
    assert paid(found["decision"]) < 0.8 * paid(found["label"])
    for same in (matrix, matrix.loc[["c", "a", "b"], ["b", "c", "a"]], matrix.to_numpy()):
        pd.testing.assert_frame_equal(bundle.decide(table, same), found)


def test_a_row_is_left_to_people_where_every_class_costs_more() -> None:
    bundle, table, shares = bundle_and_rows(["a", "b", "c"])
    found = bundle.decide(table, {"a": 1, "b": 1, "c": 1}, abstain=0.4)
    left = shares.max(axis=1) < 0.6
    assert 0.2 < left.mean() < 0.8
    assert (found["decision"].isna() == left).all()
    assert (found["expected_cost"][left] == 0.4).all()
    assert (found["decision"][~left] == found["label"][~left]).all()


def test_right_decisions_may_cost_and_classes_may_be_numbers() -> None:
    bundle, table, shares = bundle_and_rows([0, 1])
    # As JSON has them, names are texts.
    found = bundle.decide(table, {"0": {"0": 0.5, "1": 1}, "1": 2})
    assert set(found["decision"]) == {0, 1}
    cost = np.stack([0.5 * shares[:, 0] + 2 * shares[:, 1], shares[:, 0]])
    assert found["expected_cost"].to_numpy() == pytest.approx(cost.min(axis=0), abs=1e-5)


def test_a_row_that_cannot_be_loaded_has_neither_decision_nor_cost() -> None:
    bundle, table, _ = bundle_and_rows(["a", "b"], 30)
    table["x0"] = ["?", *table["x0"][1:]]
    with pytest.warns(UserWarning, match="1 of 30 rows"):
        found = bundle.decide(table, {"a": 1, "b": 2}, abstain=0.1)
    assert list(found) == ["label", "decision", "expected_cost", "error"]
    assert found["decision"].iloc[0] is None
    assert np.isnan(found["expected_cost"].iloc[0])
    assert found["expected_cost"][1:].notna().all()


@pytest.mark.parametrize(
    ("costs", "words"),
    [
        ({"a": 1}, r"each true class, of \['a', 'b'\]. Received: no cost for \['b'\]"),
        ({"a": 1, "b": 1, "x": 1}, r"Received: one for \['x'\]"),
        ({"a": {"x": 1, "b": 1}, "b": 1}, r"said of 'a'.* Received: one for \['x'\]"),
        ({"a": {}, "b": 1}, r"Received: no cost for \['b'\]"),
        ({"a": "1", "b": 1}, "finite numbers. Received: '1' in `costs`"),
        ({"a": True, "b": 1}, "finite numbers"),
        ({"a": float("inf"), "b": 1}, "finite numbers"),
        ([[0, 1]], "2 rows of as many finite numbers"),
        ("no", "2 rows of as many finite numbers"),
    ],
)
def test_costs_that_say_too_little_or_too_much_are_refused(costs: Any, words: str) -> None:
    bundle, table, _ = bundle_and_rows(["a", "b"], 30)
    with pytest.raises(ValueError, match=words):
        bundle.decide(table, costs)


def test_only_one_target_of_classes_can_be_decided() -> None:
    bundle, table, _ = bundle_and_rows(["a", "b"], 30)
    costs = {"a": 1, "b": 1}
    with pytest.raises(ValueError, match="`target` is for several.* Received: target='kind'"):
        bundle.decide(table, costs, target="kind")
    with pytest.raises(ValueError, match="`abstain` must be a cost.* Received: abstain='no'"):
        bundle.decide(table, costs, abstain="no")  # type: ignore[arg-type]
    labels = bundle_of(mg.MultiLabel("tags", ["a", "b"]), 2, "sigmoid")
    with pytest.raises(ValueError, match="one class per row.* Received: target=MultiLabel"):
        labels.decide(table, costs)
