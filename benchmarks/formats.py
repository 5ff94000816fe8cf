"""Samples a second in shuffled epochs over one table in several formats, beside other libraries.

    python -m benchmarks.formats --rows 10000 --size 160

The same JPEG files are written as loose files and an Arrow file, and by `pack_table` as tar shards,
parquet and, where pylance is installed, a dataset of Lance. Each is read by the same sequence, two
worker processes, to pictures of 64x64; loose files also by two threads. webdataset and datasets
read the tar shards and the parquet file, litdata and streaming the chunks and shards that they
write, each with two workers. They call Pillow as people do, or, with `--decoded ours`, in the way
that gives the pixels of `ImageLoader` at the least cost: see `format_readers.py`. Each may have an
interpreter of its own, as `--streaming-python venv/bin/python`; those without the library are left
out. Contestants take turns for several rounds; the figure is the median of each one's ratio to
loose files in its round. Processor time counts all threads and workers, and says more than the
clock where others use the machine. Linux only, as it is read from /proc.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from PIL import Image
from rich.console import Console
from rich.table import Table

import multimodal_gen as mg
from benchmarks.format_readers import EPOCH, WORKERS, processor_seconds

SIDE = 64
BATCH = 32
LIBRARIES = ("webdataset", "datasets", "litdata", "streaming")

# Rows, and seconds of processor time.
Epoch = tuple[int, float]


def make_rows(folder: Path, rows: int, size: int) -> pd.DataFrame:
    """JPEG files of `size` pixels a side, with captions and labels."""
    rng = np.random.default_rng(0)
    found = []
    for row in range(rows):
        path = folder / f"{row:06}.jpg"
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), "uint8"))
        coarse.resize((size, size), Image.Resampling.BICUBIC).save(path, quality=90)
        found.append((str(path), f"a thing of kind {row % 7}", row % 5))
    return pd.DataFrame(found, columns=["image", "caption", "label"])


def write(loose: pd.DataFrame, folder: Path) -> dict[str, str]:
    """Format -> what `open_table` opens."""
    whole = loose.assign(image=[Path(one).read_bytes() for one in loose["image"]])
    table = pa.Table.from_pandas(whole)
    with pa.ipc.new_file(folder / "t.arrow", table.schema) as out:
        out.write_table(table, max_chunksize=1000)
    found = {"arrow": str(folder / "t.arrow")}
    names = {"tar": f"s-{{000..{min(len(loose), 10) - 1:03}}}.tar", "parquet": "t.parquet"}
    if importlib.util.find_spec("lance"):
        names["lance"] = "t.lance"
    for form, name in names.items():
        found[form] = str(folder / name)
        mg.pack_table(loose, found[form], [mg.ImageLoader("image", image_size=(SIDE, SIDE))])
    return found


def sequence_of(
    table: pd.DataFrame, loose: pd.DataFrame, processes: int = WORKERS
) -> mg.MultimodalSequence:
    """Pictures, captions and labels of a table."""
    return mg.MultimodalSequence(
        table,
        {
            "image": mg.ImageLoader("image", image_size=(SIDE, SIDE)),
            "caption": mg.TextLoader.from_texts(
                "caption", loose["caption"][:1000], sequence_length=8
            ),
        },
        mg.ClassLabel("label", range(5)),
        batch_size=BATCH,
        shuffle=True,
        seed=0,
        threads=WORKERS,
        processes=processes,
    )


def epochs_of(sequence: mg.MultimodalSequence) -> Generator[Epoch]:
    """An epoch each time, each in another order."""
    while True:
        before = processor_seconds()
        rows = sum(len(batch[1]) for batch in sequence)
        yield rows, processor_seconds() - before
        sequence.on_epoch_end()


def epochs_by(library: str, python: str, source: str, decoded: str) -> Generator[Epoch]:
    """Epochs by another library, each read when it is asked for."""
    with start(python, "read", library, source, str(SIDE), str(BATCH), decoded) as child:
        assert child.stdin
        assert child.stdout
        try:
            while True:
                child.stdin.write("\n")
                child.stdin.flush()
                answer = next((one for one in child.stdout if one.startswith(EPOCH)), None)
                if answer is None:
                    raise SystemExit(f"{library} ended with status {child.wait()}.")
                _, rows, seconds = answer.split()
                yield int(rows), float(seconds)
        finally:
            child.stdin.close()


def start(python: str, *arguments: str) -> subprocess.Popen[str]:
    """`format_readers.py` by an interpreter."""
    command = [python, str(Path(__file__).with_name("format_readers.py")), *arguments]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    )


def has(python: str, library: str) -> bool:
    """Whether an interpreter finds a library and torch."""
    code = "import sys, importlib.util as u; sys.exit(not all(map(u.find_spec, sys.argv[1:])))"
    return not subprocess.run([python, "-c", code, library, "torch"], check=False).returncode


def others(
    pythons: dict[str, str],
    written: dict[str, str],
    loose: pd.DataFrame,
    folder: Path,
    decoded: str,
) -> dict[str, Generator[Epoch]]:
    """The libraries that are installed; litdata and streaming write what they read."""
    rows = folder / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in loose.to_numpy().tolist()), "utf-8")
    sources = {"webdataset": written["tar"], "datasets": written["parquet"]}
    found = {}
    for library, python in pythons.items():
        if not has(python, library):
            Console().print(f"{library} was left out: {python} does not find it, or torch.")
            continue
        source = sources.get(library)
        if source is None:
            source = str(folder / library)
            with start(python, "write", library, source, str(rows)) as child:
                child.communicate()
            if child.returncode:
                raise SystemExit(f"{library} could not write: status {child.returncode}.")
        found[library] = epochs_by(library, python, source, decoded)
    return found


def measure(
    contestants: dict[str, Generator[Epoch]], rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Rows a second of each contestant in each round, and milliseconds of processor time a row.

    The first epoch of each is not counted.
    """
    for epochs in contestants.values():
        next(epochs)
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    work: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, epochs in contestants.items():
            started = time.perf_counter()
            rows, seconds = next(epochs)
            rates[name].append(rows / (time.perf_counter() - started))
            work[name].append(1000 * seconds / rows)
    return rates, work


