"""What `evaluate` and `predict` say of rows that a trained model cannot read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from PIL import Image

import multimodal_gen as mg
from multimodal_gen.cli.bad_rows import check_rows, plain_error, plain_reason, unscored
from multimodal_gen.errors import counted

WORDS = mg.TextLoader.from_texts("words", ["a red mug", "a blue lamp"])
PICTURES = mg.ImageLoader("picture", image_size=(8, 8))
NUMBERS = mg.NumericLoader(["price", "age"], mean=[0, 0], scale=[1, 1])
LABEL = mg.ClassLabel("label", ["mug", "lamp"])


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
        ("age", {2: None, 5: "old"}, "index 'row 2', .*: a number is missing or infinite"),
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
    check_rows(bundle, rows)
    with pytest.raises(mg.LoadError, match=said) as refused:
        check_rows(bundle, spoil(rows, column, cells))
    message = str(refused.value)
    assert "2 of 9 rows cannot be scored, at index 'row 2', 'row 5': fix them, or" in message
    assert "--on-error skip" in message and "`" not in message and "--missing" not in message


def test_a_single_bad_row_is_one_and_of_many_the_first_are_named(
    bundle: Any, rows: pd.DataFrame
) -> None:
    with pytest.raises(mg.LoadError, match=r"known classes: .*Fix it, or score only the other"):
        check_rows(bundle, spoil(rows, "label", {3: "cup"}))
    with pytest.raises(
        mg.LoadError, match="9 of 9 rows .*'row 0', 'row 1', 'row 2', 'row 3', 'row 4' and 4 more"
    ):
        check_rows(bundle, spoil(rows, "price", dict.fromkeys(range(9), "dear")))
    # Of several targets, of a bundle without one, and of what a target takes from an input.
    bundle.target = {"label": LABEL, "again": mg.InputTarget(PICTURES)}
    with pytest.raises(mg.LoadError, match="9 of 9 rows"):
        check_rows(bundle, rows)
    bundle.target = None
    bundle.inputs = {"words": WORDS, "far": mg.ImageLoader("url", image_size=(8, 8))}
    check_rows(bundle, rows.assign(url="https://example.com/a.png"))


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
