"""Samples a second: this package, and other libraries, on the same rows.

    python -m benchmarks.throughput --images ../shared/data/photos --size small
    python -m benchmarks.throughput --through fit --peers ours-turbo sequence tf.data ready

Every contestant is given one epoch to warm up, in which its arrays are checked and caches are
filled. Then they take turns for some rounds, each round beginning with another one, so that
whatever else the machine does hits all alike. A turn is as many whole epochs as fill half a second.
What counts is the median of a contestant's turns, and ratios are ratios of medians.

With `--through fit`, a tiny model that looks at a few pixels is trained for two epochs a turn, and
the second one counts: what Keras's `fit` gets, on the backend that KERAS_BACKEND names.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import tempfile
import time
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.ours import LIMITS, OURS
from benchmarks.peers import PEERS
from benchmarks.report import Bar, Report, add_arguments, bar_chart, publish
from benchmarks.work import (
    Contestant,
    SkippedError,
    Source,
    Work,
    add_images,
    check_batch,
    pictures_in_words,
    read_work,
)

CONTESTANTS = (*OURS, *PEERS, *LIMITS)
_SECONDS_A_TURN = 0.5


def measure(
    work: Work, contestants: Sequence[Contestant], rounds: int, through: str
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Time contestants in turns.

    Args:
        work: What they do.
        contestants: Who takes part.
        rounds: How many epochs of each are timed.
        through: "loader", or "fit" for those that `fit` takes.

    Returns:
        Name -> samples/s, round by round; and name -> why it was left out.
    """
    turns: dict[str, Callable[[], float]] = {}
    skipped: dict[str, str] = {}
    for contestant in contestants:
        try:
            source = contestant.open(work)
        except SkippedError as error:
            skipped[contestant.name] = str(error)
            continue
        except ModuleNotFoundError as error:
            skipped[contestant.name] = f"{error.name} is not installed"
            continue
        if through == "fit" and source.data is None:
            skipped[contestant.name] = "Keras's fit does not take it, or it lacks an input"
            continue
        _warm_up(source, work, contestant)
        loading = through == "loader"
        turns[contestant.name] = (
            _turn_of_loader(source, work) if loading else _turn_of_fit(source, work, contestant)
        )
    speeds: dict[str, list[float]] = {name: [] for name in turns}
    order = deque(turns)
    for _ in range(rounds):
        for name in order:
            gc.collect()
            speeds[name].append(turns[name]())
        order.rotate(-1)
    return speeds, skipped


def _warm_up(source: Source, work: Work, contestant: Contestant) -> None:
    batches = 0
    for number, batch in enumerate(source.epoch()):
        batches += 1
        check_batch(
            batch,
            work,
            contestant,
            min(work.batch_size, len(work.table) - number * work.batch_size),
        )
    if batches != work.num_batches:
        raise ValueError(
            f"{contestant.name} must deliver {work.num_batches} batches an epoch. Received: "
            f"{batches}"
        )


def _turn_of_loader(source: Source, work: Work) -> Callable[[], float]:
    def turn() -> float:
        started, epochs, seconds = time.perf_counter(), 0, 0.0
        while seconds < _SECONDS_A_TURN:
            for _ in source.epoch():
                pass
            epochs, seconds = epochs + 1, time.perf_counter() - started
        return epochs * len(work.table) / seconds

    return turn


def _turn_of_fit(source: Source, work: Work, contestant: Contestant) -> Callable[[], float]:
    from benchmarks.models import EpochClock, tiny_model

    model = tiny_model(work)

    def turn() -> float:
        clock = EpochClock()
        with warnings.catch_warnings():
            # Keras does not know how long a dataset of grain is, and complains at its end.
            warnings.filterwarnings("ignore", message="Your input ran out of data")
            model.fit(source.data, epochs=2, shuffle=False, verbose=0, callbacks=[clock])
        if clock.steps != [work.num_batches] * 2:
            wanted = f"{work.num_batches} batches an epoch"
            raise ValueError(f"{contestant.name} must train on {wanted}. Received: {clock.steps}")
        return len(work.table) / clock.seconds[1]

    return turn


