"""Worker processes make the same batches as threads, whatever happens to them."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from worker_loaders import Numbers, Process, Unloadable, Unsendable, ends_the_process

import multimodal_gen as mg
from multimodal_gen.batch.batch_rows import TableRows
from multimodal_gen.batch.processes import choice, remote, starting
from multimodal_gen.batch.processes.pool import ProcessPool, process_pool_of
from multimodal_gen.batch.processes.worker import Worker

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="threads are used on Windows")


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPool]:
    # Workers of another file of tests have imported that file, for the loaders that it defines.
    process_pool_of(2).close()
    # As in a program that trains: what it has imported of the losses is not imported in workers.
    assert mg.models.ClassCrossentropy and mg.NumericTarget("y").loss
    pool = process_pool_of(2)
    assert pool.wait(30)
    yield pool
    pool.close()


@pytest.fixture
def catalog(sample_data: Path) -> pd.DataFrame:
    return mg.read_table(sample_data / "catalog.csv")


def numbers(cells: list[Any], **arguments: Any) -> mg.MultimodalSequence:
    table = pd.DataFrame({"x": [str(cell) for cell in cells], "y": range(len(cells))})
    settings: dict[str, Any] = {"batch_size": 4, "processes": 2} | arguments
    loader = settings.pop("loader", Numbers)
    together = settings.pop("together", False)
    return mg.MultimodalSequence(
        table, {"x": loader("x", together)}, mg.NumericTarget("y"), **settings
    )


def bytes_of(batch: Any) -> list[tuple[Any, ...]]:
    if isinstance(batch, dict):
        return [(name, *one) for name, part in batch.items() for one in bytes_of(part)]
    if isinstance(batch, list | tuple):
        return [one for part in batch for one in bytes_of(part)]
    return [(str(batch.dtype), batch.shape, batch.tobytes())]


SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "skip": {"on_error": "skip", "max_error_rate": 1.0, "spoilt": True},
    "blank": {"on_error": "blank", "max_error_rate": 1.0, "spoilt": True, "inputs_as": "dict"},
    "operations": {
        "class_weight": "balanced",
        "sample_augment": [mg.augment.ModalityDropout(0.3)],
        "batch_augment": [mg.augment.MixUp(0.4)],
        "label_mode": "categorical",
    },
    "sampler": {"sampler": "balanced"},
    "buckets": {"bucket_by_length": "caption"},
    "time limit": {"read_timeout": 20.0},
    "cache": {"cached": True},
}


def catalog_sequence(
    catalog: pd.DataFrame, root: Path, folder: Path, processes: int, settings: dict[str, Any]
) -> mg.MultimodalSequence:
    settings = dict(settings)
    if settings.pop("spoilt", False):
        catalog = catalog.copy()
        catalog.loc[catalog.index[[3, 40, 41]], "image"] = "images/none.jpg"
    if settings.pop("cached", False):
        settings["cache"] = folder / f"cache {processes}"
    augment = [mg.augment.RandomFlip("horizontal"), mg.augment.RandomTranslation(0.1, 0.1)]
    inputs = {
        "image": mg.ImageLoader("image", directory=root, image_size=(24, 24), augment=augment),
        "caption": mg.TextLoader.from_texts("caption", catalog["caption"]),
    }
    mode = settings.pop("label_mode", "int")
    target = mg.ClassLabel.from_values("label", catalog["label"], label_mode=mode)
    return mg.MultimodalSequence(
        catalog, inputs, target, shuffle=True, batch_size=16, processes=processes, **settings
    )


@pytest.mark.parametrize("name", SETTINGS)
def test_batches_are_the_bytes_of_threads(
    name: str, pool: ProcessPool, catalog: pd.DataFrame, sample_data: Path, tmp_path: Path
) -> None:
    catalog = catalog[:120]
    by_threads, by_processes = (
        catalog_sequence(catalog, sample_data, tmp_path, count, SETTINGS[name]) for count in (0, 2)
    )
    for _ in range(2):
        expected, found = list(by_threads), list(by_processes)
        assert [bytes_of(batch) for batch in expected] == [bytes_of(batch) for batch in found]
    assert by_threads.failures.equals(by_processes.failures)
    assert len(by_processes.failures) == (3 if "spoilt" in SETTINGS[name] else 0)


def test_workers_make_the_batches_and_import_no_backend(pool: ProcessPool) -> None:
    data = numbers(list(range(24)), loader=Process)
    made = np.concatenate([inputs[0] for inputs, _ in data])
    assert set(made[:, 0]) <= set(np.float32(pool.workers))
    assert not made[:, 1].any()


def test_threads_make_batches_until_workers_are_ready() -> None:
    pool = process_pool_of(3)
    data = numbers(list(range(24)), loader=Process, processes=3)
    assert data[0][0][0][0, 0] == np.float32(os.getpid())
    assert pool.wait(30)
    assert data[1][0][0][0, 0] in np.float32(pool.workers)
    pool.close()


def test_batches_that_are_kept_are_not_overwritten(pool: ProcessPool) -> None:
    data = numbers(list(range(200)))
    kept = list(data)
    for _ in range(3):
        for _ in data:
            pass
    assert np.concatenate([inputs[0][:, 0] for inputs, _ in kept]).tolist() == list(range(200))
    assert kept[0][0][0].flags.writeable
    assert all(inputs[0].ctypes.data % 64 == 0 for inputs, _ in kept)


def test_a_list_of_many_batches_takes_few_files(pool: ProcessPool) -> None:
    files = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    kept = list(numbers(list(range(600)), batch_size=2))
    assert np.concatenate([inputs[0][:, 0] for inputs, _ in kept]).tolist() == list(range(600))
    assert all(inputs[0].ctypes.data % 64 == 0 for inputs, _ in kept)
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/fd")) < files + 120
    assert pool._crew._regions._count < 120


def test_memory_is_used_again(pool: ProcessPool) -> None:
    data = numbers(list(range(400)))
    for _ in data:
        pass
    before = pool._crew._regions._count
    for _ in range(3):
        for _ in data:
            pass
    assert pool._crew._regions._count <= before + 2


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("what", ["kill", "abort"])
def test_a_cell_that_ends_its_process_is_an_error_of_its_row(
    what: str, together: bool, pool: ProcessPool
) -> None:
    cells: list[Any] = [*range(9), f"{what} 9", *range(10, 16)]
    data = numbers(cells, together=together, on_error="skip", max_error_rate=1.0)
    found = np.concatenate([inputs[0][:, 0] for inputs, *_ in data])
    assert found.tolist() == [*range(9), *range(10, 16)]
    assert data.failures["index"].tolist() == [9]
    how = "by signal SIGKILL" if what == "kill" else "with exit status 7"
    assert how in data.failures["error"][0]
    with pytest.raises(mg.LoadError, match="index 9, column 'x'.*2 worker processes ended"):
        list(numbers(cells, together=together))


def test_an_operation_that_ends_its_process_is_an_error_of_its_batch(pool: ProcessPool) -> None:
    data = numbers(list(range(8)), batch_augment=[ends_the_process])
    with pytest.raises(RuntimeError, match=r"exit status 3.*batch 0 of epoch 0.*rows \[0, 1, 2"):
        list(data)


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("what", ["sleep", "hold"])
def test_a_cell_that_hangs_is_an_error_of_its_row(
    what: str, together: bool, pool: ProcessPool
) -> None:
    cells: list[Any] = [*range(5), f"{what} 5", *range(6, 12)]
    data = numbers(cells, together=together, on_error="blank", max_error_rate=1.0, read_timeout=1.0)
    weights = np.concatenate([batch[2] for batch in data])
    assert np.flatnonzero(weights == 0).tolist() == [5]
    assert "longer than 1 second." in data.failures["error"][0]


def test_killed_workers_are_replaced_and_batches_made_again(pool: ProcessPool) -> None:
    data = numbers(list(range(400)), shuffle=True)
    expected = [bytes_of(batch) for batch in numbers(list(range(400)), shuffle=True, processes=0)]
    found = []
    for position, batch in enumerate(data):
        if position % 20 == 0 and pool.workers:
            os.kill(pool.workers[position // 20 % len(pool.workers)], signal.SIGKILL)
        found.append(bytes_of(batch))
    assert found == expected
    assert pool.wait(30)


def test_errors_are_those_of_threads_with_the_traceback_of_the_worker(pool: ProcessPool) -> None:
    texts = []
    for processes in (0, 2):
        with pytest.raises(mg.LoadError, match="it is bad") as caught:
            list(numbers([0, 1, "bad 2", 3, "bad 4"], processes=processes))
        texts.append(str(caught.value))
    assert texts[0] == texts[1]
    assert "worker_loaders.py" in str(caught.value.__cause__)
    with pytest.raises(mg.TableError, match="rows cannot be loaded"):
        list(numbers(["bad 1"] * 8, on_error="skip", max_error_rate=0.5))


def test_warnings_of_workers_are_shown_once(pool: ProcessPool) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        list(numbers(["warn 1"] * 32))
    assert [str(one.message) for one in caught] == ["a strange cell"]


def test_captions_encoded_by_workers_are_known_here(
    pool: ProcessPool, catalog: pd.DataFrame, sample_data: Path, tmp_path: Path
) -> None:
    data = catalog_sequence(catalog[:64], sample_data, tmp_path, 2, {})
    for _ in data:
        pass
    (memory,) = [
        one.memory
        for one in data.assembly.sources.values()
        if one.memory is not None and one.loader.spec.kind == "tokens"
    ]
    assert memory.take(np.arange(64), np.empty((64, *memory.spec.shape), "int32")).all()


def test_what_cannot_be_sent_is_an_error_that_says_what_to_do(pool: ProcessPool) -> None:
    with pytest.raises(
        RuntimeError,
        match="input 'x', Unsendable, cannot be sent.*it holds a connection.*processes=0",
    ):
        list(numbers([1, 2], loader=Unsendable))

    with pytest.raises(RuntimeError, match="no such device here.*processes=0"):
        list(numbers([1, 2], loader=Unloadable))


def test_workers_that_cannot_start_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "_CODE", "raise SystemExit(3)")
    pool = process_pool_of(4)
    assert not pool.wait(30)
    with pytest.raises(RuntimeError, match="end before they are ready.*processes=0"):
        list(numbers([1, 2], processes=4))
    pool.close()


def test_a_batch_that_takes_long_is_warned_of(
    pool: ProcessPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "LONG", 0.2)
    with pytest.warns(UserWarning, match="0.2 seconds; index 2, column 'x', 'nap 2' is being"):
        assert len(list(numbers([0, 1, "nap 2", 3]))) == 1


def test_processes_chosen_by_rule_do_not_break_what_works_with_threads(
    pool: ProcessPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "_FEWEST_ROWS", 1)
    monkeypatch.setattr("multimodal_gen.sequence.sequence.available_cores", lambda: 4)
    monkeypatch.setattr(choice, "_FEWEST_CORES", 2)
    data = numbers([1, 2, 3, 4], loader=Unsendable, processes=None, batch_size=1)
    with pytest.warns(UserWarning, match="so threads do"):
        assert len(list(data)) == 4
    assert len(list(data)) == 4


def test_profile_counts_the_time_of_workers(
    pool: ProcessPool, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = mg.profile(numbers(list(range(64))))
    assert profile.stages["milliseconds"]["load"] > 0
    assert "with 2 processes" in capsys.readouterr().out


def test_fit_evaluate_and_predict_are_the_same(pool: ProcessPool) -> None:
    import keras

    results = []
    for processes in (0, 2):
        keras.utils.set_random_seed(1)
        settings = {"processes": processes, "inputs_as": "array"}
        data = numbers(list(range(64)), shuffle=True, **settings)
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(1e-5), "mse")
        held_out = data.for_evaluation(data.table[:16])
        model.fit(data, validation_data=held_out, shuffle=False, epochs=2, verbose=0)
        evaluated = model.evaluate(held_out, verbose=0)
        without = mg.MultimodalSequence(data.table, data.inputs, **settings)
        results.append((evaluated, model.predict(without, verbose=0).tobytes()))
    assert results[0] == results[1]


def test_workers_end_with_their_pool_and_leave_nothing() -> None:
    for forks in (True, False):
        pool = ProcessPool(2, forks)
        assert pool.wait(30)
        workers = pool.workers
        pool.close()
        assert not [one for one in workers if os.path.exists(f"/proc/{one}/exe")]


def test_the_choice_says_how_many_and_why(tmp_path: Path) -> None:
    data = numbers(list(range(8)), processes=None)
    rows = list(range(8000))
    many, few = numbers(rows, processes=0).assembly, numbers(rows[:8], processes=0).assembly
    cached = numbers(rows, processes=0, cache=str(tmp_path / "cache")).assembly
    together = numbers(rows, processes=0, together=True).assembly
    for assembly, batches, cores, expected in (
        (many, 2000, 8, (8, "8 cores")),
        (many, 2000, 2, (0, "2 cores")),
        (few, 2000, 8, (0, "fewer than 2,000 rows")),
        (many, 7, 8, (0, "7 batches for 8 cores")),
        (cached, 2000, 8, (8, "8 cores, until the cache is filled")),
        (cached, 2000, 2, (0, "2 cores")),
        (together, 2000, 8, (0, "cells that are read together")),
    ):
        assert choice.choose(None, assembly, batches, cores) == choice.Choice(*expected)
    assert "threads (" in repr(data)
    assert "2 processes" in repr(numbers([1]))
    for wrong in (-1, 1.5, True, 10**6):
        with pytest.raises(ValueError, match="`processes` must"):
            numbers([1], processes=wrong)


@pytest.mark.parametrize("unreadable", [0, 4])
def test_workers_fill_a_cache_and_threads_copy_from_it(
    unreadable: int, catalog: pd.DataFrame, sample_data: Path, tmp_path: Path, pool: ProcessPool
) -> None:
    catalog = catalog.copy()
    catalog.loc[catalog.index[:unreadable], "image"] = "images/none.jpg"
    image = mg.ImageLoader("image", directory=sample_data, image_size=(24, 24))
    settings: dict[str, Any] = {"batch_size": 16, "shuffle": True, "on_error": "blank"}
    target = mg.ClassLabel.from_values("label", catalog["label"])
    data, plain = (
        mg.MultimodalSequence(catalog, {"image": image}, target, cache=cache, **settings)
        for cache in (tmp_path, None)
    )
    assert data.assembly.copies_from_cache
    # As a machine of several cores would choose.
    data._choice = choice.Choice(2, "2 cores, until the cache is filled")
    data._prepare()
    for epoch, makers in enumerate(
        ["2 processes (2 cores, until", "threads (the cache is filled)"]
    ):
        assert [bytes_of(one) for one in data] == [bytes_of(one) for one in plain]
        assert makers in data.makers, epoch
    varied = image.replace(augment=[mg.augment.RandomFlip("horizontal")])
    data = mg.MultimodalSequence(catalog, {"image": varied}, target, cache=tmp_path, **settings)
    assert not data.assembly.copies_from_cache
    # Pictures are varied in training only, so an evaluation copies from the same cache.
    data._choice = choice.Choice(2, "2 cores")
    data._prepare()
    held_out = data.for_evaluation()
    for sequence, makers in ((data, "2 processes"), (held_out, "threads (the cache is filled)")):
        assert len(list(sequence)) == len(sequence) and makers in sequence.makers


def test_a_cancelled_batch_gives_its_memory_back(pool: ProcessPool) -> None:
    data = numbers([*range(16)], on_error="raise")
    batches = [data._start(0, index) for index in range(4)]
    for batch in batches:
        batch.cancel()
    assert len(list(data)) == 4
    end = time.monotonic() + 60
    while pool._crew._open and time.monotonic() < end:
        time.sleep(0.01)
    assert not pool._crew._open


def test_workers_forget_a_sequence_that_is_gone(pool: ProcessPool) -> None:
    for _ in range(20):
        # A new assembly often gets the address of the one before.
        data = numbers(list(range(8)))
        found = np.concatenate([inputs[0][:, 0] for inputs, _ in data])
        assert found.tolist() == list(range(8))
        del data
        gc.collect()
    end = time.monotonic() + 60
    while len(pool._crew._parcels._by_assembly) > 1 and time.monotonic() < end:
        time.sleep(0.01)
    assert len(pool._crew._parcels._by_assembly) <= 1


def test_workers_are_sent_no_cells_of_what_they_remember(
    pool: ProcessPool, catalog: pd.DataFrame, sample_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def batches(processes: int) -> Iterator[Any]:
        image = mg.ImageLoader("image", image_size=(8, 8), directory=sample_data)
        caption = mg.TextLoader.from_texts("caption", catalog["caption"], sequence_length=4)
        target = mg.ClassLabel.from_values("label", catalog["label"])
        sequence = mg.MultimodalSequence(
            catalog,
            {"image": image, "caption": caption},
            target,
            batch_size=50,
            shuffle=True,
            seed=3,
            processes=processes,
        )
        for _ in range(3):
            yield [bytes_of(batch) for batch in sequence]
            sequence.on_epoch_end()

    asked: list[str] = []
    cells = TableRows.cells

    def noted(self: TableRows, column: Any) -> list[Any]:
        asked.append(column)
        return cells(self, column)

    by_threads = list(batches(0))
    monkeypatch.setattr(TableRows, "cells", noted)
    columns = []
    for epoch, whole in enumerate(batches(2)):
        assert whole == by_threads[epoch]
        columns.append(set(asked))
        asked.clear()
    assert columns == [{"image", "caption", "label"}, {"image"}, {"image"}]


def test_a_worker_whose_program_has_ended_meanwhile_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # It sets what shows warnings.
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    ours, theirs = socket.socketpair()
    theirs.close()
    Worker(ours).run()
    ours.close()
