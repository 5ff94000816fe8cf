"""What `evaluate` and `predict` say of rows that a trained model cannot read."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
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
from multimodal_gen.cli.bad_rows import check_rows, plain_error, plain_reason, unscored
from multimodal_gen.cli.console import in_options
from multimodal_gen.errors import counted
from multimodal_gen.loaders.cell_errors import read_at
from multimodal_gen.rows.leakage import warn_of_shared_pictures

WORDS = mg.TextLoader.from_texts("words", ["a red mug", "a blue lamp"])
PICTURES = mg.ImageLoader("picture", image_size=(8, 8))
NUMBERS = mg.NumericLoader(["price", "age"], mean=[0, 0], scale=[1, 1])
LABEL = mg.ClassLabel("label", ["mug", "lamp"])
FOLDER = "here (in training: --directory there)"
PARTS = np.array([0, 0, 1, 1])
# Words that end no sentence.
DANGLING = ("in", "of", "by", "with", "to", "from", "as", "a", "the", "and", "or", "set", "than")


@pytest.fixture
def bundle(tmp_path: Path) -> Any:
    """The loaders of a bundle; its model is not asked for anything."""
    inputs = {"picture": PICTURES.moved(tmp_path), "words": WORDS, "number": NUMBERS}
    return SimpleNamespace(inputs=inputs, target=LABEL)


@pytest.fixture
def rows(tmp_path: Path) -> pd.DataFrame:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    row = {"picture": "a.png", "words": "a mug", "price": "1", "age": "2", "label": "mug"}
    return pd.DataFrame([row] * 9, index=[f"row {place}" for place in range(9)], dtype=object)


def spoil(rows: pd.DataFrame, column: str, cells: dict[int, Any]) -> pd.DataFrame:
    for place, cell in cells.items():
        rows.iloc[place, rows.columns.get_loc(column)] = cell
    return rows


@pytest.mark.parametrize(
    ("column", "cells", "said"),
    [
        ("label", {2: None, 5: "cup"}, "index 'row 2', column 'label': the cell is missing, and"),
        ("price", {2: "1,5", 5: ""}, "expected 2 numbers. '1,5' has a decimal comma"),
        ("age", {2: None, 5: "old"}, "index 'row 2', .*: a number is missing"),
        ("words", {2: None, 5: None}, "index 'row 2', column 'words': the cell is missing"),
        (
            "picture",
            {2: "b.png", 5: "c.png"},
            "column 'picture', path '.*b.png': there is no such file",
        ),
    ],
)
def test_bad_rows_are_counted_and_named_before_anything_is_scored(
    bundle: Any, rows: pd.DataFrame, column: str, cells: dict[int, Any], said: str
) -> None:
    check_rows(bundle, rows, FOLDER)
    with pytest.raises(mg.LoadError, match=said) as refused:
        check_rows(bundle, spoil(rows, column, cells), FOLDER)
    message = str(refused.value)
    assert "2 of 9 rows cannot be scored, at index 'row 2', 'row 5': fix them, or" in message
    assert "--on-error skip" in message and "`" not in message and "--missing" not in message


def test_if_most_files_are_not_there_the_error_asks_for_their_folder(
    bundle: Any, rows: pd.DataFrame
) -> None:
    few, most = (dict.fromkeys(range(count), "gone.png") for count in (4, 5))
    with pytest.raises(mg.LoadError, match="4 of 9 rows cannot be scored"):
        check_rows(bundle, spoil(rows, "picture", few), FOLDER)
    said = (
        r"no such file.*The files of 5 of 9 rows are not there: are the paths in 'picture' "
        r"relative to --directory here \(in training: --directory there\)\?"
    )
    with pytest.raises(mg.LoadError, match=said):
        check_rows(bundle, spoil(rows, "picture", most), FOLDER)


def test_a_single_bad_row_is_one_and_of_many_the_first_are_named(
    bundle: Any, rows: pd.DataFrame
) -> None:
    with pytest.raises(mg.LoadError, match=r"known classes: .*Fix it, or score only the other"):
        check_rows(bundle, spoil(rows, "label", {3: "cup"}), FOLDER)
    with pytest.raises(
        mg.LoadError, match="9 of 9 rows .*'row 0', 'row 1', 'row 2', 'row 3', 'row 4' and 4 more"
    ):
        check_rows(bundle, spoil(rows, "price", dict.fromkeys(range(9), "dear")), FOLDER)
    # Of several targets, of a bundle without one, and of what a target takes from an input.
    bundle.target = {"label": LABEL, "again": mg.InputTarget(PICTURES)}
    with pytest.raises(mg.LoadError, match="9 of 9 rows"):
        check_rows(bundle, rows, FOLDER)
    bundle.target = None
    bundle.inputs = {"words": WORDS, "far": mg.ImageLoader("url", image_size=(8, 8))}
    check_rows(bundle, rows.assign(url="https://example.com/a.png"), FOLDER)


def errors_of_loaders() -> dict[str, Callable[[], Any]]:
    number, tags = mg.NumericLoader("n", mean=0, scale=1), mg.MultiLabel("t", ["a"], separator="|")
    lists = mg.MultiLabel("t", ["a"])
    return {
        "missing number": lambda: number.read(None),
        "decimal comma": lambda: number.read("1,5"),
        "unit": lambda: number.read("5 kg"),
        "date": lambda: number.read("2020-01-01"),
        "word": lambda: number.read("dear"),
        "missing label": lambda: LABEL.read(None),
        "unknown label": lambda: LABEL.read("cup. `--missing`"),
        "number to predict": lambda: mg.NumericTarget("n").read(None),
        "list": lambda: tags.read("['a', 'b']"),
        "mappings": lambda: tags.read("[{'id': 1, 'name': 'a'}]"),
        "text labels": lambda: lists.read("a|b"),
        "missing labels": lambda: lists.read(None),
        "blank label": lambda: lists.read([""]),
        "bytes": lambda: WORDS.read(b"a"),
        "text in a list": lambda: WORDS.read(["a"]),
        "missing text": lambda: WORDS.read(None),
        "array": lambda: mg.ArrayLoader("a", shape=(2,)).read("nowhere.npy"),
        "backslash": lambda: PICTURES.read("no\\where.png"),
        "picture number": lambda: PICTURES.read(12),
    }


@pytest.mark.parametrize("kind", list(errors_of_loaders()))
def test_the_reason_of_every_loader_is_told_without_python_and_training(kind: str) -> None:
    with pytest.raises(mg.LoadError) as refused:
        errors_of_loaders()[kind]()
    reason = refused.value.reason
    plain = plain_reason(reason)
    said, received, rest = plain.partition("Received: ")
    if kind != "unknown label":
        assert "`" not in said and "--" not in said
    assert received + rest == "".join(reason.partition("Received: ")[1:])
    # What is wrong is still there, in whole sentences, and nothing is taken away twice.
    assert reason.replace(" (None or NaN)", "").startswith(said.split(".")[0].rstrip(".; "))
    assert len(said) > 10 and said.rstrip()[-1] in ".?", said
    assert plain_reason(plain) == plain
    assert plain_error(refused.value.at(3, "n")).index == 3


def test_an_error_of_the_scoring_itself_says_how_to_score_the_others() -> None:
    error = mg.LoadError("the picture is broken. Replace it.", index=3, column="p", path="a.png")
    assert str(unscored(error)) == (
        "Cannot load index 3, column 'p', path 'a.png': the picture is broken. Replace it. Fix it, "
        "or score only the rows that can be read with --on-error skip, which counts the others."
    )


def test_one_is_one_and_several_are_several() -> None:
    assert [counted(number, "row") for number in (0, 1, 1200)] == ["0 rows", "1 row", "1,200 rows"]
    for size, words in ((1, "expected one number"), (3, "expected 3 numbers")):
        loader = mg.NumericLoader(list("abc")[:size], mean=[0] * size, scale=[1] * size)
        with pytest.raises(mg.LoadError, match=words):
            loader.read((1.0,) * (size + 1))


@pytest.mark.parametrize(
    ("target", "cell"),
    [
        (mg.ClassLabel("label", ["a", "b"]), None),
        (mg.ClassLabel("label", ["a", "b"]), " "),
        (mg.NumericTarget("label"), None),
        (mg.NumericTarget("label"), float("inf")),
        (mg.MultiLabel("label", ["a", "b"]), None),
        (mg.InputTarget(mg.ImageLoader("label")), None),
    ],
)
def test_a_missing_value_to_predict_is_no_input_that_may_be_blank(target: Any, cell: Any) -> None:
    with pytest.raises(mg.LoadError, match="missing") as caught:
        read_at(target, cell, 3)
    assert 'on_error="skip"' in str(caught.value) and "blank" not in str(caught.value)


def messages_in_the_source() -> list[str]:
    """The reasons of all errors of cells, with "3" for what is filled in."""
    found = []
    for path in Path(mg.__file__).parent.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            named = isinstance(call, ast.Call) and getattr(call.func, "id", "") == "LoadError"
            if not named or not call.args:
                continue
            given = call.args[0]
            parts = given.values if isinstance(given, ast.JoinedStr) else [given]
            if any(isinstance(part, ast.Constant) for part in parts):
                texts = [part.value if isinstance(part, ast.Constant) else "3" for part in parts]
                found.append("".join(map(str, texts)))
    return sorted(set(found))


def test_no_message_loses_the_end_of_a_sentence_where_the_command_line_shortens_it() -> None:
    messages = messages_in_the_source()
    assert len(messages) > 60
    for message in messages:
        said = plain_reason(message).partition("Received: ")[0]
        assert said[:5] == message[:5], (message, said)
        cut = rf"\b({'|'.join(DANGLING)})\s*([.,:;]|$)|  |''|\"\"|[.,]{{2}}| [.,;]|\(\s*\)"
        lost = re.search(cut, said)
        assert lost is None or lost[0] in message, (message, said)
        assert said.count("(") == said.count(")") or message.count("(") != message.count(")"), said


def test_a_url_on_the_command_line_is_told_what_to_do_there() -> None:
    with pytest.raises(mg.LoadError) as refused:
        PICTURES.read("https://example.com/a.png")
    assert plain_reason(refused.value.reason) == (
        "the cell is a URL, and a loader opens only those whose scheme it lists; it lists none. "
        "Download the files."
    )
    with pytest.raises(mg.LoadError) as refused:
        mg.ImageLoader("a", protocols=["s3"]).read("https://example.com/a.png")
    assert "it lists only s3. Download the files." in plain_reason(refused.value.reason)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("Keep rows together with group='image' (`--group image`).", "with --group image."),
        ('Skip them with `on_error="skip"` (`--on-error skip`).', "with --on-error skip."),
        (
            "a. Received: `x='a'` (`--a`)",
            "a. Received: `x='a'` (`--a`)",
        ),
    ],
)
def test_the_command_line_names_the_option_instead_of_the_argument(message: str, said: str) -> None:
    assert in_options(message).endswith(said) and "='" not in in_options(message).split("Rec")[0]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            "`fractions` must add up to 1. Received: fractions=(0.5, 0.4)",
            "--fractions must add up to 1. Received: --fractions (0.5, 0.4)",
        ),
        (
            "`date_format` must be one. Received: cell='a', date_format='x'",
            "--date-format must be one. Received: cell='a', --date-format 'x'",
        ),
        (
            "There is no such file. Received: path='a.csv'",
            "There is no such file. Received: 'a.csv'",
        ),
        # What the command does not have, and what a cell holds.
        ("`zone` is none. Received: 'date_format=3'", "`zone` is none. Received: 'date_format=3'"),
    ],
)
def test_arguments_that_are_options_of_the_command_are_named_so(message: str, said: str) -> None:
    assert in_options(message, ["--fractions", "--date-format"]) == said


def test_a_command_says_the_option_that_it_has(sample_data: Path, tmp_path: Path) -> None:
    table = sample_data / "catalog.csv"
    given = [
        "train",
        str(table),
        "--date",
        "image",
        "--date-format",
        "day",
        "--runs",
        str(tmp_path),
    ]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 2
    assert result.stderr.startswith('Error: --date-format must be "day first", "month first" or')
    assert result.stderr.endswith("Received: --date-format 'day'\n")


def test_a_picture_in_two_parts_is_told_the_option_alone() -> None:
    rows = pd.DataFrame({"image": ["a.png", "b.png"], "label": ["a", "b"]})
    with pytest.warns(mg.LeakageWarning) as warned:
        warn_of_shared_pictures(pd.concat([rows, rows], ignore_index=True), PARTS, ["image"])
    said = in_options(str(warned[0].message))
    assert "Keep the rows of a picture together with --group image" in said and "group=" not in said


def texts(column: str, missing: str) -> mg.Loader:
    return mg.TextLoader.from_texts(column, ["a mug", "a red vase"], missing=missing)


@pytest.mark.parametrize(
    "loader_of",
    [
        lambda missing: texts("cell", missing),
        lambda missing: mg.ManyLoader(texts("cell", "error"), at_most=2, missing=missing),
        lambda missing: mg.ImageLoader("cell", image_size=(8, 8), missing=missing),
        lambda missing: mg.ArrayLoader("cell", shape=(2,), missing=missing),
    ],
    ids=["text", "many", "image", "array"],
)
def test_a_missing_cell_is_scored_where_the_run_takes_it_for_blank(
    loader_of: Callable[[str], mg.Loader],
) -> None:
    target = mg.ClassLabel("kind", ["mug", "vase"])
    rows = pd.DataFrame({"cell": [None, None], "kind": ["mug", "vase"]}, index=["one", "two"])

    def bundle(missing: str) -> mg.Bundle:
        inputs = {"cell": loader_of(missing)}
        return mg.Bundle(mg.build_fusion_classifier(inputs, target), inputs, target)

    check_rows(bundle("blank"), rows, "pictures")
    assert set(bundle("blank").predict(rows).index) == {"one", "two"}
    with pytest.raises(mg.LoadError, match=r"2 of 2 rows cannot be scored, at index 'one', 'two'"):
        check_rows(bundle("error"), rows, "pictures")
