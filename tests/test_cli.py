"""The command line: what it writes, what it says, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

import multimodal_gen as mg
from multimodal_gen.cli.app import app

COLOURS = {"red": (220, 40, 40), "blue": (40, 40, 220)}
PICTURES = {"confusion.png", "curves.png", "predictions.png", "reliability.png", "wrong.png"}
ARTIFACTS = PICTURES | {
    "bundle.json",
    "history.csv",
    "metrics.json",
    "model.keras",
    "model_card.md",
    "seen_rows.npz",
    "predictions.csv",
    "report.html",
}


def write_shop(folder: Path) -> Path:
    """40 rows: a one-coloured picture, a caption with a thing, the label "colour thing"; split into
    24, 6 and 10.
    """
    (folder / "images").mkdir(parents=True)
    rows = []
    for row in range(40):
        colour, thing = ("red", "blue")[row % 2], ("mug", "lamp")[row // 2 % 2]
        picture = Image.new("RGB", (16, 16), COLOURS[colour])
        # Copies of one picture in several parts would be worth a note.
        picture.putpixel((0, 0), (row, row, row))
        picture.save(folder / "images" / f"{row}.png")
        part = "test" if row >= 30 else "dev" if row >= 24 else "train"
        rows.append(
            (
                f"images/{row}.png",
                f"a {thing} of ours, number {row}",
                f"{colour} {thing}",
                1.0 * row,
                part,
            )
        )
    table = pd.DataFrame(rows, columns=["image", "caption", "label", "price", "split"])
    table.to_csv(folder / "shop.csv", index=False)
    return folder / "shop.csv"


def call(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def size_of(picture: Path) -> tuple[int, int]:
    with Image.open(picture) as image:
        return image.size


def train(table: Path, runs: Path, *arguments: object) -> tuple[int, str, str]:
    columns = (
        "--image",
        "image",
        "--caption",
        "caption",
        "--split",
        "split",
        "--image-size",
        "16x16",
    )
    return call(
        "train", table, *columns, "--epochs", 1, "--batch-size", 8, "--runs", runs, *arguments
    )


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def run(shop: Path) -> tuple[Path, str]:
    """A finished run with --ablate, and what it printed."""
    code, printed, errors = train(shop, shop.parent / "runs", "--ablate")
    assert (code, errors) == (0, "")
    return shop.parent / "runs" / "shop", printed


def assert_refused(outcome: tuple[int, str, str], message: str) -> None:
    """Exit code 2 and one line on stderr that matches."""
    code, _, errors = outcome
    assert code == 2
    assert errors.count("\n") == 1
    assert re.search(message, errors), errors
    assert "Traceback" not in errors


def test_a_run_writes_all_its_results(run: tuple[Path, str]) -> None:
    folder, _ = run
    assert {path.name for path in folder.iterdir()} == ARTIFACTS
    for name in PICTURES:
        assert min(size_of(folder / name)) > 200
    assert {"epoch", "loss", "val_loss", "accuracy", "val_accuracy"} <= set(
        pd.read_csv(folder / "history.csv")
    )


def test_metrics_hold_the_balanced_accuracy_of_both_and_of_each_input_alone(
    run: tuple[Path, str], shop: Path
) -> None:
    metrics = json.loads((run[0] / "metrics.json").read_text())
    assert list(metrics) == ["both", "image", "caption", "details"]
    table = pd.read_csv(shop)
    scores = mg.load_bundle(run[0]).evaluate(table[table["split"] == "test"])
    assert metrics["both"] == pytest.approx(scores["balanced_accuracy"])
    details = metrics["details"]
    assert details["rows"] == {"train": 24, "validation": 6, "test": 10}
    assert details["classes"] == ["blue lamp", "blue mug", "red lamp", "red mug"]
    assert [metrics[name] for name in ("both", "image", "caption")] == [
        details["scores"][name]["balanced_accuracy"] for name in ("both", "image", "caption")
    ]


def test_predictions_of_the_test_rows_stand_beside_the_truth(run: tuple[Path, str]) -> None:
    written = pd.read_csv(run[0] / "predictions.csv")
    assert list(written["row"]) == list(range(30, 40))
    assert list(written["truth"][:4]) == ["red lamp", "blue lamp", "red mug", "blue mug"]
    np.testing.assert_allclose(
        written[["blue lamp", "blue mug", "red lamp", "red mug"]].sum(axis=1), 1, atol=1e-4
    )


def test_a_run_tells_what_it_found_and_what_came_out(run: tuple[Path, str]) -> None:
    printed = run[1]
    for expected in (
        r"40 rows\n",
        r"24 training, 6 validation, 10 test \(by column 'split'\)",
        r"4: blue lamp, blue mug, red lamp, red mug",
        r"image \(16, 16, 3\) uint8 from 'image'",
        r"Training on both: joint model of [\d,]+ parameters",
        r"epoch 1/1  loss \d.*val loss.*val accuracy.*at most 0 s left",
        r"kept epoch 1 of 1: balanced accuracy \d\.\d{3} \(\d\.\d{3} to \d\.\d{3}\), accuracy .*, "
        r"log loss \d\.\d{3} \(.*\) on the validation rows, with 95 % intervals"
        r"( \(val .* by these rows\))?\n"
        r"  kept is the last epoch whose validation accuracy is within one standard error of the "
        r"best\n",
        r"│ caption +│ +(network|linear probe) │ +[01]\.\d{3} │ +[01]\.\d{3} │ +\d+ │",
    ):
        assert re.search(expected, printed), expected


def trained_loss(scores: dict[str, Any]) -> float:
    """A loss of what was trained: a linear probe, which may be kept instead, has no seed."""
    return scores.get("validation_loss", {}).get("network", scores["log_loss"])


@pytest.mark.slow
def test_the_same_seed_gives_the_same_scores_with_a_cache_too_and_another_seed_others(
    run: tuple[Path, str], shop: Path, tmp_path: Path
) -> None:
    first = json.loads((run[0] / "metrics.json").read_text())["details"]["scores"]
    alone = (
        "--split",
        "split",
        "--epochs",
        1,
        "--batch-size",
        8,
        "--runs",
        tmp_path,
        "--overwrite",
    )
    alone += ("--cache", tmp_path / "cache")
    for seed, column in ((0, "image"), (1, "caption")):
        arguments = ("--image-size", "16x16", f"--{column}", column, "--seed", seed, *alone)
        assert call("train", shop, *arguments)[0] == 0
        scores = json.loads((tmp_path / "shop" / "metrics.json").read_text())["details"]["scores"]
        loss, before = trained_loss(scores[column]), trained_loss(first[column])
        assert abs(loss - np.log(4)) > 1e-4, "nothing was learned at all"
        assert (abs(loss - before) < 1e-6) == (seed == 0)
    # The caches are filled, and by the same loaders as the command that fills them ahead has.
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npy")}
    assert len(files) >= 2
    arguments = (
        "--image",
        "image",
        "--image-size",
        "16x16",
        "--split",
        "split",
        "--cache",
        tmp_path / "cache",
    )
    assert call("cache", shop, *arguments)[0] == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npy")} == files


def test_one_input_is_scored_under_its_own_name(shop: Path, tmp_path: Path) -> None:
    columns = ("--caption", "caption", "--text", "tokens")
    code, printed, _ = call("train", shop, *columns, "--epochs", 1, "--runs", tmp_path, "--ablate")
    assert code == 0
    assert "no other to compare" in printed
    assert list(json.loads((tmp_path / "shop" / "metrics.json").read_text())) == [
        "caption",
        "details",
    ]
    assert (tmp_path / "shop" / "tokenizer.json").is_file()


def test_numbers_are_an_input_and_without_a_split_column_the_split_is_stratified(
    shop: Path, tmp_path: Path
) -> None:
    columns = ("--caption", "caption", "--number", "price", "--number", "price2")
    table = pd.read_csv(shop).assign(price2=lambda one: -one["price"]).drop(columns="split")
    table.loc[3, "price"] = np.nan
    table.to_json(tmp_path / "shop.jsonl", orient="records", lines=True)
    arguments = (
        *columns,
        "--epochs",
        1,
        "--runs",
        tmp_path / "runs",
        "--fractions",
        "0.5,0.2,0.3",
        "--name",
        "n",
    )
    assert_refused(
        call("train", tmp_path / "shop.jsonl", *arguments), "index 3.*--number-missing mean"
    )
    code, printed, errors = call(
        "train", tmp_path / "shop.jsonl", *arguments, "--number-missing", "mean"
    )
    assert (code, errors) == (0, "")
    assert "20 training, 8 validation, 12 test" in printed
    assert "number    vector (2,) float32 from ('price', 'price2')" in printed
    predictions = pd.read_csv(tmp_path / "runs" / "n" / "predictions.csv")
    assert set(predictions["truth"].value_counts()) == {3}


@pytest.mark.slow
def test_missing_pictures_and_captions_are_blank_where_told_so(shop: Path, tmp_path: Path) -> None:
    table = pd.read_csv(shop)
    table.loc[[3, 31], "image"] = None
    table.loc[[5, 32], "caption"] = None
    table.to_csv(shop.parent / "gaps.csv", index=False)
    assert_refused(
        train(shop.parent / "gaps.csv", tmp_path), r"index [35],.*missing.*--missing blank"
    )
    code, _, errors = train(shop.parent / "gaps.csv", tmp_path, "--missing", "blank")
    assert (code, errors) == (0, "")
    predictions = pd.read_csv(tmp_path / "gaps" / "predictions.csv")
    assert len(predictions) == 10
    assert predictions["label"].notna().all()


def test_a_split_column_may_use_other_words_and_lack_validation_rows(
    shop: Path, tmp_path: Path
) -> None:
    table = pd.read_csv(shop)
    table["split"] = np.where(np.arange(40) < 30, "Fit", "Final")
    table.to_csv(tmp_path / "shop.csv", index=False)
    arguments = ("--caption", "caption", "--split", "split", "--epochs", 1, "--runs", tmp_path)
    assert_refused(
        call("train", tmp_path / "shop.csv", *arguments),
        r"Column 'split' must contain one of \['train'.* Received: 'Fit' at index 0.*--split-names",
    )
    code, printed, _ = call(
        "train", tmp_path / "shop.csv", *arguments, "--split-names", "Fit,Final"
    )
    assert code == 0
    assert re.search(
        r"2\d training, [4-6] validation, 10 test \(by column 'split', validation drawn from",
        printed,
    )


def test_an_earlier_run_is_replaced_only_when_told_so(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "notes.txt").write_text("mine")
    # Of an earlier run that lost rows and could be resumed.
    (tmp_path / "shop" / "failures.csv").write_text("index,column,error")
    (tmp_path / "shop" / "state" / "caption").mkdir(parents=True)
    (tmp_path / "shop" / "state" / "caption" / "state-00000001.npz").write_bytes(b"")
    assert_refused(
        train(shop, tmp_path),
        r"already exists; choose another --name, or replace it with --overwrite",
    )
    assert (
        call(
            "train", shop, "--caption", "caption", "--epochs", 1, "--runs", tmp_path, "--overwrite"
        )[0]
        == 0
    )
    assert {path.name for path in (tmp_path / "shop").iterdir()} == ARTIFACTS | {"notes.txt"}


def test_evaluate_prints_the_scores(run: tuple[Path, str], shop: Path) -> None:
    scores = json.loads(call("evaluate", run[0], shop, "--split", "split", "--json")[1])
    assert scores["rows"] == 10
    metrics = json.loads((run[0] / "metrics.json").read_text())
    assert scores["balanced_accuracy"] == pytest.approx(metrics["both"])
    printed = call("evaluate", run[0], shop)[1]
    assert printed.startswith(f"{run[0]} on 40 rows of {shop}\n")
    assert re.search(r"balanced accuracy +│ +[01]\.\d{4}", printed)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_predict_keeps_the_rows_and_their_order(
    run: tuple[Path, str], shop: Path, tmp_path: Path, suffix: str
) -> None:
    table = pd.read_csv(shop).iloc[::-3].drop(columns="label")
    table.index = [f"row {one}" for one in table.index]
    table.to_parquet(tmp_path / "new.parquet")
    out = tmp_path / "deep" / f"out.{suffix}"
    code, printed, _ = call(
        "predict", run[0], tmp_path / "new.parquet", "--directory", shop.parent, "--out", out
    )
    assert code == 0
    assert "Wrote 14 predictions" in printed
    readers = {
        "csv": pd.read_csv,
        "parquet": pd.read_parquet,
        "jsonl": lambda path: pd.read_json(path, lines=True),
    }
    written = readers[suffix](out)
    assert list(written.columns) == [
        "row",
        "image",
        "caption",
        "label",
        "blue lamp",
        "blue mug",
        "red lamp",
        "red mug",
    ]
    assert list(written["row"]) == list(range(len(table)))
    assert written["image"].tolist() == table["image"].tolist()
    expected = mg.load_bundle(run[0], directory=shop.parent).predict(table)
    np.testing.assert_allclose(written["red mug"], expected["red mug"], atol=1e-5)


def test_preview_draws_other_rows_for_those_that_cannot_be_loaded(
    shop: Path, tmp_path: Path
) -> None:
    table = pd.read_csv(shop, dtype=str)
    table.loc[::3, "caption"] = ""
    table.loc[1, "image"] = "images/gone.jpg"
    dirty = shop.with_name("dirty.csv")
    table.to_csv(dirty, index=False)
    out = tmp_path / "preview.png"
    command = ("preview", dirty, "--image", "image", "--caption", "caption", "--out", out)
    code, printed, _ = call(*command)
    assert code == 0 and min(size_of(out)) > 500
    said = " ".join(printed.split())
    assert "cannot be loaded and are not drawn, the first at index" in said
    assert "audit` lists all" in said
    table["image"] = "images/gone.jpg"
    table.to_csv(dirty, index=False)
    code, _, printed = call(*command)
    assert code == 2 and "Cannot load index" in printed


def test_preview_draws_training_rows(shop: Path, tmp_path: Path) -> None:
    out = tmp_path / "preview.png"
    code, printed, _ = call(
        "preview", shop, "--image", "image", "--caption", "caption", "--out", out
    )
    assert code == 0
    assert f"Wrote {out}." in printed.replace("\n", "")
    assert min(size_of(out)) > 500


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--caption", "captoin"], r"no such column.*Did you mean 'caption'\?"),
        (
            ["--caption", "caption", "--label", "brand"],
            "no such column.*Received: --(image|caption|label) brand",
        ),
        (
            ["--caption", "caption", "--image-size", "64"],
            "--image-size must be HEIGHTxWIDTH, as in 64x64",
        ),
        (["--caption", "caption", "--image-size", "0x9"], "--image-size must be HEIGHTxWIDTH"),
        (["--caption", "caption", "--fractions", "0.5,0.4,0.4"], "must be positive and sum to one"),
        (
            ["--caption", "caption", "--fractions", "0.5,half"],
            "--fractions must be numbers with commas",
        ),
        (
            ["--caption", "caption", "--fusion", "magic"],
            "--fusion.*magic.*see multimodal-gen train --help",
        ),
        (["--caption", "caption", "--seed", "-1"], "--seed.*see multimodal-gen train --help"),
        (["--caption", "caption", "--name", "../elsewhere"], "--name must be the name of a folder"),
        (["--number", "caption"], "The values of 'caption' must be numbers"),
        (
            ["--image", "caption"],
            r"index \d+, column 'caption', path .*None of the 40 rows can be loaded: .*"
            r"--directory",
        ),
        (["--wrong"], "No such option: --wrong"),
        (
            ["--caption", "caption", "--label", "a", "--label", "b"],
            "A class needs one column; --target number",
        ),
        (["--caption", "caption", "--caption", "caption"], "--caption takes each column once"),
        (
            ["--caption", "caption", "--fusion", "late", "--fusion", "joint"],
            "--fusion takes one value.*--fusion t",
        ),
        (
            ["--caption", "caption", "--seed", "1", "--seed", "1"],
            "--seed takes one value.*--seed twice",
        ),
        (
            ["--caption", "caption", "--positive", "red mug"],
            "--positive is only for --fusion match.*--fusion joint",
        ),
        (
            ["--caption", "caption", "--number", "price", "--fusion", "match", "--positive", "mug"],
            "--positive must name one of the classes: blue lamp, .*--positive mug",
        ),
        (
            ["--image", "image", "--caption", "caption", "--fusion", "match", "--target", "number"],
            "--fusion match needs a class",
        ),
        (
            ["--caption", "caption", "--fusion", "match", "--positive", "red mug"],
            "--fusion match joins several inputs, but there is only one: .*Received: "
            "--fusion match, --caption alone",
        ),
        (
            ["--number", "price", "--number", "split", "--fusion", "late"],
            "--fusion late joins several inputs, .*--number alone",
        ),
        (["--caption", "caption", "--separator", ","], "--separator is for --target labels"),
        (
            ["--caption", "caption", "--label", "price"],
            "numbers to predict, not classes: 40.*Use --target number",
        ),
        (
            ["--caption", "caption", "--label", "label", "--target", "labels"],
            r"index \d+, column 'label'.*--separator",
        ),
        (["--caption", "caption", "--label", "label", "--target", "number"], "must be numbers"),
    ],
)
def test_wrong_input_to_train_is_one_sentence(
    shop: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    assert_refused(call("train", shop, "--epochs", 1, "--runs", tmp_path, *arguments), message)
    assert not list(tmp_path.iterdir())


def test_a_bad_cell_in_the_test_rows_is_found_before_training(shop: Path, tmp_path: Path) -> None:
    table = pd.read_csv(shop)
    table.loc[35, "label"] = "green mug"
    table.to_csv(tmp_path / "shop.csv", index=False)
    outcome = train(tmp_path / "shop.csv", tmp_path / "runs", "--directory", shop.parent)
    assert_refused(
        outcome, "index 35, column 'label': the label 'green mug' is not one of the 4 known classes"
    )
    assert "Training" not in outcome[1]


def test_wrong_tables_and_runs_are_one_sentence(
    run: tuple[Path, str], shop: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("no table")
    assert_refused(
        call("train", tmp_path / "none.csv", "--caption", "c"),
        "There is no such file or folder.*none.csv",
    )
    assert_refused(call("train", tmp_path / "a.txt", "--caption", "c"), "A table must be a .csv")
    assert_refused(call("evaluate", tmp_path, shop), "There is no bundle.json in the folder")
    assert_refused(call("evaluate", shop, run[0]), "comes first, then the table; here they are")
    given = ("--caption", "c", "--split", "part", "--fractions", "0.8,0.1,0.1")
    assert_refused(call("train", shop, *given), "'part' names their parts.*Received: --fractions")
    assert_refused(
        call("evaluate", run[0], shop, "--directory", tmp_path),
        "index 0, column 'image'.*no such file",
    )
    assert_refused(
        call("predict", run[0], shop, "--out", tmp_path / "out.xlsx"),
        "--out must end in one of .csv",
    )
    assert_refused(
        call("preview", shop, "--caption", "caption", "--out", "x.gif"), "--out must end in .png"
    )
    assert_refused(call("evaluate"), "Missing argument")
    assert_refused(call("bogus"), "No such command 'bogus'; see multimodal-gen --help")


def test_a_file_that_is_read_is_not_written_over(
    run: tuple[Path, str], shop: Path, tmp_path: Path
) -> None:
    table, link = tmp_path / "new.csv", tmp_path / "link.csv"
    table.write_bytes(shop.read_bytes())
    link.symlink_to(table)
    results = (run[0] / "predictions.csv").read_bytes()
    for out in (table, tmp_path / ".." / tmp_path.name / "new.csv", link):
        assert_refused(
            call("predict", run[0], table, "--out", out),
            "--out is the table itself; choose another name. Re",
        )
        assert_refused(
            call("audit", table, "--caption", "caption", "--drop", out),
            "--drop is the table itself; ",
        )
    outcome = call("predict", run[0], table, "--out", run[0] / "predictions.csv")
    assert_refused(outcome, "--out is a result of the run; choose another name. Received: --out")
    table = table.rename(tmp_path / "problems.csv")
    assert_refused(
        call("audit", table, "--caption", "caption", "--out", tmp_path),
        "--out is the table itself; ",
    )
    picture = shop.parent / "images" / "3.png"
    assert_refused(
        call("preview", shop.parent / "images", "--image", "image", "--out", picture),
        "table's folder; ",
    )
    assert table.read_bytes() == shop.read_bytes() and size_of(picture) == (16, 16)
    assert (run[0] / "predictions.csv").read_bytes() == results


def test_a_bug_is_not_taken_for_wrong_input(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("matrices are not aligned")

    monkeypatch.setattr("multimodal_gen.cli.fitting.fit_with_recipe", broken)
    with pytest.raises(ValueError, match="matrices are not aligned"):
        call("train", shop, "--caption", "caption", "--runs", tmp_path)


def test_help_answers_without_importing_anything_heavy() -> None:
    code = """
