"""`multimodal-gen train --folds`: what it writes, and what a second command makes of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import multimodal_gen as mg
from multimodal_gen.cli import fold_training
from multimodal_gen.cli.app import app

CLASSES = ("bowl", "cup")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """48 rows of a number that tells the class, of twelve makers; eight test rows."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"label": [CLASSES[row % 2] for row in range(48)]})
    table["price"] = 4.0 * (table["label"] == "cup") + rng.normal(size=48).round(3)
    table["title"] = [f"{name} number {row}" for row, name in enumerate(table["label"])]
    table["maker"] = [f"maker {row // 4}" for row in range(48)]
    table["part"] = ["test" if row % 6 == 5 else "train" for row in range(48)]
    table.to_csv("shop.csv", index=False)
    return tmp_path


def train(*more: str) -> Any:
    columns = ["--number", "price", "--label", "label", "--epochs", "2"]
    return CliRunner().invoke(app, ["train", "shop.csv", *columns, *more])


def test_every_row_is_predicted_out_of_fold_and_the_run_is_a_bundle_and_evidence_for_an_audit(
    shop: Path,
) -> None:
    done = train("--folds", "2", "--group", "maker", "--name", "all", "--category", "part")
    assert done.exit_code == 0, done.output
    assert "folds     2, of 48 rows (all rows are in the folds)" in done.output
    assert "mean of the folds" in done.output and "their spread" in done.output
    assert "standard error" in done.output
    run = shop / "runs" / "all"
    frame = pd.read_csv(run / "out_of_fold.csv")
    table = mg.read_table(shop / "shop.csv")
    assert frame["row"].tolist() == list(range(48))
    assert frame["truth"].tolist() == table["label"].tolist()
    assert (frame["fold"].groupby(table["maker"]).nunique() == 1).all()
    metrics = json.loads((run / "metrics.json").read_text())
    right = (frame["truth"] == frame["label"]).mean()
    assert metrics["details"]["scores"]["all at once"]["accuracy"] == pytest.approx(right)
    by_fold = [metrics["details"]["scores"][f"fold {one}"]["accuracy"] for one in (1, 2)]
    summary = metrics["details"]["summary"]["accuracy"]
    assert summary["mean"] == pytest.approx(np.mean(by_fold))
    assert summary["spread"] == pytest.approx(np.std(by_fold, ddof=1))
    details = metrics["details"]
    for number, value in enumerate(by_fold, 1):
        low, high = details["intervals_of_folds"][f"fold {number}"]["accuracy"]
        assert low <= value <= high
        assert f"accuracy {value:.3f} ({low:.3f} to {high:.3f})" in done.output
    low, high = details["intervals"]["all at once"]["accuracy"]
    assert 0 <= low <= right <= high <= 1 and low < high
    assert details["by_class"]["all at once"]["cup"]["rows"] == 24
    assert {details["scores"][f"fold {one}"]["kept"] for one in (1, 2)} <= {
        "network",
        "linear probe",
    }
    assert "model kept" in done.output and "By class" in done.output
    assert {"confusion.png", "predictions.png", "wrong.png"} <= {one.name for one in run.iterdir()}
    # The page about the run is of the same predictions.
    found = details["calibration"]["all at once"]
    assert 0 <= found["low"] <= found["error"] <= found["high"] <= 1
    page, card = ((run / name).read_text() for name in ("report.html", "model_card.md"))
    assert (run / "reliability.png").exists() and not (run / "curves.png").exists()
    wrong = round(48 * (1 - right))
    for said in (
        f"Balanced accuracy: {metrics['out_of_fold']:.3f} (95 % interval",
        "on 48 rows, each predicted by a model of other rows",
        "the mean of 2 models, each trained on all folds but one of 2",
        "Scores by fold",
        "their spread",
        "48 rows right",
        f"{wrong} wrong row" if 0 < wrong < 13 else "least sure" if not wrong else "Worst mistakes",
        "Calibration",
        "into 2 folds of about equal size",
    ):
        assert said in page and said in card, said
    assert all(said in page and said in card for said in ("--folds", "--group"))
    assert not any(said in page for said in ("--fractions", "--image-size", "--augment"))
    worth = details["importance"]
    assert worth["rows"] == 48 and worth["groups"] == metrics["details"]["groups"]["folds"]
    (of_score,) = (worth["scores"][name] for name in worth["main"])
    assert {one["input"] for one in of_score} == {"number", "part"}
    assert all(one["low"] <= one["lost"] <= one["high"] for one in of_score)
    assert "exchanged between rows" in " ".join(done.output.split())
    assert "48 rows of the folds, each seen by a model that was not trained on it," in page
    explained = re.findall(r"row (\d+): said (\w+) \(", page)
    assert all(frame["label"][int(row)] == said for row, said in explained) and explained
    assert list(mg.load_bundle(run).predict(table)) == ["label", *CLASSES]
    assert not (run / "predictions.csv").exists() and not (run / "state").exists()
    options = ["--number", "price", "--predictions", str(run / "out_of_fold.csv")]
    audited = CliRunner().invoke(app, ["audit", "shop.csv", *options])
    assert audited.exit_code in (0, 1), audited.output
    assert "by the predictions" in audited.output


