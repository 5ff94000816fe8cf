"""`multimodal-gen tune`: what it writes, how it goes on, and what it says."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from multimodal_gen.cli.app import app
from multimodal_gen.cli.tuning.clock import Clock
from multimodal_gen.cli.tuning.trial import TimeUpError, Trainer
from multimodal_gen.cli.tuning.variants import Variants

ROOT = Path(__file__).parent.parent
CLASSES = ("bowl", "cup")
OPTIONS = ["shop.csv", "--number", "price", "--category", "maker", "--epochs", "2"]


def write_shop(folder: Path) -> None:
    """60 rows of a number and a maker that each tell a part of the class."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"label": [CLASSES[row % 2] for row in range(60)]})
    table["price"] = 2.0 * (table["label"] == "cup") + rng.normal(size=60).round(3)
    table["maker"] = ["abc"[(row + rng.integers(2)) % 3] for row in range(60)]
    table.to_csv(folder / "shop.csv", index=False)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the table."""
    monkeypatch.chdir(tmp_path)
    write_shop(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A search of three trials: its run, and what was printed."""
    folder = tmp_path_factory.mktemp("searched")
    write_shop(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done = tune("--trials", "3", "--name", "searched")
    assert done.exit_code == 0, done.output
    return folder / "runs" / "searched", done.output


def tune(*more: str) -> Any:
    return CliRunner().invoke(app, ["tune", *OPTIONS, *more])


def trials_of(run: Path) -> pd.DataFrame:
    """The trials without the time that they took."""
    return pd.read_csv(run / "trials.csv").drop(columns="seconds")


def test_a_search_writes_what_train_writes_and_trial_0_is_what_train_does(
    searched: tuple[Path, str], shop: Path
) -> None:
    found, output = searched
    lines = output.splitlines()
    assert sum(line.startswith("  trial ") for line in lines) == 3
    assert "Searching over fusion, size, learning rate, dropout" in output
    assert "Of 3 trials" in output and "0 trials left" in output
    assert "6 validation rows cannot tell small differences" in output
    metrics = json.loads((found / "metrics.json").read_text())
    assert metrics["details"]["settings"]["cache"] is None
    assert not (found / "state" / "search" / "cache").exists()
    trials = trials_of(found)
    assert trials["trial"].tolist() == [0, 1, 2] and set(trials["state"]) == {"complete"}
    assert trials["loss"].notna().all() and trials["balanced_accuracy"].between(0, 1).all()
    run = shop / "runs" / "searched"
    shutil.copytree(found, run)
    trained = CliRunner().invoke(app, ["train", *OPTIONS, "--name", "searched", "--overwrite"])
    assert trained.exit_code == 0, trained.output
    # A run that replaces it leaves nothing of the search.
    names, left = ({path.name for path in one.iterdir()} for one in (found, run))
    assert names - left == {"trials.csv", "search.png"} and left <= names
    of_train = json.loads((run / "metrics.json").read_text())
    chosen = metrics["details"]["search"]["chosen"]
    named = "both" if chosen == 0 else "both with the defaults"
    scores = [
        one["details"]["scores"][name] for one, name in ((metrics, named), (of_train, "both"))
    ]
    for score in ("accuracy", "log_loss"):
        assert scores[0][score] == pytest.approx(scores[1][score], rel=1e-4), score


def test_a_search_that_goes_on_ends_as_one_that_was_not_stopped(
    searched: tuple[Path, str], shop: Path
) -> None:
    first = tune("--trials", "2", "--name", "parts")
    assert first.exit_code == 0, first.output
    refused = tune("--trials", "3", "--name", "parts")
    assert refused.exit_code == 2 and "--resume" in refused.output
    other = tune("--trials", "3", "--name", "parts", "--resume", "--seed", "1")
    assert other.exit_code == 2 and "must not be mixed" in other.output
    assert "--seed" in other.output
    second = tune("--trials", "3", "--name", "parts", "--resume")
    assert second.exit_code == 0, second.output
    assert "2 trials of an earlier start are kept" in second.output
    runs = [searched[0], shop / "runs" / "parts"]
    one, two = map(trials_of, runs)
    pd.testing.assert_frame_equal(one, two, rtol=1e-3)
    one, two = (json.loads((run / "metrics.json").read_text()) for run in runs)
    assert one["details"]["search"]["chosen"] == two["details"]["search"]["chosen"]


def test_a_trial_that_fails_is_told_and_does_not_end_the_search(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Variants.model

    def model(self: Variants, values: dict[str, Any]) -> Any:
        if values["dropout"] != 1.0:
            raise MemoryError("no memory for\n  this layer")
        return made(self, values)

    monkeypatch.setattr(Variants, "model", model)
    done = tune("--trials", "3")
    assert done.exit_code == 0, done.output
    table = pd.read_csv(shop / "runs" / "shop" / "trials.csv")
    failed = table[table["dropout"] != 1.0]
    assert 0 < len(failed) < 3 and set(failed["state"]) == {"failed"}
    assert set(failed["reason"]) == {"MemoryError: no memory for this layer"}
    assert "failed, MemoryError: no memory for this layer" in done.output


def test_cheaper_settings_take_the_place_of_a_trial_that_cannot_end_in_time(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, left, lost = Trainer.train, Clock.left, []

    def train(self: Trainer, values: dict[str, Any], curve: Any) -> Any:
        # The second trial, and then the last one, cannot end.
        if (curve.trial.number == 1 and not lost) or curve.trial.number == 2:
            lost.append(values)
            raise TimeUpError
        return trained(self, values, curve)

    def remaining(self: Clock) -> float | None:
        return 1e-9 if lost and self.trial is None and len(lost) > 1 else left.fget(self)

    monkeypatch.setattr(Trainer, "train", train)
    monkeypatch.setattr(Clock, "left", property(remaining))
    done = tune("--hours", "1")
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert "trial 1: cannot end within the time that is left; cheaper settings take" in said
    assert "trial 2: cannot end within the time that is left; none of 32 proposals should" in said
    assert "either; --resume with more --hours goes on" in said
    table = pd.read_csv(shop / "runs" / "shop" / "trials.csv")
    assert table["trial"].tolist() == [0, 1]


def test_if_the_first_five_trials_fail_the_last_reason_is_the_error(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, calls = Variants.model, []

    def model(self: Variants, values: dict[str, Any]) -> Any:
        calls.append(values)
        # The first one is that of the rehearsal.
        if len(calls) == 1:
            return made(self, values)
        raise MemoryError("no memory")

    monkeypatch.setattr(Variants, "model", model)
    done = tune("--trials", "9")
    assert done.exit_code == 2
    assert "Every trial has failed" in done.output and "  trial 4: " in done.output
    assert "  trial 5: " not in done.output and "MemoryError: no memory" in done.output


def test_the_budget_is_said_and_optuna_is_there_before_anything_is_read(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for options, said in (
        ([], "--hours 2, or --trials 30"),
        (["--hours", "0"], "--hours must be more than 0"),
        (["--hours", "nan"], "--hours must be more than 0"),
        (["--trials", "0"], "--trials"),
    ):
        done = CliRunner().invoke(app, ["tune", "no_such_table.csv", *options])
        assert done.exit_code == 2 and said in done.output, done.output
    monkeypatch.setitem(sys.modules, "optuna", None)
    done = CliRunner().invoke(app, ["tune", "no_such_table.csv", "--trials", "2"])
    assert done.exit_code == 2
    assert "pip install 'multimodal_gen[tune]'" in done.output


def test_trial_0_is_run_even_if_the_time_is_up(shop: Path) -> None:
    done = tune("--hours", "0.000001")
    assert done.exit_code == 0, done.output
    assert trials_of(shop / "runs" / "shop")["trial"].tolist() == [0]
    assert "0 min left" in done.output
