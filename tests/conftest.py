"""What the tests share: a small table with real image files, and the sample and real data where
there is any.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browser import FOUND, Browser
from PIL import Image

# Set before any test imports keras: the log of the C++ runtime is no part of a test's output.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ROOT = Path(__file__).parent.parent


def pytest_report_header() -> str:
    return f"keras backend: {os.environ.get('KERAS_BACKEND', 'tensorflow')}"


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are called by their argument: files that a library wrote can hold the time of day, by
    which two processes would name one test differently."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture
def other_backends() -> list[str]:
    """The installed backends but the one in use; the test is skipped where there is none."""
    used = os.environ.get("KERAS_BACKEND", "tensorflow")
    found = [
        one
        for one in ("jax", "torch", "tensorflow")
        if one != used and importlib.util.find_spec(one)
    ]
    if not found:
        pytest.skip("there is no other backend")
    return found


def run_on(backend: str, code: str, *arguments: str) -> str:
    """What Python prints for a program, in a new process on a backend."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def picture_table(tmp_path: Path) -> pd.DataFrame:
    """Ten rows: image (path relative to tmp_path), caption, label, price; string index."""
    return make_picture_table(tmp_path)


def make_picture_table(folder: Path) -> pd.DataFrame:
    """The table of `picture_table`, its files written into a folder."""
    rng = np.random.default_rng(0)
    rows = []
    for row in range(10):
        pixels = rng.integers(0, 256, (20 + row, 30, 3), "uint8")
        Image.fromarray(pixels).save(folder / f"{row}.png")
        rows.append(
            (
                f"{row}.png",
                f"a {'red' if row % 2 else 'blue'} mug number {row}",
                "xyz"[row % 3],
                1.5 * row,
            )
        )
    index = [f"row-{row}" for row in range(10)]
    return pd.DataFrame(rows, columns=["image", "caption", "label", "price"], index=index)


@pytest.fixture
def sample_data() -> Path:
    return ROOT / "sample_data"


@pytest.fixture
def real_data() -> Path:
    """The folder of real data; the test is skipped where there is none."""
    folder = Path(os.environ.get("MULTIMODAL_GEN_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("needs the real data that MULTIMODAL_GEN_DATA points to")
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    try:
        done = subprocess.run(mount, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs the command mount")
    if done.returncode:
        pytest.skip("needs the right to mount a disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A real browser, where there is one."""
    if FOUND is None:
        pytest.skip("there is no Chromium on PATH")
    with Browser(tmp_path_factory.mktemp("browser")) as one:
        yield one
