"""Stored notebooks are compared with what they show when run; here that rule is tried, without
running them.
"""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="notebooks are an extra of their own")
pytest.importorskip("nbclient", reason="notebooks are an extra of their own")

FOLDER = Path(__file__).parent.parent / "notebooks"
v4 = nbformat.v4


@pytest.fixture(scope="module")
def run() -> Any:
    spec = importlib.util.spec_from_file_location("run_notebooks", FOLDER / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def notebook(*outputs: Any) -> Any:
    return v4.new_notebook(
        cells=[v4.new_markdown_cell("Words."), v4.new_code_cell("code", outputs=list(outputs))]
    )


def stream(text: str, name: str = "stdout") -> Any:
    return v4.new_output("stream", name=name, text=text)


def result(text: str, **more: str) -> Any:
    return v4.new_output("execute_result", data={"text/plain": text, **more})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "20/20 - 5s - 260ms/step - accuracy: 0.1127 - loss: 3.5195",
            "20/20 - 1s - 1s/step - accuracy: 0.4 - loss: 2.75",
        ),
        (
            "Epoch 1/9\n20/20 - 5s - loss: 3.5\nEpoch 2/9\n20/20 - 2s - loss: 1.5",
            "Epoch 1/9\n20/20 - 5s - loss: 3.25",
        ),
        ("{'accuracy': 0.98, 'log_loss': 0.05}", "{'accuracy': 0.93,  'log_loss': 0.12}"),
        (
            "  2 threads, 4 batches ahead, inputs as list",
            "  16 threads, 4 batches ahead, inputs as list",
        ),
        ("<Thing at 0x7f1e6c051210> in /tmpab12cd34", "<Thing at 0x7fff> in /tmpzz99yy88"),
        ("label    0.0\n17  metal mug  0.999", "label  0.001\n17  metal mug  0.93"),
    ],
)
def test_what_differs_from_machine_to_machine_may_differ(run: Any, old: str, new: str) -> None:
    for show in (stream, result):
        assert run.differences(notebook(show(old)), notebook(show(new))) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("inputs as tuple", "inputs as list"),
        ("{'accuracy': 0.98}", "{'accuracy': 0.87}"),
        ("(32, 64, 64, 3) uint8", "(32, 64, 64, 1) uint8"),
        ("Epoch 2/15", "Epoch 2/10"),
        ("20/20 - 5s - loss: 3.5195", "19/20 - 5s - loss: 3.5195"),
        (
            "Epoch 1/9\n20/20 - 5s - loss: 3.5",
            "Epoch 1/9\n20/20 - 5s - loss: 3.5\nEpoch 2/9\n20/20 - 2s - accuracy: 1.5",
        ),
        ("images/0000.jpg", "images/0001.jpg"),
        ("loss -0.2", "loss 0.2"),
        ("0.5 0.5", "0.5"),
        ("Cannot load index 17", ""),
    ],
)
def test_what_a_reader_is_told_may_not(run: Any, old: str, new: str) -> None:
    for show in (stream, result):
        (found,) = run.differences(notebook(show(old)), notebook(show(new)))
        assert found.startswith("cell 1 shows something else")
        assert f"-{old.splitlines()[-1]}" in found or f" {old.splitlines()[-1]}" in found


def test_pictures_and_errors_are_looked_for_and_streams_come_in_any_pieces(run: Any) -> None:
    picture = result("<Picture>", **{"image/png": "abc"})
    assert (
        run.differences(notebook(picture), notebook(result("<Picture>", **{"image/png": "other"})))
        == []
    )
    assert run.differences(notebook(picture), notebook(result("<Picture>")))
    error = v4.new_output("error", ename="LoadError", evalue="no", traceback=[])
    assert run.differences(notebook(error), notebook())
    assert run.differences(notebook(), notebook(stream("new")))
    whole, pieces = (
        notebook(stream("one\ntwo\n")),
        notebook(stream("one\n"), stream("log", "stderr"), stream("two\n")),
    )
    assert run.differences(whole, pieces) == []


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_stored_notebooks_show_what_they_say_and_no_logs(run: Any, path: Path) -> None:
    stored = nbformat.read(path, as_version=4)
    outputs = [output for cell in stored.cells for output in cell.get("outputs", [])]
    assert len(outputs) > 5
    assert not any(
        output.get("name") == "stderr" or output.output_type == "error" for output in outputs
    )
    cleaned = copy.deepcopy(stored)
    run.clean(cleaned)
    assert cleaned == stored
