"""A training as each of several processes runs it: pictures and classes of `sample_data`.

What makes ranks unlike is in it: a short last batch, rows that cannot be read, and class weights.
`benchmarks.ray_train` starts it; by itself, `python -m benchmarks.rank_training FOLDER` is one
process, and with torchrun before it, several.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pandas as pd

import multimodal_gen as mg
from multimodal_gen import distributed

SAMPLES = Path(__file__).parent.parent / "sample_data"
ROWS, BATCH, EPOCHS, SAVE_EVERY = 245, 32, 4, 2
STEPS_PER_EPOCH = -(-ROWS // BATCH)
STEPS = EPOCHS * STEPS_PER_EPOCH


class Steps(keras.callbacks.Callback):
    """Notes every step that is done, and kills the process at moments that were drawn before.

    Args:
        folder: Gets `steps-RANK.jsonl`, a list of steps for each time that training began, and
            `killed-N` for each kill.
        rank: Which process this is.
        kills: (rank, moment) of each, in the order of moments, which count in steps: 3.5 is in the
            middle of the fourth.
    """

    def __init__(self, folder: Path, rank: int, kills: list[tuple[int, float]]) -> None:
        super().__init__()
        self.folder, self.rank, self.kills = folder, rank, kills
        self.epoch, self.started, self.seconds = 0, 0.0, 0.05
        self.timer: threading.Timer | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Note that training begins."""
        self._note("begin")

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Note the epoch."""
        self.epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Start the clock of the next kill, if it comes before the next step."""
        self._kill_if_due()
        now = time.perf_counter()
        if self.started:
            self.seconds = now - self.started
        self.started = now
        number = len(list(self.folder.glob("killed-*")))
        if number == len(self.kills):
            return
        rank, moment = self.kills[number]
        rest = moment - self._step(batch)
        if rank == self.rank and rest < 1:
            self.marker = self.folder / f"killed-{number}"
            self.timer = threading.Timer(max(rest, 0) * self.seconds, _kill, (self.marker,))
            self.timer.start()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Note the step."""
        self._note(self._step(batch))

    def on_train_end(self, logs: Any = None) -> None:
        """Nobody who is to be killed gets away."""
        self._kill_if_due()

    def _kill_if_due(self) -> None:
        # The step has taken less time than the one before.
        if self.timer is not None:
            _kill(self.marker)

    def _step(self, batch: int) -> int:
        return self.epoch * STEPS_PER_EPOCH + batch

    def _note(self, what: int | str) -> None:
        with open(self.folder / f"steps-{self.rank}.jsonl", "a") as file:
            file.write(json.dumps(what) + "\n")


def _kill(marker: Path) -> None:
    marker.touch()
    os.kill(os.getpid(), signal.SIGKILL)


def make_data() -> mg.MultimodalSequence:
    """All rows in batches whose ranks weigh unlike."""
    table = pd.read_csv(SAMPLES / "catalog.csv").head(ROWS)
    table.loc[7::60, "image"] = "images/none.jpg"
    target = mg.ClassLabel.from_values("label", table["label"])
    inputs = {"image": mg.ImageLoader("image", image_size=(16, 16), directory=SAMPLES)}
    return mg.MultimodalSequence(
        table,
        inputs,
        target,
        batch_size=BATCH,
        shuffle=True,
        seed=2,
        on_error="blank",
        class_weight={name: 1.0 + place % 3 for place, name in enumerate(target.class_names)},
    )


def make_model(data: mg.MultimodalSequence) -> keras.Model:
    """A network in which no row of a batch looks at another, and nothing is drawn."""
    keras.utils.set_random_seed(3)
    (target,) = data.assembly.targets.values()
    image = keras.Input((16, 16, 3), name="image")
    hidden = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    hidden = keras.layers.Dense(16, "tanh", kernel_regularizer="l2")(hidden)
    model = keras.Model((image,), keras.layers.Dense(target.units, "softmax")(hidden))
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
    model.compile(optimizer, target.loss, weighted_metrics=["accuracy"])
    return model


def train(config: dict[str, Any]) -> None:
    """Train, and write what comes out to `outcome.npz`, as rank 0.

    Args:
        config: "folder", "kills" as `Steps` takes them, and "floatx" as Keras takes it.
    """
    keras.config.set_floatx(config["floatx"])
    if config["floatx"] == "float64" and keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_enable_x64", True)
    ranks = distributed.start()
    folder = Path(config["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    whole = make_data()
    data, validation = ranks.shard(whole), ranks.shard(whole.for_evaluation())
    model = make_model(whole)
    history = model.fit(
        data,
        validation_data=validation,
        epochs=EPOCHS,
        shuffle=False,
        verbose=0,
        callbacks=[
            ranks.callback(data),
            Steps(folder, ranks.rank, config["kills"]),
            mg.ResumeTraining(folder / "state", data, save_every=SAVE_EVERY),
        ],
    ).history
    if ranks.rank == 0:
        weights = [keras.ops.convert_to_numpy(one).ravel() for one in model.weights]
        np.savez(
            folder / "outcome.npz",
            weights=np.concatenate(weights),
            accuracy=[history["accuracy"], history["val_accuracy"]],
            failures=data.failures["index"].to_numpy(),
            world_size=ranks.world_size,
        )


if __name__ == "__main__":
    train({"folder": sys.argv[1], "kills": [], "floatx": "float32"})
