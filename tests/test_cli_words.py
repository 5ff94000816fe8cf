"""What the command line says of a table that cannot be used as it is: in its own words and options,
without a line of Python.
"""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

import multimodal_gen as mg
from multimodal_gen.cli.app import app
from multimodal_gen.cli.predict import predict_to_file, scores_of
from multimodal_gen.cli.settings import INPUT_OPTIONS, RunSettings
from multimodal_gen.cli.unlabelled import without_unlabelled

ROWS = 24


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(0)
    for row in range(ROWS):
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), "uint8")).save(folder / f"img_{row:03}.png")
    return folder


def table(**cells: dict[int, Any]) -> pd.DataFrame:
    """A good table but for some cells: column -> row -> cell."""
    made = pd.DataFrame(
        {
            "image": [f"img_{row:03}.png" for row in range(ROWS)],
            "caption": [f"thing {row} of red" for row in range(ROWS)],
            "price": [str(row) for row in range(ROWS)],
            "owner": [f"owner {row}" for row in range(ROWS)],
            "label": ["ab"[row % 2] for row in range(ROWS)],
        },
        dtype=object,
    )
    for column, rows in cells.items():
        for row, cell in rows.items():
            made.loc[row, column] = cell
    return made


def call(command: str, shop: Path, rows: pd.DataFrame, *arguments: object) -> tuple[int, str, str]:
    rows.to_csv(shop / "shop.csv", index=False)
    given = [command, shop / "shop.csv", "--image-size", "8x8", *arguments]
    result = CliRunner().invoke(app, [str(argument) for argument in given])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, " ".join(result.stdout.split()), " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("cells", "options", "said"),
    [
        (
            {"label": {7: "", 9: " "}},
            "--caption caption",
            "2 of 24 rows have no value in the column to predict, the first at index 7. Fill them, "
            "or write a table without them: `multimodal-gen audit` with the same columns and "
            "--drop TABLE_OUT; or leave out such rows with --on-error skip. Received: --label",
        ),
        (
            {"price": {7: ""}},
            "--caption caption --label price --target number",
            "1 of 24 rows has no value in the column to predict, at index 7. Fill it, or write",
        ),
        (
            {"label": dict.fromkeys(range(ROWS), "")},
            "--caption caption",
            "None of the 24 rows has a value in the column to predict: is it the right one?",
        ),
        (
            {"owner": {3: ""}},
            "--caption caption --group owner",
            "1 of 24 rows has no value in the column of groups, at index 3. Fill it, each with a",
        ),
        (
            {"image": {7: "", 9: ""}},
            "--image image",
            "index 7, column 'image': the cell is missing. Missing cells are allowed with "
            "--missing blank. 1 more of the 24 rows cannot be loaded. Fix them, or leave them out "
            "with --on-error skip; `multimodal-gen audit` finds all problems.",
        ),
        (
            {"caption": {7: ""}},
            "--caption caption",
            "the cell is missing. Missing cells are allowed with --missing blank. Fix it, or leave "
            "it out with --on-error skip",
        ),
        (
            {"price": {7: ""}},
            "--number price",
            "a number is missing. Missing cells are allowed with --number-missing mean. Fix it",
        ),
        (
            {"image": {7: "img_999.png"}},
            "--image image",
            "of other numbers, from 'img_000.png' to 'img_023.png'. Fix it, or leave it out with",
        ),
    ],
)
def test_training_names_options_and_not_lines_of_python_for_a_bad_cell(
    cells: dict[str, dict[int, Any]], options: str, said: str, shop: Path, tmp_path: Path
) -> None:
    code, _, errors = call("train", shop, table(**cells), *options.split(), "--runs", tmp_path)
    assert code == 2 and said in errors
    assert not any(python in errors for python in ("table[", "dropna", "=", "None or NaN"))


def test_a_cache_lists_bad_cells_in_the_order_of_the_table_without_lines_of_python(
    shop: Path, tmp_path: Path
) -> None:
    gone = {row: f"gone {row}.jpg" for row in (19, 3, 11, 7, 22, 0)}
    arguments = ("--image", "image", "--cache", tmp_path / "cache", "--seed", 3)
    code, _, errors = call("cache", shop, table(image=gone), *arguments)
    places = [errors.index(f"index {row}, column") for row in sorted(gone)]
    assert code == 1 and places == sorted(places)
    assert "`" not in errors and "directory=" not in errors


@pytest.mark.parametrize("command", ["train", "audit", "preview", "cache"])
def test_an_absent_column_is_named_by_its_option(command: str, shop: Path, tmp_path: Path) -> None:
    more = {
        "train": ("--runs", tmp_path),
        "audit": ("--out", tmp_path),
        "preview": ("--out", tmp_path / "a.png"),
        "cache": ("--cache", tmp_path / "cache"),
    }[command]
    code, _, errors = call(command, shop, table(), "--caption", "capton", *more)
    assert code == 2 and "Did you mean 'caption'? Received: --caption capton" in errors
    unnamed = table().rename(columns={"label": "kind"})
    code, printed, errors = call(command, shop, unnamed, "--caption", "caption", *more)
    if command == "audit":
        assert code == 0 and "there is no column 'label', so labels are not audited" in printed
    else:
        assert "Name the column to predict with --label COLUMN. Received: --label label" in errors


