"""Files of predictions: what they hold of the table, and that labels in them can be read again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.cli.option_values import as_score
from multimodal_gen.cli.predict import (
    predict_to_file,
    scores_of,
    with_index,
    with_inputs,
    with_joined_labels,
)


class Lines:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def say(self, line: str) -> None:
        self.told.append(line)


def bundle_of(inputs: Mapping[str, mg.Loader], target: mg.Target) -> mg.Bundle:
    """A model of one layer on vectors, whose weights are the identity: what goes in comes out."""
    layers = [keras.Input(loader.spec.shape, name=name) for name, loader in inputs.items()]
    joined = keras.layers.Concatenate()(layers) if len(layers) > 1 else layers[0]
    model = keras.Model(
        layers, keras.layers.Dense(target.units, kernel_initializer="identity")(joined)
    )
    return mg.Bundle(model, inputs, target)


def numbers(*names: str) -> mg.NumericLoader:
    return mg.NumericLoader(names, mean=[0.0] * len(names), scale=[1.0] * len(names))


TAGS = pd.DataFrame({"a": [0.9, 0.1, 0.7], "b c": [0.8, 0.2, 0.1]}, index=["x", "y", "z"])


@pytest.mark.parametrize(
    ("names", "between"), [(["red", "round"], "|"), (["red|blue", "round"], ";"), ([1, 2], "|")]
)
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_lists_of_labels_in_a_file_are_read_by_a_target_again(
    tmp_path: Path, names: list[Any], between: str, suffix: str
) -> None:
    target, out, lines = mg.MultiLabel("tags", names), tmp_path / f"out.{suffix}", Lines()
    bundle = bundle_of({"n": numbers("a", "b c")}, target)
    assert predict_to_file(bundle, TAGS, out, "folder", lines)
    again = mg.read_table(out)
    assert list(again.columns) == ["row", "a", "b c", "labels", *map(str, names)]
    assert again["row"].tolist() == ["x", "y", "z"]
    assert again["a"].astype(float).tolist() == pytest.approx([0.9, 0.1, 0.7])
    if suffix == "csv":
        assert lines.told[0].endswith(f"Lists are joined with {between!r}.")
        target = mg.MultiLabel("labels", names, separator=between)
    read = np.stack([target.read(cell) for cell in again["labels"]])
    assert read.tolist() == [[1, 1], [0, 0], [1, 0]]


def test_labels_with_a_separator_stand_in_a_file_as_they_are() -> None:
    target = mg.MultiLabel("tags", ["a", "b"], separator=", ")
    frame = with_index(bundle_of({"n": numbers("a", "b c")}, target).predict(TAGS))
    assert with_joined_labels(frame, target) == (frame, None)
    assert frame["labels"].tolist() == ["a, b", "", "a"]


def test_lists_of_labels_of_several_targets_are_joined_and_rows_not_predicted_are_empty() -> None:
    targets = {"tags": mg.MultiLabel("tags", ["a", "b|"]), "n": mg.NumericTarget("n")}
    frame = pd.DataFrame({"tags.labels": [["a", "b|"], [], None], "n.n": [1.0, 2.0, None]})
    joined, separator = with_joined_labels(frame, targets)
    assert separator == ";" and joined["tags.labels"].tolist() == ["a;b|", "", None]


def test_columns_of_inputs_come_once_each_and_only_where_a_file_can_hold_them() -> None:
    table = pd.DataFrame(
        {
            "photo": [b"1", b"2"],
            "row": [1, 2],
            "n": [0.5, 1.5],
            "label": ["caption", None],
            "path": [Path("a/1.png"), "caf\udce9.png"],
            "when": pd.to_datetime(["2024-01-01", "2024-01-02"]),
            "vector": [[1.0], [2.0]],
            "views": [["1.png", "é.png"], np.array([], object)],
        }
    )
    inputs = {
        "photo": mg.ImageLoader("photo"),
        "path": mg.ImageLoader("path"),
        "again": mg.ImageLoader("path"),
        "numbers": numbers("row", "n"),
        "label": mg.TextLoader.from_texts("label", ["caption"]),
        "when": numbers("when"),
        "vector": mg.ArrayLoader("vector", shape=(1,), dtype="float32"),
        "views": mg.ManyLoader(mg.ImageLoader("views"), at_most=2, missing="blank"),
    }
    frame = with_inputs(
        with_index(pd.DataFrame({"label": ["a", "b"], "a": [0.9, 0.2]})), table, inputs
    )
    assert list(frame.columns) == [
        "row",
        "path",
        "input_row",
        "n",
        "input_label",
        "when",
        "views",
        "label",
        "a",
    ]
    assert frame["views"].tolist() == ['["1.png", "é.png"]', "[]"]
    assert frame["path"].tolist() == ["a/1.png", "caf\\udce9.png"]
    assert frame["input_label"].fillna("").tolist() == ["caption", ""] and frame[
        "label"
    ].tolist() == ["a", "b"]
    assert frame["when"].dt.day.tolist() == [1, 2]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_every_kind_of_file_holds_small_numbers_to_the_last_digit(
    tmp_path: Path, suffix: str
) -> None:
    small = pd.DataFrame({"a": [1e-12, 1 / 3, 0.9], "b": [3e-17, 2 / 3, 1e-5]})
    bundle = bundle_of({"n": numbers("a", "b")}, mg.NumericTarget(("x", "y")))
    assert predict_to_file(bundle, small, tmp_path / f"out.{suffix}", "folder", Lines())
    written = mg.read_table(tmp_path / f"out.{suffix}")
    expected = bundle.predict(small)
    for read, wanted in (
        ("x", expected["x"]),
        ("y", expected["y"]),
        ("a", small["a"]),
        ("b", small["b"]),
    ):
        found = written[read].astype(float).to_numpy().astype(wanted.dtype)
        assert found.tolist() == wanted.tolist(), read


def test_rows_that_are_left_out_are_counted_whole() -> None:
    table = pd.DataFrame({"a": [0.5, "none", 0.25], "y": [0.5, 1.0, 0.5]})
    bundle = bundle_of({"n": mg.NumericLoader("a", mean=0.0, scale=1.0)}, mg.NumericTarget("y"))
    scores, _ = scores_of(bundle, table, None, None, "skip", "folder")
    assert (scores["rows"], scores["left_out"]) == (2, 1)
    assert as_score(scores["left_out"], 4) == "1"
