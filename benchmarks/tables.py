"""What reading a table costs: seconds and memory of `read_table`, against another checkout of the
package.

    git worktree add ../before 95a95b7
    python -m benchmarks.tables --against ../before --rows 1000000 --repeats 7

Writes tables of the columns image, caption, label, price and stock: csv plain, csv with every text
in quotes, tsv with quotes inside of captions, jsonl and parquet. Each is read in a process of its
own, by both checkouts by turns, so that both meet the same disturbances. Prints a row for each
format: the least seconds, the ratios of the least and of the medians, and the most memory that the
process held beyond what it held after its imports (on Linux only).
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

FILES = ("plain.csv", "quoted.csv", "quotes.tsv", "rows.jsonl", "rows.parquet")
_WORDS = (
    "red",
    "blue",
    "small",
    "large",
    "shiny",
    "cotton",
    "steel",
    "glass",
    "cup",
    "hat",
    "shirt",
    "for",
    "handle",
)
_READ = """
import json, sys, time
import pyarrow, pyarrow.csv, pyarrow.parquet
import multimodal_gen as mg
read = mg.read_table
def peak():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
before, start = peak(), time.perf_counter()
table = read(sys.argv[1])
print(json.dumps([time.perf_counter() - start, peak() - before, len(table)]))
"""


def write_tables(folder: Path, rows: int) -> None:
    """Write the same rows in every format."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "image": [f"images/{row:07d}.jpg" for row in range(rows)],
            "caption": [" ".join(words) for words in rng.choice(_WORDS, (rows, 8)).tolist()],
            "label": rng.choice(_WORDS, rows),
            "price": rng.integers(0, 10_000, rows) / 100,
            "stock": rng.integers(0, 1000, rows),
        }
    )
    table.to_csv(folder / "plain.csv", index=False)
    table.to_parquet(folder / "rows.parquet")
    table.to_json(folder / "rows.jsonl", orient="records", lines=True)
    quotes = table.assign(caption=table["caption"].str.replace(" large", ' 5"'))
    with (folder / "quotes.tsv").open("w") as file:
        file.write("\t".join(quotes.columns) + "\n")
        file.writelines("\t".join(map(str, row)) + "\n" for row in quotes.itertuples(index=False))
    table["caption"] = table["caption"].str.replace(" for", ', "for"')
    table.to_csv(folder / "quoted.csv", index=False, quoting=csv.QUOTE_NONNUMERIC)


def read_once(checkout: Path, file: Path) -> tuple[float, float, int]:
    """Seconds, megabytes and rows of one reading in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(file)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, megabytes, rows = json.loads(done.stdout)
    return seconds, megabytes, rows


def compare(here: Path, other: Path, file: Path, repeats: int) -> str:
    """A row of the table of results."""
    times: dict[Path, list[float]] = {here: [], other: []}
    memory: dict[Path, list[float]] = {here: [], other: []}
    for _ in range(repeats):
        for checkout in (other, here):
            seconds, megabytes, _ = read_once(checkout, file)
            times[checkout].append(seconds)
            memory[checkout].append(megabytes)
    least = {checkout: min(own) for checkout, own in times.items()}
    middle = {checkout: statistics.median(own) for checkout, own in times.items()}
    peak = {checkout: statistics.median(own) for checkout, own in memory.items()}
    return (
        f"| {file.name} | {least[other]:.2f} s | {least[here]:.2f} s | "
        f"{least[here] / least[other]:.2f} | {middle[here] / middle[other]:.2f} | "
        f"{peak[other]:.0f} MB | {peak[here]:.0f} MB |"
    )


def main(arguments: list[str] | None = None) -> None:
    """Write the tables, read them by turns, print the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--against", type=Path, required=True, help="another checkout of the package"
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--files", nargs="+", choices=FILES, default=FILES)
    given = parser.parse_args(arguments)
    here = Path(__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_tables(folder, given.rows)
        print("| file | before | now | ratio of the least | of the medians | memory before | now |")
        print("|---|--:|--:|--:|--:|--:|--:|")
        for file in given.files:
            print(compare(here, given.against.resolve(), folder / file, given.repeats), flush=True)


if __name__ == "__main__":
    main()
