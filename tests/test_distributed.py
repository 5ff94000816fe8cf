"""Several processes that train one model: what comes out is what one process would have made."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import rank_run

from benchmarks import ranks as ranks_benchmark
from multimodal_gen import distributed
from multimodal_gen.batch.threads import available_cores
from multimodal_gen.distributed.launched import launch
from multimodal_gen.sequence.ranks.callback import check_compiled
from multimodal_gen.sequence.ranks.group import Alone, group_of

RUN = Path(rank_run.__file__)
several = pytest.mark.skipif(
    keras.backend.backend() == "tensorflow", reason="on tensorflow there is one process"
)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def run(folder: Path, world_size: int, killed_after: int = 0) -> list[int]:
    """Run the training in so many processes, and return how each ended."""
    port = free_port()
    started = [
        subprocess.Popen(
            [sys.executable, str(RUN), str(folder), str(killed_after)],
            env={
                **os.environ,
                "KERAS_BACKEND": keras.backend.backend(),
                "JAX_PLATFORMS": "cpu",
                "RANK": f"{rank}",
                "WORLD_SIZE": f"{world_size}",
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": f"{port}",
            },
            stderr=subprocess.DEVNULL if killed_after else None,
        )
        for rank in range(world_size)
    ]
    if killed_after:
        # As launchers do, which start the others anew too.
        started[-1].wait(300)
        for process in started[:-1]:
            process.kill()
    return [process.wait(300) for process in started]


def outcome(folder: Path) -> tuple[np.ndarray, dict[str, Any]]:
    with np.load(folder / "outcome.npz") as parts:
        return parts["weights"], json.loads(parts["found"].tobytes())


@several
@pytest.mark.slow
def test_two_ranks_end_as_one_does_killed_and_with_another_number_of_ranks(tmp_path: Path) -> None:
    for world_size in (1, 2):
        folder = tmp_path / f"{world_size}"
        folder.mkdir()
        assert run(folder, world_size) == [0] * world_size
    weights, alone = outcome(tmp_path / "1")
    found_weights, found = outcome(tmp_path / "2")
    assert found["world_size"] == 2 and alone["world_size"] == 1
    assert np.abs(weights - found_weights).max() < 2e-6 < np.abs(weights).max()
    assert found["failures"] == alone["failures"] == list(range(7, rank_run.ROWS, 25))
    # What is shown: the accuracy to the row, and the loss but for the row that fills up a batch.
    for name in ("accuracy", "val_accuracy"):
        assert found["history"][name] == pytest.approx(alone["history"][name], abs=1e-6)
    assert found["history"]["loss"] == pytest.approx(alone["history"]["loss"], abs=0.01)
    assert found["scores"]["accuracy"] == pytest.approx(alone["scores"]["accuracy"], abs=1e-6)
    # Predictions are in the order of the rows, whoever made them.
    rows = [pd.read_csv(tmp_path / f"{one}" / "predictions.csv", index_col=0) for one in (1, 2)]
    assert len(rows[0]) == rank_run.ROWS
    pd.testing.assert_frame_equal(*rows, rtol=1e-4, atol=1e-5)
    # Killed in the second epoch by two ranks, in the third by four, and ended by one.
    other = tmp_path / "other"
    other.mkdir()
    assert run(other, 2, killed_after=9)[1] == -9
    assert run(other, 4, killed_after=8)[3] == -9
    assert run(other, 1) == [0]
    found_weights, found = outcome(other)
    assert np.abs(weights - found_weights).max() < 2e-6
    assert found["failures"] == alone["failures"] and len(found["history"]["accuracy"]) == 3
    assert found["history"]["accuracy"] == pytest.approx(alone["history"]["accuracy"], abs=1e-6)


def test_a_launcher_says_the_rank_or_what_it_has_left_out() -> None:
    assert (launch({}).rank, launch({}).world_size, launch({}).address) == (0, 1, None)
    whole = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"}
    own = launch(whole)
    assert (own.rank, own.world_size, own.address) == (1, 2, "10.0.0.1:29500")
    with pytest.raises(ValueError, match="Received: no MASTER_ADDR, MASTER_PORT"):
        launch({"RANK": "1", "WORLD_SIZE": "2"})
    for changed in ({"RANK": "one"}, {"RANK": "2"}, {"MASTER_PORT": ""}):
        with pytest.raises(ValueError, match=f"Received: {next(iter(changed))}="):
            launch(whole | changed)


def test_a_process_alone_is_rank_0_of_1(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    ranks = distributed.start()
    assert (ranks.rank, ranks.world_size) == (0, 1)
    whole = rank_run.make_data(rank_run.make_table())
    assert np.array_equal(ranks.shard(whole)[6][1], whole[6][1])
    assert Alone().gather(b"one") == [b"one"] and Alone().first(lambda: b"two") == b"two"
    model = rank_run.make_model(whole)
    fitted = model.fit(whole, verbose=0, shuffle=False, callbacks=[ranks.callback(whole)])
    assert len(fitted.history["loss"]) == 1


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the others can")
def test_tensorflow_trains_in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "x", "MASTER_PORT": "1"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="jax and torch.*the backend tensorflow in 2 processes"):
        distributed.start()


def test_a_shard_is_not_trained_on_where_there_is_one_process() -> None:
    whole = rank_run.make_data(rank_run.make_table())
    with pytest.raises(ValueError, match="rank 0 of 1 on .*a sequence for rank 1 of 2"):
        group_of(whole.shard(1, 2).plan)
    with pytest.raises(ValueError, match="a part of the rows only"):
        rank_run.make_model(whole).fit(whole.shard(1, 2), shuffle=False, verbose=0)


def test_what_would_count_rows_twice_is_refused() -> None:
    whole = rank_run.make_data(rank_run.make_table())
    shard = whole.shard(0, 2)
    check_compiled(rank_run.make_model(whole), shard)
    with pytest.raises(ValueError, match="`weighted_metrics=`.*101 rows in batches of 16"):
        check_compiled(rank_run.make_model(whole, metrics=["accuracy"]), shard)
    # Four rows are left for the last batch, which two ranks divide.
    even = rank_run.make_data(rank_run.make_table().iloc[:100])
    check_compiled(rank_run.make_model(even, metrics=["accuracy"]), even.shard(0, 2))
    with pytest.raises(ValueError, match='`loss=target.loss`.*"mean_with_sample_weight"'):
        check_compiled(rank_run.make_model(whole, loss="sparse_categorical_crossentropy"), shard)


def test_a_state_belongs_to_any_number_of_ranks() -> None:
    whole = rank_run.make_data(rank_run.make_table())
    whole.shard(1, 2).set_state(whole.shard(0, 4).state() | {"epoch": 1, "batch": 3})
    whole.set_state(whole.shard(0, 2).state())


@several
@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("taskset") is None or available_cores() < 2, reason="taskset and two cores"
)
def test_the_benchmark_trains_with_one_rank_with_two_and_apart(tmp_path: Path) -> None:
    common = ["--rows", "16", "--batch-size", "8", "--epochs", "2", "--rounds", "1"]
    ranks_benchmark.main([*common, "--out", str(tmp_path)])
    turns = json.loads((tmp_path / "ranks.json").read_text())["figures"]["turns"]
    assert {name: len(turn) for name, (turn,) in turns.items()} == {
        "one rank": 1,
        "two ranks": 2,
        "apart": 2,
    }
    assert all(
        len(seconds) == 2 and min(seconds) > 0
        for (turn,) in turns.values()
        for one in turn
        for seconds in (one["epoch"], one["processor"])
    )


def test_the_benchmark_compares_epochs_after_the_first() -> None:
    def turn(*epochs: float) -> dict[str, list[float]]:
        return {"epoch": list(epochs), "processor": list(epochs), "waiting": [0.5] * len(epochs)}

    turns = {
        "one rank": [[turn(99, 4, 6, 8)]],
        "two ranks": [[turn(99, 3, 4, 5), turn(99, 5, 2, 3)]],
    }
    assert ranks_benchmark.rows_of(turns, 60) == [
        ["one rank", "10", "1.00", "1.00", "6.00", "8.3%"],
        ["two ranks", "15", "1.50", "1.33", "8.00", "12.5%"],
    ]