def test_test_rows_are_kept_out_and_scored_by_the_ensemble_and_a_second_command_continues(
    shop: Path,
) -> None:
    options = ["--folds", "2", "--split", "part", "--name", "parts", "--resume"]
    done = train(*options)
    assert done.exit_code == 0, done.output
    assert "all rows but the 8 test rows of column 'part'" in done.output
    run = shop / "runs" / "parts"
    frame = pd.read_csv(run / "out_of_fold.csv")
    table = mg.read_table(shop / "shop.csv")
    test = table[table["part"] == "test"]
    assert frame["row"].tolist() == table.index[table["part"] == "train"].tolist()
    predictions = pd.read_csv(run / "predictions.csv")
    assert predictions["row"].tolist() == test.index.tolist()
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["test"] == pytest.approx(mg.load_bundle(run).evaluate(test)["balanced_accuracy"])
    assert set(metrics["details"]["intervals"]) == {"all at once", "test rows, by the ensemble"}
    assert set(metrics["details"]["calibration"]) == set(metrics["details"]["intervals"])
    page = (run / "report.html").read_text()
    assert "test rows, by the ensemble" in page and "test rows that are in none" in page
    # A run that was killed in its second fold.
    kept = run / "state" / "folds"
    first = (kept / "fold-1" / "outputs.npy").stat().st_mtime_ns
    (kept / "fold-2" / "outputs.npy").unlink()
    again = train(*options)
    assert again.exit_code == 0, again.output
    assert (kept / "fold-1" / "outputs.npy").stat().st_mtime_ns == first
    pd.testing.assert_frame_equal(pd.read_csv(run / "out_of_fold.csv"), frame)
    other = train(*options, "--batch-size", "8")
    assert other.exit_code == 2
    assert "must not be mixed" in other.output and "batch_size" in other.output


def test_rows_that_cannot_be_read_are_left_out_of_the_folds_and_listed(shop: Path) -> None:
    table = mg.read_table("shop.csv")
    table.loc[3, "price"] = "cheap"
    table.loc[10, "label"] = ""
    table.to_csv("shop.csv", index=False)
    refused = train("--folds", "2", "--name", "skip")
    assert refused.exit_code == 2 and "--on-error skip" in refused.output
    done = train("--folds", "2", "--name", "skip", "--on-error", "skip", "--overwrite")
    assert done.exit_code == 0, done.output
    run = shop / "runs" / "skip"
    assert pd.read_csv(run / "failures.csv")["index"].tolist() == [3, 10]
    assert sorted({*range(48)} - {*pd.read_csv(run / "out_of_fold.csv")["row"]}) == [3, 10]


def test_ctrl_c_in_the_second_fold_keeps_the_first_and_the_same_command_ends_the_same(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train("--folds", "2", "--name", "whole")
    assert whole.exit_code == 0, whole.output
    options = ["--folds", "2", "--name", "cut", "--resume"]
    fit, calls = fold_training.fit_network, []

    def interrupted(*given: Any) -> Any:
        calls.append(given)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return fit(*given)

    monkeypatch.setattr(fold_training, "fit_network", interrupted)
    stopped = train(*options)
    assert stopped.exit_code == 130, stopped.output
    assert (
        "finished folds are kept in" in stopped.output and "(fold 1 in this run)" in stopped.output
    )
    again = train(*options)
    assert again.exit_code == 0, again.output
    # One fold was left to train.
    assert len(calls) == 3
    frames = [pd.read_csv(shop / "runs" / one / "out_of_fold.csv") for one in ("whole", "cut")]
    pd.testing.assert_frame_equal(*frames)
    scores = json.loads((shop / "runs" / "cut" / "metrics.json").read_text())["details"]["scores"]
    assert "kept" in scores["fold 1"]


def test_what_would_fail_at_the_end_fails_before_the_first_fold(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("no space for what inputs are worth")

    monkeypatch.setattr("multimodal_gen.cli.folds.importance_of_folds", fail)
    done = train("--folds", "2", "--name", "early", "--caption", "title")
    assert "note: title: 100% of the captions contain the name of their own class" in done.output
    assert done.exit_code == 2 and "what inputs are worth" in done.output
    assert "fold 1" not in done.output and not [*(shop / "runs" / "early").iterdir()]


def test_folds_and_ablate_are_not_for_one_run_and_one_fold_is_none(shop: Path) -> None:
    done = train("--folds", "2", "--ablate")
    assert done.exit_code == 2 and "--ablate compares inputs on one split" in done.output
    done = train("--folds", "2", "--fractions", "0.6,0.2,0.2")
    said = " ".join(done.output.split())
    assert done.exit_code == 2 and "Received: --folds 2 --fractions 0.6,0.2,0.2" in said
    assert train("--folds", "1").exit_code == 2
