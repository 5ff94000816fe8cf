"""A search that is killed twice, or stopped by Ctrl-C, ends as one that was left alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from test_cli_tune import OPTIONS, ROOT, shop, trials_of

__all__ = ["shop"]

TRIALS = 4
# Whoever starts the tests in the background has Ctrl-C ignored.
HEED = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"


def search(name: str, stop: signal.Signals | None = None, after: int = 0) -> tuple[int, str]:
    """Run a search, and stop it so many lines of trials after its start; its status and output."""
    command = ["tune", *OPTIONS, "--trials", str(TRIALS), "--name", name, "--resume"]
    program = f"{HEED}; import sys; sys.argv[1:] = {command!r}; "
    program += "from multimodal_gen.cli import main; main()"
    lines = []
    with subprocess.Popen(
        [sys.executable, "-u", "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            seen = sum(one.startswith("  trial ") for one in lines)
            if stop is not None and seen == after and line.startswith(("  trial ", "  at most")):
                # Within the next trial.
                time.sleep(1.5)
                process.send_signal(stop)
                stop = None
    return process.returncode, "".join(lines)


@pytest.mark.slow
def test_a_search_that_was_killed_twice_and_stopped_once_ends_with_the_same_best_trial(
    shop: Path,
) -> None:
    code, said = search("alone")
    assert code == 0, said
    code, said = search("stopped", signal.SIGKILL)
    assert code == -signal.SIGKILL, said
    code, said = search("stopped", signal.SIGKILL, after=2)
    assert code == -signal.SIGKILL, said
    code, said = search("stopped", signal.SIGINT, after=1)
    assert code == 130, said
    assert "--resume goes on with them" in said
    code, said = search("stopped")
    assert code == 0, said
    assert "of an earlier start" in said
    runs = [Path("runs", name) for name in ("alone", "stopped")]
    one, two = map(trials_of, runs)
    pd.testing.assert_frame_equal(one, two, rtol=1e-3)
    chosen = [
        json.loads((run / "metrics.json").read_text())["details"]["search"]["chosen"]
        for run in runs
    ]
    assert chosen[0] == chosen[1]
    predictions = [pd.read_csv(run / "predictions.csv") for run in runs]
    pd.testing.assert_frame_equal(*predictions, rtol=1e-3, atol=1e-4)