def to_loose(found: dict[str, list[float]]) -> dict[str, float]:
    """The median of each contestant's ratio to loose files in its round."""
    return {
        name: statistics.median(
            one / base for one, base in zip(own, found["loose files"], strict=True)
        )
        for name, own in found.items()
    }


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Print and return each contestant's ratio to loose files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=160, help="pixels a side of a picture")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--decoded", choices=("usual", "ours"), default="usual")
    for library in LIBRARIES:
        parser.add_argument(
            f"--{library}-python", default=sys.executable, help=f"an interpreter that has {library}"
        )
    chosen = parser.parse_args(arguments)
    pythons = {one: getattr(chosen, f"{one}_python") for one in LIBRARIES}
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        loose = make_rows(folder, chosen.rows, chosen.size)
        written = write(loose, folder)
        contestants = {
            "loose files": epochs_of(sequence_of(loose, loose)),
            "loose files, threads": epochs_of(sequence_of(loose, loose, processes=0)),
        }
        for of, pattern in written.items():
            contestants[of] = epochs_of(sequence_of(mg.open_table(pattern), loose))
        contestants |= others(pythons, written, loose, folder, chosen.decoded)
        for epochs in contestants.values():
            stack.enter_context(contextlib.closing(epochs))
        rates, work = measure(contestants, chosen.rounds)
    ratios = to_loose(rates)
    work_ratios = to_loose(work)
    table = Table("read from", "rows/s", "to loose files", "CPU ms a row", "to loose files")
    for name, found in rates.items():
        table.add_row(
            name,
            f"{statistics.median(found):,.0f}",
            f"{ratios[name]:.2f}",
            f"{statistics.median(work[name]):.2f}",
            f"{work_ratios[name]:.2f}",
        )
    Console().print(table)
    return ratios


if __name__ == "__main__":
    main()
