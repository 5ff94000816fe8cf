"""Whole runs of `fit`: this package against the sequence of the tutorials, and how much of the time
data costs.

    python -m benchmarks.fit --data ../shared/data --backend tensorflow jax torch

Two tasks: the command line's default classifier on fashion at 64x64, and a small convolutional
network on photos at 224x224. Every backend has a process of its own. The contestants take turns at
training a new model, and one of them, `ready`, is handed one prepared batch again and again: the
same steps of the same model through the same adapter of Keras, without any reading.

*fit* is the median of the seconds of a whole `fit`, compilation included; *epoch* the median of the
epochs from the second on. *data* is the share of such an epoch that data costs, `1 - epoch of ready
/ epoch`: what would be saved if every batch lay there when it is asked for. Where the model
computes on the processor, threads that read take cores from it, and this counts too. *waits* is the
share of an epoch in which the model stands still: the sum, over the steps, of the time from the end
of the step before until the sequence returned its batch.
"""

from __future__ import annotations

import argparse
import gc
import math
import os
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pandas as pd

import multimodal_gen as mg
from benchmarks.ours import LIMITS, OURS, inputs_of
from benchmarks.peers import PEERS
from benchmarks.report import Report, add_arguments, publish
from benchmarks.work import SkippedError, Work, read_work

if TYPE_CHECKING:
    import keras

CONTESTANTS = tuple(
    one
    for one in (*OURS, *PEERS, *LIMITS)
    if one.name in ("ours-pillow", "ours-turbo", "ours-cached", "sequence", "sequence-1", "ready")
)
_BACKENDS = ("tensorflow", "jax", "torch")


@dataclass(frozen=True)
class Run:
    """The settings of one process.

    Args:
        task: "fashion" or "photos", also the name of the folder.
        data: The folder that has that folder.
        rows: Rows to train on.
        epochs: Epochs of each `fit`, at least 2.
        rounds: Runs of each contestant.
        threads: Threads of each contestant.
        names: Contestants.
    """

    task: str
    data: Path
    rows: int
    epochs: int
    rounds: int
    threads: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class Times:
    """Seconds of a contestant: of every whole `fit`, of every epoch from the second on, and of
    waiting in those.
    """

    fits: list[float] = field(default_factory=list)
    epochs: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)


def read_fashion(folder: Path, *, rows: int, threads: int, scratch: Path) -> Work:
    """The work on training rows of fashion, as the command line has it: 64x64, n-grams of captions,
    batches of 64.
    """
    table = pd.read_csv(folder / "data.csv", dtype=str, keep_default_na=False)
    table = (
        table[table["split"] == "train"]
        .drop(columns="caption")
        .rename(columns={"caption_masked": "caption"})
    )
    text = mg.TextLoader.from_texts("caption", table["caption"], output_mode="ngrams")
    target = mg.ClassLabel.from_values("label", table["label"], label_mode="categorical")
    return Work(
        table[:rows], str(folder), text, target, (64, 64), 64, threads, str(scratch / "caches")
    )


def default_classifier(work: Work) -> keras.Model:
    """The command line's classifier for so many rows, compiled."""
    from multimodal_gen.models import branches_for, build_fusion_classifier

    inputs = inputs_of(work)
    model = build_fusion_classifier(
        inputs, work.target, branches=branches_for(inputs, len(work.table))
    )
    model.compile("adam", loss=work.target.loss)
    return model


def measure(run: Run, backend: str) -> tuple[dict[str, Times], dict[str, str]]:
    """Time one task on one backend, in a process that has not imported Keras yet.

    Args:
        run: The settings.
        backend: Keras's backend.

    Returns:
        Name -> seconds, and name -> why it was left out.
    """
    os.environ["KERAS_BACKEND"] = backend
    from benchmarks.models import small_model

    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        if run.task == "fashion":
            work = read_fashion(
                run.data / "fashion", rows=run.rows, threads=run.threads, scratch=scratch
            )
            return train_in_turns(work, default_classifier, run)
        work = read_work(
            run.data / "photos",
            rows=run.rows,
            size="small",
            image_size=(224, 224),
            batch_size=32,
            threads=run.threads,
            scratch=scratch,
        )
        return train_in_turns(work, small_model, run)