def test_a_misspelt_column_is_said_before_that_a_run_of_this_name_exists(
    shop: Path, tmp_path: Path
) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "metrics.json").write_text("{}")
    for option, column in (("--caption", "capton"), ("--label", "lable"), ("--group", "ownr")):
        given = ["--caption", "caption", option, column, "--runs", tmp_path]
        given = given[2:] if option == "--caption" else given
        code, _, errors = call("train", shop, table(), *given)
        assert code == 2 and f"Received: {option} {column}" in errors
    code, _, errors = call("train", shop, table(), "--caption", "caption", "--runs", tmp_path)
    assert code == 2 and "already exists; choose another --name" in errors


def test_one_input_makes_a_model_and_several_a_joint_one_and_the_kept_epoch_has_its_rule(
    shop: Path, tmp_path: Path
) -> None:
    arguments = ("--caption", "caption", "--epochs", 1, "--runs", tmp_path)
    code, printed, _ = call("train", shop, table(), *arguments)
    assert code == 0 and "Training on caption: model of" in printed and "joint" not in printed
    assert "its epoch is the last epoch whose validation accuracy is within one standard" in printed
    assert (
        "kept is the network: the loss of the probe is " in printed or "probe is lower" in printed
    )
    number = ("--label", "price", "--target", "number", "--name", "price")
    code, printed, _ = call("train", shop, table(), *arguments, *number)
    assert code == 0 and "its epoch is the epoch of the lowest validation loss" in printed


def test_an_audit_says_what_is_wrong_without_lines_of_python(shop: Path, tmp_path: Path) -> None:
    rows = table(image={3: "img_999.png", 5: "img_004"}, price={7: "1,5", 9: "dear"})
    options = ("--image", "image", "--number", "price", "--out", tmp_path)
    code, _, _ = call("audit", shop, rows, *options)
    said = pd.read_csv(tmp_path / "problems.csv").set_index("index")["message"]
    assert code == 1 and not said.str.contains("`|directory=|errors=").any()
    assert said[3].startswith("there is no such file: the folder")
    assert said[3].endswith(f"'img_023.png' ({shop / 'img_999.png'})")
    assert "beside it is 'img_004.png': the extension is missing" in said[5]
    assert "1,5" in said[7] and "dear" in said[9]
    assert "directory=" not in (tmp_path / "audit.html").read_text()


def test_what_says_it_does_not_start_keras() -> None:
    # Audits and caches of a table that cannot be read answer at once.
    code = (
        "import sys, multimodal_gen.cli.audit, multimodal_gen.cli.cache, multimodal_gen.cli.parts"
    )
    code += "; sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("cells", "options", "bad"),
    [
        ({"label": {7: "", 9: " "}, "caption": {11: ""}}, "", [7, 9, 11]),
        ({"price": {7: "", 9: "1.299,00 \u20ac"}}, "--label price --target number", [7, 9]),
    ],
)
def test_skip_leaves_out_rows_without_a_label_in_training_and_lists_them(
    cells: dict[str, dict[int, Any]], options: str, bad: list[int], shop: Path, tmp_path: Path
) -> None:
    given = ["--caption", "caption", "--epochs", 1, "--runs", tmp_path, *options.split()]
    skipping = ("--on-error", "skip", "--max-error-rate", 0.5)
    code, printed, errors = call("train", shop, table(**cells), *given, *skipping)
    assert code == 0, errors
    assert "2 of 24 rows have no label that can be read and are left out: see fail" in printed
    run = tmp_path / "shop"
    assert pd.read_csv(run / "failures.csv")["index"].tolist() == bad
    rows = json.loads((run / "metrics.json").read_text())["details"]["rows"]
    assert sum(rows.values()) == ROWS - len(bad)
    few = ("--on-error", "skip", "--max-error-rate", 0.05, "--name", "few")
    code, _, errors = call("train", shop, table(**cells), *given, *few)
    assert code == 2 and "index 7, column" in errors
    assert "That is more than the allowed share of 0.05" in errors


