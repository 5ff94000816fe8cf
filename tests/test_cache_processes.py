"""The cache under several processes, kills and disks that are full or read-only: the real things,
no stand-ins.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
from digest_loader import ROW_BYTES, DigestLoader, cached, reads

import multimodal_gen as mg
from multimodal_gen.batch.cache import ArrayCache, LoaderCache
from multimodal_gen.batch.cache.claims import Claims
from multimodal_gen.batch.cache.folder import size_of

TESTS = Path(__file__).parent


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"}
    command = [sys.executable, "-W", "error", "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=-1, stderr=-1, text=True)


def finish(process: subprocess.Popen[str]) -> str:
    printed, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    return printed


def misses_of(cache: LoaderCache, stop: int, start: int = 0) -> int:
    """Read cells through the cache, compare them with fresh ones, and count those that the loader
    was asked for.
    """
    misses = 0
    for number in range(start, stop):
        reads.clear()
        array = cache.read(f"cell {number}")
        misses += len(reads)
        assert array.tobytes() == cache.loader.read(f"cell {number}").tobytes()
    return misses


def open_files(directory: Path) -> list[Path]:
    return [
        path
        for path in directory.rglob("*")
        if path.is_file() and path.suffix not in (".idx", ".npy", ".json") and path.name != "claims"
    ]


def test_two_processes_fill_at_once_and_a_third_reads_along(tmp_path: Path) -> None:
    main = "import digest_loader; digest_loader.main()"
    ranges = ((0, 450, 1), (150, 600, 1), (0, 600, 2))
    processes = [start(main, tmp_path, *one) for one in ranges]
    asked = [int(finish(process)) for process in processes]
    assert asked[2] <= 600
    assert misses_of(cached(tmp_path, DigestLoader("text")), 600) == 0
    assert open_files(tmp_path) == [tmp_path / ".lock"]


KILLS = """
import os, random, signal, sys, time
from digest_loader import DigestLoader
from multimodal_gen.batch.cache import ArrayCache

random.seed(0)
for turn in range(15):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        cache = ArrayCache(sys.argv[1]).of(DigestLoader("text"))
        for number in range(1000 * turn, 100_000):
            cache.read(f"cell {number}")
            if number == 1000 * turn:
                os.write(writer, b".")
    os.read(reader, 1)
    time.sleep(random.uniform(0, 0.03))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


