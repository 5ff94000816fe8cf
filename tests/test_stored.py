"""What earlier versions left behind still works: bundles, caches, states of loops and of trainings.

`stored/make.py` says with which version the files were made, and how.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from stored import make

import multimodal_gen as mg

STORED = Path(__file__).parent / "stored" / "0.1.0"
# Sums of floats depend on their order, which backends and processors choose.
CLOSE = {"rtol": 2e-4, "atol": 2e-5}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy that may be written into."""
    return Path(shutil.copytree(STORED, tmp_path / "stored"))


def assert_same_frame(found: pd.DataFrame, path: Path) -> None:
    expected = pd.read_json(path, orient="split")
    assert list(found.columns) == list(expected.columns)
    assert found.index.tolist() == expected.index.tolist()
    for name, column in expected.items():
        if pd.api.types.is_numeric_dtype(column):
            np.testing.assert_allclose(found[name], column, err_msg=str(name), **CLOSE)
        else:
            assert found[name].tolist() == column.tolist(), name


@pytest.mark.parametrize("name", ["bundle", "several", "masked"])
def test_a_stored_bundle_predicts_what_it_did_when_it_was_made(name: str) -> None:
    bundle = mg.load_bundle(STORED / name, directory=STORED)
    table = make.table_in(STORED)
    if name == "several":
        table["image"] = table["image"].where(table.index != 2)
    assert_same_frame(bundle.predict(table), STORED / f"{name}.json")


def test_a_stored_bundle_is_saved_and_loaded_again(folder: Path) -> None:
    mg.load_bundle(folder / "several").save(folder / "again")
    before, after = (
        json.loads((folder / name / "bundle.json").read_text("utf-8"))
        for name in ("several", "again")
    )
    del before["keras"], after["keras"], before["multimodal_gen"], after["multimodal_gen"]
    for name, config in before["inputs"].items():
        # Arguments that came later have their defaults, and what was said then stays.
        assert config["config"].items() <= after["inputs"][name]["config"].items()
    assert [before["inputs_as"], list(before["targets"])] == [
        after["inputs_as"],
        list(after["targets"]),
    ]
    table = make.table_in(folder)
    table["image"] = table["image"].where(table.index != 2)
    assert_same_frame(
        mg.load_bundle(folder / "again", directory=folder).predict(table), folder / "several.json"
    )


@pytest.mark.skipif(
    not os.path.exists("/proc/self/cwd"), reason="the pictures' paths lead through /proc/self/cwd"
)
@pytest.mark.skipif(sys.byteorder != "little", reason="made on a machine of the other byte order")
def test_a_stored_cache_gives_its_arrays_and_nothing_is_read_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    # Caches of another version, and pictures of another Pillow, are read again on purpose. This is
    # about the rest.
    monkeypatch.setattr("multimodal_gen.batch.cache.keys.__version__", "0.1.0")
    monkeypatch.setattr("multimodal_gen.loaders.image.arguments.pillow_version", "11.0.0")
    inputs = make.cached_inputs(folder)
    table = make.cached_table(folder)
    files = sorted(
        path.relative_to(folder) for path in (folder / "cache").rglob("*") if path.name != ".lock"
    )
    for path in table["image"][:4]:
        # Anyone who reads one of these finds a picture of the same size and age that is broken.
        Path(path).write_bytes(bytes(Path(path).stat().st_size))
        os.utime(path, ns=(0, 10**18))
    # The others are in the table itself.
    for loader in inputs.values():
        monkeypatch.setattr(
            type(loader), "read", lambda self, cell: pytest.fail(f"{cell!r} was read again")
        )
    data = mg.MultimodalSequence(table, inputs, batch_size=make.ROWS, cache=folder / "cache")
    ((image, caption),) = data[0]
    with np.load(folder / "cache.npz") as expected:
        np.testing.assert_array_equal(image, expected["image"])
        np.testing.assert_array_equal(caption, expected["caption"])
    now = sorted(
        path.relative_to(folder) for path in (folder / "cache").rglob("*") if path.name != ".lock"
    )
    assert now == files


def test_a_loop_goes_on_from_a_stored_state(folder: Path) -> None:
    stored = json.loads((folder / "state.json").read_text("utf-8"))
    data, _ = make.training(folder)
    data.set_state(stored["state"])
    assert data.epoch == 2
    prices = [np.asarray(inputs[1]).ravel().tolist() for inputs, _ in data]
    assert prices == stored["prices"]


def test_a_training_goes_on_from_a_stored_state_and_ends_as_if_it_had_not_been_broken_off(
    folder: Path,
) -> None:
    backend = keras.backend.backend()
    expected = json.loads((folder / f"training-{backend}.json").read_text("utf-8"))
    batches = Batches()
    found: dict[str, Any] = make.fit(folder, folder / f"training-{backend}", batches)
    # Six of twelve batches had been kept.
    assert batches.taken == 6
    assert found["epochs"] == expected["epochs"]
    for now, before in zip(found["weights"], expected["weights"], strict=True):
        np.testing.assert_allclose(now, before, **CLOSE)
    assert found["history"].keys() == expected["history"].keys()
    for name, values in expected["history"].items():
        np.testing.assert_allclose(found["history"][name], values, err_msg=name, **CLOSE)


class Batches(keras.callbacks.Callback):
    """Counts the batches that are trained on."""

    taken = 0

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self.taken += 1
