"""Features computed once, beside the same backbone run in every epoch, and the encoder alone.

    KERAS_BACKEND=tensorflow python -m benchmarks.features --rows 320 --epochs 20

Three things are timed in one run, on photos that are repeated to `--rows`: `fit` with
`BackboneBranch(trainable=False)`, which runs the backbone in every epoch; the same with
`from_preset`, features included; and filling a cache with features, beside the encoder on ready
batches and beside decoding. Weights are random, which costs the same.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pandas as pd

import multimodal_gen as mg
from benchmarks.report import Report, add_arguments, publish
from benchmarks.work import add_images, read_work
from multimodal_gen.loaders.reading import map_chunks

_READY = 64


@dataclass(frozen=True)
class Run:
    """The settings of a run.

    Args:
        table: Rows with the columns image and label.
        directory: The folder of the photos.
        target: What the models learn.
        backbone: Name of a function of `keras.applications`.
        size: Height and width in pixels.
        decoder: As of `ImageLoader`.
        epochs: Epochs of each `fit`.
        batch_size: Rows of a training batch.
    """

    table: pd.DataFrame
    directory: str
    target: mg.Target
    backbone: str
    size: int
    decoder: str
    epochs: int
    batch_size: int


@dataclass(frozen=True)
class Spent:
    """Seconds on the clock and of all cores."""

    wall: float
    cpu: float


def clocked(function: Callable[[], object]) -> Spent:
    """Call a function, and return what it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return Spent(time.perf_counter() - wall, time.process_time() - cpu)


def train(run: Run, loader: mg.Loader, branch: mg.models.Branch) -> None:
    """Fit a classifier for all epochs."""
    keras.utils.set_random_seed(0)
    inputs = {"image": loader}
    model = mg.build_fusion_classifier(
        inputs, run.target, branches={"image": branch}, fusion="concat"
    )
    model.compile("adam", loss=run.target.loss)
    sequence = mg.MultimodalSequence(
        run.table, inputs, run.target, batch_size=run.batch_size, shuffle=True
    )
    model.fit(sequence, epochs=run.epochs, verbose=0)


def train_whole(run: Run) -> None:
    """With the backbone inside the model."""
    pictures = mg.ImageLoader(
        "image", image_size=(run.size, run.size), directory=run.directory, decoder=run.decoder
    )
    backbone = getattr(keras.applications, run.backbone)
    train(run, pictures, mg.models.BackboneBranch(backbone, trainable=False))


def train_features(run: Run) -> None:
    """With features, from raw photos on."""
    image = preset(run)
    train(run, image.loader, image.branch)


def preset(run: Run) -> mg.models.Pretrained:
    """Loader and branch of the frozen encoder."""
    size = (run.size, run.size)
    given = mg.from_preset(
        run.backbone, "image", weights=None, image_size=size, directory=run.directory
    )
    assert isinstance(given.loader, mg.EncodedLoader)
    pictures = mg.ImageLoader(
        "image", image_size=size, directory=run.directory, decoder=run.decoder
    )
    return given._replace(loader=mg.EncodedLoader(pictures, given.loader.encoder))


def rates(run: Run) -> dict[str, Spent]:
    """What the encoder on ready batches, decoding, and filling a cache take for the same rows."""
    loader = preset(run).loader
    assert isinstance(loader, mg.EncodedLoader)
    encoder, pictures = loader.encoder, loader.loader
    assert pictures is not None
    # A photo that comes again would be found in the cache.
    table = run.table.drop_duplicates("image")
    cells, size = table["image"].tolist(), encoder.batch_size
    ready = [pictures.read(cell) for cell in cells[:_READY]]
    # What is compiled, once.
    encoder.encode(ready[:size])

    def alone() -> None:
        for start in range(0, len(cells), size):
            encoder.encode([ready[row % len(ready)] for row in range(start, start + size)])

    def decode() -> None:
        parts = [cells[start : start + size] for start in range(0, len(cells), size)]
        for _ in map_chunks(pictures.read_batch, parts, 2, "decoding"):
            pass

    def fill() -> None:
        with tempfile.TemporaryDirectory() as folder:
            mg.fill_cache(table, [loader], folder)

    return {"encoder alone": clocked(alone), "decoding": clocked(decode), "filling": clocked(fill)}


def make_report(run: Run) -> Report:
    """Measure everything, and put it into a table."""
    whole, features = clocked(lambda: train_whole(run)), clocked(lambda: train_features(run))
    found, rows = rates(run), run.table["image"].nunique()
    lines = [
        ("backbone in every epoch, s", whole),
        ("ours, features once, s", features),
    ]
    table = [[name, f"{spent.wall:.1f}", f"{spent.cpu:.1f}"] for name, spent in lines]
    table += [
        [f"{name}, rows/s", f"{rows / spent.wall:.0f}", f"{rows / spent.cpu:.0f}"]
        for name, spent in found.items()
    ]
    alone, decoding, filling = found["encoder alone"], found["decoding"], found["filling"]
    notes = [
        f"Whole runs of {run.epochs} epochs: {whole.wall / features.wall:.1f} times as fast on the "
        f"clock, {whole.cpu / features.cpu:.1f} times by the time of all cores.",
        f"Filling at {alone.wall / filling.wall:.2f} of the rate of the encoder alone on the "
        f"clock, and at {alone.cpu / filling.cpu:.2f} by the time of all cores.",
        # What decoding takes is taken from the encoder, if both share all cores.
        f"At most {alone.cpu / (alone.cpu + decoding.cpu):.2f} is possible where decoding uses the "
        f"cores of the encoder; {(alone.cpu + decoding.cpu) / filling.cpu:.2f} of that is reached.",
    ]
    figures = {
        "backend": keras.backend.backend(),
        "rows": len(run.table),
        "photos": rows,
        "whole": whole.__dict__,
        "features": features.__dict__,
        **{name: spent.__dict__ for name, spent in found.items()},
    }
    title = (
        f"{run.backbone} at {run.size} pixels, {len(run.table)} rows, {run.epochs} epochs, "
        f"{keras.backend.backend()}"
    )
    return Report("features", title, ("", "clock", "cores"), table, notes, figures)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_images(parser)
    parser.add_argument("--rows", type=int, default=320)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--pixels", type=int, default=224, help="height and width")
    parser.add_argument("--backbone", default="MobileNetV3Small")
    parser.add_argument("--decoder", default="pillow", choices=["pillow", "turbo"])
    add_arguments(parser)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        work = read_work(
            given.images,
            rows=given.rows,
            size=given.size,
            image_size=(given.pixels, given.pixels),
            batch_size=given.batch_size,
            threads=2,
            scratch=Path(scratch),
        )
        classes = sorted(np.unique(work.table["label"]))
        run = Run(
            work.table,
            work.directory,
            mg.ClassLabel("label", classes),
            given.backbone,
            given.pixels,
            given.decoder,
            given.epochs,
            given.batch_size,
        )
        publish(make_report(run), given)


if __name__ == "__main__":
    main()
