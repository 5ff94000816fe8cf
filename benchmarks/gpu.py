"""How busy a card is kept: what all cores load, and how fast `fit` of a ResNet50 trains on it.

    KERAS_BACKEND=jax python -m benchmarks.gpu --images ../shared/data/photos --size small

First every loader is read by itself on all cores, as in `benchmarks.cores`. Then one model is
trained in turns on each of them, with bfloat16 on an accelerator, and the second epoch of a turn
counts. `ready` is handed the same batch again and again, so it is what the model can take. Takes
less than eight minutes on 16 cores and one card; on a processor, `--model small` is as much as it
can train.
"""

from __future__ import annotations

import argparse
import functools
import gc
import os
import statistics
import tempfile
import warnings
from collections import deque
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

from benchmarks import cores, throughput
from benchmarks.models import EpochClock, WaitClock, application_model, small_model
from benchmarks.ours import LIMITS, OURS, open_sequence
from benchmarks.peers import PEERS
from benchmarks.report import Report, add_arguments, publish
from benchmarks.work import (
    Contestant,
    SkippedError,
    Source,
    Work,
    add_images,
    pictures_in_words,
    read_work,
)
from multimodal_gen.batch.threads import available_cores

_BY_NAME = {one.name: one for one in (*OURS, *PEERS, *LIMITS)}
# With as many worker processes as cores, whatever the number of rows.
CONTESTANTS = (
    _BY_NAME["ready"],
    _BY_NAME["ours-cached"],
    Contestant("turbo", functools.partial(open_sequence, decoder="turbo", processes=True), ""),
    Contestant(
        "augmented",
        functools.partial(open_sequence, decoder="turbo", augment=True, processes=True),
        "",
    ),
    Contestant("pillow", functools.partial(open_sequence, processes=True), ""),
    Contestant(
        "turbo, threads", functools.partial(open_sequence, decoder="turbo", processes=False), ""
    ),
    _BY_NAME["torch"],
)
_PARTS = ("loader", "fit")


def on_accelerator() -> bool:
    """Whether Keras computes on something other than the processor."""
    if keras.backend.backend() == "torch":
        # Keras 3.15 lists no devices for it.
        import torch

        return torch.cuda.is_available()
    return any("cpu" not in name for name in keras.distribution.list_devices())


def train_in_turns(
    work: Work, model: keras.Model, contestants: Sequence[Contestant], rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[float]], dict[str, str]]:
    """Train one model on every contestant in turn.

    Args:
        work: The rows.
        model: A compiled model; it goes on learning.
        contestants: Who takes part.
        rounds: Turns of each.

    Returns:
        Name -> samples/s by round; name -> share of waiting by round, for sequences; and name ->
        why it was left out.
    """
    sources: dict[str, Source] = {}
    skipped: dict[str, str] = {}
    for one in contestants:
        try:
            sources[one.name] = one.open(work)
        except (SkippedError, ModuleNotFoundError) as error:
            skipped[one.name] = str(error)
            continue
        # Compiles the model, starts workers and fills caches.
        model.fit(sources[one.name].data, shuffle=False, verbose=0)
    speeds: dict[str, list[float]] = {name: [] for name in sources}
    waits: dict[str, list[float]] = {}
    order = deque(sources)
    for _ in range(rounds):
        for name in order:
            gc.collect()
            data, clock = sources[name].data, EpochClock()
            waiting = WaitClock(data) if isinstance(data, keras.utils.PyDataset) else None
            model.fit(
                data,
                epochs=2,
                shuffle=False,
                verbose=0,
                callbacks=[one for one in (waiting, clock) if one],
            )
            if clock.steps != [work.num_batches] * 2:
                raise ValueError(
                    f"{name} must train on {work.num_batches} batches per epoch. Received: "
                    f"{clock.steps}"
                )
            speeds[name].append(len(work.table) / clock.seconds[1])
            if waiting:
                waits.setdefault(name, []).append(waiting.seconds[1] / clock.seconds[1])
        order.rotate(-1)
    return speeds, waits, skipped


def make_report(
    title: str,
    speeds: dict[str, list[float]],
    waits: dict[str, list[float]],
    skipped: dict[str, str],
) -> Report:
    """A table of medians, the fastest on top, with ratios to `ready`."""
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    rows = [
        [
            name,
            f"{medians[name]:,.0f}",
            f"{min(speeds[name]):,.0f}",
            f"{max(speeds[name]):,.0f}",
            f"{medians[name] / medians['ready']:.2f}" if "ready" in medians else "",
            f"{statistics.median(waits[name]):.1%}" if name in waits else "",
        ]
        for name in sorted(medians, key=lambda one: -medians[one])
    ]
    return Report(
        name="gpu-fit",
        title=title,
        columns=["contestant", "samples/s", "lowest", "highest", "to ready", "waits"],
        rows=rows,
        notes=[
            "turbo, augmented, pillow: worker processes, as many as cores; augmented: turbo with "
            "shear, zoom and flip; torch: a DataLoader with Pillow and as many processes.",
            "ours-cached: from the second epoch on. ready: the same batch again and again.",
            "waits: the share of an epoch from the end of each step until its batch was there.",
            *(f"{one} was left out: {reason.rstrip('.')}." for one, reason in skipped.items()),
        ],
        figures={"samples_per_second": speeds, "share_of_waiting": waits},
    )


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_images(parser)
    parser.add_argument("--parts", nargs="+", choices=_PARTS, default=_PARTS, metavar="PART")
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--count", type=int, default=available_cores(), help="cores to use")
    parser.add_argument(
        "--model", default="ResNet50", help="a function of keras.applications, or small"
    )
    names = [one.name for one in CONTESTANTS]
    parser.add_argument("--peers", nargs="+", choices=names, default=names, metavar="NAME")
    add_arguments(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the arguments, measure, report."""
    arguments = parse(argv)
    with tempfile.TemporaryDirectory() as scratch:
        work = read_work(
            arguments.images,
            rows=arguments.rows,
            size=arguments.size,
            image_size=(224, 224),
            batch_size=arguments.batch_size,
            threads=arguments.count,
            scratch=Path(scratch),
        )
        pictures = pictures_in_words(arguments)
        what = f"{pictures} to 224x224, batches of {work.batch_size}, {work.threads} cores"
        if "loader" in arguments.parts:
            clock = cores.ParentClock()
            watched = [clock.watching(one) for one in cores.contestants(cores.WAYS)]
            speeds, skipped = throughput.measure(work, watched, arguments.rounds, "loader")
            title = f"Samples a second: {what}"
            report = cores.make_report(title, {work.threads: speeds}, skipped, clock)
            publish(report, arguments)
        if "fit" in arguments.parts:
            build = small_model
            if arguments.model != "small":
                build = functools.partial(application_model, name=arguments.model)
            if on_accelerator():
                keras.config.set_dtype_policy("mixed_bfloat16")
            taking_part = [one for one in CONTESTANTS if one.name in arguments.peers]
            with warnings.catch_warnings():
                # Of torch, about its DataLoader on a machine with fewer cores than processes.
                warnings.filterwarnings("ignore", message="This DataLoader will create")
                results = train_in_turns(work, build(work), taking_part, arguments.rounds)
            title = f"fit of {arguments.model} on {keras.backend.backend()}: {what}"
            publish(make_report(title, *results), arguments)


if __name__ == "__main__":
    main()
