"""Measure what a sample costs in each stage of a running sequence, and which stage is the
bottleneck.
"""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from multimodal_gen.loaders.stages import Stopwatch
from multimodal_gen.rows.checks import check_positive

if TYPE_CHECKING:
    from multimodal_gen.sequence.sequence import MultimodalSequence

_STAGES = {
    "read": "files are slow to read: a local disk, or `cache=` to read each file once",
    "decode": 'pictures are costly to decode: `decoder="turbo"`, or `cache=` to decode each once',
    "resize": 'pictures are costly to resize: `decoder="turbo"`, or `cache=` to resize each once',
    "load": "a loader's `read` is slow: `cache=` to read each cell once",
    "tokenize": "captions are costly to encode: `cache=` to encode each once",
    "memory": "small arrays come from memory as fast as they can be looked up",
    "cache": "arrays come from the cache as fast as they can be looked up",
    "augment": (
        "random operations are costly: use fewer or cheaper ones; docs/augmentation.md lists what "
        "each costs"
    ),
    "step": "the model's steps; the data is always there in time",
    "assemble": "batches take long to assemble, which includes operations on samples and batches",
}


@dataclass(frozen=True, repr=False)
class Profile:
    """The result of `profile`.

    Attributes:
        stages: Stage -> `milliseconds` of thread time per sample, and `share` of all thread time,
            in [0, 1]. The stage "wait" is separate: how long the reader waited per sample while
            threads worked.
        samples_per_second: The rate at which the reader got samples, over all threads.
        samples: Number of rows measured.
        threads: Number of loading threads.
        advice: Stage -> what to do if it is the bottleneck, in words.
        makers: What made the batches: threads or worker processes, and why.
    """

    stages: pd.DataFrame
    samples_per_second: float
    samples: int
    threads: int
    advice: Mapping[str, str]
    makers: str = ""

    @property
    def limit(self) -> str:
        """The stage that costs most; "step" if the reader hardly waited, because then the
        bottleneck is the model, not the data.
        """
        work = self.stages.drop(index=["wait", "step"], errors="ignore")["milliseconds"]
        reader = self.stages["milliseconds"].reindex(["wait", "step"]).fillna(0.0)
        return (
            "step"
            if reader["wait"] < 0.05 * reader.sum() and reader["step"] > 0
            else str(work.idxmax())
        )

    def __repr__(self) -> str:
        return f"Profile({self.samples_per_second:,.0f} samples/s, limited by {self.limit!r})"

    def __str__(self) -> str:
        lines = [f"{'stage':<10}{'ms a sample':>12}{'share':>8}"]
        for name, row in self.stages.iterrows():
            share = "" if name in ("wait", "step") else f"{row['share']:>7.0%} "
            lines.append(f"{name:<10}{row['milliseconds']:>12.3f}{share:>8}".rstrip())
        limit = self.advice[self.limit]
        return "\n".join(
            [
                *lines,
                f"{self.samples_per_second:,.0f} samples/s with {self.makers}, over "
                f"{self.samples:,} samples",
                f"Limited by {self.limit}: {limit}.",
            ]
        )


def profile(
    sequence: MultimodalSequence,
    *,
    num_batches: int | None = None,
    step: Callable[[Any], Any] | None = None,
) -> Profile:
    """Read batches of the current epoch, and print what a sample costs in each stage and which one
    limits.

    Args:
        sequence: The sequence, read as in `fit`, with its threads and its read-ahead.
        num_batches: How many batches; by default one epoch.
        step: What to do with each batch, such as `lambda batch: model.train_on_batch(*batch)`; by
            default nothing, so the reader waits all the time.

    Returns:
        A `Profile`: what was printed, as numbers.

    Raises:
        ValueError: If `num_batches` is not positive, or is missing for an endless sequence.
    """
    if num_batches is None and sequence.num_batches is None:
        raise ValueError("An endless sequence needs `num_batches`. Received: num_batches=None")
    if num_batches is not None:
        check_positive(num_batches=num_batches)
    count = min(
        num_batches or sequence.plan.num_batches, sequence.num_batches or sequence.plan.num_batches
    )
    watch = Stopwatch()
    with watch.running():
        started = time.perf_counter()
        samples = 0
        # A copy, because iterating moves a sequence to its next epoch.
        for position, batch in enumerate(itertools.islice(copy.copy(sequence), count)):
            samples += len(sequence.rows(position))
            if step is not None:
                with watch.stage("step"):
                    step(batch)
        elapsed = time.perf_counter() - started
    milliseconds = {name: 1000 * watch.seconds[name] / samples for name in _ordered(watch)}
    stages = pd.DataFrame({"milliseconds": milliseconds})
    # Waiting and steps are time of this thread; the other stages are time of reading threads.
    stages["share"] = (
        stages["milliseconds"]
        / stages["milliseconds"].drop(["wait", "step"], errors="ignore").sum()
    )
    stages.index.name = "stage"
    threads = sequence.assembly.reading.threads
    result = Profile(
        stages, samples / elapsed, samples, threads, _advice(sequence), sequence.makers
    )
    print(result)  # noqa: T201 - what it is for
    return result


def _advice(sequence: MultimodalSequence) -> dict[str, str]:
    # Leaves out advice that is followed already.
    assembly, advice = sequence.assembly, dict(_STAGES)
    if any(one.get_config().get("decoder") == "turbo" for one in assembly.inputs.values()):
        for stage in ("decode", "resize"):
            advice[stage] = (
                f"pictures are costly to {stage}: `cache=` does it once; or a smaller `image_size`"
            )
    if assembly.cache is not None:
        for stage in ("read", "decode", "resize", "tokenize"):
            advice[stage] = (
                "what is read now goes into the cache: profile again when it is full, after an "
                "epoch"
            )
        advice["load"] = (
            "cached arrays are copied as fast as memory allows; `step=` shows whether a model waits"
        )
    if not (assembly.sample_augment or assembly.batch_augment):
        advice["assemble"] = (
            "loading costs less than putting batches together; `step=` shows whether a model waits"
        )
    return advice


def _ordered(watch: Stopwatch) -> list[str]:
    stages = [name for name in _STAGES if name != "step"]
    return [name for name in (*stages, "wait", "step") if name in watch.seconds]
