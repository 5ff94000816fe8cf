"""Filling a cache ahead of training, in Python and from the command line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from digest_loader import DigestLoader, reads
from typer.testing import CliRunner

import multimodal_gen as mg
from multimodal_gen.batch.cache import ArrayCache
from multimodal_gen.batch.cache.filling import fill_cache
from multimodal_gen.cli.app import app


def call(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def shop(picture_table: pd.DataFrame, tmp_path: Path) -> Path:
    """A csv of 30 rows beside its pictures."""
    pd.concat([picture_table] * 3).to_csv(tmp_path / "shop.csv", index=False)
    return tmp_path / "shop.csv"


def test_every_cell_is_read_once_and_bad_ones_are_told(
    picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    image = mg.ImageLoader("image", directory=tmp_path, image_size=(8, 8))
    caption = mg.TextLoader.from_texts("caption", picture_table["caption"])
    price = mg.NumericLoader.from_values("price", picture_table["price"])
    table = picture_table.copy()
    table.loc["row-3", "image"] = "gone.png"
    table.loc["row-7", "caption"] = None
    cache, done = ArrayCache(tmp_path / "cache"), []
    for _ in range(2):
        loaders = [image, caption, price, mg.InputTarget(image)]
        filled = fill_cache(table, loaders, cache, threads=3, progress=lambda: done.append(1))
        assert (filled.cells, filled.bad) == (27, 3)
    assert len(done) == 2 * len(table)
    assert [(one.index, one.column) for one in filled.errors] == [("row-3", "image")] * 2 + [
        ("row-7", "caption")
    ]
    assert filled.errors[0].path == str(tmp_path / "gone.png")
    assert "the cell is missing" in filled.errors[2].reason
    assert not list((tmp_path / "cache").glob("*/*.open"))
    with pytest.raises(mg.TableError, match="image"):
        fill_cache(table.drop(columns="image"), loaders, cache)


def test_after_filling_nothing_is_read(tmp_path: Path) -> None:
    loader = DigestLoader("text")
    table = pd.DataFrame({"text": [f"cell {number}" for number in range(100)]})
    reads.clear()
    assert fill_cache(table, [loader], ArrayCache(tmp_path)).cells == len(reads) == 100
    cache = ArrayCache(tmp_path).of(loader)
    assert cache is not None
    for cell in table["text"]:
        cache.read(cell)
    assert len(reads) == 100
    assert fill_cache(table, [], ArrayCache(tmp_path)).cells == 0


STOPPED = """
import os, signal, sys
import pandas as pd
from digest_loader import DigestLoader
from multimodal_gen.batch.cache import ArrayCache
from multimodal_gen.batch.cache.filling import fill_cache

# A shell that runs these tests in the background has them ignore Ctrl-C, which children inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

def progress():
    progress.done += 1
    if progress.done == 200:
        os.kill(os.getpid(), signal.SIGINT)

progress.done = 0
table = pd.DataFrame({"text": [f"cell {number}" for number in range(20_000)]})
try:
    fill_cache(table, [DigestLoader("text")], ArrayCache(sys.argv[1]), threads=2, progress=progress)
except KeyboardInterrupt:
    print("stopped")
"""


def test_ctrl_c_keeps_what_is_done(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
    }
    command = [sys.executable, "-c", STOPPED, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("stopped\n", "")
    assert not list(tmp_path.glob("*/*.open"))
    rows = sum(path.stat().st_size // 24 for path in tmp_path.glob("*/*.idx"))
    assert 200 <= rows < 15_000


def test_nothing_is_written_after_ctrl_c_has_closed_the_cache(tmp_path: Path) -> None:
    class Slow(mg.Loader):
        column, spec = "x", mg.ArraySpec((2,), "float32")

        def read(self, cell: Any) -> np.ndarray:
            # The first chunk is done long before the second.
            time.sleep(0 if int(cell) < 32 else 0.01)
            return np.array([int(cell), 0], "float32")

    def stop() -> None:
        raise KeyboardInterrupt

    table = pd.DataFrame({"x": [str(number) for number in range(640)]})
    # Its traceback holds the generator of results, which would end by itself otherwise.
    with pytest.raises(KeyboardInterrupt) as caught:
        mg.fill_cache(table, [Slow()], tmp_path, threads=2, progress=stop)
    time.sleep(0.1)
    assert caught.tb is not None
    assert not list(tmp_path.glob("*/*.open"))


def test_the_command_tells_the_size_and_reads_nothing_twice(shop: Path, tmp_path: Path) -> None:
    columns = (
        "--image",
        "image",
        "--caption",
        "caption",
        "--image-size",
        "8x9",
        "--fractions",
        "0.5,0.2,0.3",
    )
    arguments = ("cache", shop, "--cache", tmp_path / "cache", *columns)
    code, printed, errors = call(*arguments)
    assert (code, errors) == (0, "")
    assert re.search(
        r"cache: [\d.]+ kB for all rows, 0 bytes there, [\d.,]+ [GT]B free on the disk\n", printed
    )
    assert "60 cells were read, 0 are bad." in printed
    names = sorted(path.name.partition("-")[0] for path in (tmp_path / "cache").iterdir())
    assert names == [".lock", "ImageLoader", "TextLoader"]
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npy")}
    assert call(*arguments)[0] == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npy")} == before


def test_the_command_lists_bad_cells_and_ends_with_1(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "3.png").write_bytes(b"no picture")
    code, printed, errors = call(
        "cache", shop, "--cache", tmp_path / "cache", "--image", "image", "--threads", 1
    )
    assert code == 1
    assert "27 cells were read, 3 are bad." in printed
    lines = errors.splitlines()
    assert len(lines) == 3
    for line in lines:
        assert re.match(
            rf"Cannot load index \d+, column 'image', path '{tmp_path}/3.png': the content is not",
            line,
        )


def test_the_command_keeps_to_its_limit(shop: Path, tmp_path: Path) -> None:
    arguments = ("cache", shop, "--cache", tmp_path / "cache", "--image", "image", "--cache-limit")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        code, printed, errors = call(*arguments, "0.06MB")
    assert code == 1
    assert "limit 60.0 kB (too low for all)" in printed
    assert re.match(
        r"note: The cache .* has reached its limit\. .*30 rows.* about 370 kB\. Set a higher",
        errors,
    )
    assert errors.count("\n") == 1
    assert ArrayCache(tmp_path / "cache").size() <= 60_000
    for wrong in ("lots", "0GB", "20"):
        code, _, errors = call(*arguments, wrong)
        assert code == 2
        assert errors == (
            "Error: --cache-limit must be a size, as in 500MB or 20GB. Received: --cache-limit "
            f"{wrong}\n"
        )


def test_ctrl_c_ends_the_command_with_130(shop: Path, tmp_path: Path) -> None:
    table = pd.concat([pd.read_csv(shop)] * 300)
    table["caption"] += [f" {number}" for number in range(len(table))]
    table.to_csv(shop, index=False)
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = [sys.executable, "-c", f"{heed}; from multimodal_gen.cli import main; main()"]
    command = [*program, "cache", shop, "--cache", tmp_path / "cache", "--caption", "caption"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not list((tmp_path / "cache").glob("*/*.npy")) and process.poll() is None:
        pass
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "Stopped.\n")
    assert not list((tmp_path / "cache").glob("*/*.open"))
