"""What the cache takes for the same cell: never stale, whatever the cells are."""

from __future__ import annotations

import importlib
import linecache
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from digest_loader import CELLS, DigestLoader, cached, reads, reads_of
from PIL import Image

import multimodal_gen as mg


@dataclass(frozen=True)
class BytesLoader(mg.Loader):
    """The first four bytes of a file, times a gain: what a new modality looks like."""

    column: str
    directory: str
    gain: float = 1.0
    spec = mg.ArraySpec((4,), "float32", "vector")

    def read(self, cell: Any) -> np.ndarray:
        reads.append(cell)
        data = Path(self.directory, cell).read_bytes()
        return np.frombuffer(data[:4], "uint8").astype("float32") * np.float32(self.gain)


def outcome_of(read: Callable[[Any], np.ndarray], cell: Any) -> bytes | str:
    """The bytes that reading a cell gives, or what its error says."""
    try:
        return read(cell).tobytes()
    except mg.LoadError as error:
        return str(error)


def files_of(directory: Path, pattern: str) -> list[Path]:
    return sorted(directory.glob(f"*/{pattern}"))


def write(path: Path, content: bytes, seconds: float) -> None:
    """Write a file that was changed so many seconds after a day long ago."""
    path.write_bytes(content)
    os.utime(path, ns=(0, int((1e9 + seconds) * 1e9)))


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    write(tmp_path / "a.bin", b"abcd", 0)
    cache = cached(tmp_path / "cache", BytesLoader("file", str(tmp_path)))
    assert reads_of(cache, ["a.bin"] * 2) == ["a.bin"]
    for seconds, content in ((1e-6, b"ABCD"), (1e-6, b"ABCDE"), (-5, b"efgh")):
        write(tmp_path / "a.bin", content, seconds)
        assert reads_of(cache, ["a.bin"] * 2) == ["a.bin"]
    assert reads_of(cached(tmp_path / "cache", cache.loader), ["a.bin"]) == []


def test_a_file_changed_again_and_again_is_never_stale(tmp_path: Path) -> None:
    cache = cached(tmp_path / "cache", BytesLoader("file", str(tmp_path)))
    for number in range(30):
        (tmp_path / "a.bin").write_bytes(f"{number:04}".encode())
        reads_of(cache, ["a.bin"] * 2)


def test_a_file_replaced_while_it_is_read_is_not_kept(tmp_path: Path) -> None:
    class Slow(mg.Loader):
        spec = mg.ArraySpec((4,), "uint8")

        def __init__(self, column: str) -> None:
            self.column = column

        def read(self, cell: Any) -> np.ndarray:
            data = Path(cell).read_bytes()
            if data == b"old!":
                write(Path(cell), b"new!", 1)
            return np.frombuffer(data, "uint8")

    path = tmp_path / "a.bin"
    write(path, b"old!", 0)
    cache = cached(tmp_path / "cache", Slow("file"))
    assert cache.read(path).tobytes() == b"old!"
    assert cache.read(path).tobytes() == b"new!"
    write(path, b"old?", 0)
    assert cache.read(path).tobytes() == b"old?"


def test_a_changed_setting_makes_another_cache_and_a_random_operation_does_not(
    picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    cells = picture_table["image"].tolist()
    loader = mg.ImageLoader("image", directory=tmp_path, image_size=(8, 8))
    others = [loader.replace(image_size=(8, 9)), loader.replace(interpolation="nearest")]
    for one in (loader, *others, loader.replace(augment=[mg.augment.RandomFlip()])):
        reads_of(cached(tmp_path / "cache", one), cells)
    assert len(files_of(tmp_path / "cache", "settings.json")) == 3
    first, second = (
        cached(tmp_path / "c", DigestLoader("text")),
        cached(tmp_path / "c", DigestLoader("text", "salt")),
    )
    assert reads_of(first, CELLS) == reads_of(second, CELLS) == CELLS


def test_a_loader_that_is_rewritten_is_asked_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    source = Path(__file__).with_name("digest_loader.py").read_text()
    (tmp_path / "own_loader.py").write_text(source)
    module = importlib.import_module("own_loader")
    first = cached(tmp_path / "cache", module.DigestLoader("text")).read("a")
    (tmp_path / "own_loader.py").write_text(
        source.replace("return np.frombuffer", "return 255 - np.frombuffer")
    )
    linecache.checkcache()
    module = importlib.reload(module)
    second = cached(tmp_path / "cache", module.DigestLoader("text")).read("a")
    np.testing.assert_array_equal(second, 255 - first)


def test_cells_of_every_form_are_read_as_without_a_cache(
    picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    loader = mg.ImageLoader("image", directory=tmp_path, image_size=(8, 8))
    path, other = tmp_path / "0.png", tmp_path / "1.png"
    pixels = np.asarray(Image.open(path))
    cache = cached(tmp_path / "cache", loader)
    kept = [
        ("0.png", "1.png"),
        (path.read_bytes(), bytearray(other.read_bytes())),
        (pixels, pixels[::-1]),
        ({"bytes": path.read_bytes(), "path": "x"}, {"bytes": other.read_bytes(), "path": "x"}),
    ]
    for number, cells in enumerate(kept):
        for cell in cells * 2:
            assert cache.read(cell).tobytes() == loader.read(cell).tobytes()
        assert len(cache.folder) == 2 * (number + 1)
    # A path is the same file in whatever it stands, and a picture in memory cannot be told from
    # another.
    for cell in (path, {"bytes": None, "path": "1.png"}, {"path": str(path)}, Image.open(path)):
        assert cache.read(cell).tobytes() == loader.read(cell).tobytes()
        assert len(cache.folder) == 2 * len(kept)
    for odd in (
        3,
        None,
        1.5,
        [1, 2],
        ("a", "b"),
        {"bytes": 3},
        {"path": "0.png", "more": 1},
        object(),
        "\0",
        "\ud800",
    ):
        assert outcome_of(cache.read, odd) == outcome_of(loader.read, odd)
    assert len(cache.folder) == 2 * len(kept)


def test_errors_and_arrays_against_the_spec_are_not_kept(tmp_path: Path) -> None:
    cache = cached(tmp_path / "cache", BytesLoader("file", str(tmp_path)))
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            cache.read("a.bin")
    write(tmp_path / "a.bin", b"abc", 0)
    assert cache.read("a.bin").shape == (3,)
    write(tmp_path / "a.bin", b"abcd", 0)
    assert reads_of(cache, ["a.bin"]) == ["a.bin"]


def test_a_text_that_becomes_the_name_of_a_file_is_read_anew(tmp_path: Path) -> None:
    class Either(mg.Loader):
        spec = mg.ArraySpec((), "int64")

        def __init__(self, column: str) -> None:
            self.column = column

        def read(self, cell: Any) -> np.ndarray:
            return np.array(os.path.getsize(cell) if os.path.exists(cell) else -1)

    cache = cached(tmp_path / "cache", Either("text"))
    name = str(tmp_path / "a.bin")
    assert [int(cache.read(name)) for _ in range(2)] == [-1, -1]
    write(tmp_path / "a.bin", b"abcd", 0)
    assert [int(cache.read(name)) for _ in range(2)] == [4, 4]
    os.remove(name)
    assert int(cache.read(name)) == -1
