"""How scores are printed: with intervals, by class, and whether a difference can be chance."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

import multimodal_gen as mg
from multimodal_gen.bundle.held_out import HeldOut, Rows
from multimodal_gen.bundle.judging.scores import Scores, scores_of_rows
from multimodal_gen.cli.app import app
from multimodal_gen.cli.console import print_table
from multimodal_gen.cli.importance import print_importance
from multimodal_gen.cli.option_values import as_score
from multimodal_gen.cli.score_tables import (
    difference_in_words,
    differences,
    ends,
    few_cases,
    noted,
    print_classes,
)

NAMES = [f"{word} of the northern and southern provinces" for word in "abcdefghijklmnopqrstuvw"]


def scored(right: float, names: list[str], rows: int, groups: int | None = None) -> Scores:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, len(names), rows).astype("int32")
    said = np.where(rng.random(rows) < right, truth, (truth + 1) % len(names))
    outputs = np.eye(len(names), dtype="float32")[said] * 0.5 + 0.5 / len(names)
    held = HeldOut(
        [("target", Rows(mg.ClassLabel("k", names), truth, outputs))], 0, np.arange(rows)
    )
    own = np.arange(rows) % (groups or rows)
    return scores_of_rows(held, own, 200, 0, several=False)


def printed(scores: Scores, width: int = 80) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width)
    print_classes(console, noted(scores)["by_class"], "metrics.json")
    return out.getvalue()


def test_a_table_by_class_has_every_class_of_a_few() -> None:
    text = printed(scored(0.8, ["cup", "mug", "jar"], 90))
    lines = [line for line in text.splitlines() if line.startswith("│")]
    assert [line.split()[1] for line in lines] == ["cup", "mug", "jar"]
    assert "precision, %" in text and "recall, %" in text and "F1, %" in text
    assert " (" in lines[0]


def test_of_many_classes_with_long_names_the_worst_are_printed_in_80_columns() -> None:
    scores = scored(0.7, [*NAMES, *(name.upper() for name in NAMES)], 900)
    assert isinstance(scores.by_class, pd.DataFrame)
    text = printed(scores)
    assert max(map(len, text.splitlines())) <= 80
    lines = [line for line in text.splitlines() if line.startswith("│")]
    assert len(lines) == 10, "one line each"
    worst = scores.by_class["f1"].nsmallest(10).index
    assert {line.split("│")[1].strip()[:10] for line in lines} == {name[:10] for name in worst}
    assert "The 10 of 46 classes with the lowest F1 (metrics.json has all)" in " ".join(
        text.split()
    )
    assert len(noted(scores)["by_class"]) == 46


def test_labels_have_their_average_precision() -> None:
    truth = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], "float32")
    outputs = np.array([[0.9, 0.2], [0.1, 0.8], [0.7, 0.4], [0.2, 0.3]], "float32")
    target = mg.MultiLabel("tags", ["red", "old"])
    held = HeldOut([("target", Rows(target, truth, outputs))], 0, np.arange(4))
    text = printed(scores_of_rows(held, np.arange(4), 50, 0, several=False))
    assert max(map(len, text.splitlines())) <= 80
    assert "average" in text
    # Of the two rows with it, both are first in the list: 100 %, and 34 to 100 by Wilson.
    assert "100 (34-100)" in text


@pytest.mark.parametrize(
    ("groups", "words"),
    [(None, "no difference that 238 rows can show"), (34, "no difference that 34 groups can show")],
)
def test_a_difference_that_can_be_chance_is_said_to_be_none(groups: int | None, words: str) -> None:
    names = ["cup", "mug", "jar"]
    judged = {
        "both": scored(0.8, names, 238, groups),
        "image": scored(0.5, names, 238, groups),
        "caption": scored(0.795, names, 238, groups),
    }
    found = differences("balanced_accuracy", ["balanced_accuracy", "accuracy"], judged)
    assert list(found) == ["balanced_accuracy"]
    line = difference_in_words("balanced_accuracy", found["balanced_accuracy"])
    assert line.startswith("both against caption: balanced accuracy +0.0")
    assert line.endswith(words)


def test_a_difference_that_is_more_than_chance_is_said_to_be_so() -> None:
    names = ["cup", "mug", "jar"]
    judged = {"both": scored(0.9, names, 238), "image": scored(0.5, names, 238)}
    found = differences("accuracy", ["accuracy"], judged)["accuracy"]
    line = difference_in_words("accuracy", found)
    assert line.endswith(": more than chance in 238 rows")
    assert found["low"] > 0.2
    assert differences("accuracy", ["accuracy"], {"image": judged["image"]}) == {}
    assert difference_in_words("accuracy", found | {"low": np.nan}).endswith("cannot be compared")


def said_of(text: str) -> str:
    return " ".join(text.split())


def test_few_cases_are_noted() -> None:
    assert few_cases(20, None) is None
    assert "come from 1 row: with so few" in str(few_cases(1, None))
    assert "come from 7 groups of 'shop': with so few" in str(few_cases(7, "shop"))


def test_an_interval_without_a_value_is_none() -> None:
    assert ends(float("nan"), float("nan")) == "none"
    assert ends(0.5, 0.75, 2) == "0.50 to 0.75"


def test_train_and_evaluate_print_intervals_and_keep_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    kind = np.array(["bowl", "lamp", "mug"])[np.arange(150) % 3]
    words = np.where(rng.random(150) < 0.7, kind, "thing")
    table = pd.DataFrame({"text": words, "n": rng.normal(size=150), "label": kind})
    table["shop"] = np.arange(150) // 3
    table.to_csv(tmp_path / "words.csv", index=False)
    command = ["train", tmp_path / "words.csv", "--caption", "text", "--number", "n", "--epochs", 1]
    command += ["--ablate", "--group", "shop", "--runs", tmp_path / "runs", "--name", "run"]
    done = CliRunner().invoke(app, list(map(str, command)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    details = json.loads((tmp_path / "runs/run/metrics.json").read_text("utf-8"))["details"]
    low, high = details["intervals"]["both"]["balanced_accuracy"]
    assert low <= details["scores"]["both"]["balanced_accuracy"] <= high
    assert f"{low:.3f} to {high:.3f}" in done.output
    assert set(details["by_class"]["both"]) == {"bowl", "lamp", "mug"}
    assert "By class, each with its 95 % interval" in done.output
    found = details["differences"]["balanced_accuracy"]
    assert found["groups"] < found["rows"]
    assert f"{found['groups']} groups" in " ".join(done.output.split())
    arguments = ["evaluate", tmp_path / "runs/run", tmp_path / "words.csv"]
    shown = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False).output
    assert "95 % interval" in shown and " to " in shown and "recall, %" in shown
    worth = details["importance"]
    assert worth["main"] == ["balanced_accuracy"] and worth["repeats"] == 10
    lines = {one["input"]: one for one in worth["scores"]["balanced_accuracy"]}
    assert set(lines) == {"caption", "number"}
    assert lines["number"]["low"] <= 0 <= lines["number"]["high"]
    assert {one["class"] for one in worth["by_class"]} == {"bowl", "lamp", "mug"}
    said = " ".join(done.output.split())
    assert "Lost of the balanced accuracy when cells are exchanged between rows" in said
    assert f"No loss that {worth['groups']} groups can show:" in said
    assert "exchanged between rows" not in shown
    more = CliRunner().invoke(app, list(map(str, [*arguments, "--importance"]))).output
    assert "exchanged between rows" in " ".join(more.split())
    as_json = [*arguments, "--json", "--importance"]
    later = json.loads(CliRunner().invoke(app, list(map(str, as_json))).stdout)["importance"]
    assert later["rows"] == 150
    as_json = [*arguments, "--json"]
    alone = json.loads(CliRunner().invoke(app, list(map(str, as_json))).stdout)
    grouped = json.loads(
        CliRunner().invoke(app, list(map(str, [*as_json, "--group", "shop"]))).stdout
    )
    assert alone["accuracy"] == grouped["accuracy"]
    # The run was split by shop, so that its rows are one case without being asked.
    assert alone["intervals"] == grouped["intervals"] and alone["group"] == "shop"
    assert f"Rows with the same 'shop' count as one case, as {arguments[1]} was trained" in said_of(
        shown
    )
    loose = table.drop(columns="shop")
    loose.iloc[::-1].to_csv(tmp_path / "loose.csv", index=False)
    lacking = [*arguments[:2], tmp_path / "loose.csv"]
    loosely = said_of(CliRunner().invoke(app, list(map(str, lacking))).output)
    assert "with --group shop, which this table lacks: rows are taken for independent" in loosely
    # The rows are known again in another order.
    counts = details["rows"]
    for output in (said_of(shown), loosely):
        for part, name in (("train", "training"), ("validation", "validation")):
            assert f"{counts[part]} of 150 rows are {name} rows" in output
        assert "of this run, or equal to one in 'text', 'n' and 'label': the scores" in output
    own = {"training": counts["train"], "validation": counts["validation"]}
    assert alone["seen"] == {**own, "compared": 150}
    fresh = tmp_path / "fresh.csv"
    loose.assign(n=loose["n"] + 1).to_csv(fresh, index=False)
    assert (
        "the scores are too good"
        not in CliRunner().invoke(app, list(map(str, [*arguments[:2], fresh]))).output
    )
    assert "the scores are too good" not in done.output
    wrong = CliRunner().invoke(app, list(map(str, [*arguments, "--group", "shops"])))
    assert wrong.exit_code == 2 and "shops" in wrong.stderr

    # A second run without the numbers: the same test rows, by the same seed and groups.
    second = [*command[:4], "--epochs", 1, "--group", "shop", "--runs", tmp_path / "runs"]
    done = CliRunner().invoke(app, list(map(str, [*second, "--name", "words"])))
    assert done.exit_code == 0, done.output
    one, other = tmp_path / "runs/run", tmp_path / "runs/words"

    def compared(*given: object) -> tuple[int, str, str]:
        found = CliRunner().invoke(app, ["compare", *map(str, given)])
        return found.exit_code, " ".join(found.stdout.split()), found.stderr

    code, text, _ = compared(one, other)
    assert code == 0
    assert f"A is {one}, B is {other}, on {details['rows']['test']} rows of" in text
    assert "Scores with 95 % intervals" in text and "differ" in text
    assert text.endswith(f"There is no difference that {found['groups']} groups can show.")
    assert "as one case, as" in text and "was trained with --group shop" in text
    assert "(an exact sign-flip test of groups)" in text or "right in the same rows" in text
    if found["groups"] < 20:
        assert f"note: these intervals come from {found['groups']} groups of 'shop'" in text
    code, text, _ = compared(one, one, tmp_path / "words.csv", "--group", "shop")
    assert code == 0
    assert f"{counts['train']} of 150 rows are training rows and" in text
    assert f"validation rows of {one}, or equal to one in 'text', 'n' and 'label':" in text
    assert text.endswith("There is no difference that 50 groups can show.")
    third = [*second, "--name", "seed", "--seed", 7]
    assert CliRunner().invoke(app, list(map(str, third))).exit_code == 0
    code, _, said = compared(one, tmp_path / "runs/seed")
    assert code == 2 and "These runs have other test rows" in said
    code, _, said = compared(one, other, "--split", "part")
    assert code == 2 and "--split is for a table" in said
    (other / "predictions.csv").unlink()
    code, _, said = compared(one, other)
    assert code == 2 and "without predictions.csv" in said


def test_what_an_input_is_worth_is_none_where_a_score_has_no_value() -> None:
    gone = {"lost": np.nan, "low": np.nan, "high": np.nan}
    lines = [
        {"input": "words", "column": None, "lost": 0.5, "low": 0.4, "high": 0.6},
        {"input": "numbers", "column": None, "lost": 0.2, "low": 0.1, "high": 0.3},
        {"input": "numbers", "column": "width", "lost": 0.0, "low": -0.1, "high": 0.1},
        {"input": "day", "column": None, **gone},
    ]
    found = {"rows": 40, "groups": 9, "main": ["r2"], "scores": {"r2": lines}}
    out = io.StringIO()
    print_importance(Console(file=out, width=80), found, "metrics.json")
    text = out.getvalue()
    assert "+0.400 to +0.600" in text and "none" in text
    assert text.splitlines()[-1] == "No loss that 9 groups can show: width"


def test_what_rounds_to_nothing_has_no_sign_and_a_table_without_rows_is_its_title() -> None:
    assert as_score(-0.0004) == "0.000" and ends(-0.0001, -0.2) == "0.000 to -0.200"
    found = {"of": "both", "than": "image", "difference": -0.0001, "low": -0.0002, "high": 0.1}
    said = difference_in_words("accuracy", found | {"rows": 9, "groups": 9})
    assert "accuracy +0.000 (95 % interval +0.000 to +0.100)" in said
    console = Console(file=io.StringIO(), width=80)
    print_table(console, "0 problems in 9 rows", ("problem", "findings"), [])
    assert console.file.getvalue() == "0 problems in 9 rows\n"  # type: ignore[attr-defined]
