"""A bad cell of a training row is a bad cell like any other: `audit` lists it, `train` names its
row and the way out, and leaves it out with --on-error skip, whatever learns from the column.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

import multimodal_gen as mg
from multimodal_gen.cli.app import app
from multimodal_gen.cli.audit import audit_from_settings
from multimodal_gen.cli.data import make_loaders
from multimodal_gen.cli.parts import read_parts
from multimodal_gen.cli.reading import readable_parts
from multimodal_gen.cli.settings import INPUT_OPTIONS, RunSettings
from multimodal_gen.loaders.cell_errors import read_at

ROWS = 40
# Column -> the option that reads it, a cell that it cannot read, and what is said of it.
BAD: dict[str, tuple[str, Any, str]] = {
    "added": ("date", "2024-02-31", "There is no such date: day is out of range for month."),
    "price": ("number", "12 EUR", "expected one number. '12 EUR' has something next to a number."),
    "title": ("caption", ["a", "b"], "expected text."),
    "texts": ("captions", [5, "b"], "item 1 of 2: expected text."),
    "brand": ("category", ["a", "b"], "a category must be a single value."),
}
LABELS: dict[str, tuple[list[str], Any, str]] = {
    "class": (["kind"], ["a", "b"], "expected one class."),
    "number": (["stars"], "12 EUR", "expected one number. '12 EUR' has something next"),
    "labels": (["new", "sold"], "maybe", "each class column must hold 0 or 1"),
}


class Silent:
    """A reporter that keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def begin(self, title: str, steps: int, epochs: int | None = None) -> None: ...

    def advance(self) -> None: ...

    def end(self) -> None: ...


def write(path: Path, bad: dict[str, Any] | None = None) -> Path:
    """A table with these cells in row 3."""
    rows = [
        {
            "added": f"2024-{1 + row % 12:02d}-{1 + row % 28:02d}",
            "price": float(row),
            "title": f"a {'red' if row % 2 else 'blue'} thing {row}",
            "texts": [f"red {row}", "a good thing"],
            "brand": f"brand {row % 4}",
            "kind": "ab"[row % 2],
            "stars": row % 7 + 0.5,
            "new": row % 2,
            "sold": int(row % 3 == 0),
        }
        for row in range(ROWS)
    ]
    rows[3] |= bad or {}
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def settings(path: Path, **changes: Any) -> RunSettings:
    given: dict[str, Any] = dict.fromkeys(INPUT_OPTIONS, ())
    given |= {"missing": "error", "number_missing": "error", "label": ("kind",), "target": "class"}
    given |= {"separator": None, "directory": None, "split": None, "split_names": None}
    given |= {"fractions": (0.7, 0.1, 0.2), "group": None, "image_size": (8, 8), "text": "ngrams"}
    given |= {"augment": "none", "batch_size": 8, "seed": 0, "folder": str(path.parent / "run")}
    given |= {"fusion": "joint", "positive": None, "epochs": 1, "ablate": False, "cache": None}
    given |= {"cache_limit": None, "resume": False, "on_error": "raise", "max_error_rate": 0.1}
    return RunSettings(table=str(path), **given | changes)


def read_all(given: RunSettings) -> list[int]:
    """What `train` does before it trains: the rows that are left."""
    unlabelled: list[pd.DataFrame] = []
    parts = read_parts(given, Silent(), unlabelled)
    # With row 3 among those that are learned from.
    assert unlabelled or 3 in parts.train.index
    inputs, target = make_loaders(given, parts, Silent())
    kept = readable_parts(given, parts, inputs, target, Silent(), unlabelled)
    return sorted(row for part in kept for row in part.index)


@pytest.mark.parametrize("column", BAD)
def test_train_reads_past_a_bad_cell_of_a_training_row_and_names_it_or_leaves_it_out(
    tmp_path: Path, column: str
) -> None:
    option, cell, said = BAD[column]
    given = settings(write(tmp_path / "t.jsonl", {column: cell}), **{option: (column,)})
    with pytest.raises(mg.LoadError) as raised:
        read_all(given)
    assert str(raised.value).startswith(f"Cannot load index 3, column '{column}': {said}")
    assert "leave it out with --on-error skip; `multimodal-gen audit` finds all" in str(
        raised.value
    )
    skipped = settings(Path(given.table), on_error="skip", **{option: (column,)})
    assert read_all(skipped) == [row for row in range(ROWS) if row != 3]
    (failure,) = pd.read_csv(tmp_path / "run" / "failures.csv").to_dict("records")
    assert (failure["index"], failure["column"]) == (3, column)