import sys
from multimodal_gen.cli.app import app
try:
    app(["train", "--help"])
except SystemExit as end:
    assert end.code == 0
heavy = {"keras", "tensorflow", "pandas", "numpy", "matplotlib", "torch", "jax"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert "--caption" in done.stdout


def test_the_version_is_told_with_that_of_keras_and_its_backend() -> None:
    backend = f"Keras {keras.__version__} on {keras.backend.backend()}"
    assert call("--version") == (0, f"multimodal-gen {mg.__version__}, {backend}\n", "")


@pytest.mark.slow
def test_a_real_run_prints_only_its_own_lines_and_ctrl_c_ends_it_with_one(
    shop: Path, tmp_path: Path
) -> None:
    environment = {
        name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"
    }
    columns = ("--caption", "caption", "--epochs", "100000", "--runs", str(tmp_path))
    # A shell that runs these tests in the background has them ignore Ctrl-C, which children
    # inherit.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    line = [
        sys.executable,
        "-c",
        f"{heed}; from multimodal_gen.cli import main; main()",
        "train",
        str(shop),
        *columns,
    ]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(line, env=environment, **pipes) as process:
        printed = line = process.stdout.readline()
        while line and not re.search(r"epoch +\d+/", line):
            line = process.stdout.readline()
            printed += line
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert " ".join(printed.split()).startswith(
        f"note: column 'split' names parts; use them with --split split {shop}: 40 rows"
    )
    kept = (
        r"Stopped in epoch \d+ of 100000, training on caption; nothing is kept, because "
        r"--resume was not given\.\n"
    )
    assert re.fullmatch(kept, errors), errors
    assert "\x1b" not in printed
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="these lines are TensorFlow's")
@pytest.mark.parametrize(
    ("level", "tells"), [(None, False), ("3", False), ("1", True), ("0", True)]
)
def test_what_tensorflow_logs_at_its_start_is_seen_only_by_those_who_ask_for_it(
    level: str | None, tells: bool
) -> None:
    environment = {
        name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"
    }
    if level is not None:
        environment["TF_CPP_MIN_LOG_LEVEL"] = level
    line = [sys.executable, "-m", "multimodal_gen", "--version"]
    done = subprocess.run(
        line, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith("multimodal-gen ") and done.stdout.count("\n") == 1
    assert bool(done.stderr) == tells


@pytest.mark.slow
def test_a_run_that_was_killed_is_resumed(shop: Path, tmp_path: Path) -> None:
    options = (
        "--caption",
        "caption",
        "--split",
        "split",
        "--epochs",
        "30",
        "--batch-size",
        "8",
        "--resume",
    )
    whole, killed = (
        [*map(str, ("train", shop, *options, "--runs", tmp_path / name))]
        for name in ("whole", "killed")
    )
    assert call(*whole)[0] == 0
    state = tmp_path / "killed" / "shop" / "state" / "caption"
    with subprocess.Popen(
        [sys.executable, "-m", "multimodal_gen.cli", *killed], stdout=-1, stderr=-1
    ) as process:
        while len(list(state.glob("*.npz"))) < 2:
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    assert not (state.parent.parent / "metrics.json").exists()
    for _ in range(2):
        assert call(*killed)[0] == 0
        expected, found = (
            pd.read_csv(tmp_path / name / "shop" / "history.csv") for name in ("whole", "killed")
        )
        pd.testing.assert_frame_equal(found, expected)
    other = ["4" if one == "8" else one for one in killed]
    assert_refused(call(*other), "batch_size was 8 and is 4.* delete the directory or use another")
    assert_refused(
        call(*killed, "--overwrite"),
        "Use either --resume or --overwrite, not both. Received: --resume --overwrite",
    )


@pytest.mark.slow
def test_train_leaves_out_rows_that_cannot_be_loaded_where_it_may_and_lists_them(tmp_path):
    table = mg.read_table("sample_data/catalog.csv")[:120].copy()
    table["image"] = [str(Path("sample_data").resolve() / one) for one in table["image"]]
    table.loc[[5, 70], "image"] = str(tmp_path / "gone.png")
    table.to_csv(tmp_path / "table.csv", index=False)
    arguments = [
        "train",
        str(tmp_path / "table.csv"),
        "--caption",
        "caption",
        "--image",
        "image",
        "--epochs",
        "1",
    ]
    arguments += ["--image-size", "16x16", "--runs", str(tmp_path / "runs"), "--directory", "/"]
    stopped = CliRunner().invoke(app, [*arguments, "--name", "a"])
    told = " ".join(stopped.output.split())
    assert stopped.exit_code == 2 and "Cannot load index 5, column 'image'" in told
    assert (
        "1 more of the 120 rows cannot be loaded. Fix them, or leave them out with --on-error "
        "skip; " in told
    )
    strict = CliRunner().invoke(
        app, [*arguments, "--name", "a", "--on-error", "skip", "--max-error-rate", "0.01"]
    )
    assert strict.exit_code == 2
    assert (
        "That is more than the allowed share of 0.01: fix them, or raise --max-error-rate"
        in " ".join(strict.output.split())
    )
    assert not (tmp_path / "runs" / "a").exists()
    done = CliRunner().invoke(app, [*arguments, "--name", "b", "--on-error", "skip"])
    assert done.exit_code == 0, done.output
    assert "2 of 120 rows cannot be loaded" in " ".join(done.output.split())
    failures = pd.read_csv(tmp_path / "runs" / "b" / "failures.csv")
    assert sorted(failures["index"]) == [5, 70] and set(failures["column"]) == {"image"}
    metrics = json.loads((tmp_path / "runs" / "b" / "metrics.json").read_text())
    assert sum(metrics["details"]["rows"].values()) == 118
    used = [str(tmp_path / "runs" / "b"), str(tmp_path / "table.csv"), "--directory"]
    out = ["--out", str(tmp_path / "predictions.csv")]
    with warnings.catch_warnings():
        # What the command prints as a note.
        warnings.simplefilter("default")
        predicted = CliRunner().invoke(app, ["predict", *used, "/", *out])
        table.loc[:100, "image"] = "elsewhere.png"
        table.to_csv(tmp_path / "other.csv", index=False)
        other = [
            used[0],
            str(tmp_path / "other.csv"),
            "--directory",
            "/",
            "--out",
            str(tmp_path / "other.jsonl"),
        ]
        lost = CliRunner().invoke(app, ["predict", *other])
    assert lost.exit_code == 1, lost.output
    said = " ".join(lost.output.split())
    assert "and 101 rows without one. note: column 'error' says why there is none. The" in said
    assert "Most rows have no prediction: are their paths" in said
    assert "relative to --directory /?" in said
    told = " ".join(predicted.output.split())
    assert predicted.exit_code == 0, told
    assert (
        "Wrote 118 predictions" in told
        and ", and 2 rows without one." in told
        and "The first: Cannot load index 5, column 'image'" in told
    )
    predictions = pd.read_csv(tmp_path / "predictions.csv")
    assert len(predictions) == 120 and predictions.index[predictions["error"].notna()].tolist() == [
        5,
        70,
    ]
    used[1] = str(tmp_path / "other.csv")
    assert CliRunner().invoke(app, ["evaluate", *used, "/"]).exit_code == 2
    scored = CliRunner().invoke(app, ["evaluate", *used, "/", "--on-error", "skip", "--json"])
    assert scored.exit_code == 0, scored.output
    assert json.loads(scored.output)["rows"] == 19 and json.loads(scored.output)["left_out"] == 101


def test_an_empty_caption_before_an_unreadable_picture_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path(__file__).parent.parent / "sample_data"
    table = pd.read_csv(folder / "catalog.csv")[:60]
    table["image"] = [str(folder / name) for name in table["image"]]
    table["split"] = np.where(np.arange(60) < 40, "train", "test")
    table.loc[[0, 1], "caption"] = ""
    table.loc[20, "image"] = "images/gone.jpg"
    table.to_csv(tmp_path / "table.csv", index=False)
    inputs = ("--image", "image", "--caption", "caption", "--directory", "/")
    code, _, printed = call("train", "table.csv", *inputs, "--split", "split", "--name", "x")
    assert code == 2 and "Traceback" not in printed
    assert "index 0, column 'caption'" in printed
    assert "2 more of the 60 rows cannot be loaded" in printed
