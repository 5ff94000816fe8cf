"""Whether workers of Ray Train end where one process does: killed, and in other numbers.

    pip install "ray[train]"
    KERAS_BACKEND=torch python -m benchmarks.ray_train --out runs/bench

`benchmarks.rank_training` is trained by one process without Ray, by two workers, by two of which
one is killed at random moments, and by two that are stopped in the middle and followed by one and
by four; on torch with `--floatx float64` too, which tells rounding from anything else. On jax, it
is also started as Ray starts it on CPUs by default, which must be refused. Every start of workers
takes some seconds, so the whole takes minutes. Needs a cluster that Ray finds, or a machine on
which it can start one.
"""

from __future__ import annotations

import argparse
import itertools
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


def trainer(config: dict[str, Any], workers: int, failures: int, connected: bool) -> Any:
    """Ray's trainer of the backend.

    Args:
        config: As `rank_training.train` takes it.
        workers: How many.
        failures: How often Ray starts the workers again.
        connected: Whether Ray is told to connect workers of jax.
    """
    folder = Path(config["folder"])
    given: dict[str, Any] = {
        "train_loop_config": config,
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


def run(config: dict[str, Any], workers: int, failures: int = 0, connected: bool = True) -> str:
    """Train with Ray, and return what Ray says of an error, or nothing; arguments of `trainer`."""
    started = time.perf_counter()
    try:
        error = trainer(config, workers, failures, connected).fit().error
    except Exception as raised:
        error = raised
    print(f"{config['folder']}: {time.perf_counter() - started:.0f} s", flush=True)
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
    for before, after in itertools.pairwise(starts):
        again.append(before[-1] + 1 - after[0])
        # A worker that dies may have been a step ahead of rank 0.
        assert 0 <= again[-1] <= SAVE_EVERY + 1, (before, after)
    for one in starts:
        assert one == list(range(one[0], one[-1] + 1)), one
    assert (starts[0][0], starts[-1][-1]) == (0, STEPS - 1), starts
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


def measure(folder: Path, kills: Kills, floatx: str) -> list[list[str]]:
    """Run everything, and return the rows of the table."""
    found = []

    def config(name: str, kills: Kills = ()) -> dict[str, Any]:
        return {"folder": str(folder / name), "kills": list(kills), "floatx": floatx}

    def note(what: str, name: str, error: str) -> None:
        assert not error, error
        said = ", ".join(map(str, repeated(folder / name))) or "none"
        found.append([what, said, f"{apart(folder / 'one', folder / name):.1e}"])
        print(*found[-1], sep=" | ", flush=True)

    train(config("one"))
    note("2 workers", "two", run(config("two"), 2))
    error = run(config("killed", kills), 2, failures=2 * len(kills))
    assert len(list((folder / "killed").glob("killed-*"))) == len(kills), error
    note(f"2 workers, killed: {in_words(kills)}", "killed", error)
    middle: Kills = [(1, STEPS / 2 + 0.5)]
    assert run(config("stopped", middle), 2)
    for workers in (1, 4):
        name = f"then-{workers}"
        shutil.copytree(folder / "stopped", folder / name)
        what = f"2 workers, {in_words(middle)}; then {workers}"
        note(what, name, run(config(name, middle), workers))
    if keras.backend.backend() == "jax":
        error = run(config("apart"), 2, connected=False)
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
    parser.add_argument("--floatx", choices=("float32", "float64"), default="float32")
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
            rows = measure(Path(folder), kills, given.floatx)
    finally:
        ray.shutdown()
    backend = keras.backend.backend()
    title = f"Ray Train {ray.__version__} on {backend} in {given.floatx}, beside one process"
    columns = ("trained by", "steps again", "weights apart")
    notes = [
        f"{STEPS} steps; a state is kept every {SAVE_EVERY}. Weights: the largest difference, "
        "relative to the largest weight."
    ]
    publish(Report("ray_train", title, columns, rows, notes, {"rows": rows}), given)


if __name__ == "__main__":
    main()