@pytest.mark.parametrize("target", LABELS)
def test_train_names_a_bad_label_and_the_way_out_or_leaves_its_row_out(
    tmp_path: Path, target: str
) -> None:
    label, cell, said = LABELS[target]
    path = write(tmp_path / "t.jsonl", {label[0]: cell})
    same = {"target": target, "label": tuple(label), "number": ("price",)}
    with pytest.raises(mg.LoadError) as raised:
        read_all(settings(path, **same))
    assert str(raised.value).startswith(f"Cannot load index 3, column '{label[0]}': {said}")
    assert "1 of 40 rows has no label that can be read. Fix it, or leave it out with --on-" in str(
        raised.value
    )
    kept = read_all(settings(path, on_error="skip", **same))
    assert kept == [row for row in range(ROWS) if row != 3]


@pytest.mark.parametrize("column", [*BAD, *LABELS])
def test_audit_finds_a_bad_cell_of_a_column_that_is_learned_from(
    tmp_path: Path, column: str
) -> None:
    label, target = ["kind"], "class"
    if column in BAD:
        option, cell, said = BAD[column]
        bad = column
    else:
        option, target = "number", column
        label, cell, said = LABELS[column]
        bad, column = label[0], "price"
    path = write(tmp_path / "t.jsonl", {bad: cell})
    given = settings(path, label=tuple(label), target=target, **{option: (column,)})
    report = audit_from_settings(given, tmp_path / "out", None, None, [], 1, Silent())
    found = report.problems[report.problems["index"] == 3]
    if bad == "kind":
        # A list is a class that is not known.
        said = "the label ['a', 'b'] is not one of the 2 known classes"
    assert any(message.startswith(said) for message in found["message"])


def test_dates_of_the_rarer_way_of_writing_are_bad_cells_and_so_are_those_of_another_format(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "t.jsonl", {"added": "2024-02-03T10:00:00Z"})
    with pytest.raises(mg.LoadError, match="index 3, column 'added': The date has a time zone"):
        read_all(settings(path, date=("added",)))
    # Of an explicit format, which tells a day from a month.
    rows = mg.read_table(path)
    rows["added"] = [f"{1 + row % 12:02d}/{1 + row % 28:02d}/2024" for row in range(ROWS)]
    rows.loc[3, "added"] = "25/01/2024"
    rows.to_json(path, orient="records", lines=True)
    for form in ("month first", "%m/%d/%Y"):
        with pytest.raises(mg.LoadError, match="index 3, column 'added': The.* (date|format)"):
            read_all(settings(path, date=("added",), date_format=form))


def test_a_column_without_a_cell_that_can_be_read_is_an_error_at_once(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl")
    for option, column, said in (
        ("date", "title", "values of 'title' must be dates"),
        ("number", "title", "values of 'title' must be numbers"),
        ("caption", "price", "expected text"),
    ):
        with pytest.raises(ValueError, match=said):
            read_all(settings(path, **{option: (column,)}))


def test_the_commands_say_it_in_one_sentence(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", {"added": "2024-02-31"})
    options = [str(path), "--date", "added", "--label", "kind"]
    result = CliRunner().invoke(app, ["train", *options, "--runs", str(tmp_path)])
    assert result.exit_code == 2
    assert result.stderr == (
        "Error: Cannot load index 3, column 'added': There is no such date: day is out of range "
        "for month. Fix it, or leave it out with --on-error skip; `multimodal-gen audit` finds all "
        "problems. Received: '2024-02-31'\n"
    )
    result = CliRunner().invoke(app, ["audit", *options, "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "3,added,unreadable,There is no such" in (tmp_path / "out/problems.csv").read_text()


@pytest.mark.parametrize(
    ("loader", "cell"),
    [
        (mg.NumericLoader("price", mean=[0], scale=[1]), "n/a"),
        (mg.DateLoader("added", parts=["hour"], mean=0, scale=1), "31/01/2024"),
        (mg.ManyLoader(mg.NumericLoader("prices", mean=[0], scale=[1]), at_most=2), "1/2"),
    ],
)
def test_a_price_or_a_date_with_a_slash_is_not_called_a_path(loader: mg.Loader, cell: str) -> None:
    with pytest.raises(mg.LoadError) as raised:
        read_at(loader, cell, 3)
    assert raised.value.path is None and raised.value.reason.count(repr(cell)) == 1
    # A loader of files names it, whatever is around it.
    pictures = mg.ImageLoader("image")
    for one in (pictures, mg.EncodedLoader(pictures, mg.FunctionEncoder(len, 2, name="own"))):
        with pytest.raises(mg.LoadError) as raised:
            read_at(one, "shop/a.jpg", 3)
        assert raised.value.path == "shop/a.jpg"
