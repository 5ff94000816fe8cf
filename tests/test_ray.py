"""Ray Train as docs/distributed.md shows it: its two workers end as one process does.

Ray is not among the packages of `dev`: `make test-ray BACKEND=torch`, or `jax`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import keras
import numpy as np
import pytest
import rank_run
from test_distributed import outcome, run

import multimodal_gen as mg

pytest.importorskip("ray", reason="ray is not installed: make test-ray")

ROOT = Path(__file__).parent.parent
TRAINERS = {"torch": "TorchTrainer(", "jax": "JaxTrainer("}


def blocks(language: str) -> list[str]:
    text = (ROOT / "docs" / "distributed.md").read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.skipif(keras.backend.backend() not in TRAINERS, reason="tensorflow has no trainer")
@pytest.mark.slow
def test_the_lines_of_the_page_train_in_two_workers_as_one_process_does(tmp_path: Path) -> None:
    (script,) = blocks("python")
    (lines,) = (one for one in blocks("py") if TRAINERS[keras.backend.backend()] in one)
    assert len(lines.splitlines()) <= 15
    # The script of the page as a function, and then a training in which nothing is drawn.
    train = f"def train():\n{textwrap.indent(script, '    ')}\n    rank_run.main(Path('own'), 0)\n"
    head = "from pathlib import Path\nimport rank_run\n"
    (tmp_path / "script.py").write_text(f"{head}\n{train}\n{lines}")
    (tmp_path / "sample_data").symlink_to(ROOT / "sample_data", target_is_directory=True)
    for name in ("own", "alone"):
        (tmp_path / name).mkdir()
    variables = {
        # Where Ray keeps its results.
        "HOME": str(tmp_path),
        "JAX_PLATFORMS": "cpu",
        "KERAS_BACKEND": keras.backend.backend(),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={**os.environ, **variables},
        check=True,
        timeout=400,
    )
    bundle = mg.load_bundle(tmp_path / "runs" / "bundle")
    assert len(bundle.predict(mg.read_table(ROOT / "sample_data" / "catalog.csv").iloc[:3])) == 3
    assert run(tmp_path / "alone", 1) == [0]
    weights, alone = outcome(tmp_path / "alone")
    found_weights, found = outcome(tmp_path / "own")
    assert (alone["world_size"], found["world_size"]) == (1, 2)
    assert np.abs(weights - found_weights).max() < 2e-6 < np.abs(weights).max()
    assert found["failures"] == list(range(7, rank_run.ROWS, 25))
    assert found["history"]["accuracy"] == pytest.approx(alone["history"]["accuracy"], abs=1e-6)
