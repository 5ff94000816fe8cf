"""The benchmarks of calibration measure what they say, and run."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_calibration import softmax, true_logits

from benchmarks import calibration, calibration_methods


def test_every_way_makes_probabilities_that_are_too_sure_better() -> None:
    logits, classes = true_logits(3000, 4)
    shares = softmax(3 * logits)
    first, rest = slice(0, 600), slice(600, None)
    before = calibration_methods.loss_of(shares[rest], classes[rest])
    for name, way in calibration_methods.WAYS.items():
        found = way(shares[first], classes[first], shares[rest])
        assert found.sum(axis=1) == pytest.approx(np.ones(2400), abs=1e-5)
        loss = calibration_methods.loss_of(found, classes[rest])
        assert loss < before - 0.1 or name == "nothing", name


def test_hits_of_the_theory_have_its_dispersion() -> None:
    hits = calibration.in_theory(300, 400).rvs(4000, random_state=0)
    mean, outside, dispersion = calibration.spread(hits, 300, 400)
    assert mean.startswith("0.90")
    seen, expected = map(float, outside.split(", "))
    assert seen == pytest.approx(expected, abs=0.03)
    assert float(dispersion.split()[0]) == pytest.approx(1, abs=0.06)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["calibration", "methods"])
def test_a_benchmark_prints_its_table(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    kind = rng.choice(["bowl", "lamp", "mug"], 200)
    caption = np.where(rng.random(200) < 0.7, kind, "thing")
    pd.DataFrame({"caption": caption, "label": kind}).to_csv(tmp_path / "data.csv", index=False)
    same = ["benchmark", "--data", str(tmp_path / "data.csv")]
    if name == "methods":
        monkeypatch.setattr(sys, "argv", [*same, "--seeds", "0", "--past", "2"])
        calibration_methods.main()
        assert "Bundle.calibrate" in capsys.readouterr().out
        return
    monkeypatch.setattr(sys, "argv", [*same, "--splits", "2"])
    calibration.main()
    assert "outside, expected" in capsys.readouterr().out
    picture = tmp_path / "picture.png"
    monkeypatch.setattr(sys, "argv", [*same, "--picture", str(picture), "--past", "2"])
    calibration.main()
    assert picture.stat().st_size > 5_000
    assert capsys.readouterr().out.count("Expected calibration error") == 2
