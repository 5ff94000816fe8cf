"""A training in one of several processes: `python tests/rank_run.py FOLDER [KILLED_AFTER]`.

Which rank it is, torchrun's variables say. Rank 0 writes what came out to FOLDER/outcome.npz, and
the last rank kills itself after so many batches.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import pandas as pd

import multimodal_gen as mg
from multimodal_gen import distributed
from multimodal_gen.models import Joint

ROWS = 101


class Killed(keras.callbacks.Callback):
    """Kills its process after so many batches."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.batches = batches

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self.batches -= 1
        if self.batches == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def make_table() -> pd.DataFrame:
    """Numbers of which four are none, words of which a third are missing, and classes."""
    rng = np.random.default_rng(0)
    texts = [f"{value:.4f}" for value in rng.normal(size=ROWS)]
    texts[7::25] = ["none"] * len(texts[7::25])
    numbers, classes = rng.normal(size=ROWS), rng.integers(0, 3, ROWS)
    words = pd.Series(["red", "green", "blue"])[rng.integers(0, 3, ROWS)].to_numpy()
    words[rng.random(ROWS) < 1 / 3] = None
    return pd.DataFrame({"a": numbers, "b": texts, "c": words, "y": classes})


def make_data(table: pd.DataFrame, **changes: object) -> mg.MultimodalSequence:
    """Batches whose rows weigh unlike: the last is short, some rows are blank, classes weigh."""
    inputs = {
        "first": mg.NumericLoader(("a",), mean=[0], scale=[1]),
        "second": mg.NumericLoader(("b",), mean=[0], scale=[1]),
        "third": mg.TextLoader.from_texts(
            "c", table["c"], model="wordlevel", sequence_length=1, missing="blank"
        ),
    }
    settings = {
        "batch_size": 16,
        "shuffle": True,
        "seed": 2,
        "on_error": "blank",
        "max_error_rate": 0.5,
        "class_weight": {"0": 1.0, "1": 3.0, "2": 0.5},
    }
    target = mg.ClassLabel.from_values("y", table["y"])
    return mg.MultimodalSequence(table, inputs, target, **(settings | changes))


def make_model(data: mg.MultimodalSequence, **compiled: object) -> keras.Model:
    """A joint network, whose heads have losses of their own, without anything that is drawn or that
    looks at other rows of a batch.
    """
    keras.utils.set_random_seed(3)
    target = data.assembly.targets[None]
    branches = {
        name: keras.layers.Dense(8, "tanh", kernel_regularizer="l2") for name in ("first", "second")
    }
    words = [keras.layers.Embedding(16, 4), keras.layers.Flatten()]
    branches["third"] = keras.Sequential(words)
    fusion = Joint(dropout=0.0)
    model = mg.build_fusion_classifier(data.inputs, target, fusion=fusion, branches=branches)
    settings = {"loss": target.loss, "weighted_metrics": ["accuracy"]} | compiled
    model.compile(keras.optimizers.SGD(0.5, momentum=0.9), **settings)
    return model


def main(folder: Path, killed_after: int) -> None:
    ranks = distributed.start()
    whole = make_data(make_table())
    train, val = ranks.shard(whole), ranks.shard(whole.for_evaluation())
    model = make_model(whole)
    last = ranks.rank == ranks.world_size - 1
    callbacks = [ranks.callback(train), *([Killed(killed_after)] if last else [])]
    # `make test-watch` has it.
    if ranks.rank == 0 and find_spec("tensorboard"):
        callbacks.append(keras.callbacks.TensorBoard(folder / "board", update_freq="batch"))
    resume = mg.ResumeTraining(folder / "state", train, save_every=2)
    fitted = model.fit(
        train,
        validation_data=val,
        epochs=3,
        shuffle=False,
        verbose=0,
        callbacks=[*callbacks, resume],
    )
    scores = model.evaluate(val, verbose=0, return_dict=True, callbacks=[ranks.callback(val)])
    if ranks.rank == 0:
        target = whole.assembly.targets[None]
        mg.Bundle(model, whole.inputs, target).save(folder / "bundle")
    table = make_table().drop(columns="y")
    predictions = ranks.predict(folder / "bundle", table)
    if ranks.rank:
        return
    predictions.to_csv(folder / "predictions.csv")
    found = {
        "world_size": ranks.world_size,
        "history": fitted.history,
        "scores": scores,
        "failures": [int(row) for row in train.failures["index"]],
    }
    weights = [keras.ops.convert_to_numpy(one).ravel() for one in model.weights]
    text = np.frombuffer(json.dumps(found).encode(), "u1")
    np.savez(folder / "outcome.npz", weights=np.concatenate(weights), found=text)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
