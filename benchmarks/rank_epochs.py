"""Epochs of the default classifier on photos and captions, as a process with one core runs them.

`benchmarks.ranks` starts it; by itself, `python -m benchmarks.rank_epochs FOLDER ROWS BATCH EPOCHS
[SIZE]` is one process, and with torchrun before it, several. FOLDER has the photos, as
`benchmarks.work` reads them. It prints a line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

import multimodal_gen as mg
from benchmarks.models import EpochClock, WaitClock
from benchmarks.ours import inputs_of
from benchmarks.work import read_work
from multimodal_gen import distributed

IMAGE_SIZE = (96, 96)


class ProcessorClock(keras.callbacks.Callback):
    """Keeps the processor time of this process in each epoch of `fit`, in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start."""
        self._started = time.process_time()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Stop."""
        self.seconds.append(time.process_time() - self._started)


def train(
    folder: Path, rows: int, batch_size: int, epochs: int, size: str | None
) -> dict[str, Any]:
    """Train, and return the seconds of each epoch, by name of the clock.

    Args:
        folder: The photos.
        rows: Rows of the table.
        batch_size: Rows of a batch, those of all ranks together.
        epochs: How many; the first compiles, and starts threads.
        size: Keep the photos with this word in the column size, where there is one.
    """
    ranks = distributed.start()
    work = read_work(
        folder,
        rows=rows,
        size=size,
        image_size=IMAGE_SIZE,
        batch_size=batch_size,
        threads=1,
        scratch=folder,
    )
    inputs = inputs_of(work)
    whole = mg.MultimodalSequence(
        work.table, inputs, work.target, batch_size=batch_size, shuffle=True, threads=work.threads
    )
    data = ranks.shard(whole)
    model = mg.build_fusion_classifier(inputs, work.target)
    model.compile("adam", loss=work.target.loss, weighted_metrics=["accuracy"])
    clocks = {"epoch": EpochClock(), "processor": ProcessorClock(), "waiting": WaitClock(data)}
    model.fit(
        data,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=[ranks.callback(data), *clocks.values()],
    )
    return {"parameters": model.count_params()} | {
        name: one.seconds for name, one in clocks.items()
    }


if __name__ == "__main__":
    photos, *numbers = sys.argv[1:5]
    size = sys.argv[5] if len(sys.argv) > 5 else None
    print(json.dumps(train(Path(photos), *map(int, numbers), size)))
