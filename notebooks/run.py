"""Run the notebooks from top to bottom: to store their outputs, or with --check to see that they still run.

A check runs each notebook in an empty folder beside a copy of nothing but sample_data, and leaves the stored outputs
alone; it fails if a cell fails, or if a stored notebook has cells without outputs that should have some.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent


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


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="run, and keep the stored outputs")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for path in sorted(FOLDER.glob("*.ipynb")):
        started = time.monotonic()
        stored = nbformat.read(path, as_version=4)
        notebook = run(path)
        if arguments.check:
            if not any(cell.get("outputs") for cell in stored.cells):
                print(f"{path.name} is stored without outputs: run `make notebooks`", file=sys.stderr)
                return 1
        else:
            clean(notebook)
            nbformat.write(notebook, path)
        print(f"{path.name} ran in {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
