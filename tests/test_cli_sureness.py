"""`train` says how right probabilities are, and `predict` adds sets, intervals and decisions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import multimodal_gen as mg
from multimodal_gen.cli.app import app
from multimodal_gen.cli.sureness import limits_in_words, thresholds_in_words


def called(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(map(str, arguments)))
    return done.exit_code, " ".join(done.stdout.split()), " ".join(done.stderr.split())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with a table, runs on its classes and its number, and what the first printed."""
    folder = tmp_path_factory.mktemp("sure")
    rng = np.random.default_rng(0)
    kind = np.array(["bowl", "lamp", "mug"])[np.arange(240) % 3]
    words = np.where(rng.random(240) < 0.7, kind, "thing")
    table = pd.DataFrame({"text": words, "n": rng.normal(size=240), "label": kind})
    table["price"] = 10 * table["n"] + rng.normal(size=240)
    table.to_csv(folder / "shop.csv", index=False)
    same = ["--fractions", "0.5,0.25,0.25", "--epochs", 2, "--runs", folder, "--number", "n"]
    classes = ["--caption", "text", "--name", "classes"]
    code, told, _ = called("train", folder / "shop.csv", *same, *classes)
    assert code == 0, told
    number = ["--label", "price", "--target", "number", "--name", "number"]
    code, other, _ = called("train", folder / "shop.csv", *same, *number)
    assert code == 0, other
    assert "calibration error" not in other
    assert not (folder / "number/reliability.png").exists()
    return folder, told


def test_a_run_of_classes_is_calibrated_and_says_how_right_its_probabilities_are(
    trained: tuple[Path, str],
) -> None:
    folder, told = trained
    details = json.loads((folder / "classes/metrics.json").read_text("utf-8"))["details"]
    found = details["calibration"]["both"]
    assert found["low"] <= found["error"] <= found["high"]
    assert (
        f"expected calibration error {found['error']:.3f} (95 % interval {found['low']:.3f} to "
        f"{found['high']:.3f}); chance alone would give {found['chance']:.3f}"
    ) in told
    assert "by 60 validation rows" in told
    assert (folder / "classes/reliability.png").stat().st_size > 5_000
    target = mg.load_bundle(folder / "classes").target
    assert isinstance(target, mg.ClassLabel)
    assert len(target.conformal_limits) == 484


def test_predict_adds_sets_and_decisions(trained: tuple[Path, str]) -> None:
    folder, _ = trained
    costs = {"costs": {"bowl": 1, "lamp": {"bowl": 1, "mug": 2}, "mug": 9}, "abstain": 0.4}
    (folder / "costs.json").write_text(json.dumps(costs), "utf-8")
    asked = ["predict", folder / "classes", folder / "shop.csv", "--coverage", 0.9]
    asked += ["--costs", folder / "costs.json"]
    code, told, _ = called(*asked, "--out", folder / "out.csv")
    assert code == 0
    found = pd.read_csv(folder / "out.csv")
    new = ["set", "abstain", "decision", "expected_cost"]
    assert list(found) == ["row", "text", "n", "label", "bowl", "lamp", "mug", *new]
    sets = [set(str(one).split("|")) for one in found["set"]]
    held = np.mean(
        [
            kind in one
            for kind, one in zip(
                np.array(["bowl", "lamp", "mug"])[np.arange(240) % 3], sets, strict=True
            )
        ]
    )
    assert held > 0.8
    # The beta distribution of 55 and 6, as 0.9 of 61 is rounded up to 55.
    assert (
        "The limits come from 60 validation rows: of such runs, nine in ten hold between 83 % and "
        "96 % of new rows, where 90 % is asked for"
    ) in told
    assert "Lists are joined with '|'." in told
    assert f"abstain: {found['abstain'].sum()} of 240 rows to leave to people" in told
    left = found["decision"].isna()
    assert (
        f"decision: expected cost {found['expected_cost'].mean():.4g} a row, {left.sum()}" in told
    )
    assert (found["expected_cost"][left] == 0.4).all()
    # A row that cannot be loaded is not one that a person should decide.
    table = pd.read_csv(folder / "shop.csv", dtype=str).head(40)
    table.loc[3, "n"] = "none"
    table.to_csv(folder / "broken.csv", index=False)
    asked[2] = folder / "broken.csv"
    code, told, _ = called(*asked, "--out", folder / "some.csv")
    some = pd.read_csv(folder / "some.csv").drop(index=3)
    assert f"abstain: {some['abstain'].sum()} of 39 rows to leave to people" in told
    assert f"{some['decision'].isna().sum()} of 39 rows to leave to people" in told
    asked[2] = folder / "shop.csv"
    code, _, _ = called(*asked, "--out", folder / "out.jsonl")
    assert code == 0
    lines = [json.loads(line) for line in (folder / "out.jsonl").read_text("utf-8").splitlines()]
    assert [set(one["set"]) for one in lines] == sets
    plain = called("predict", folder / "classes", folder / "shop.csv", "--out", folder / "p.csv")
    assert plain[0] == 0
    assert list(pd.read_csv(folder / "p.csv")) == list(found)[:-4]