def make_report(
    name: str,
    title: str,
    speeds: dict[str, list[float]],
    skipped: dict[str, str],
    figures: dict[str, Any],
) -> Report:
    """A table of medians, the fastest on top, with ratios to the tutorial's sequence, to tf.data
    and to the limit.
    """
    medians = {one: statistics.median(values) for one, values in speeds.items()}
    about = {one.name: one.about for one in CONTESTANTS}
    references = [
        one for one in ("sequence", "tf.data", "limit", "limit-scaled", "ready") if one in medians
    ]
    rows = [
        [
            one,
            f"{median:,.0f}",
            f"{min(speeds[one]):,.0f}",
            f"{max(speeds[one]):,.0f}",
            *(f"{median / medians[reference]:.2f}" for reference in references),
        ]
        for one, median in sorted(medians.items(), key=lambda item: -item[1])
    ]
    return Report(
        name=name,
        title=title,
        columns=[
            "contestant",
            "samples/s",
            "lowest",
            "highest",
            *(f"to {one}" for one in references),
        ],
        rows=rows,
        notes=[
            *(f"{one}: {about[one]}." for one in medians),
            *(f"{one} was left out: {reason.rstrip('.')}." for one, reason in skipped.items()),
        ],
        figures={**figures, "samples_per_second": speeds, "median": medians, "skipped": skipped},
    )


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_images(parser)
    parser.add_argument(
        "--rows", type=int, default=2048, help="rows of the table; those of the folder are repeated"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--image-size", type=int, nargs=2, default=(224, 224), metavar=("HEIGHT", "WIDTH")
    )
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument(
        "--threads", type=int, default=2, help="threads or processes of each contestant"
    )
    parser.add_argument("--through", choices=("loader", "fit"), default="loader")
    names = [one.name for one in CONTESTANTS]
    parser.add_argument(
        "--peers", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names)
    )
    add_arguments(parser)
    arguments = parser.parse_args(argv)
    arguments.image_size = tuple(arguments.image_size)
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Read the arguments, measure, report."""
    arguments = parse(argv)
    with tempfile.TemporaryDirectory() as scratch:
        work = read_work(
            arguments.images,
            rows=arguments.rows,
            size=arguments.size,
            image_size=arguments.image_size,
            batch_size=arguments.batch_size,
            threads=arguments.threads,
            scratch=Path(scratch),
        )
        contestants = [one for one in CONTESTANTS if one.name in arguments.peers]
        speeds, skipped = measure(work, contestants, arguments.rounds, arguments.through)
    through, pictures = "", pictures_in_words(arguments)
    name = "-".join(filter(None, ["throughput", arguments.size]))
    if arguments.through == "fit":
        import keras

        backend = keras.backend.backend()
        through, name = f" through fit on {backend}", f"{name}-fit-{backend}"
    height, width = work.image_size
    what = f"{pictures} to {height}x{width}, batches of {work.batch_size}, {work.threads} threads"
    title = f"Samples a second{through}"
    settings = {
        key: str(value)
        for key, value in vars(arguments).items()
        if key not in ("images", "out", "markdown")
    }
    report = make_report(name, f"{title}: {what}", speeds, skipped, {"settings": settings})
    ours, limits = [one.name for one in OURS], [one.name for one in LIMITS]
    medians = report.figures["median"]
    panels = {
        one.name: "Pictures held ready or in a cache" if one.warm else "Every picture decoded"
        for one in CONTESTANTS
    }
    bars = [
        Bar(one, medians[one], panels[one], ours=one in ours, limit=one in limits)
        for one in medians
    ]
    publish(
        report, arguments, bar_chart(bars, title, f"{what}; median of {arguments.rounds} rounds")
    )


if __name__ == "__main__":
    main()
