"""What can fail at the end of a training is tried before it begins."""

from __future__ import annotations

import importlib.metadata
import json
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from typer.testing import CliRunner

import multimodal_gen as mg
from multimodal_gen.bundle.judging.reliability import Reliability
from multimodal_gen.bundle.versions import running_version
from multimodal_gen.cli.app import app
from multimodal_gen.cli.rehearsal import check_folder, rehearse


def make_bundle(units: int = 8, loader: mg.Loader | None = None) -> mg.Bundle:
    number = keras.Input((1,), name="n")
    outputs = keras.layers.Dense(2, activation="softmax")(keras.layers.Dense(units)(number))
    inputs = {"n": mg.NumericLoader.from_values("n", [0.0, 5.0]) if loader is None else loader}
    return mg.Bundle(keras.Model([number], outputs), inputs, mg.ClassLabel("y", ["a", "b"]))


def make_table() -> pd.DataFrame:
    return pd.DataFrame({"n": np.arange(6.0), "y": list("ababab")})


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a package was copied onto `sys.path`: there are no metadata."""

    def missing(name: str) -> Any:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata.Distribution, "from_name", missing)


@pytest.mark.usefixtures("copied")
def test_a_bundle_is_saved_where_packages_have_no_metadata(tmp_path: Path) -> None:
    make_bundle().save(tmp_path)
    written = json.loads((tmp_path / "bundle.json").read_text())
    assert (written["keras"], written["multimodal_gen"]) == (keras.__version__, mg.__version__)


@pytest.mark.usefixtures("copied")
def test_a_package_that_says_no_version_anywhere_has_an_unknown_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "package_without_version.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert running_version("package_without_version") == "unknown"
    assert running_version(keras.backend.backend()).count(".") >= 2


def test_a_layer_that_cannot_be_written_is_known_when_the_bundle_is_made() -> None:
    class Scaled(keras.layers.Layer):
        def __init__(self, table: Any) -> None:
            super().__init__()
            self.table = table

        def call(self, inputs: Any) -> Any:
            return inputs * len(self.table)

    number = keras.Input((1,), name="n")
    model = keras.Model(
        [number], keras.layers.Dense(2, activation="softmax")(Scaled([object()])(number))
    )
    with pytest.raises(TypeError, match=r"could not be saved.*`get_config`.*Received: a model"):
        mg.Bundle(
            model,
            {"n": mg.NumericLoader.from_values("n", [0.0, 5.0])},
            mg.ClassLabel("y", ["a", "b"]),
        )


def test_a_loader_that_cannot_be_written_is_known_when_the_bundle_is_made() -> None:
    class Scaled(mg.NumericLoader):
        def __init__(self, column: str, function: Any) -> None:
            super().__init__(column, mean=[0.0], scale=[1.0])

    with pytest.raises(TypeError, match=r"could not be saved.*in inputs\['n'\]"):
        make_bundle(loader=Scaled("n", len))


def test_a_trial_of_saving_leaves_nothing_and_finds_what_is_in_the_way(tmp_path: Path) -> None:
    bundle = make_bundle()
    bundle.save(tmp_path / "old")
    before = {path.name: path.read_bytes() for path in (tmp_path / "old").iterdir()}
    make_bundle(16).try_save(tmp_path / "old")
    assert {path.name: path.read_bytes() for path in (tmp_path / "old").iterdir()} == before
    (tmp_path / "new" / "model.keras").mkdir(parents=True)
    with pytest.raises(IsADirectoryError, match=r"new/model.keras"):
        bundle.try_save(tmp_path / "new")
    assert os.listdir(tmp_path / "new") == ["model.keras"]


def test_a_disk_without_room_is_known_before(small_disk: Path) -> None:
    big = make_bundle(units=400_000)
    with pytest.raises(OSError, match=r"(?i)space|write"):
        big.try_save(small_disk / "run")
    assert os.listdir(small_disk) == []


def test_results_that_cannot_be_written_are_known_before(tmp_path: Path) -> None:
    rehearsed: list[Path] = []

    def write(
        folder: Path,
        bundle: mg.Bundle,
        history: Any,
        test: pd.DataFrame,
        predictions: pd.DataFrame,
    ) -> None:
        rehearsed.append(folder)
        bundle.save(folder)
        assert list(predictions.columns) == ["label", "a", "b"]
        assert len(history.history["val_accuracy"]) == len(history.epoch)
        (folder / "curves.png").write_bytes(b"")

    rehearse(write, tmp_path, make_bundle(), make_table())
    assert rehearsed
    assert os.listdir(tmp_path) == []
    (tmp_path / "curves.png").mkdir()
    with pytest.raises(IsADirectoryError, match=r"curves\.png"):
        rehearse(write, tmp_path, make_bundle(), make_table())


def test_a_file_in_the_place_of_the_folder_is_known_first(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    for folder in (tmp_path / "run", tmp_path / "run" / "first"):
        with pytest.raises(NotADirectoryError, match=r"run' is a file. Received: folder="):
            check_folder(folder)
    check_folder(tmp_path / "a" / "b")
    assert os.listdir(tmp_path) == ["run"]


@pytest.mark.parametrize(
    ("owner", "method"),
    [(Figure, "savefig"), (Reliability, "plot"), (mg.Bundle, "importance")],
)
def test_the_command_line_does_not_train_what_it_cannot_draw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: type, method: str
) -> None:

    def broken(self: Any, *arguments: Any, **more: Any) -> None:
        raise ValueError("no font can be found")

    table = pd.DataFrame({"n": np.arange(40.0), "m": np.arange(40.0), "y": list("abcd") * 10})
    table.to_csv(tmp_path / "table.csv", index=False)
    monkeypatch.setattr(owner, method, broken)
    monkeypatch.setattr(keras.Model, "fit", lambda *arguments, **more: pytest.fail("it trains"))
    words = [
        "train",
        str(tmp_path / "table.csv"),
        "--number",
        "n",
        "--number",
        "m",
        "--label",
        "y",
        "--runs",
        str(tmp_path / "runs"),
    ]
    result = CliRunner().invoke(app, words)
    assert str(result.exception) == "no font can be found"
    assert not list((tmp_path / "runs").glob("*/*"))
