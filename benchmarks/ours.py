"""What this package has to show, and the limits it is held against: the decoder alone, and Keras
fed a ready batch.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import multimodal_gen as mg
from benchmarks.work import Contestant, PillowRows, SkippedError, Source, Work
from multimodal_gen.batch.processes.pool import process_pool_of

# What the tutorial of Keras for ImageDataGenerator varies pictures with.
AUGMENT = {"shear_range": 0.2, "zoom_range": 0.2, "horizontal_flip": True}


def inputs_of(
    work: Work, *, decoder: str = "pillow", augment: bool = False
) -> dict[str, mg.Loader]:
    """The two loaders of a work.

    Args:
        work: The work.
        decoder: As in `ImageLoader`.
        augment: Whether pictures are varied.

    Raises:
        SkippedError: If the decoder's libraries are not installed.
    """
    operations = mg.augment.from_image_data_generator(**AUGMENT) if augment else ()
    try:
        image = mg.ImageLoader(
            "image",
            directory=work.directory,
            image_size=work.image_size,
            augment=operations,
            decoder=decoder,
        )
    except ImportError as error:
        raise SkippedError(str(error)) from None
    return {"image": image, "caption": work.text}


def open_sequence(
    work: Work,
    *,
    decoder: str = "pillow",
    augment: bool = False,
    cached: bool = False,
    processes: bool | None = None,
) -> Source:
    """Set a sequence up.

    Args:
        work: The work.
        decoder: As in `ImageLoader`.
        augment: Whether pictures are varied.
        cached: Whether arrays are kept on disk.
        processes: Whether worker processes make the batches, as many as `work.threads`; by default
            what the sequence chooses.
    """
    inputs = inputs_of(work, decoder=decoder, augment=augment)
    sequence = mg.MultimodalSequence(
        work.table,
        inputs,
        work.target,
        batch_size=work.batch_size,
        threads=work.threads,
        cache=work.scratch if cached else None,
        processes=None if processes is None else work.threads * processes,
    )
    if processes:
        # Not timed, as those of other libraries are not: the first epoch of each is a warm-up.
        process_pool_of(work.threads).wait(60)
    return Source(sequence.__iter__, sequence)


def _open_limit(work: Work, *, scaled: bool) -> Source:
    import simplejpeg

    height, width = work.image_size if scaled else (0, 0)
    paths = work.paths

    def decode(path: str) -> np.ndarray:
        pixels: np.ndarray = simplejpeg.decode_jpeg(
            Path(path).read_bytes(), "RGB", min_height=height, min_width=width, min_factor=1
        )
        return pixels

    def epoch() -> Iterator[list[np.ndarray]]:
        with ThreadPoolExecutor(work.threads) as pool:
            for start in range(0, len(paths), work.batch_size):
                yield list(pool.map(decode, paths[start : start + work.batch_size]))

    return Source(epoch)


def _open_ready(work: Work) -> Source:
    import keras
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    rows = PillowRows(work)
    samples = [rows[row] for row in range(min(work.batch_size, len(rows)))]
    images, ids = (np.stack([inputs[place] for inputs, _ in samples]) for place in (0, 1))
    batch = ((images, ids), np.stack([label for _, label in samples]))

    class ReadyBatch(keras.utils.PyDataset):
        def __len__(self) -> int:
            return work.num_batches

        def __getitem__(self, index: int) -> Any:
            short = len(rows) - index * work.batch_size
            return (
                batch
                if short >= work.batch_size
                else keras.tree.map_structure(lambda one: one[:short], batch)
            )

    adapter = PyDatasetAdapter(ReadyBatch())
    backend = keras.backend.backend()
    if backend == "tensorflow":
        # As in `fit`, which makes this once.
        return Source(adapter.get_tf_dataset().__iter__, ReadyBatch())
    return Source(
        adapter.get_jax_iterator if backend == "jax" else adapter.get_torch_dataloader, ReadyBatch()
    )


OURS = (
    Contestant(
        "ours-turbo",
        functools.partial(open_sequence, decoder="turbo"),
        'a MultimodalSequence, ImageLoader(decoder="turbo")',
    ),
    Contestant("ours-pillow", open_sequence, 'a MultimodalSequence, ImageLoader(decoder="pillow")'),
    Contestant(
        "ours-turbo-augmented",
        functools.partial(open_sequence, decoder="turbo", augment=True),
        "ours-turbo with shear, zoom and flip",
    ),
    Contestant(
        "ours-pillow-augmented",
        functools.partial(open_sequence, augment=True),
        "ours-pillow with shear, zoom and flip",
    ),
    Contestant(
        "ours-cached",
        functools.partial(open_sequence, cached=True),
        "MultimodalSequence(cache=...), from the second epoch on",
        warm=True,
    ),
)
LIMITS = (
    Contestant(
        "limit",
        functools.partial(_open_limit, scaled=False),
        "simplejpeg decodes every pixel, and nothing else is done",
        delivers="pixels",
    ),
    Contestant(
        "limit-scaled",
        functools.partial(_open_limit, scaled=True),
        "simplejpeg decodes to the fewest eighths that cover the size, and nothing else is done",
        delivers="pixels",
    ),
    Contestant(
        "ready", _open_ready, "Keras's adapter is handed one ready batch again and again", warm=True
    ),
)
