"""What an audit finds of problems that were planted in good rows, what else it reports, and how
long it takes.

    python -m benchmarks.audit --data ../shared/data/fashion

A planted problem is found if the row, or the one that it is a copy of, is reported with its kind.
Any other row that is reported is a false alarm, unless the table had it before: pictures that are
the same to the byte, pictures of one colour, and captions that differ in case, spaces or
punctuation only, which can be checked without judgement. Near duplicates that the table had before
count as false alarms here, though some of them are real.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

import multimodal_gen as mg
from benchmarks.planting import plant

_NAMES = {"spelling": "near duplicate"}


def measure(
    data: Path, per_kind: int, seed: int
) -> tuple[dict[str, tuple[int, int]], int, int, float]:
    """Plant, audit, compare.

    Args:
        data: A folder with images/ and data.csv.
        per_kind: How many rows are spoiled in each way.
        seed: Fixes the planting.

    Returns:
        Kind -> planted and found; rows that are false alarms; good rows; seconds.
    """
    good = mg.read_table(data / "data.csv")
    with tempfile.TemporaryDirectory() as folder:
        before = _audit(good, data)
        known = before.problems[_can_be_checked(before.problems)]
        table, planted = plant(good, data, Path(folder), per_kind, seed)
        start = time.perf_counter()
        problems = _audit(table, Path(folder)).problems
        seconds = time.perf_counter() - start
    kinds = problems.groupby("index")["kind"].agg(set).to_dict()
    scores: dict[str, tuple[int, int]] = {}
    for kind, rows in planted.groupby("kind", sort=False):
        name = _NAMES.get(str(kind), str(kind))
        found = sum(
            name in kinds.get(row.row, ()) or name in kinds.get(row.other, ())
            for row in rows.itertuples()
        )
        scores[str(kind)] = (len(rows), found)
    touched = {*planted["row"], *planted["other"], *known["index"]}
    alarms = set(problems["index"]) - touched
    return scores, len(alarms), len(good) - len(planted), seconds


def _can_be_checked(problems: pd.DataFrame) -> pd.Series:
    near = problems["message"].str.contains("nearly the same")
    return ~near


def _audit(table: pd.DataFrame, folder: Path) -> mg.Audit:
    train = table[(table["split"] == "train") & table["caption"].notna()]
    labels = [label for label in train["label"].unique() if not label.startswith("Unheard-of")]
    inputs = {
        "image": mg.ImageLoader("image", directory=folder, image_size=(64, 64)),
        "caption": mg.TextLoader.from_texts("caption", train["caption"]),
    }
    return mg.audit(
        table,
        inputs,
        mg.ClassLabel("label", sorted(labels)),
        split="split",
        progress=lambda cells: None,
    )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--data", type=Path, required=True, help="a folder with images/ and data.csv"
    )
    parser.add_argument("--per-kind", type=int, default=12)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    shown = Table(
        "planted",
        *(f"found, seed {seed}" for seed in arguments.seeds),
        title="Problems planted in good rows",
    )
    runs = [measure(arguments.data, arguments.per_kind, seed) for seed in arguments.seeds]
    for kind in runs[0][0]:
        shown.add_row(kind, *(f"{scores[kind][1]} of {scores[kind][0]}" for scores, *_ in runs))
    shown.add_section()
    shown.add_row(
        "false alarms",
        *(f"{alarms} of {good} rows, {alarms / good:.2%}" for _, alarms, good, _ in runs),
    )
    shown.add_row("seconds", *(f"{seconds:.1f}" for *_, seconds in runs))
    Console().print(shown)


if __name__ == "__main__":
    main()
