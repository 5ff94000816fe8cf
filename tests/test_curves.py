"""The curves that a run draws while it trains, for TensorBoard and MLflow: `make test-watch`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import pandas as pd
import pytest
from test_cli import assert_refused, call, write_shop
from test_distributed import run, several
from test_resume import Interrupt, fit, interrupted

EPOCHS = 8
without = pytest.mark.skipif(find_spec("tensorboard") is not None, reason="it is installed")


def points(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Tag -> step and value of each point of a folder of TensorBoard, in the order of writing."""
    loading = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader")
    from tensorboard.util.tensor_util import make_ndarray

    found: dict[str, list[tuple[int, float]]] = {}
    # Their names have the second and a number, which do not sort as they were written.
    written = sorted(folder.glob("events.out.tfevents.*"), key=lambda file: file.stat().st_mtime_ns)
    for file in written:
        for event in loading.EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                point = event.step, float(make_ndarray(value.tensor))
                found.setdefault(value.tag, []).append(point)
    return found


def command(shop: Path, runs: Path, *options: str, epochs: int = 2) -> list[str]:
    """`train` on captions, with states to resume from."""
    columns = ("--caption", "caption", "--split", "split", "--batch-size", "8")
    own = ("--epochs", str(epochs), "--runs", str(runs))
    return ["train", str(shop), *columns, *own, *options]


def killed(line: list[str], state: Path) -> None:
    """Run the command in a process that is killed once it has written two states."""
    with subprocess.Popen(
        [sys.executable, "-m", "multimodal_gen", *line], stdout=-1, stderr=-1
    ) as process:
        while len(list(state.glob("*.npz"))) < 2:
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_resumed_run_goes_on_in_the_same_curves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    # With a database, MLflow keeps files beside it in the working directory.
    monkeypatch.chdir(tmp_path)
    shop, runs, address = write_shop(tmp_path), tmp_path / "runs", f"sqlite:///{tmp_path}/m.db"
    line = command(shop, runs, "--resume", "--tensorboard", "--mlflow", address, epochs=EPOCHS)
    killed(line, runs / "shop" / "state" / "caption")
    code, said, errors = call(*line)
    assert (code, errors) == (0, "") and f"--logdir {runs}/shop/tensorboard" in said
    history = pd.read_csv(runs / "shop" / "history.csv")
    assert len(history) == EPOCHS
    # A kill between a point and its state draws it twice, with the same value.
    drawn = points(runs / "shop" / "tensorboard" / "caption" / "train")["epoch_loss"]
    assert [step for step, _ in drawn] == sorted(step for step, _ in drawn)
    assert len(dict(drawn)) == len(set(drawn)) == EPOCHS
    assert list(dict(drawn).values()) == pytest.approx(history["loss"].tolist(), rel=1e-5)
    held = points(runs / "shop" / "tensorboard" / "caption" / "validation")["epoch_loss"]
    assert list(dict(held).values()) == pytest.approx(history["val_loss"].tolist(), rel=1e-5)
    client = mlflow.MlflowClient(address)
    (logged,) = client.search_runs(["0"])
    assert (logged.info.run_name, logged.info.status) == ("shop/caption", "FINISHED")
    assert logged.data.params["batch_size"] == "8" and "optimizer_name" in logged.data.params
    curve = {one.step: one.value for one in client.get_metric_history(logged.info.run_id, "loss")}
    assert list(curve) == list(range(EPOCHS))
    assert list(curve.values()) == pytest.approx(history["loss"].tolist(), rel=1e-5)
    metrics = json.loads((runs / "shop" / "metrics.json").read_text())
    assert logged.data.metrics["test_accuracy"] == pytest.approx(
        metrics["details"]["scores"]["caption"]["accuracy"]
    )
    assert not [name for name in logged.data.metrics if name.startswith("validation_")]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_new_run_removes_the_curves_of_the_one_it_replaces(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    shop, runs = write_shop(tmp_path), tmp_path / "runs"
    board = runs / "shop" / "tensorboard"
    for _ in range(2):
        line = command(shop, runs, "--overwrite", "--tensorboard")
        assert call(*line)[0] == 0
        assert [step for step, _ in points(board / "caption" / "train")["epoch_loss"]] == [0, 1]
    folds = command(shop, runs, "--overwrite", "--tensorboard", "--folds", "2")
    assert call(*folds)[0] == 0
    for number in (1, 2):
        assert len(points(board / f"fold_{number}" / "train")["epoch_loss"]) == 2
    assert call(*command(shop, runs, "--overwrite"))[0] == 0
    assert not board.exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_steps_of_a_resumed_training_go_on_in_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")

    def board() -> Any:
        return keras.callbacks.TensorBoard(
            tmp_path / "board", write_graph=False, update_freq="batch"
        )

    # Six batches an epoch, with a state after every second.
    for batches in (4, 8):
        interrupted(tmp_path / "state", board(), Interrupt(batches), validating=True)
    fit(tmp_path / "state", board(), validating=True)
    drawn = points(tmp_path / "board" / "train")
    steps = [step for step, _ in drawn["batch_loss"]]
    assert sorted(set(steps)) == list(range(1, 19)) and steps == sorted(steps)
    assert [step for step, _ in drawn["epoch_loss"]] == [0, 1, 2]


@several
@pytest.mark.slow
def test_of_several_processes_rank_0_draws_them(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    assert run(tmp_path, 2) == [0, 0]
    drawn = points(tmp_path / "board" / "train")
    assert [step for step, _ in drawn["epoch_loss"]] == [0, 1, 2]
    assert [step for step, _ in drawn["batch_loss"]] == list(range(1, 22))
    assert len(list((tmp_path / "board" / "train").iterdir())) == 1


@without
def test_a_package_that_is_missing_is_named_before_anything_is_read(tmp_path: Path) -> None:
    line = command(write_shop(tmp_path), tmp_path / "runs", "--tensorboard")
    words = "--tensorboard needs tensorboard and tensorflow: pip install tensorboard tensorflow"
    assert_refused(call(*line), words)
    assert not (tmp_path / "runs").exists()


@pytest.mark.filterwarnings("ignore")
def test_a_tracking_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    line = command(write_shop(tmp_path), tmp_path / "runs")
    words = "--mlflow must be the address of a tracking server that answers"
    assert_refused(call(*line, "--mlflow", "http://me:secret@127.0.0.1:9"), words)
    assert_refused(call(*line, "--mlflow", "no://address"), words)
    assert not (tmp_path / "runs").exists()
