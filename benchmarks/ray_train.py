"""Whether workers of Ray Train end where one process does: killed, and in other numbers.

    pip install "ray[train]"
    KERAS_BACKEND=torch python -m benchmarks.ray_train --out runs/bench

`benchmarks.rank_training` is trained by one process without Ray, by two workers, by two of which
one is killed at random moments, and by two that are stopped in the middle and followed by one and by
four. On jax, it is also started as Ray starts it on CPUs by default, which must be refused. Every
start of workers takes some seconds, so the whole takes minutes. Needs a cluster that Ray finds, or
a machine on which it can start one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig

from benchmarks.rank_training import SAVE_EVERY, STEPS, train
from benchmarks.report import Report, add_arguments, publish

ROOT = Path(__file__).parent.parent
Kills = list[tuple[int, float]]


def trainer(folder: Path, workers: int, kills: Kills, failures: int, connected: bool) -> Any:
    """Ray's trainer of the backend.

    Args:
        folder: Gets the outcome and the states.
        workers: How many.
        kills: As `rank_training.Steps` takes them.
        failures: How often Ray starts the workers again.
        connected: Whether Ray is told to connect workers of jax.
    """
    given: dict[str, Any] = {
        "train_loop_config": {"folder": str(folder), "kills": kills},
        "scaling_config": ScalingConfig(num_workers=workers, resources_per_worker={"CPU": 1}),
        "run_config": RunConfig(
            name=folder.name,
            storage_path=str(folder.parent / "ray"),
            failure_config=FailureConfig(max_failures=failures),
        ),
    }
    if keras.backend.backend() == "torch":
        from ray.train.torch import TorchTrainer

        return TorchTrainer(train, **given)
    from ray.train.v2.jax import JaxTrainer
    from ray.train.v2.jax.config import JaxConfig

    return JaxTrainer(train, jax_config=JaxConfig(use_gpu=True) if connected else None, **given)


def run(
    folder: Path, workers: int, kills: Kills = (), failures: int = 0, connected: bool = True
) -> str:
    """Train with Ray, and return what Ray says of an error, or nothing.

    Args:
        folder: Gets the outcome and the states.
        workers: How many.
        kills: As `rank_training.Steps` takes them.
        failures: How often Ray starts the workers again.
        connected: Whether Ray is told to connect workers of jax.
    """
    started = time.perf_counter()
    try:
        error = trainer(folder, workers, list(kills), failures, connected).fit().error
    except Exception as raised:
        error = raised
    print(f"{folder.name}: {time.perf_counter() - started:.0f} s", flush=True)
    return "" if error is None else str(error)


def steps_of(folder: Path, rank: int = 0) -> list[list[int]]:
    """The steps that a rank has done, a list for each time that it began."""
    path = folder / f"steps-{rank}.jsonl"
    starts: list[list[int]] = []
    for line in path.read_text().splitlines() if path.exists() else []:
        if json.loads(line) == "begin":
            starts.append([])
        else:
            starts[-1].append(json.loads(line))
    return [one for one in starts if one]


def repeated(folder: Path) -> list[int]:
    """How many steps were trained again at each start.

    Raises:
        AssertionError: If a step was left out, or one was repeated that a state had.
    """
    starts = steps_of(folder)
    again = []
    for before, after in zip(starts, starts[1:], strict=False):
        again.append(before[-1] + 1 - after[0])
        # A worker that dies may have been a step ahead of rank 0.
        assert 0 <= again[-1] <= SAVE_EVERY + 1, (before, after)
    for one in starts:
        assert one == list(range(one[0], one[-1] + 1)), one
    assert starts[0][0] == 0 and starts[-1][-1] == STEPS - 1, starts
    return again


def apart(one: Path, other: Path) -> float:
    """The largest difference of a weight, relative to the largest weight."""
    with np.load(one / "outcome.npz") as a, np.load(other / "outcome.npz") as b:
        assert a["failures"].tolist() == b["failures"].tolist()
        assert np.allclose(a["accuracy"], b["accuracy"], atol=1e-6)
        return float(np.abs(a["weights"] - b["weights"]).max() / np.abs(a["weights"]).max())


def drawn(number: int, workers: int, seed: int) -> Kills:
    """Random moments, and who is killed at each."""
    rng = np.random.default_rng(seed)
    moments = np.sort(rng.uniform(0, STEPS, number))
    return [(int(rng.integers(workers)), float(one)) for one in moments]


def in_words(kills: Kills) -> str:
    """Moments of kills for the table."""
    return ", ".join(f"rank {rank} in step {moment:.2f}" for rank, moment in kills)


def measure(folder: Path, kills: Kills) -> list[list[str]]:
    """Run everything, and return the rows of the table."""
    one = folder / "one"
    train({"folder": one, "kills": []})
    found = []

    def note(what: str, name: str, again: list[int]) -> None:
        said = ", ".join(map(str, again)) or "none"
        found.append([what, said, f"{apart(one, folder / name):.1e}"])
        print(*found[-1], sep=" | ", flush=True)

    error = run(folder / "two", 2)
    assert not error, error
    note("2 workers", "two", repeated(folder / "two"))
    error = run(folder / "killed", 2, kills, failures=2 * len(kills))
    assert not error, error
    assert len(list((folder / "killed").glob("killed-*"))) == len(kills)
    note(f"2 workers, killed: {in_words(kills)}", "killed", repeated(folder / "killed"))
    middle: Kills = [(1, STEPS / 2 + 0.5)]
    assert run(folder / "stopped", 2, middle)
    for workers in (1, 4):
        name = f"then-{workers}"
        shutil.copytree(folder / "stopped", folder / name)
        error = run(folder / name, workers, middle)
        assert not error, error
        note(f"2 workers, {in_words(middle)}; then {workers}", name, repeated(folder / name))
    if keras.backend.backend() == "jax":
        error = run(folder / "apart", 2, connected=False)
        assert "The workers are not connected" in error, error
        found.append(["2 workers that Ray has not connected", "", "refused"])
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    add_arguments(parser)
    given = parser.parse_args(arguments)
    kills = drawn(given.kills, 2, given.seed)
    variables = {
        "KERAS_BACKEND": keras.backend.backend(),
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    own = {} if "RAY_ADDRESS" in os.environ else {"num_cpus": 5}
    ray.init(runtime_env={"env_vars": variables}, log_to_driver=False, **own)
    try:
        with tempfile.TemporaryDirectory() as folder:
            rows = measure(Path(folder), kills)
    finally:
        ray.shutdown()
    title = f"Ray Train {ray.__version__} on {keras.backend.backend()}, beside one process"
    columns = ("trained by", "steps again", "weights apart")
    notes = [
        f"{STEPS} steps; a state is kept every {SAVE_EVERY}. Weights: the largest difference, "
        "relative to the largest weight."
    ]
    publish(Report("ray_train", title, columns, rows, notes, {"rows": rows}), given)


if __name__ == "__main__":
    main()
