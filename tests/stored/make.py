"""Makes what an earlier version left behind: `python tests/stored/make.py FOLDER`, once per
backend.

The files in `tests/stored/0.1.0/` were made by this script with the package as it was at commit
8f9bed5 (version 0.1.0), before its modules were moved into rooms. They are never made anew: a later
version that changes what it writes gets a folder of its own beside them. Run it from the root of
the repository, once per backend: bundles and caches belong to no backend and come from the first
run, a training's state belongs to its own. The first run was on tensorflow with the oldest versions
that are allowed (Keras 3.12.0, Pillow 11.0.0, tokenizers 0.21.0), as Keras 3.12 cannot open a model
that 3.15 has saved; the others, on jax and torch, were with Keras 3.15.1.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

import multimodal_gen as mg

EPOCHS = 3
ROWS = 8


class BrokenOffError(Exception):
    """Stands for a kill."""


class BreakOff(keras.callbacks.Callback):
    """Breaks off in the second epoch, after its third batch."""

    taken = 0

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self.taken += 1
        if self.taken == 7:
            raise BrokenOffError


def table_in(folder: Path) -> pd.DataFrame:
    """The rows, whose pictures lie in the folder."""
    table = pd.read_csv(folder / "table.csv")
    return table.assign(tags=table["tags"].str.split("|"))


def write_table(folder: Path) -> None:
    """Eight small pictures and the table that names them."""
    rng = np.random.default_rng(0)
    (folder / "pictures").mkdir(parents=True)
    rows = []
    for row in range(ROWS):
        pixels = rng.integers(0, 256, (9 + row % 3, 12, 3), "uint8")
        keras.utils.save_img(folder / f"pictures/{row}.png", pixels, scale=False)
        colour, thing = ("red", "blue")[row % 2], ("mug", "hat", "lamp")[row % 3]
        rows.append(
            (
                f"pictures/{row}.png",
                f"a {colour} {thing} no {row}",
                thing,
                2.5 * row,
                f"{colour}|{thing}",
            )
        )
    columns = ["image", "caption", "label", "price", "tags"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "table.csv", index=False)


def save_bundle(
    folder: Path,
    name: str,
    table: pd.DataFrame,
    inputs: dict[str, Any],
    target: Any,
    model: keras.Model,
) -> None:
    """Train for two epochs, save, and write what the bundle predicts beside it."""
    data = mg.MultimodalSequence(table, inputs, target, batch_size=4, seed=1)
    several = isinstance(target, dict)
    loss = {key: one.loss for key, one in target.items()} if several else target.loss
    model.compile(keras.optimizers.SGD(0.05), loss=loss, jit_compile=False)
    model.fit(data, epochs=2, shuffle=False, verbose=0)
    mg.Bundle(model, inputs, target).save(folder / name)
    found = mg.load_bundle(folder / name, directory=folder).predict(table)
    found.to_json(folder / f"{name}.json", orient="split", indent=1, double_precision=8)


def small_branches() -> dict[str, Any]:
    """Branches of a few hundred weights."""
    image = mg.models.ImageBranch(widths=(4,), embedding_size=4)
    return {"image": image, "caption": mg.models.TokenBranch(embedding_size=4)}


def save_bundles(folder: Path) -> None:
    """One of a single target, one of several with masks and n-grams, one that restores masked
    tokens.
    """
    table = table_in(folder)
    # Not a path of the machine that this runs on.
    os.chdir(folder)
    image = mg.ImageLoader("image", directory=".", image_size=(8, 8))
    texts = table["caption"]
    caption = mg.TextLoader.from_texts("caption", texts, vocabulary_size=60, sequence_length=6)
    inputs: dict[str, Any] = {"image": image, "caption": caption}
    label = mg.ClassLabel.from_values("label", table["label"])
    model = mg.build_fusion_classifier(
        inputs, label, fusion=mg.models.Gated(), branches=small_branches()
    )
    save_bundle(folder, "bundle", table, inputs, label, model)

    ngrams = mg.TextLoader.from_texts(
        "caption", texts, output_mode="ngrams", vocabulary_size=40, sequence_length=16
    )
    inputs = {
        "image": image.replace(missing="blank"),
        "caption": ngrams,
        "price": mg.NumericLoader.from_values("price", table["price"]),
    }
    targets = {
        "kind": label,
        "worth": mg.NumericTarget.from_values("price", table["price"]),
        "tags": mg.MultiLabel("tags", ["red", "blue", "mug", "hat", "lamp"]),
    }
    branches = {
        "image": small_branches()["image"],
        "caption": mg.models.NgramBranch(embedding_size=4),
        "price": mg.models.VectorBranch(embedding_size=4),
    }
    gaps = table.assign(image=table["image"].where(table.index != 2))
    joint = mg.models.Joint(hidden_units=6)
    model = mg.build_fusion_classifier(inputs, targets, fusion=joint, branches=branches)
    save_bundle(folder, "several", gaps, inputs, targets, model)

    masked = mg.MaskedTextLoader(caption)
    tokens = mg.MaskedTokens(masked)
    ids = keras.Input(masked.spec.shape, dtype="int32", name="caption")
    vectors = keras.layers.Embedding(masked.spec.vocabulary_size, 4)(ids)
    output = keras.layers.Dense(tokens.units, activation="softmax", name="prediction")(vectors)
    save_bundle(folder, "masked", table, {"caption": masked}, tokens, keras.Model(ids, output))


def cached_inputs(folder: Path) -> dict[str, Any]:
    """Loaders of the stored cache.

    Their settings are its key, so they are those of the stored bundle.
    """
    bundle = mg.load_bundle(folder / "bundle")
    return {
        "image": bundle.inputs["image"].replace(directory=None),
        "caption": bundle.inputs["caption"],
    }


def cached_table(folder: Path) -> pd.DataFrame:
    """Rows whose cells have the same key on every machine: a file counts by its path, size and time
    of change.

    The first four pictures are given by paths through the working directory, the others by their
    bytes.
    """
    table = table_in(folder)[["image", "caption"]]
    cells: list[Any] = []
    for row, path in enumerate(table["image"]):
        os.utime(folder / path, ns=(0, 10**18))
        near = f"/proc/self/cwd/{path}"
        cells.append(
            near if row < ROWS // 2 else {"bytes": (folder / path).read_bytes(), "path": None}
        )
    return table.assign(image=pd.Series(cells, dtype=object))


def save_cache(folder: Path) -> None:
    """A cache of all rows, and the arrays that are in it."""
    inputs = cached_inputs(folder)
    os.chdir(folder)
    data = mg.MultimodalSequence(
        cached_table(folder), inputs, batch_size=ROWS, cache=folder / "cache"
    )
    arrays = [np.asarray(one) for one in data[0][0]]
    np.savez_compressed(folder / "cache.npz", image=arrays[0], caption=arrays[1])
    (folder / "cache" / ".lock").unlink()


def training(folder: Path) -> tuple[mg.MultimodalSequence, keras.Model]:
    """A sequence and a model for `fit`, the same in every process.

    The model learns from captions and prices.
    """
    keras.utils.set_random_seed(3)
    table = table_in(folder)
    table = pd.concat([table] * 2, ignore_index=True)
    bundle = mg.load_bundle(folder / "bundle")
    inputs = {
        "caption": bundle.inputs["caption"],
        "price": mg.NumericLoader("price", mean=8.75, scale=5.0),
    }
    data = mg.MultimodalSequence(table, inputs, bundle.target, batch_size=4, shuffle=True, seed=5)
    ids = keras.Input((6,), dtype="int32", name="caption")
    price = keras.Input((1,), name="price")
    words = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(60, 4)(ids))
    hidden = keras.layers.Dropout(0.2, seed=1)(keras.layers.Concatenate()([words, price]))
    model = keras.Model((ids, price), keras.layers.Dense(3, "softmax")(hidden))
    model.compile(
        keras.optimizers.Adam(0.05),
        loss=bundle.target.loss,
        metrics=["accuracy"],
        jit_compile=False,
    )
    return data, model


def fit(folder: Path, state: Path, *callbacks: keras.callbacks.Callback) -> dict[str, Any]:
    """Train to the end from the state in a folder, if there is one: the weights, the history and
    where data stand.
    """
    data, model = training(folder)
    resume = mg.ResumeTraining(state, data, save_every=2)
    history = model.fit(
        data, epochs=EPOCHS, shuffle=False, verbose=0, callbacks=[*callbacks, resume]
    )
    weights = [keras.ops.convert_to_numpy(one).ravel().tolist() for one in model.weights]
    return {"weights": weights, "epochs": history.epoch, "history": history.history}


def save_training(folder: Path) -> None:
    """What a training that was broken off has kept, and how it ends when it is not."""
    backend = keras.backend.backend()
    whole = fit(folder, folder / f"whole-{backend}")
    for file in (folder / f"whole-{backend}").iterdir():
        file.unlink()
    (folder / f"whole-{backend}").rmdir()
    try:
        fit(folder, folder / f"training-{backend}", BreakOff())
    except BrokenOffError:
        (folder / f"training-{backend}.json").write_text(json.dumps(whole, indent=1), "utf-8")


def save_state(folder: Path) -> None:
    """Where a loop stands in the third epoch after a batch, and the prices that come after it."""
    data, _ = training(folder)
    data.epoch = 2
    loop = iter(data)
    next(loop)
    state = data.state()
    prices = [np.asarray(inputs[1]).ravel().tolist() for inputs, _ in loop]
    (folder / "state.json").write_text(
        json.dumps({"state": state, "prices": prices}, indent=1), "utf-8"
    )


def main() -> None:
    """Make what is not there yet."""
    folder = Path(sys.argv[1]).absolute()
    if not folder.exists():
        write_table(folder)
        save_bundles(folder)
        save_state(folder)
    save_training(folder)
    if not (folder / "cache").exists():
        save_cache(folder)


if __name__ == "__main__":
    main()