def test_predict_adds_intervals_of_numbers(trained: tuple[Path, str]) -> None:
    folder, _ = trained
    asked = ["predict", folder / "number", folder / "shop.csv", "--out", folder / "number.csv"]
    code, told, _ = called(*asked, "--coverage", 0.8)
    assert code == 0
    found, table = pd.read_csv(folder / "number.csv"), pd.read_csv(folder / "shop.csv")
    assert list(found) == ["row", "n", "price", "price_low", "price_high"]
    assert 0.65 < table["price"].between(found["price_low"], found["price_high"]).mean() < 0.95
    assert "abstain" not in told
    code, _, said = called(*asked, "--coverage", 0.995)
    assert code == 2 and "at least 199 validation rows" in said
    for coverage in (1, 90, "nan"):
        code, _, said = called(*asked, "--coverage", coverage)
        assert code == 2 and "--coverage must be a share from 0.5 to 0.999, such as 0.9" in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "--costs is no JSON"),
        ('{"bowl": 1}', "the arguments of `Bundle.decide`"),
        ('{"costs": {"bowl": 1}}', "no cost for ['lamp', 'mug'], in --costs"),
        (
            '{"costs": {"bowl": 1, "lamp": 1, "pot": 2}}',
            "no cost for ['mug'] and one for ['pot'], which is no class",
        ),
        ('{"costs": {"bowl": 1, "lamp": 1, "mug": 1}, "more": 1}', "the arguments of"),
        (None, "There is no such file. Received: --costs "),
    ],
)
def test_a_file_that_does_not_say_what_mistakes_cost_is_refused(
    trained: tuple[Path, str], tmp_path: Path, text: Any, words: str
) -> None:
    folder, _ = trained
    if text is not None:
        (tmp_path / "costs.json").write_text(text, "utf-8")
    asked = ["predict", folder / "classes", folder / "shop.csv", "--out", tmp_path / "out.csv"]
    code, _, said = called(*asked, "--costs", tmp_path / "costs.json")
    assert code == 2
    assert words in said
    assert not (tmp_path / "out.csv").exists()


def test_limits_of_sets_say_what_they_come_from() -> None:
    kind, tags = mg.ClassLabel("kind", ["a", "b"]), mg.MultiLabel("tags", ["a", "b"])
    known: dict[str, Any] = {"rows": {"validation": 90}, "settings": {"group": "shop"}}
    known["groups"] = {"validation": 30}
    (line,) = limits_in_words(kind, 0.9, known)
    assert "in 30 groups of 'shop', which tell little more than as many rows: of such" in line
    (line,) = limits_in_words(kind, 0.99, known)
    assert line.endswith("too few to say what share of new rows they hold")
    (line,) = limits_in_words(tags, 0.9, known)
    assert line.endswith("a share of 0.9 is promised on average over such runs")
    assert limits_in_words(kind, 0.9, {}) == []


@pytest.mark.parametrize(
    ("thresholds", "words"),
    [
        ([0.4, 0.4], "labels are said from a probability of 0.40 on"),
        ([0.4, 0.4, 0.2], "labels are said from a probability of 0.40 on; 1 of 3 has its own "
         "threshold, 0.20"),
        ([0.5] * 3 + [0.7, 0.2], "labels are said from a probability of 0.50 on; 2 of 5 have their "
         "own threshold, 0.20 to 0.70"),
        ([0.4, 0.3], "labels have thresholds of their own, 0.30 to 0.40"),
        ([0.3], "labels are said from a probability of 0.30 on"),
    ],
)  # fmt: skip
def test_thresholds_are_told_in_a_line(thresholds: list[float], words: str) -> None:
    assert thresholds_in_words(np.array(thresholds)) == words


def test_a_run_with_few_validation_rows_says_what_it_cannot_do(tmp_path: Path) -> None:
    kind = np.array(["a", "b"])[np.arange(60) % 2]
    table = pd.DataFrame({"n": np.arange(60) % 2, "label": kind})
    table.to_csv(tmp_path / "few.csv", index=False)
    same = ["--number", "n", "--epochs", 1, "--runs", tmp_path]
    code, told, _ = called("train", tmp_path / "few.csv", *same)
    assert code == 0
    assert "not calibrated, as 20 validation rows are needed, and there are 6" in told
    asked = ["predict", tmp_path / "few", tmp_path / "few.csv", "--out", tmp_path / "out.csv"]
    code, _, said = called(*asked, "--coverage", 0.9)
    assert code == 2
    assert "keeps nothing of validation rows" in said and "Received: --coverage 0.9" in said