def test_a_killed_process_leaves_nothing_torn_and_nothing_behind(tmp_path: Path) -> None:
    finish(start(KILLS, tmp_path))
    assert sum(path.stat().st_size // 24 for path in tmp_path.glob("*/*.idx*")) >= 15
    assert len(list(tmp_path.glob("*/*.idx.open"))) == 1
    cache = cached(tmp_path, DigestLoader("text"))
    for turn in range(15):
        assert misses_of(cache, 1000 * turn + 100, 1000 * turn) < 100
    cache.cache.close()
    assert open_files(tmp_path) == [tmp_path / ".lock"]
    for path in tmp_path.glob("*/*.npy"):
        assert len(np.load(path)) * 24 == path.with_suffix(".idx").stat().st_size > 0


FORKS = """
import os, sys, threading
from digest_loader import reads, DigestLoader
from multimodal_gen.batch.cache import ArrayCache

loader = DigestLoader("text")
cache = ArrayCache(sys.argv[1]).of(loader)

def check(first, last):
    for number in range(first, last):
        assert cache.read(f"cell {number}").tobytes() == loader.read(f"cell {number}").tobytes()

check(0, 20)
for turn in range(3):
    cache.folder._lock.acquire()  # as a thread has it that is writing at this moment
    child = os.fork()
    if child == 0:
        reads.clear()
        for number in range(20):
            cache.read(f"cell {number}")
        assert not reads
        check(20, 60 + turn)
        if turn == 0:
            sys.exit(0)
        if turn == 1:
            cache.cache.close()
        os._exit(0)
    cache.folder._lock.release()
    assert os.waitpid(child, 0)[1] == 0
check(0, 70)
"""


def test_a_forked_child_writes_files_of_its_own(tmp_path: Path) -> None:
    finish(start(FORKS, tmp_path))
    cache = cached(tmp_path, DigestLoader("text"))
    assert misses_of(cache, 70) == 0
    cache.cache.close()
    assert open_files(tmp_path) == [tmp_path / ".lock"]


def test_a_full_disk_is_one_warning(small_disk: Path) -> None:
    cache = cached(small_disk / "cache", DigestLoader("text"))
    with pytest.warns(
        UserWarning, match=r"is on a full disk. Free some space, .* Received: \[Errno 28\]"
    ) as warned:
        assert misses_of(cache, 100) == 100
    assert len(warned) == 1
    kept = 100 - misses_of(cache, 100)
    assert 50 < kept < 64
    cache.cache.close()
    assert misses_of(cached(small_disk / "cache", DigestLoader("text")), kept) == 0
    assert open_files(small_disk) == [small_disk / "cache" / ".lock"]


def test_a_disk_that_was_full_from_the_beginning_is_one_warning(small_disk: Path) -> None:
    (small_disk / "other").write_bytes(bytes(2**20 - 4096))
    with pytest.warns(UserWarning, match="is on a full disk") as warned:
        assert misses_of(cached(small_disk / "cache", DigestLoader("text")), 10) == 10
    assert len(warned) == 1


def test_what_cannot_be_written_to_is_read_and_one_warning_tells(small_disk: Path) -> None:
    cache = cached(small_disk / "cache", DigestLoader("text"))
    misses_of(cache, 10)
    cache.cache.close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    cache = cached(small_disk / "cache", DigestLoader("text"))
    with pytest.warns(
        UserWarning, match=r"cannot be used in full. What is not in it is read again.*Read-only"
    ) as warned:
        assert misses_of(cache, 20) == 10
    assert len(warned) == 1


SMALL_FILES = """
import resource, sys, warnings
resource.setrlimit(resource.RLIMIT_FSIZE, (2**19, 2**19))
from digest_loader import reads, DigestLoader
from multimodal_gen.batch.cache import ArrayCache

cache = ArrayCache(sys.argv[1]).of(DigestLoader("text"))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for _ in range(2):
        for number in range(100):
            cache.read(f"cell {number}")
assert len(caught) == 1 and "full disk" in str(caught[0].message), caught
print(len(reads))
"""


def test_a_limit_of_the_system_on_files_is_one_warning(tmp_path: Path) -> None:
    assert int(finish(start(SMALL_FILES, tmp_path))) == 200
    assert size_of(str(tmp_path)) < 2**19


def test_processes_together_stay_under_the_limit(tmp_path: Path) -> None:
    limit = 100 * ROW_BYTES
    script = """
import sys, warnings
from digest_loader import DigestLoader
from multimodal_gen.batch.cache import ArrayCache
warnings.simplefilter("ignore")
cache = ArrayCache(sys.argv[1], limit=int(sys.argv[2])).of(DigestLoader("text"))
for number in range(int(sys.argv[3]), int(sys.argv[4])):
    cache.read(f"cell {number}")
    assert cache.cache.size() <= cache.cache.limit
"""
    for process in [start(script, tmp_path, limit, first, first + 300) for first in (0, 200)]:
        finish(process)
    assert 0.7 * limit < size_of(str(tmp_path)) <= limit


def test_a_key_is_new_to_the_process_that_claims_it_first(tmp_path: Path) -> None:
    first, second = Claims(str(tmp_path)), Claims(str(tmp_path))
    keys = [blake2b(bytes([number]), digest_size=16).digest() for number in range(100)]
    assert all(first.claim(key) for key in keys)
    # A few may have replaced others.
    assert sum(second.claim(key) for key in keys) <= 2


def test_processes_that_start_together_keep_each_array_once(tmp_path: Path) -> None:
    script = """
import sys, time
from digest_loader import DigestLoader, cached
reader = cached(sys.argv[1], DigestLoader("text"))
for number in range(300):
    # As long as a small picture takes, and a little different in each process.
    time.sleep(0.001 + 0.0001 * int(sys.argv[2]))
    reader.read(f"cell {number}")
reader.cache.close()
"""
    for process in [start(script, tmp_path, number) for number in range(4)]:
        finish(process)
    kept = sum(len(np.load(path)) for path in tmp_path.glob("*/*.npy"))
    assert 300 <= kept <= 1.05 * 300


def test_a_class_that_is_defined_again_in_a_notebook_is_read_again(tmp_path: Path) -> None:
    cell = """
class InACell(mg.Loader):
    factor = {factor}

    def __init__(self, column):
        self.column, self.spec = column, mg.ArraySpec((1,), "float32")

    def read(self, cell):
        return np.array([self.factor * {scale} * float(cell)], "float32")
"""
    values = []
    for factor, scale in ((1, 1), (1, 1000), (2, 1), (1, 1)):
        names: dict[str, object] = {"mg": mg, "np": np, "__name__": "__main__"}
        exec(cell.format(factor=factor, scale=scale), names)
        cache = ArrayCache(tmp_path)
        reader = cache.of(names["InACell"]("x"))  # type: ignore[operator]
        assert reader is not None
        values.append(float(reader.read("3")[0]))
        cache.close()
    assert values == [3, 3000, 6, 3]
    # The first definition has its arrays from the first time.
    assert len(list(tmp_path.glob("InACell-*"))) == 3


def test_a_loader_that_was_sent_elsewhere_keeps_its_folder(tmp_path: Path) -> None:
    loader = DigestLoader("x")
    here = ArrayCache(tmp_path).of(loader)
    assert here is not None
    elsewhere = pickle.loads(pickle.dumps(here))
    assert elsewhere.folder.path == here.folder.path
