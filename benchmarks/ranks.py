"""What a second rank is worth: two ranks on two cores beside one rank on one core, data included.

    KERAS_BACKEND=torch python -m benchmarks.ranks --images ../shared/data/photos --size small

A process has one core and one thread to compute with. It decodes photos, resizes them to 96x96, and
trains the default classifier on them and their captions; a batch has as many rows whoever trains
it. `apart` are two processes that know nothing of each other, each with half the rows in batches of
half the size: what the machine can do on two cores. Contestants take turns, and the median epoch
counts, without the first of each turn, which compiles. Needs two cores and `taskset`.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import keras

from benchmarks.report import Report, add_arguments, publish
from benchmarks.work import add_images, make_photos, pictures_in_words

CONTESTANTS = ("one rank", "two ranks", "apart")
Turn = dict[str, list[float]]


def run(contestant: str, photos: Path, given: argparse.Namespace) -> list[Turn]:
    """Train once, and return what the clocks of each process say.

    Args:
        contestant: One of `CONTESTANTS`.
        photos: Their folder.
        given: With `rows`, `batch_size`, `epochs` and `size`.

    Raises:
        subprocess.CalledProcessError: If a process fails; it has printed why.
    """
    count = 1 if contestant == "one rank" else 2
    share = 2 if contestant == "apart" else 1
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    started = []
    for rank in range(count):
        variables = {"OMP_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu"}
        if contestant == "two ranks":
            variables |= {"RANK": f"{rank}", "WORLD_SIZE": "2"}
            variables |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": f"{port}"}
        numbers = (given.rows // share, given.batch_size // share, given.epochs)
        command = ["taskset", "-c", f"{rank}", sys.executable, "-m", "benchmarks.rank_epochs"]
        command += [str(photos), *map(str, numbers), *([given.size] if given.size else [])]
        environment = {**os.environ, **variables}
        started.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE))
    found = []
    for process in started:
        said, _ = process.communicate()
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, process.args)
        found.append(json.loads(said))
    return found


def rows_of(turns: dict[str, list[list[Turn]]], rows: int) -> list[list[str]]:
    """The table: a line for each contestant.

    Args:
        turns: Contestant -> for each of its turns, what each process found.
        rows: Rows of an epoch.
    """

    def epochs(name: str, clock: str) -> list[float]:
        """Of all turns; of processes, the mean."""
        return [
            statistics.mean(seconds)
            for turn in turns[name]
            for seconds in list(zip(*(one[clock] for one in turn), strict=True))[1:]
        ]

    def median(name: str, clock: str) -> float:
        return statistics.median(epochs(name, clock))

    alone = epochs("one rank", "epoch")
    return [
        [
            name,
            f"{rows / median(name, 'epoch'):.0f}",
            f"{statistics.median(alone) / median(name, 'epoch'):.2f}",
            f"{min(alone) / min(epochs(name, 'epoch')):.2f}",
            f"{median(name, 'processor') * len(turns[name][0]):.2f}",
            f"{median(name, 'waiting') / median(name, 'epoch'):.1%}",
        ]
        for name in turns
    ]


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_images(parser)
    parser.add_argument("--rows", type=int, default=1024)
    parser.add_argument("--batch-size", type=int, default=64, help="of all ranks together")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    add_arguments(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the arguments, measure, report."""
    given = parse(argv)
    turns: dict[str, list[list[Turn]]] = {name: [] for name in CONTESTANTS}
    with tempfile.TemporaryDirectory() as scratch:
        photos = given.images
        if photos is None:
            photos = Path(scratch) / "photos"
            make_photos(photos)
        for _ in range(given.rounds):
            for name in CONTESTANTS:
                turns[name].append(run(name, photos, given))
    report = Report(
        name="ranks",
        title=f"Ranks on {keras.backend.backend()}: "
        f"{pictures_in_words(given)} to 96x96, batches of {given.batch_size}",
        columns=["trained by", "rows/s", "to one rank", "fastest", "processor s", "waits"],
        rows=rows_of(turns, given.rows),
        notes=[
            "apart: two processes that know nothing of each other, each with half the rows.",
            "fastest: the same ratio of the fastest epochs, which other work disturbs less.",
            "processor s: the processor time of an epoch, all processes together.",
            "waits: the share of an epoch from the end of each step until its batch was there.",
        ],
        figures={"turns": turns},
    )
    publish(report, given)


if __name__ == "__main__":
    main()
