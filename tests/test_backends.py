"""Which backend Keras runs on: TensorFlow unless something else is named, and any other where it is
not installed.
"""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg

ROOT = Path(__file__).parent.parent
BACKENDS = ("tensorflow", "jax", "torch")


def run(
    code: str, without: tuple[str, ...], **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run code where some backends cannot be imported, and nothing but `environment` names one."""
    hidden = f"import sys; sys.modules.update(dict.fromkeys({without!r}))\n"
    inherited = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    return subprocess.run(
        [sys.executable, "-c", hidden + code],
        capture_output=True,
        text=True,
        check=False,
        env=inherited | environment,
    )


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_backend_that_is_installed_is_taken_where_tensorflow_is_not(backend: str) -> None:
    pytest.importorskip(backend)
    others = tuple(name for name in BACKENDS if name != backend)
    done = run("import multimodal_gen, os; print(os.environ['KERAS_BACKEND'])", others)
    assert done.stdout.strip() == backend, done.stderr


def test_a_backend_that_was_named_is_not_changed() -> None:
    code = "import multimodal_gen, os; print(os.environ.get('KERAS_BACKEND'))"
    assert run(code, ("tensorflow",), KERAS_BACKEND="tensorflow").stdout.strip() == "tensorflow"
    pytest.importorskip("tensorflow")
    assert run(code, ()).stdout.strip() == "None"


def test_without_a_backend_the_first_use_says_what_to_install_and_tables_are_read() -> None:
    code = "import multimodal_gen as mg; mg.split_table; mg.MultimodalSequence"
    done = run(code, BACKENDS)
    assert "ImportError: Keras has no backend. Install one with pip install" in done.stderr
    done = run("import multimodal_gen as mg; mg.models", BACKENDS, KERAS_BACKEND="torch")
    assert "ImportError: KERAS_BACKEND names 'torch', which is not installed" in done.stderr
    command = (
        "import sys; sys.argv = ['multimodal-gen', '--version']; from multimodal_gen.cli import "
        "main; main()"
    )
    done = run(command, BACKENDS)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: Keras has no backend."), done.stderr


def test_the_lists_without_tensorflow_are_that_of_the_package() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    needed = [line for line in setup["options"]["install_requires"].split("\n") if line]
    extras = setup["options.extras_require"]
    for backend in ("jax", "torch"):
        lines = (ROOT / f"requirements-{backend}.txt").read_text().splitlines()
        listed = [line for line in lines if line and not line.startswith("#")]
        assert listed == [
            extras[backend],
            *(one for one in needed if not one.startswith("tensorflow")),
        ]


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="it runs on TensorFlow")
def test_whoever_only_predicts_leaves_tensorflow_alone(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    table = pd.DataFrame({"x": np.arange(8.0), "y": list("ab") * 4})
    inputs = {"x": mg.NumericLoader.from_values("x", table["x"])}
    target = mg.ClassLabel.from_values("y", table["y"])
    model = mg.build_fusion_classifier(inputs, target)
    mg.Bundle(model, inputs, target).save(tmp_path / "run")
    table.to_csv(tmp_path / "rows.csv", index=False)
    code = """
import sys
from contextlib import suppress
from multimodal_gen.cli import main
sys.argv = ["multimodal-gen", *sys.argv[1:]]
with suppress(SystemExit):
    main()
print("tensorflow" in sys.modules)
"""
    for command, *more in (("predict", "--out", tmp_path / "predictions.csv"), ("evaluate",)):
        done = subprocess.run(
            [sys.executable, "-c", code, command, tmp_path / "run", tmp_path / "rows.csv", *more],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.splitlines()[-1] == "False", done.stdout
        assert len(done.stdout.splitlines()) > 1, done.stderr
