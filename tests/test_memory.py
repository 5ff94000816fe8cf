from __future__ import annotations

import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.batch.row_memory import RowMemory

TOKENS = mg.ArraySpec((5,), "int32", "tokens", 1000)


def test_rows_are_unknown_until_they_are_put_and_equal_afterwards() -> None:
    memory, rows = RowMemory(10, TOKENS), np.arange(50, dtype="int32").reshape(10, 5) * 20
    out = np.full((3, 5), -1, "int32")
    assert not memory.take(np.array([1, 2, 3]), out).any()
    assert (out == -1).all()
    for position in (1, 3, 9):
        memory.put(position, rows[position])
    assert memory.take(np.array([3, 2, 1]), out).tolist() == [True, False, True]
    assert np.array_equal(out[[0, 2]], rows[[3, 1]])
    assert (out[1] == -1).all()
    assert memory.take(np.array([9, 9, 3]), out).all()
    assert np.array_equal(out, rows[[9, 9, 3]])


@pytest.mark.parametrize(
    "spec",
    [
        mg.ArraySpec((2,), "int32", "tokens", 70_000),
        mg.ArraySpec((2, 2), "int32", "ngrams", 100),
        mg.ArraySpec((), "int32", "label"),
        mg.ArraySpec((3,), "float32", "vector"),
    ],
    ids=str,
)
def test_every_kind_of_array_comes_back_to_the_bit(spec: mg.ArraySpec) -> None:
    array = np.full(spec.shape, 69_999, spec.dtype) / np.array(1, spec.dtype)
    array = array.astype(spec.dtype)
    memory, out = RowMemory(4, spec), np.empty((1, *spec.shape), spec.dtype)
    memory.put(2, array)
    assert memory.take(np.array([2]), out).all()
    assert out[0].tobytes() == array.tobytes()


def test_many_threads_write_and_read_at_once() -> None:
    memory = RowMemory(400, TOKENS)

    def one(position: int) -> bool:
        memory.put(position, np.full(5, position, "int32"))
        out = np.empty((400, 5), "int32")
        known = memory.take(np.arange(400), out)
        return bool((out[known] == np.flatnonzero(known)[:, np.newaxis]).all() and known[position])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(400)))


def test_a_copy_starts_empty_and_nothing_is_left_in_the_temporary_folder(
    tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", os.fspath(tmp_path))
    memory = RowMemory(3, TOKENS)
    memory.put(0, np.ones(5, "int32"))
    assert (
        not pickle.loads(pickle.dumps(memory)).take(np.array([0]), np.empty((1, 5), "int32")).any()
    )
    assert os.name == "nt" or os.listdir(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file sizes are POSIX's")
def test_on_a_full_disk_captions_are_encoded_again_with_one_warning() -> None:
    code = """
import resource, signal, warnings
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
import numpy as np, multimodal_gen as mg
from multimodal_gen.batch.row_memory import RowMemory
memory = RowMemory(10_000, mg.ArraySpec((5,), "int32", "tokens", 1000))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for position in range(10):
        memory.put(position, np.ones(5, "int32"))
print(len(caught), caught[0].message, memory.take(np.array([0]), np.empty((1, 5), "int32")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("1 The temporary folder has no room")
    assert done.stdout.rstrip().endswith("[False]")


class CountingEncoder(mg.TextLoader):
    """A text loader that notes how many captions it has encoded."""

    counts: list[int] = []  # noqa: RUF012 - shared on purpose

    def read_batch(self, cells: object) -> list[np.ndarray]:
        self.counts.append(len(list(cells)))  # type: ignore[call-overload]
        return super().read_batch(cells)  # type: ignore[arg-type]


def test_captions_are_encoded_once_a_table_and_not_once_an_epoch() -> None:
    table = pd.DataFrame({"caption": [f"word {row % 7} and {row % 5}" for row in range(100)]})
    encoder = mg.TextLoader.from_texts("caption", table).encoder
    CountingEncoder.counts.clear()
    sequence = mg.MultimodalSequence(
        table, {"caption": CountingEncoder("caption", encoder)}, shuffle=True
    )
    plain = mg.TextLoader("caption", encoder)
    for epoch in range(3):
        sequence.epoch = epoch
        for index, ((ids,),) in enumerate(sequence):
            rows = sequence.rows(index)
            assert np.array_equal(ids, np.stack(plain.read_batch(rows["caption"].tolist())))
    assert sum(CountingEncoder.counts) == 100


def test_a_caption_that_is_varied_at_random_is_never_taken_from_memory() -> None:
    table = pd.DataFrame({"caption": ["one two three four five six seven"] * 8})
    varied = [mg.augment.RandomWordDeletion(0.5)]
    loader = mg.TextLoader.from_texts("caption", table, augment=varied)
    sequence = mg.MultimodalSequence(table, {"caption": loader}, shuffle=True, batch_size=8)
    epochs = []
    for epoch in range(3):
        sequence.epoch = epoch
        epochs.append(sequence[0][0][0])
    sequence.epoch = 0
    assert np.array_equal(sequence[0][0][0], epochs[0])
    assert not np.array_equal(epochs[1], epochs[2])
    assert len(np.unique(epochs[0], axis=0)) > 1
    calm = sequence.for_evaluation()
    assert len(np.unique(calm[0][0][0], axis=0)) == 1
