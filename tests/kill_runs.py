"""Trainings that are killed at random moments, and what they leave: `python tests/kill_runs.py
FOLDER KILLS [PROCESSES]`.

Runs of `training_run.py` are killed by SIGKILL and started again until they end, one after the
other until there were enough kills. All of them have to end as the one that was left alone did.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import training_run

TESTS = Path(__file__).parent


def kill_runs(
    folder: Path, kills: int, processes: int, report: Callable[[str], None] = lambda text: None
) -> int:
    """Kill so many times, and check what comes out.

    Args:
        folder: An empty folder for the runs.
        kills: How many processes to kill while they train.
        processes: Worker processes of each, or 0.
        report: Called with a line for each run.

    Returns:
        How many runs came to their end after at least one kill.
    """
    rng = random.Random(0)
    seconds = _start(folder / "alone", None, processes)
    assert seconds is not None
    expected = dict(np.load(folder / "alone" / "result.npz"))
    report(f"alone: {seconds:.1f} s from the first batch to the end, {len(expected)} arrays")
    check_left_behind(folder / "alone")
    killed, runs = 0, 0
    while killed < kills:
        runs += 1
        run, before = folder / f"run-{runs}", killed
        while killed < kills and _start(run, rng.uniform(0, seconds / 2), processes) is None:
            killed += 1
        if not (run / "result.npz").exists():
            assert _start(run, None, processes) is not None
        numbers = dict(np.load(run / "result.npz"))
        assert set(numbers) == set(expected)
        for name, array in numbers.items():
            assert array.tobytes() == expected[name].tobytes(), (
                f"{name} of run {runs} is another one"
            )
        check_left_behind(run)
        report(f"run {runs}: {killed - before} kills, the same bytes in the end")
    return runs


def check_left_behind(run: Path) -> None:
    """Two states, a cache without a torn row, and no temporary file."""
    names = sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.is_file())
    states = [name for name in names if name.startswith("state")]
    assert len(states) == 2 and all(name.endswith(".npz") for name in states), states
    others = [
        name for name in names if not name.startswith(("state", "cache")) and name != "result.npz"
    ]
    assert not others, others
    kept = ("cache/.lock", "claims")
    cache = [name for name in names if name.startswith("cache") and not name.endswith(kept)]
    assert cache and all(Path(name).suffix in (".npy", ".idx", ".json") for name in cache), cache
    for path in run.glob("cache/*/*.npy"):
        assert len(np.load(path)) * 24 == path.with_suffix(".idx").stat().st_size
    kept, fresh = (
        training_run.make_data(shuffle=False, cache=one, on_error="skip")[0]
        for one in (run / "cache", None)
    )
    for kept_batch, fresh_batch in zip(kept.for_evaluation(), fresh.for_evaluation(), strict=True):
        for one, other in zip(kept_batch[0], fresh_batch[0], strict=True):
            assert one.tobytes() == other.tobytes()


def _start(run: Path, delay: float | None, processes: int) -> float | None:
    # Seconds from the first batch to the end; None if it was killed, so many seconds after its
    # first batch.
    run.mkdir(exist_ok=True, parents=True)
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"}
    with open(run / "errors.txt", "w+") as errors:
        process = subprocess.Popen(
            [sys.executable, str(TESTS / "training_run.py"), str(run), str(processes)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        assert process.stdout is not None
        process.stdout.readline()
        begin = time.perf_counter()
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            process.kill()
        code = process.wait()
        process.stdout.close()
        seconds = time.perf_counter() - begin
        errors.seek(0)
        assert code in (0, -9), errors.read()
    (run / "errors.txt").unlink()
    return seconds if code == 0 else None


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    training_run.be_deterministic()
    folder, kills, *processes = sys.argv[1:]
    ends = kill_runs(Path(folder), int(kills), int(processes[0]) if processes else 0, _say)
    _say(
        f"{sys.argv[2]} kills over {ends} runs: all ended with the bytes of the run that was left "
        "alone"
    )
