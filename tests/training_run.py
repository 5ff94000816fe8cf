"""A small training that can be killed at any moment and started again: what the tests of
`ResumeTraining` share.

As a script: `python training_run.py FOLDER PROCESSES` trains and, when it has come to its end,
writes the weights, the optimizer's numbers, the history and the predictions to FOLDER/result.npz.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

import multimodal_gen as mg

ROOT = Path(__file__).parent.parent
ROWS, EPOCHS = 120, 4
BROKEN = [3, 40, 41, 97]


def make_data(**changes: Any) -> tuple[mg.MultimodalSequence, mg.MultimodalSequence]:
    """Training and validation sequences on the sample catalogue, with everything random that there
    is.
    """
    table = mg.read_table(ROOT / "sample_data" / "catalog.csv")
    train, val = table[:ROWS].copy(), table[ROWS : ROWS + 40]
    if "on_error" in changes:
        train.loc[train.index[BROKEN], "image"] = "images/no_such_picture.png"
    operations = [mg.augment.RandomFlip("horizontal"), mg.augment.RandomZoom(0.2)]
    inputs = {
        "image": mg.ImageLoader(
            "image", directory=ROOT / "sample_data", image_size=(12, 12), augment=operations
        ),
        "caption": mg.TextLoader.from_texts(
            "caption", train["caption"], vocabulary_size=300, sequence_length=12
        ),
    }
    target = mg.ClassLabel.from_values("label", table["label"])
    settings = {"batch_size": 8, "shuffle": True, "seed": 5} | changes
    data = mg.MultimodalSequence(train, inputs, target, **settings)
    return data, data.for_evaluation(val)


def make_model(data: mg.MultimodalSequence) -> keras.Model:
    """Two branches, dropout, batch normalization: weights of every kind, and seeds."""
    layers = keras.layers
    image = keras.Input((12, 12, 3), dtype="uint8", name="image")
    caption = keras.Input((12,), dtype="int32", name="caption")
    pixels = layers.Dropout(0.2)(layers.Flatten()(layers.Rescaling(1 / 255)(image)))
    words = layers.GlobalAveragePooling1D()(layers.Embedding(300, 8)(caption))
    joined = layers.BatchNormalization()(
        layers.Dense(16, "relu")(layers.Concatenate()([pixels, words]))
    )
    output = layers.Dense(len(data.target.class_names), "softmax")(layers.Dropout(0.3)(joined))
    model = keras.Model((image, caption), output)
    model.compile(keras.optimizers.Adam(3e-3), loss=data.target.loss, metrics=["accuracy"])
    return model


def make_callbacks() -> list[keras.callbacks.Callback]:
    """Callbacks that learn something from epoch to epoch."""
    return [
        keras.callbacks.EarlyStopping("val_loss", patience=3, restore_best_weights=True),
        keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=0.5),
    ]


def numbers_of(model: keras.Model, history: keras.callbacks.History) -> dict[str, np.ndarray]:
    """Everything that two runs are to have in common."""
    variables = [*model.variables, *model.optimizer.variables]
    numbers = {
        f"variable {place}": keras.ops.convert_to_numpy(one) for place, one in enumerate(variables)
    }
    text = json.dumps([history.epoch, history.history])
    return numbers | {"history": np.frombuffer(text.encode(), "u1")}


def train(
    folder: Path, callbacks: Sequence[keras.callbacks.Callback] = (), **changes: Any
) -> dict[str, np.ndarray]:
    """Train to the end, resuming with what is in the folder; changes are arguments of the training
    sequence.
    """
    keras.utils.set_random_seed(7)
    data, validation = make_data(**changes)
    model = make_model(data)
    history = model.fit(
        data,
        validation_data=validation,
        epochs=EPOCHS,
        shuffle=False,
        verbose=0,
        callbacks=[
            *callbacks,
            *make_callbacks(),
            mg.ResumeTraining(folder / "state", data, save_every=2),
        ],
    )
    return numbers_of(model, history) | {"predictions": model.predict(validation, verbose=0)}


class SayOnce(keras.callbacks.Callback):
    """Tells anyone who started this process that it is training."""

    said = False

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        if not self.said:
            sys.stdout.write("training\n")
            sys.stdout.flush()
            self.said = True


def be_deterministic() -> None:
    """What tensorflow has to be asked for."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def main() -> None:
    be_deterministic()
    folder, processes = Path(sys.argv[1]), int(sys.argv[2])
    settings = {"cache": folder / "cache", "on_error": "skip", "processes": processes}
    numbers = train(folder, [SayOnce()], **settings)
    with open(folder / "result.npz.part", "wb") as file:
        np.savez(file, **numbers)
    os.replace(folder / "result.npz.part", folder / "result.npz")


if __name__ == "__main__":
    main()
