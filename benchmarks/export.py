"""What exports predict: `Bundle.export` in every format from this backend, beside the bundle.

    KERAS_BACKEND=jax python -m benchmarks.export trained --data ../shared/data/fashion

A network on pictures and n-grams is trained on the sample catalogue, and another one on the photos
and titles of `fashion` if `--data` names it. They are kept in the folder `trained`, so that the
next backend exports the same ones. Each is exported, loaded by `multimodal_gen.serving`, and
predicts the test rows; what is printed are the largest difference of a probability from the
bundle's, the rows whose class differs, the accuracy, the size of the network, and milliseconds a
row of the network alone and of the whole prediction, pictures included.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pandas as pd

import multimodal_gen as mg

SAMPLE = Path(__file__).parent.parent / "sample_data"
FORMATS = ("onnx", "onnx int8", "saved_model", "litert")
COLUMNS = ("data", "format", "converted on", "largest difference", "other class", "accuracy")
COLUMNS += ("MB", "network", "whole prediction")


def trained(
    kept: Path, folder: Path, caption: str, side: tuple[int, int], rows: int, epochs: int
) -> tuple[mg.Bundle, pd.DataFrame, pd.DataFrame]:
    """A bundle of the pictures and captions in a folder, its validation rows and its test rows."""
    table = mg.read_table(next(iter(folder.glob("*.csv"))))
    if len(table) > rows:
        table = table.sample(rows, random_state=0).reset_index(drop=True)
    train, validation, test = mg.split_table(table, (0.6, 0.1, 0.3), stratify="label", seed=0)
    if kept.exists():
        return mg.load_bundle(kept), validation, test
    inputs = {
        "image": mg.ImageLoader("image", directory=folder, image_size=side),
        "caption": mg.TextLoader.from_texts(caption, train, output_mode="ngrams"),
    }
    target = mg.ClassLabel.from_values("label", train)
    keras.utils.set_random_seed(0)
    data = mg.MultimodalSequence(train, inputs, target, batch_size=64, shuffle=True)
    model = mg.build_fusion_classifier(inputs, target)
    mg.fit_with_recipe(
        model, target, data, data.for_evaluation(validation), epochs=epochs, verbose=0
    )
    bundle = mg.Bundle(model, inputs, target)
    bundle.save(kept)
    return bundle, validation, test


def seconds(predict: Callable[[], Any]) -> float:
    """The faster of two runs, after one that is not timed."""
    predict()
    found = []
    for _ in range(2):
        start = time.perf_counter()
        predict()
        found.append(time.perf_counter() - start)
    return min(found)


def measure(
    name: str, bundle: mg.Bundle, validation: pd.DataFrame, test: pd.DataFrame, kept: Path
) -> None:
    """Print a line of the table for the bundle itself, and one for each format."""
    expected, classes = bundle.predict(test), list(bundle.target.class_names)
    own = seconds(lambda: bundle.predict(test)) / len(test) * 1000
    size, right = (kept / "model.keras").stat().st_size / 1e6, (expected.label == test.label).mean()
    print(f"| {name} | bundle | | | | {right:.3f} | {size:.2f} | | {own:.2f} |", flush=True)
    for kind in FORMATS:
        form, _, rounded = kind.partition(" ")
        with tempfile.TemporaryDirectory() as folder:
            rows = validation if rounded else None
            try:
                done = bundle.export(Path(folder, "export"), form, int8=rows)
            except (ValueError, ImportError) as error:
                said = " ".join(str(error).split())[:120]
                print(f"| {name} | {kind} | refused: {said} |{' |' * 6}", flush=True)
                continue
            served = mg.serving.load(done.directory, trusted=True)
            found = served.predict(test)
            apart = np.abs(found[classes].to_numpy() - expected[classes].to_numpy()).max()
            other = (found["label"] != expected["label"]).sum()
            right = (found["label"] == test["label"]).mean()
            whole = seconds(lambda served=served: served.predict(test)) / len(test) * 1000
        print(
            f"| {name} | {kind} | {done.made_on} | {apart:.1e} | {other:,} of {len(test):,} | "
            f"{right:.3f} | {done.network_bytes / 1e6:.2f} | {done.milliseconds:.2f} | "
            f"{whole:.2f} |",
            flush=True,
        )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kept", type=Path, help="the folder of the trained bundles")
    parser.add_argument("--data", type=Path, help="the folder of `fashion`")
    parser.add_argument("--rows", type=int, default=1000, help="rows of `fashion` that are drawn")
    parser.add_argument("--epochs", type=int, default=4)
    given = parser.parse_args()
    print(f"Keras {keras.__version__} on {keras.backend.backend()}")
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    jobs = [("sample", SAMPLE, "caption", (64, 64))]
    if given.data is not None:
        jobs.append(("fashion", given.data, "caption_masked", (80, 60)))
    for name, data, caption, side in jobs:
        kept = given.kept / name
        measure(name, *trained(kept, data, caption, side, given.rows, given.epochs), kept)


if __name__ == "__main__":
    main()
