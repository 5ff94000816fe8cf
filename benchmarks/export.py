"""What exports predict: `Bundle.export` in every format from this backend, beside the bundle.

    KERAS_BACKEND=jax python -m benchmarks.export --data ../shared/data/fashion

A network on pictures and n-grams is trained on the sample catalogue, and another one on the photos
and titles of `fashion` if `--data` names it. Each is exported, loaded by `multimodal_gen.serving`,
and predicts the test rows; what is printed are the largest difference of a probability from the
bundle's, the rows whose class differs, the size of the network, and milliseconds a row of the
network alone and of the whole prediction, pictures included.
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
COLUMNS = ("data", "format", "converted on", "largest difference", "other class", "MB", "network")


def trained(
    folder: Path, caption: str, side: tuple[int, int], rows: int, epochs: int
) -> tuple[mg.Bundle, pd.DataFrame, pd.DataFrame]:
    """A bundle of the pictures and captions in a folder, its validation rows and its test rows."""
    table = mg.read_table(next(iter(folder.glob("*.csv"))))
    if len(table) > rows:
        table = table.sample(rows, random_state=0).reset_index(drop=True)
    train, validation, test = mg.split_table(table, (0.6, 0.1, 0.3), stratify="label", seed=0)
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
    return mg.Bundle(model, inputs, target), validation, test


def seconds(predict: Callable[[], Any]) -> float:
    """The faster of two runs, after one that is not timed."""
    predict()
    found = []
    for _ in range(2):
        start = time.perf_counter()
        predict()
        found.append(time.perf_counter() - start)
    return min(found)


def measure(name: str, bundle: mg.Bundle, validation: Any, test: Any, work: Path) -> list[str]:
    """A line of the table for each format, and one for the bundle itself."""
    expected = bundle.predict(test)
    classes = list(expected.columns[1:])
    own = seconds(lambda: bundle.predict(test)) / len(test) * 1000
    size = _megabytes(bundle, work)
    lines = [f"| {name} | bundle | | | | {size} | | {own:.2f} |"]
    for kind in FORMATS:
        form, _, rounded = kind.partition(" ")
        try:
            done = bundle.export(
                work / f"{name} {kind}", form, int8=validation if rounded else None
            )
        except (ValueError, ImportError) as error:
            lines.append(
                f"| {name} | {kind} | refused: {' '.join(str(error).split())[:120]} | | | | |"
            )
            continue
        served = mg.serving.load(done.directory, trusted=True)
        found = served.predict(test)
        apart = np.abs(found[classes].to_numpy() - expected[classes].to_numpy()).max()
        other = (found["label"] != expected["label"]).sum()
        whole = seconds(lambda served=served: served.predict(test)) / len(test) * 1000
        lines.append(
            f"| {name} | {kind} | {done.made_on} | {apart:.1e} | {other:,} of {len(test):,} | "
            f"{done.network_bytes / 1e6:.2f} | {done.milliseconds:.2f} | {whole:.2f} |"
        )
    return lines


def _megabytes(bundle: mg.Bundle, work: Path) -> str:
    bundle.save(work / "bundle")
    return f"{(work / 'bundle' / 'model.keras').stat().st_size / 1e6:.2f}"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="the folder of `fashion`")
    parser.add_argument("--rows", type=int, default=2000, help="rows of `fashion` that are drawn")
    parser.add_argument("--epochs", type=int, default=4)
    given = parser.parse_args()
    print(f"Keras {keras.__version__} on {keras.backend.backend()}")
    print(f"| {' | '.join(COLUMNS)} | whole prediction |\n|{'---|' * (len(COLUMNS) + 1)}")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        jobs = [("sample", SAMPLE, "caption", (64, 64))]
        if given.data is not None:
            jobs.append(("fashion", given.data, "caption_masked", (80, 60)))
        for name, data, caption, side in jobs:
            parts = trained(data, caption, side, given.rows, given.epochs)
            print(*measure(name, *parts, work), sep="\n", flush=True)


if __name__ == "__main__":
    main()
