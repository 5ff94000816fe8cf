"""Worker processes of whole programs: nothing runs twice, and nothing is left behind."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from worker_loaders import Numbers

import multimodal_gen as mg
from multimodal_gen.batch.processes.pool import process_pool_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

# No `if __name__ == "__main__"`, a class and a lambda of the script, and a global that they need.
# A shell that runs these tests in the background has them ignore Ctrl-C, which children inherit.
SCRIPT = """
import os, signal, sys, tempfile, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from dataclasses import replace
from pathlib import Path
import numpy as np, pandas as pd, multimodal_gen as mg
from multimodal_gen.batch.processes.pool import process_pool_of

print("the script runs", flush=True)
FACTOR = 3

class Tripled(mg.Loader):
    def __init__(self, column):
        self.column, self.spec = column, mg.ArraySpec((1,), "float32")

    def read(self, cell):
        if int(cell) < 0:
            time.sleep(60)
        return np.array([FACTOR * int(cell)], "float32")

table = pd.DataFrame({"x": np.arange(400)})
double = lambda batch, rng: replace(batch, inputs={"x": batch.inputs["x"] * 2})
data = mg.MultimodalSequence(
    table, {"x": Tripled("x")}, batch_size=8, processes=2, shuffle=True, batch_augment=[double]
)
pool = process_pool_of(2)
assert pool.wait(60)
print(*pool.workers, flush=True)
for _ in range(2):
    found = np.concatenate([inputs[0][:, 0] for inputs, in data])
    assert sorted(found) == [6 * one for one in range(400)], found
with tempfile.TemporaryDirectory() as cache:
    for _ in range(2):
        cached = mg.MultimodalSequence(
            table.astype(str), {"x": Tripled("x")}, processes=2, batch_size=8, cache=cache
        )
        for _ in cached:
            pass
        pool.forget(cached.assembly)
    here = cached.assembly.cache.of(Tripled("x"))
    assert here.read("5") == 15
    # One folder, although workers cannot find the source of the class; no array is there twice.
    (folder,) = (name for name in os.listdir(cache) if not name.startswith("."))
    deadline = time.monotonic() + 60
    while list(Path(cache, folder).glob("*.open")) and time.monotonic() < deadline:
        time.sleep(0.05)
    kept = sum(len(np.load(path)) for path in Path(cache, folder).glob("*.npy"))
    assert 400 <= kept <= 420, kept
print("read", flush=True)
"""
WAITS = """
data = mg.MultimodalSequence(table - 400, {"x": Tripled("x")}, batch_size=8, processes=2)
list(data)
"""


def run(folder: Path, code: str) -> subprocess.Popen[str]:
    path = folder / "script.py"
    path.write_text(code)
    return subprocess.Popen(
        [sys.executable, path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "KERAS_BACKEND": os.environ.get("KERAS_BACKEND", "tensorflow")},
        start_new_session=True,
    )


def gone(workers: list[int], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not any(os.path.exists(f"/proc/{one}/exe") for one in workers):
            return True
        time.sleep(0.05)
    return False


def test_a_script_runs_once_and_its_own_classes_travel(tmp_path: Path) -> None:
    out, err = run(tmp_path, SCRIPT).communicate(timeout=120)
    assert out.count("the script runs") == 1
    assert out.endswith("read\n"), err
    assert "Error" not in err
    assert gone([int(one) for one in out.splitlines()[1].split()], 20)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_their_parent_even_while_they_read(
    how: signal.Signals, tmp_path: Path
) -> None:
    process = run(tmp_path, SCRIPT + WAITS)
    assert process.stdout is not None
    process.stdout.readline()
    workers = [int(one) for one in process.stdout.readline().split()]
    assert process.stdout.readline() == "read\n"
    time.sleep(0.5)
    # To all processes of the terminal, as Ctrl-C does.
    os.killpg(process.pid, how) if how == signal.SIGINT else process.send_signal(how)
    # A cell that is being read would take 60 seconds; Python and the backend need a while to end.
    _, err = process.communicate(timeout=30)
    assert gone(workers, 20)
    assert err.count("Traceback") == (1 if how == signal.SIGINT else 0), err


def test_batches_are_the_same_if_workers_are_killed_at_random_moments() -> None:
    rng = np.random.default_rng(5)
    table = pd.DataFrame({"x": [str(row) for row in range(2000)], "y": range(2000)})

    def sequence(processes: int) -> mg.MultimodalSequence:
        return mg.MultimodalSequence(
            table, {"x": Numbers("x")}, mg.NumericTarget("y"), shuffle=True, processes=processes
        )

    expected = [inputs[0].tobytes() for inputs, _ in sequence(0)]
    for processes in (1, 2, 5):
        pool = process_pool_of(processes)
        for _ in range(20):
            assert pool.wait(60)
            found = []
            moment = int(rng.integers(len(expected)))
            for position, (inputs, _) in enumerate(sequence(processes)):
                if position == moment:
                    os.kill(int(rng.choice(pool.workers)), signal.SIGKILL)
                found.append(inputs[0].tobytes())
            assert found == expected
        pool.close()


def test_nothing_is_left_after_many_rounds() -> None:
    table = pd.DataFrame({"x": [str(row) for row in range(64)]})
    files = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        pool = process_pool_of(2)
        data = mg.MultimodalSequence(table, {"x": Numbers("x")}, batch_size=8, processes=2)
        assert pool.wait(60)
        workers = pool.workers
        assert len(list(data)) == 8
        del data
        gc.collect()
        pool.close()
        assert gone(workers, 0.1)
    del pool
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= files + 2
