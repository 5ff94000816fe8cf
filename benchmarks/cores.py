"""Samples a second with 1, 2, 4, ... threads and worker processes, up to all cores.

    python -m benchmarks.cores --images ../shared/data/photos --size small
    python -m benchmarks.cores --counts 16 --ways turbo torch limit

For each number of cores, contestants take turns as in `benchmarks.throughput`. `limit` is what
libjpeg-turbo decodes with as many threads, shrinking while it decodes, and nothing else. What a
process costs its parent is the processor time of the parent for a sample.
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.ours import LIMITS, open_sequence
from benchmarks.peers import open_grain_processes, open_torch
from benchmarks.report import Report, add_arguments, publish
from benchmarks.throughput import measure
from benchmarks.work import Contestant, Source, Work, add_images, pictures_in_words, read_work
from multimodal_gen.batch.threads import available_cores

_OURS = {
    "turbo": {"decoder": "turbo"},
    "pillow": {},
    "augmented": {"decoder": "turbo", "augment": True},
}
_LIMIT = next(one.open for one in LIMITS if one.name == "limit-scaled")
_OTHERS: dict[str, Callable[[Work], Source]] = {
    "torch": open_torch,
    "grain": open_grain_processes,
    "limit": _LIMIT,
}
WAYS = (*_OURS, *_OTHERS)


def contestants(ways: Sequence[str]) -> list[Contestant]:
    """Who takes part: each of our ways with threads and with processes, and the others."""
    found = []
    for way in ways:
        if way in _OURS:
            for processes in (False, True):
                opener = functools.partial(open_sequence, processes=processes, **_OURS[way])
                name = f"{way}, {'processes' if processes else 'threads'}"
                found.append(Contestant(name, opener, ""))
        else:
            delivers = "pixels" if way == "limit" else "batches"
            found.append(Contestant(way, _OTHERS[way], "", delivers=delivers))
    return found


class ParentClock:
    """The processor time of this process, for each sample that a contestant delivers."""

    def __init__(self) -> None:
        self.microseconds: dict[str, float] = {}

    def watching(self, one: Contestant) -> Contestant:
        """Return the same contestant, watched."""

        def opened(work: Work) -> Source:
            source = one.open(work)

            def epoch() -> Iterator[Any]:
                started = time.process_time()
                yield from source.epoch()
                spent = time.process_time() - started
                self.microseconds[one.name] = 1e6 * spent / len(work.table)

            return replace(source, epoch=epoch)

        return replace(one, open=opened)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_images(parser)
    parser.add_argument("--rows", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=64)
    cores = available_cores()
    counts = [count for count in (1, 2, 4, 8, 16, 32, 64) if count < cores] + [cores]
    parser.add_argument("--counts", type=int, nargs="+", default=counts, metavar="N")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, metavar="WAY")
    add_arguments(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the arguments, measure, report."""
    arguments = parse(argv)
    speeds: dict[int, dict[str, list[float]]] = {}
    skipped: dict[str, str] = {}
    clock = ParentClock()
    with tempfile.TemporaryDirectory() as scratch:
        work = read_work(
            arguments.images,
            rows=arguments.rows,
            size=arguments.size,
            image_size=(224, 224),
            batch_size=arguments.batch_size,
            threads=1,
            scratch=Path(scratch),
        )
        for count in arguments.counts:
            watched = [clock.watching(one) for one in contestants(arguments.ways)]
            alike = replace(work, threads=count)
            speeds[count], left_out = measure(alike, watched, arguments.rounds, "loader")
            skipped |= left_out
    pictures = pictures_in_words(arguments)
    title = f"Samples a second by cores: {pictures} to 224x224, batches of {work.batch_size}"
    publish(make_report(title, speeds, skipped, clock), arguments)


def make_report(
    title: str,
    speeds: dict[int, dict[str, list[float]]],
    skipped: dict[str, str],
    clock: ParentClock,
) -> Report:
    """A table of medians: a row for each contestant, a column for each number of cores."""
    names = list(dict.fromkeys(name for one in speeds.values() for name in one))
    medians = {
        count: {name: statistics.median(values) for name, values in one.items()}
        for count, one in speeds.items()
    }
    last = max(speeds)
    limit = medians[last].get("limit")
    rows = [
        [
            name,
            *(f"{one[name]:,.0f}" if name in one else "" for one in medians.values()),
            f"{medians[last][name] / limit:.2f}" if limit and name in medians[last] else "",
            f"{clock.microseconds[name]:,.0f}" if name in clock.microseconds else "",
        ]
        for name in names
    ]
    return Report(
        name="cores",
        title=title,
        columns=["contestant", *map(str, speeds), f"to limit at {last}", "us of the parent"],
        rows=rows,
        notes=[
            "turbo, pillow: the two decoders; augmented: turbo with shear, zoom and flip.",
            "torch: a DataLoader with Pillow; grain: mp_prefetch with Pillow; both with processes.",
            "limit: libjpeg-turbo decodes to the fewest eighths that cover the size; no resizing.",
            "us of the parent: its processor time for a sample, at the last count.",
            *(f"{one} was left out: {reason.rstrip('.')}." for one, reason in skipped.items()),
        ],
        figures={"samples_per_second": speeds, "parent_microseconds": clock.microseconds},
    )


if __name__ == "__main__":
    main()
