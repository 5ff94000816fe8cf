"""The work that contestants are measured on: the same rows, the same arrays to be made of them, and
the check of that.

One sample is a picture decoded and resized to one size as uint8, the ids of its caption, and a
one-hot label. A `Contestant` says how one library does the work; `ours.py` and `peers.py` hold
them.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

import multimodal_gen as mg

Sample = tuple[tuple[np.ndarray, np.ndarray], np.ndarray]

SAMPLE_DATA = Path(__file__).parent.parent / "sample_data"
_CLASSES = [f"class {number}" for number in range(10)]
_SEQUENCE_LENGTH = 32


class SkippedError(Exception):
    """A contestant cannot take part; the message says why."""


@dataclass(frozen=True)
class Work:
    """Rows, and the arrays that every contestant makes of them.

    Args:
        table: The columns image (path), caption and label; one row a sample.
        directory: Where relative paths start.
        text: Makes ids of a caption; contestants share it.
        target: Makes a one-hot label; contestants share it.
        image_size: `(height, width)`.
        batch_size: Rows of a batch; the last one may be short.
        threads: Threads or processes that a contestant may decode with.
        scratch: A folder for caches, empty at first.
    """

    table: pd.DataFrame
    directory: str
    text: mg.TextLoader
    target: mg.ClassLabel
    image_size: tuple[int, int]
    batch_size: int
    threads: int
    scratch: str

    @property
    def paths(self) -> list[str]:
        """The files, row by row."""
        return [os.path.join(self.directory, name) for name in self.table["image"]]

    @property
    def num_batches(self) -> int:
        """Batches of an epoch."""
        return -(-len(self.table) // self.batch_size)

    def token_ids(self) -> np.ndarray:
        """The ids of all captions, `(rows, sequence_length) int32`, for libraries that cannot call
        a tokenizer.
        """
        return np.stack([self.text.read(caption) for caption in self.table["caption"]])

    def labels(self) -> np.ndarray:
        """All labels, `(rows, classes) float32`."""
        return np.stack([self.target.read(label) for label in self.table["label"]])


class PillowRows:
    """The rows of a work, read one by one as a tutorial has it: Pillow for pictures, one tokenizer
    call a caption.

    Holds no table and imports no Keras, so that a process that reads for another one starts
    quickly.
    """

    def __init__(self, work: Work) -> None:
        self.paths, self.captions, self.labels = (
            work.paths,
            list(work.table["caption"]),
            work.labels(),
        )
        self.text, self.image_size = work.text, work.image_size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> Sample:
        height, width = self.image_size
        with Image.open(self.paths[row]) as image:
            pixels = np.array(
                image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
            )
        return (pixels, self.text.read(self.captions[row])), self.labels[row]


@dataclass(frozen=True)
class Source:
    """A contestant that is set up for a work.

    Args:
        epoch: Starts an epoch; gives its batches `((images, ids), labels)`.
        data: What `fit` takes, or None where Keras takes it not or it has other inputs.
    """

    epoch: Callable[[], Iterable[Any]]
    data: Any = None


@dataclass(frozen=True)
class Contestant:
    """One way to do the work.

    Args:
        name: As it is called on the command line and in tables.
        open: Sets it up; raises `SkippedError` or `ModuleNotFoundError` where it cannot.
        about: In a few words, how it does the work.
        delivers: "batches" for the whole work; "images" for float32 pictures and labels without
            captions, all that `ImageDataGenerator` can give; "pixels" for pictures of any size, in
            lists.
        warm: Whether pictures are decoded in the first epoch only, or never.
    """

    name: str
    open: Callable[[Work], Source]
    about: str
    delivers: str = "batches"
    warm: bool = False


def add_images(parser: argparse.ArgumentParser) -> None:
    """The arguments that choose the photos."""
    data = Path(os.environ.get("MULTIMODAL_GEN_DATA", "../shared/data")) / "photos"
    parser.add_argument(
        "--images",
        type=Path,
        default=data if (data / "data.csv").exists() else None,
        help="a folder with data.csv (image, caption[, size]); by default the photos in "
        "MULTIMODAL_GEN_DATA, or collages made from sample_data where there are none",
    )
    parser.add_argument(
        "--size", help="keep the rows with this word in the column size, where there is one"
    )


def pictures_in_words(arguments: argparse.Namespace) -> str:
    """What `add_images` was given, for titles, such as "small photos"."""
    kind = "photos" if arguments.images else "collages"
    return " ".join(filter(None, [arguments.size, kind]))


def read_work(
    images: Path | None,
    *,
    rows: int,
    size: str | None,
    image_size: tuple[int, int],
    batch_size: int,
    threads: int,
    scratch: Path,
) -> Work:
    """The work on the photos of a folder, repeated or cut to so many rows; labels are made from row
    numbers.

    Args:
        images: A folder with data.csv, which has the columns image, caption and perhaps size. None:
            collages of the pictures in sample_data, which are made in `scratch`.
        rows: Rows of the table.
        size: Keep only the rows with this word in the column size, where there is one.
        image_size: `(height, width)`.
        batch_size: Rows of a batch.
        threads: Threads or processes that a contestant may decode with.
        scratch: An empty folder.

    Raises:
        ValueError: If no row has that size.
    """
    if images is None:
        images = scratch / "photos"
        make_photos(images)
    if not (images / "data.csv").is_file():
        raise SystemExit(
            f"The folder of photos needs a data.csv with the columns image and caption: {images}"
        )
    table = pd.read_csv(images / "data.csv", dtype=str)
    if size is not None and "size" in table:
        sizes = sorted(table["size"].unique())
        table = table[table["size"] == size]
        if table.empty:
            raise ValueError(
                f"`size` must be one of {sizes}, the words in the column size. Received: "
                f"size={size!r}"
            )
    text = mg.TextLoader.from_texts("caption", table["caption"], sequence_length=_SEQUENCE_LENGTH)
    table = table.iloc[np.arange(rows) % len(table)].reset_index(drop=True)
    table["label"] = [_CLASSES[row % len(_CLASSES)] for row in range(rows)]
    target = mg.ClassLabel("label", _CLASSES, label_mode="categorical")
    return Work(
        table, str(images), text, target, image_size, batch_size, threads, str(scratch / "caches")
    )


def make_photos(folder: Path, count: int = 64) -> None:
    """Write JPEG files of 500x375 and their data.csv: collages of the pictures in sample_data, full
    of detail.
    """
    catalog = pd.read_csv(SAMPLE_DATA / "catalog.csv")
    pictures = [Image.open(SAMPLE_DATA / name).copy() for name in catalog["image"][:200]]
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    for number in range(count):
        canvas = Image.new("RGB", (500, 375))
        for place in range(8 * 6):
            canvas.paste(pictures[rng.integers(len(pictures))], (place % 8 * 64, place // 8 * 64))
        canvas.save(folder / "images" / f"{number:04}.jpg", quality=95)
    names = [f"images/{number:04}.jpg" for number in range(count)]
    pd.DataFrame({"image": names, "caption": catalog["caption"][:count]}).to_csv(
        folder / "data.csv", index=False
    )


def check_batch(batch: Any, work: Work, contestant: Contestant, rows: int) -> None:
    """Refuse a batch that is not the work.

    Args:
        batch: What the contestant gave, with arrays or tensors of any library.
        work: What it was to do.
        contestant: Which one it is, and what it delivers.
        rows: How many rows the batch is to have.

    Raises:
        ValueError: It names the contestant and the shapes.
    """
    if contestant.delivers == "pixels":
        received: list[Any] = [(image.ndim, image.shape[2], image.dtype.name) for image in batch]
        wanted: list[Any] = [(3, 3, "uint8")] * rows
    elif contestant.delivers == "images":
        received = [_described(array) for array in batch]
        wanted = [
            ((rows, *work.image_size, 3), "float32"),
            ((rows, *work.target.spec.shape), "float32"),
        ]
    else:
        (images, ids), labels = batch
        received = [_described(array) for array in (images, ids, labels)]
        wanted = [
            ((rows, *work.image_size, 3), "uint8"),
            ((rows, *work.text.spec.shape), "int32"),
            ((rows, *work.target.spec.shape), "float32"),
        ]
    if received != wanted:
        raise ValueError(f"{contestant.name} must deliver {wanted}. Received: {received}")


def _described(array: Any) -> tuple[tuple[int, ...], str]:
    # Tensors of torch and tensorflow write their dtype in their own ways.
    return tuple(array.shape), str(getattr(array.dtype, "name", array.dtype)).removeprefix("torch.")
