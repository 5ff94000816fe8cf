"""Whether size matters: the same sequence on tables of ten thousand and of ten million rows.

    python -m benchmarks.scale --rows 10000 10000000 --source parquet

Each size has a process of its own. It writes a table that repeats the pictures and captions of
sample_data to a file, reads it with `read_table`, and makes a shuffled, weighted sequence of it. A
column from a file has many pieces, as one from `--source memory` has not. Measured are the seconds
for making the sequence, for its first batch, and for the first batch of the next epoch, and what
the process's memory grows by beyond the table: the peak until then, and what remains (Linux only).

Then, in the same process, it takes turns with a table of the first size: two processes that do the
same can differ by a fifth for as long as they live. By how much throughput falls is the median over
the turns of the ratio of the two, with its standard error (1.253 times the robust standard
deviation over the root of their number). For the first size itself that is the noise of the
machine.

With `--processes N`, worker processes make the batches, and their memory is measured too: what is
private to them, and what they share with the process that reads (Linux only).
"""

from __future__ import annotations

import argparse
import gc
import itertools
import math
import os
import re
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

import multimodal_gen as mg
from benchmarks.report import Report, add_arguments, publish
from benchmarks.work import SAMPLE_DATA
from multimodal_gen.batch.processes.pool import process_pool_of

if TYPE_CHECKING:
    from multimodal_gen.sequence.sequence import MultimodalSequence

_IMAGE_SIZE = (64, 64)
_PICTURES = 64
_ROW_GROUP = 131_072
_MEGABYTE = 10**6


@dataclass(frozen=True)
class Limit:
    """What the project promises of a figure."""

    figure: str
    head: str
    most: float
    unit: str
    form: str


LIMITS = (
    Limit("construction", "construction", 5, "s", ".2f"),
    Limit("first_batch", "first batch", 2, "s", ".2f"),
    Limit("epoch_change", "epoch change", 3, "s", ".2f"),
    Limit("peak_growth", "peak growth", 250, "MB", ".0f"),
    Limit("settled_growth", "settled growth", 250, "MB", ".0f"),
    Limit("throughput_fall", "throughput falls", 5, "%", ".1f"),
)


def make_table(rows: int, source: str) -> pd.DataFrame:
    """A table of so many rows with the columns image, caption, label and weight.

    Args:
        rows: Rows of the table.
        source: "parquet" or "csv", the file that it is read from, or "memory".
    """
    sample = pd.read_csv(SAMPLE_DATA / "catalog.csv")
    places = np.arange(rows, dtype="int64")
    columns: dict[str, pa.Array] = {"weight": pa.array(places % 7 + 1.0)}
    for name, different in (("image", _PICTURES), ("caption", len(sample)), ("label", len(sample))):
        cells = pa.array(sample[name], pa.large_string())
        columns[name] = cells.take(pa.array(places % different))
    if source == "memory":
        arrays = {name: pd.arrays.ArrowExtensionArray(array) for name, array in columns.items()}
        return pd.DataFrame(arrays)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"table.{source}"
        table = pa.table(columns)
        if source == "csv":
            pa.csv.write_csv(table, path)
        else:
            pa.parquet.write_table(table, path, row_group_size=_ROW_GROUP)
        del table, columns
        return mg.read_table(path)


def make_sequence(table: pd.DataFrame, processes: int) -> MultimodalSequence:
    """A shuffled sequence of a table, with what was learned from sample_data."""
    sample = pd.read_csv(SAMPLE_DATA / "catalog.csv")
    inputs = {
        "image": mg.ImageLoader("image", directory=SAMPLE_DATA, image_size=_IMAGE_SIZE),
        "caption": mg.TextLoader.from_texts("caption", sample["caption"], sequence_length=24),
    }
    target = mg.ClassLabel.from_values("label", sample["label"])
    return _sequence(table, inputs, target, processes)


def _sequence(
    table: pd.DataFrame, inputs: Any, target: mg.ClassLabel, processes: int
) -> MultimodalSequence:
    return mg.MultimodalSequence(
        table, inputs, target, shuffle=True, sample_weight="weight", processes=processes
    )


def begin(rows: int, source: str, processes: int) -> tuple[MultimodalSequence, dict[str, Any]]:
    """Make the table and the sequence, and take the first batches of two epochs.

    Args:
        rows: Rows of the table.
        source: Where it is read from.
        processes: Worker processes, or 0.

    Returns:
        The sequence, and the figures: construction, first_batch and epoch_change in seconds;
        peak_growth, settled_growth and table in MB.
    """
    # What any table costs: Keras, loaders, threads, the memory of some batches.
    for _ in (any_table := make_sequence(make_table(512, source), processes)):
        pass
    before = _resident()
    table = make_table(rows, source)
    _settle()
    with_table = _resident()
    Path("/proc/self/clear_refs").write_text("5")
    figures = {"table": with_table - before}
    started = time.perf_counter()
    sequence = _sequence(table, any_table.inputs, any_table.target, processes)
    figures["construction"] = time.perf_counter() - started
    started = time.perf_counter()
    sequence[0]
    figures["first_batch"] = time.perf_counter() - started
    sequence.epoch = 1
    started = time.perf_counter()
    sequence[0]
    figures["epoch_change"] = time.perf_counter() - started
    figures["peak_growth"] = _resident("VmHWM") - with_table
    _settle()
    figures["settled_growth"] = _resident() - with_table
    return sequence, figures