def test_skip_leaves_out_lists_of_labels_that_cannot_be_read_but_no_whole_column() -> None:
    given = RunSettings(
        **{field.name: None for field in fields(RunSettings)}
        | {"table": "t", "label": ("tags",), "target": "labels", "fusion": "joint"}
        | dict.fromkeys(INPUT_OPTIONS, ())
        | {"on_error": "skip", "max_error_rate": 0.5, "caption": ("caption",)}
        | {"fractions": (0.7, 0.1, 0.2), "batch_size": 8, "image_size": (8, 8), "seed": 0},
    )
    said: list[str] = []
    listener: Any = SimpleNamespace(say=said.append)
    rows = pd.DataFrame({"tags": [["a"], None, [], [2.5], ["b"]]})
    kept, failures = without_unlabelled(rows, given, listener)
    assert kept.index.tolist() == [0, 2, 4] and failures["index"].tolist() == [1, 3]
    assert said[0].startswith("2 of 5 rows have no label that can be read")
    kept, failures = without_unlabelled(rows.iloc[[1, 3]], given, listener)
    assert len(kept) == 2 and failures.empty, "the checks of the column say what is wrong"
    strict = replace(given, on_error="raise")
    with pytest.raises(mg.LoadError, match="index 3, column 'tags': .* 1 of 5 rows has no label"):
        without_unlabelled(rows, strict, listener)
    # A missing label has a check of its own.
    kept, failures = without_unlabelled(rows.iloc[:3], strict, listener)
    assert len(kept) == 3 and failures.empty


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_table_without_a_column_of_the_run_names_the_input_and_the_column(command: str) -> None:
    bundle: Any = SimpleNamespace(
        inputs={
            "words": mg.TextLoader.from_texts("title", ["a mug"]),
            "number": mg.NumericLoader(["price", "age"], mean=[0, 0], scale=[1, 1]),
        }
    )
    asked = {
        "predict": lambda rows: predict_to_file(bundle, rows, Path("out.csv"), ".", bundle),
        "evaluate": lambda rows: scores_of(bundle, rows, None, None, "raise", "."),
    }
    for gone, name in (("title", "words"), ("age", "number")):
        rows = pd.DataFrame({"title": ["a"], "titel": ["a"], "price": [1], "age": [2]})
        rows = rows.drop(columns=gone)
        wanted = rf"The input '{name}' of this run reads the column '{gone}'. .*Rename .* '{gone}',"
        with pytest.raises(mg.TableError, match=wanted + " or add one. Received: a table without"):
            asked[command](rows)


def test_a_clean_table_of_a_folder_leaves_out_captions_that_nobody_wrote(
    tmp_path: Path, shop: Path
) -> None:
    for row in range(6):
        place = tmp_path / "pictures" / "ab"[row % 2]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{row}.png").write_bytes((shop / f"img_{row:03}.png").read_bytes())
    given = ["audit", tmp_path / "pictures", "--image-size", "8x8", "--out", tmp_path / "out"]
    clean = tmp_path / "clean.csv"
    done = CliRunner().invoke(app, [*map(str, given), "--drop", str(clean)])
    assert done.exit_code in (0, 1) and (tmp_path / "out" / "audit.html").exists(), done.output
    assert pd.read_csv(clean).columns.tolist() == ["image", "label"]
    # A caption that somebody wrote stays, and what a csv file cannot hold is refused before.
    (tmp_path / "pictures" / "a" / "0.txt").write_text("a mug")
    (tmp_path / "out" / "audit.html").unlink()
    with warnings.catch_warnings():
        # That most pictures have none, which the command prints as a note.
        warnings.simplefilter("default")
        done = CliRunner().invoke(app, [*map(str, given), "--drop", str(clean)])
        assert done.exit_code == 2 and "column 'caption'" in done.output
        assert not (tmp_path / "out" / "audit.html").exists()
        done = CliRunner().invoke(app, [*map(str, given), "--drop", str(tmp_path / "clean.jsonl")])
    assert done.exit_code in (0, 1) and "a mug" in (tmp_path / "clean.jsonl").read_text()


def test_attend_says_which_options_give_it_something_to_look_at() -> None:
    def given(**changes: Any) -> RunSettings:
        return RunSettings(
            **{field.name: None for field in fields(RunSettings)}
            | {"table": "t", "label": ("kind",), "target": "class", "fusion": "attend"}
            | dict.fromkeys(INPUT_OPTIONS, ())
            | {"fractions": (0.7, 0.1, 0.2), "image_size": (8, 8), "text": "ngrams"}
            | changes
        )

    alone: dict[str, Any] = {"caption": ("caption",), "number": ("price",)}
    said = (
        "here every input is a single vector.*--text tokens.*--fusion attend, --caption, --number"
    )
    with pytest.raises(ValueError, match=said):
        given(**alone)
    features = {"image": ("image",), "image_encoder": "network.keras"}
    with pytest.raises(ValueError, match="with --image-encoder also --also-pixels"):
        given(**alone, **features)
    for more in (
        {"text": "tokens"},
        {"image": ("image",)},
        {"captions": ("texts",)},
        {**features, "also_pixels": True},
    ):
        assert given(**alone | more).fusion == "attend"
    # Inputs that are found are looked at when they are known.
    assert given().fusion == "attend"