def train_in_turns(
    work: Work, build: Callable[[Work], keras.Model], run: Run
) -> tuple[dict[str, Times], dict[str, str]]:
    """Train a new model with every contestant in turn, for some rounds.

    Args:
        work: The rows.
        build: Makes a compiled model.
        run: Contestants, epochs and rounds.

    Returns:
        Name -> seconds, and name -> why it was left out.
    """
    import keras

    from benchmarks.models import EpochClock, WaitClock

    times: dict[str, Times] = {}
    skipped: dict[str, str] = {}
    # The first training of a process also sets up the backend; that is nobody's time.
    build(work).fit(next(one for one in LIMITS if one.name == "ready").open(work).data, verbose=0)
    order = deque(one for one in CONTESTANTS if one.name in run.names)
    for one in range(run.rounds):
        for contestant in order:
            try:
                # With a cache of its own, which the first epoch fills.
                source = contestant.open(replace(work, scratch=f"{work.scratch}-{one}"))
            except SkippedError as error:
                skipped[contestant.name] = str(error)
                continue
            keras.utils.set_random_seed(one)
            model, clock, waiting = build(work), EpochClock(), WaitClock(source.data)
            gc.collect()
            started = time.perf_counter()
            model.fit(
                source.data, epochs=run.epochs, shuffle=False, verbose=0, callbacks=[waiting, clock]
            )
            seconds = times.setdefault(contestant.name, Times())
            seconds.fits.append(time.perf_counter() - started)
            seconds.epochs.extend(clock.seconds[1:])
            seconds.waits.extend(waiting.seconds[1:])
        order.rotate(-1)
    return times, skipped


def make_report(run: Run, results: dict[str, tuple[dict[str, Times], dict[str, str]]]) -> Report:
    """A row a contestant and backend: ratios to the tutorials' sequence, the shares that data costs
    and waiting takes.

    Args:
        run: The settings.
        results: Backend -> what `measure` returned.
    """
    rows, shares, waits = [], {}, {}
    for backend, (times, _) in results.items():
        fits = {name: statistics.median(one.fits) for name, one in times.items()}
        epochs = {name: statistics.median(one.epochs) for name, one in times.items()}
        for name in sorted(epochs, key=lambda one: epochs[one]):
            share = 1 - epochs["ready"] / epochs[name] if "ready" in epochs else math.nan
            shares[f"{backend} {name}"] = share
            pairs = zip(times[name].waits, times[name].epochs, strict=True)
            waits[f"{backend} {name}"] = statistics.median(wait / whole for wait, whole in pairs)
            rows.append(
                [
                    name,
                    backend,
                    f"{fits[name]:.1f} s",
                    f"{fits[name] / fits['sequence']:.2f}" if "sequence" in fits else "",
                    f"{epochs[name]:.2f} s",
                    f"{epochs[name] / epochs['sequence']:.2f}" if "sequence" in fits else "",
                    f"{run.rows / epochs[name]:,.0f}",
                    f"{share:.0%}",
                    f"{waits[f'{backend} {name}']:.1%}",
                ]
            )
    what = {
        "fashion": "the default classifier on fashion at 64x64",
        "photos": "a small network on photos at 224x224",
    }
    skipped = {name: reason for _, reasons in results.values() for name, reason in reasons.items()}
    return Report(
        name=f"fit-{run.task}",
        title=(
            f"fit: {what[run.task]}, {run.rows:,} rows, {run.epochs} epochs, {run.threads} threads"
        ),
        columns=[
            "contestant",
            "backend",
            "fit",
            "to sequence",
            "epoch",
            "to sequence",
            "samples/s",
            "data",
            "waits",
        ],
        rows=rows,
        notes=[
            f"fit: seconds of a whole `fit`, median of {run.rounds}; epoch: from the second on; "
            "ratios of seconds.",
            "data: the share of an epoch that is saved where every batch lies ready; what is "
            "below 0 % is noise.",
            "waits: the share of an epoch in which the model stands still and waits for its batch.",
            *(f"{name} was left out: {reason.rstrip('.')}." for name, reason in skipped.items()),
        ],
        figures={
            "share_of_data": shares,
            "share_of_waiting": waits,
            "seconds": {
                backend: {name: asdict(one) for name, one in times.items()}
                for backend, (times, _) in results.items()
            },
        },
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Read the arguments, measure, report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = os.environ.get("MULTIMODAL_GEN_DATA", "../shared/data")
    parser.add_argument(
        "--data", type=Path, default=Path(data), help="a folder with the folders fashion and photos"
    )
    parser.add_argument(
        "--task", nargs="+", choices=("fashion", "photos"), default=["fashion", "photos"]
    )
    parser.add_argument("--backend", nargs="+", choices=_BACKENDS, default=["tensorflow"])
    parser.add_argument("--rows", type=int, default=2048)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contestant")
    parser.add_argument("--threads", type=int, default=2)
    names = [one.name for one in CONTESTANTS]
    parser.add_argument(
        "--peers", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names)
    )
    add_arguments(parser)
    arguments = parser.parse_args(argv)
    if arguments.epochs < 2:
        parser.error(
            "`--epochs` must be at least 2, as the first one is not counted. Received: "
            f"{arguments.epochs}"
        )
    for task in arguments.task:
        run = Run(
            task,
            arguments.data,
            arguments.rows,
            arguments.epochs,
            arguments.rounds,
            arguments.threads,
            tuple(arguments.peers),
        )
        results = {}
        for backend in arguments.backend:
            with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                results[backend] = pool.submit(measure, run, backend).result()
        publish(make_report(run, results), arguments)


if __name__ == "__main__":
    main()