def measure(
    rows: int, reference: int, source: str, processes: int, batches: int, rounds: int
) -> dict[str, Any]:
    """Measure one size, in a process that has done nothing else.

    Args:
        rows: Rows of the table.
        reference: Rows of the table that throughput is compared with.
        source: Where both tables are read from.
        processes: Worker processes, or 0.
        batches: Batches of a turn.
        rounds: Turns of each table.

    Returns:
        The figures of `begin`; throughput and reference_throughput (samples/s, turn by turn);
        throughput_fall in percent, and throughput_fall_error, its standard error; workers_private
        and workers_shared, the memory of worker processes in MB.
    """
    sequence, figures = begin(rows, source, processes)
    other = make_sequence(make_table(reference, source), processes)
    if processes:
        process_pool_of(processes).wait(60)
    speeds: dict[str, list[float]] = {"throughput": [], "reference_throughput": []}
    pairs = [("throughput", sequence), ("reference_throughput", other)]
    for one in range(rounds):
        for name, data in pairs if one % 2 else reversed(pairs):
            speeds[name].append(throughput(data, batches))
    falls = [100 * (1 - speed / before) for speed, before in zip(*speeds.values(), strict=True)]
    fall = statistics.median(falls)
    deviation = 1.4826 * statistics.median(abs(one - fall) for one in falls)
    error = 1.253 * deviation / math.sqrt(rounds)
    private, shared = _memory_of_workers(processes)
    return {
        **figures,
        **speeds,
        "throughput_fall": fall,
        "throughput_fall_error": error,
        "workers_private": private,
        "workers_shared": shared,
    }


def _memory_of_workers(processes: int) -> tuple[float, float]:
    # In MB. What several processes share counts once, as each has its part of it (PSS).
    private = shared = 0.0
    for worker in process_pool_of(processes).workers if processes else ():
        text = Path(f"/proc/{worker}/smaps_rollup").read_text()
        sizes = {name: int(size) for name, size in re.findall(r"^(\w+): +(\d+) kB", text, re.M)}
        own = sizes["Private_Clean"] + sizes["Private_Dirty"]
        private += own * 1024 / _MEGABYTE
        shared += (sizes["Pss"] - own) * 1024 / _MEGABYTE
    return private, shared


def throughput(sequence: MultimodalSequence, batches: int) -> float:
    """Samples/s over the first batches of the sequence's epoch."""
    started = time.perf_counter()
    rows = sum(len(labels) for _, labels, _ in itertools.islice(sequence, batches))
    return rows / (time.perf_counter() - started)


def _settle() -> None:
    gc.collect()
    pa.default_memory_pool().release_unused()


def _resident(name: str = "VmRSS") -> float:
    found = re.search(rf"^{name}:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024 / _MEGABYTE


def make_report(
    results: dict[int, dict[str, Any]], source: str, processes: int, batches: int
) -> Report:
    """A table with a row a size, and the limits in the last row."""
    rows = [
        [
            f"{size:,} rows",
            f"{figures['table']:,.0f} MB",
            *(f"{figures[limit.figure]:{limit.form}} {limit.unit}" for limit in LIMITS),
            f"{figures['throughput_fall_error']:.1f} %",
            f"{statistics.median(figures['throughput']):,.0f}",
        ]
        for size, figures in results.items()
    ]
    rows.append(["limit", "", *(f"{limit.most:g} {limit.unit}" for limit in LIMITS), "", ""])
    broken = [
        f"{limit.head} at {size:,} rows"
        for size, figures in results.items()
        for limit in LIMITS
        if figures[limit.figure] > limit.most
    ]
    height, width = _IMAGE_SIZE
    rounds = len(next(iter(results.values()))["throughput"])
    return Report(
        name="scale",
        title=f"Tables of many rows ({source}): pictures of {height}x{width}, shuffled",
        columns=[
            "table",
            "its size",
            *(limit.head for limit in LIMITS),
            "standard error",
            "samples/s",
        ],
        rows=rows,
        notes=[
            f"Over a limit: {', '.join(broken)}." if broken else "All within the limits.",
            "Throughput falls in relation to a table of the first size in the same process; "
            f"{rounds} turns of {batches} batches.",
            *(
                f"The {processes} worker processes at {size:,} rows: "
                f"{figures['workers_private']:,.0f} MB of their own, and "
                f"{figures['workers_shared']:,.0f} MB shared."
                for size, figures in results.items()
                if processes
            ),
        ],
        figures={str(size): figures for size, figures in results.items()},
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Read the arguments, measure, report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 10_000_000])
    parser.add_argument("--source", choices=("parquet", "csv", "memory"), default="parquet")
    parser.add_argument("--processes", type=int, default=0, help="worker processes; 0 for threads")
    parser.add_argument("--batches", type=int, default=300, help="batches of a turn")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each size")
    add_arguments(parser)
    arguments = parser.parse_args(argv)
    results: dict[int, dict[str, Any]] = {}
    for rows in arguments.rows:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            future = pool.submit(
                measure,
                rows,
                arguments.rows[0],
                arguments.source,
                arguments.processes,
                arguments.batches,
                arguments.rounds,
            )
            results[rows] = future.result()
    publish(
        make_report(results, arguments.source, arguments.processes, arguments.batches), arguments
    )


if __name__ == "__main__":
    main()
