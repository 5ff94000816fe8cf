"""What `ResumeTraining` refuses, and what it does with states that are damaged or cannot be
written.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import ml_dtypes
import numpy as np
import pytest
from test_resume import BrokenOffError, Interrupt, fit, interrupted, make_data, make_model, outcome

import multimodal_gen as mg
from multimodal_gen.sequence.resume.snapshots import Snapshots


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that was interrupted in its second epoch, after states at batch 2 and 4."""
    folder = tmp_path_factory.mktemp("begun")
    interrupted(folder, Interrupt(11))
    return folder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data": lambda: make_data(seed=3)}, "seed was 2 and is 3"),
        (
            {"data": lambda: make_data(batch_size=16)},
            "batch_size was 8 and is 16.*An epoch had 6 steps and has 3",
        ),
        (
            {"model": lambda: make_model(units=6)},
            r"the model had 'dense/kernel' \(2, 5\) float32 and has",
        ),
        ({"model": lambda: other_optimizer()}, "the optimizer had 14 variables and has 2"),
    ],
)
def test_another_training_is_refused_naming_what_differs(
    begun: Path, tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    folder = shutil.copytree(begun, tmp_path / "state")
    with pytest.raises(
        ValueError,
        match=f"cannot be resumed.*{message}.* delete the directory .* Received: dir",
    ):
        fit(folder, **{name: make() for name, make in arguments.items()})
    # Nothing was touched.
    assert sorted(os.listdir(folder)) == sorted(os.listdir(begun))


def other_optimizer() -> keras.Model:
    model = make_model()
    model.compile(
        keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def test_a_state_of_another_backend_is_refused(begun: Path, tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    description, arrays = Snapshots(begun).load() or ({}, [])
    snapshots.save({**description, "backend": "another"}, arrays)
    with pytest.raises(ValueError, match="The backend was 'another' and is"):
        fit(tmp_path)


def test_ways_of_fit_that_cannot_be_gone_on_with_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`fit` must be False.* Received: shuffle=True"):
        fit(tmp_path, shuffle=True)
    with pytest.raises(
        ValueError, match="at least the 6 batches .* unless it is endless.*steps_per_epoch=4"
    ):
        fit(tmp_path, steps_per_epoch=4)
    data = make_data()
    with pytest.raises(
        ValueError, match="the same sequence as `fit`. Received: sequence of type Multimodal"
    ):
        make_model().fit(
            make_data(), shuffle=False, verbose=0, callbacks=[mg.ResumeTraining(tmp_path, data)]
        )
    shard = data.shard(1, 2)
    with pytest.raises(ValueError, match="Received: a sequence for rank 1 of 2"):
        make_model().fit(
            shard, shuffle=False, verbose=0, callbacks=[mg.ResumeTraining(tmp_path, shard)]
        )
    with pytest.raises(
        RuntimeError, match=r"works only in `keras.Model.fit`.* use `sequence.state\(\)`"
    ):
        mg.ResumeTraining(tmp_path, data).on_train_begin()


@pytest.mark.parametrize("save_every", [0, -1, True, 2.5])
def test_arguments_out_of_range_are_named(tmp_path: Path, save_every: Any) -> None:
    with pytest.raises(ValueError, match="must be a positive integer. Received: save_every="):
        mg.ResumeTraining(tmp_path, make_data(), save_every=save_every)
    with pytest.raises(TypeError, match="must be a MultimodalSequence. Received: sequence=None"):
        mg.ResumeTraining(tmp_path, None)  # type: ignore[arg-type]
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="must be a directory. Received: directory="):
        fit(tmp_path / "file")


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_state_is_said_so_and_the_one_before_it_taken(
    begun: Path, tmp_path: Path, damage: str
) -> None:
    folder = shutil.copytree(begun, tmp_path / "state")
    last = max(folder.iterdir())
    content = bytearray(last.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(one ^ 1 for one in content[middle : middle + 200])
    last.write_bytes({"cut": content[:-100], "flipped": content, "empty": b""}[damage])
    with pytest.warns(
        UserWarning, match=rf"'{last.name}' was damaged and has been removed; training resumes from"
    ):
        again = fit(folder)
    assert outcome(again) == outcome(fit(tmp_path / "alone"))


def test_where_all_states_are_damaged_nothing_is_begun_anew(begun: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(begun, tmp_path / "state")
    for path in folder.iterdir():
        path.write_bytes(b"")
    with pytest.raises(
        RuntimeError, match="No state in the directory is readable .* To start over, delete the"
    ):
        fit(folder)
    assert len(list(folder.iterdir())) == 2


def test_what_a_killed_process_was_writing_is_removed_and_nothing_else(
    begun: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(begun, tmp_path / "state")
    for name in ("state-00000009.npz.tmp", "notes.tmp", "notes.txt"):
        (folder / name).touch()
    fit(folder)
    assert sorted(path.name for path in folder.iterdir() if path.suffix != ".npz") == [
        "notes.tmp",
        "notes.txt",
    ]
    assert len(list(folder.glob("state-*"))) == 2


@pytest.mark.slow
def test_two_processes_cannot_train_with_one_directory(tmp_path: Path) -> None:
    code = (
        "import sys; from multimodal_gen.sequence.resume.snapshots import Snapshots; "
        "Snapshots(sys.argv[1]); input()"
    )
    code = (
        f"print('imported', flush=True); {code.replace('; input', '; print(1, flush=True); input')}"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdin=-1, stdout=-1, text=True
    ) as other:
        assert other.stdout is not None and other.stdin is not None
        while other.stdout.readline() != "1\n":
            assert other.poll() is None
        with pytest.raises(
            RuntimeError, match="Another process is training with this directory; give each run its"
        ):
            Snapshots(tmp_path)
        other.stdin.write("\n")
    Snapshots(tmp_path).close()


def test_a_state_that_cannot_be_written_is_one_warning_and_training_goes_on(tmp_path: Path) -> None:
    remove = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: shutil.rmtree(tmp_path / "s", True)
    )
    with pytest.warns(
        UserWarning, match="cannot be saved, and training continues without it: .*No such file"
    ):
        again = fit(tmp_path / "s", remove)
    assert outcome(again) == outcome(fit(tmp_path / "alone"))


def test_a_disk_without_room_for_a_state_is_known_before_training(small_disk: Path) -> None:
    with pytest.raises(BrokenOffError):
        fit(small_disk / "state", Interrupt(1))
    with pytest.raises(
        OSError,
        match=r"A state of [\d,]+ bytes cannot be saved: .*another dir",
    ):
        fit(small_disk / "state", Interrupt(1), model=make_model(units=200_000))
    assert os.listdir(small_disk / "state") == []


def test_a_callback_that_cannot_be_kept_is_known_before_training(tmp_path: Path) -> None:
    class Keeping(keras.callbacks.Callback):
        def get_state(self) -> Any:
            return {"model": self.model}

        def set_state(self, state: Any) -> None:
            pass

    with pytest.raises(
        TypeError, match=r"Keeping.get_state\(\) must return plain values. Only numbers, texts"
    ):
        fit(tmp_path, Keeping(), Interrupt(1))


def test_arrays_of_any_dtype_come_back_as_they_were(tmp_path: Path) -> None:
    arrays = [
        np.arange(6).reshape(2, 3).astype(dtype)
        for dtype in ("uint8", "float32", "bool", "complex64", "U3")
    ]
    arrays += [
        np.array(1.5, ml_dtypes.bfloat16),
        np.zeros((0, 3)),
        np.array(np.nan),
        np.ones(3, ml_dtypes.float8_e5m2),
    ]
    snapshots = Snapshots(tmp_path)
    snapshots.save({"text": "Ü"}, arrays)
    loaded = snapshots.load()
    snapshots.close()
    assert loaded is not None
    assert loaded[0] == {"text": "Ü"}
    for one, other in zip(loaded[1], arrays, strict=True):
        assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


def test_a_callback_that_gives_what_cannot_be_kept_is_named(tmp_path: Path) -> None:
    class Odd(keras.callbacks.Callback):
        def get_state(self) -> Any:
            return {"model": self}

        def set_state(self, state: Any) -> None:
            raise AssertionError

    with pytest.raises(
        TypeError,
        match=r"Odd.get_state\(\) must return plain values. Only numbers, .* Received: <",
    ):
        fit(tmp_path, Odd())
