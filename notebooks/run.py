"""Run the notebooks from top to bottom: to store their outputs, or with --check to see that these
still hold.

A check runs each notebook in an empty folder beside nothing but sample_data, and leaves the stored
outputs alone. It fails if a cell fails, or if one shows something else than what is stored:

- Kinds of output (text, pictures) must be the same. Of pictures no more is compared, of tables only
  their text.
- Words and whole numbers must be the same: names, shapes, counts, labels, messages.
- Numbers with a decimal point may differ by 0.1. What is learned differs between machines, which
  add in another order; a model that has got worse by more than a tenth is seen.
- In Keras's lines of progress only names and step counts are compared, as single epochs differ by
  more than that; nor how many epochs there were, as where a training stops by itself differs
  between machines and backends.
- Times, the number of threads, addresses and names of temporary folders may be any.

Warnings and logs (stderr) are neither stored nor compared: they hold times and addresses. A cell
that is about a warning prints it.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent
TOLERANCE = 0.1

_DECIMAL = re.compile(r"(?<![\w.])-?\d+\.\d*(?:e[-+]?\d+)?(?!\w)")
_ANY = (
    (re.compile(r"\b\d+(?:\.\d+)?(?:us|ms|s)(?:/(?:step|epoch))?(?!\w)"), "TIME"),
    (re.compile(r"\b\d+ threads?\b"), "N threads"),
    (re.compile(r"\b0x[0-9a-f]+\b"), "ADDRESS"),
    (re.compile(r"\btmp\w{6,}"), "FOLDER"),
)
# What an epoch prints, and the same again of the epochs that follow.
_EPOCH = re.compile(r"\bEpoch \d+(?=/\d+$)", re.MULTILINE)
_PROGRESS = re.compile(r"^(Epoch/\d+\n.*TIME.*\n)\1*", re.MULTILINE)


def run(path: Path) -> nbformat.NotebookNode:
    """Execute a notebook in a fresh folder that has sample_data in it."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as temporary:
        os.symlink(FOLDER.parent / "sample_data", Path(temporary, "sample_data"))
        client = NotebookClient(
            notebook,
            timeout=600,
            kernel_name="python3",
            extra_arguments=["--IPKernelApp.log_level=ERROR"],
            resources={"metadata": {"path": temporary}},
        )
        client.execute()
    return notebook


def clean(notebook: nbformat.NotebookNode) -> None:
    """Remove what differs from run to run or from machine to machine and tells a reader nothing."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = {"name": "python"}
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            # Logs of the backends on stderr hold times and addresses.
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                if "text" in output:
                    output["text"] = re.sub(r"/\S*/(?=tmp\w+)", "", output["text"])


def differences(stored: nbformat.NotebookNode, run: nbformat.NotebookNode) -> list[str]:
    """What the cells of a notebook show that is not what is stored, by the rules above.

    Args:
        stored: The notebook with its stored outputs.
        run: The same one as it has just been run.

    Returns:
        A piece of text for each cell that differs.
    """
    found = []
    for number, (before, after) in enumerate(zip(stored.cells, run.cells, strict=True)):
        old, new = _shown(before), _shown(after)
        if not _alike(old, new):
            lines = difflib.unified_diff(
                old.splitlines(), new.splitlines(), "stored", "run", lineterm=""
            )
            found.append(
                "\n".join([f"cell {number} shows something else than what is stored:", *lines])
            )
    return found


def _shown(cell: nbformat.NotebookNode) -> str:
    # Kinds and texts of a cell's outputs; a stream may come in any number of pieces.
    text, pieces = "", []
    for output in cell.get("outputs", []):
        if output.get("name") == "stderr":
            continue
        if output.output_type == "stream":
            text += output.text
            continue
        data = output.get("data", {})
        kinds = [kind for kind in sorted(data) if kind not in ("text/plain", "text/html")]
        pieces += [*kinds, data.get("text/plain", output.get("ename", ""))]
    return "\n".join([text, *pieces]).strip()


def _alike(old: str, new: str) -> bool:
    (words, numbers), (new_words, new_numbers) = _measured(old), _measured(new)
    near = all(
        abs(one - other) <= TOLERANCE for one, other in zip(numbers, new_numbers, strict=False)
    )
    return words == new_words and near


def _measured(text: str) -> tuple[list[str], list[float]]:
    # The words, with marks in place of what is measured, and the decimal numbers outside of Keras's
    # progress.
    for pattern, mark in _ANY:
        text = pattern.sub(mark, text)
    numbers = []
    for line in text.splitlines():
        if "TIME" not in line:
            numbers += [float(number) for number in _DECIMAL.findall(line)]
    text = _EPOCH.sub("Epoch", _DECIMAL.sub("#", f"{text}\n"))
    return _PROGRESS.sub(r"\1", text).split(), numbers


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="run, and compare with the stored outputs"
    )
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    failed = False
    for path in sorted(FOLDER.glob("*.ipynb")):
        started = time.monotonic()
        stored = nbformat.read(path, as_version=4)
        notebook = run(path)
        if arguments.check:
            for difference in differences(stored, notebook):
                failed = True
                print(
                    f"{path.name}, {difference}\nIf that is meant, run `make notebooks`.",
                    file=sys.stderr,
                )
        else:
            clean(notebook)
            nbformat.write(notebook, path)
        print(f"{path.name} ran in {time.monotonic() - started:.0f} s")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
