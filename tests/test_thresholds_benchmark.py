"""The benchmark of thresholds of labels: its scores, and a run on a small table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from benchmarks import thresholds


def test_its_f1_is_that_of_scikit_learn_also_of_drawn_rows() -> None:
    rng = np.random.default_rng(0)
    truth, said = rng.random((60, 4)) < 0.3, rng.random((60, 4)) < 0.3
    counts = np.stack([np.ones(60), np.bincount(rng.integers(0, 60, 60), minlength=60)])
    found = thresholds.resampled_f1(truth, said, counts)
    drawn = np.repeat(np.arange(60), counts[1].astype(int))
    for place, rows in enumerate((np.arange(60), drawn)):
        for line, average in zip(found, ("micro", "macro"), strict=True):
            expected = f1_score(truth[rows], said[rows], average=average)
            assert line[place] == pytest.approx(expected)


@pytest.mark.slow
def test_a_small_table_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    label, colour = rng.choice(["cup", "bowl"], 500), rng.choice(["red", "blue", "grey"], 500)
    table = pd.DataFrame({"label": label, "colour": colour, "usage": "daily"})
    table["caption"] = table["colour"] + " " + table["label"]
    table["caption_masked"] = table["colour"] + " one"
    table.to_csv(tmp_path / "data.csv", index=False)
    monkeypatch.setattr(thresholds, "TRAINING", {"masked": 200})
    monkeypatch.setattr(thresholds, "VALIDATION", 100)
    options = ["--captions", "masked", "--seeds", "0", "--out", str(tmp_path)]
    thresholds.main(["--data", str(tmp_path), *options])
    report = json.loads((tmp_path / "thresholds.json").read_text())
    assert len(report["rows"]) == 4
    for runs in report["figures"].values():
        (one,) = runs
        assert set(one) == {thresholds.BEFORE, thresholds.BEST, thresholds.AFTER}
        assert all(0 < score <= 1 for pair in one.values() for score in pair)
