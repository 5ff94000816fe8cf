"""How others do the work: the sequence of the tutorials, ImageDataGenerator, tf.data, grain and
torch's DataLoader.

Each is written as its own documentation advises, and may use as many threads or processes as ours.
A library is imported when its contestant is opened.
"""

from __future__ import annotations

import contextlib
import functools
import io
from typing import Any

import numpy as np

from benchmarks.ours import AUGMENT
from benchmarks.work import Contestant, PillowRows, Source, Work


def _open_sequence(work: Work, *, workers: int | None = None) -> Source:
    import keras
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    rows = PillowRows(work)

    class TutorialSequence(keras.utils.PyDataset):
        def __len__(self) -> int:
            return work.num_batches

        def __getitem__(self, index: int) -> Any:
            start = index * work.batch_size
            samples = [rows[row] for row in range(start, min(start + work.batch_size, len(rows)))]
            images, ids = (np.stack([inputs[place] for inputs, _ in samples]) for place in (0, 1))
            return (images, ids), np.stack([label for _, label in samples])

    sequence = TutorialSequence(workers=workers or work.threads)
    return Source(PyDatasetAdapter(sequence).get_numpy_iterator, sequence)


def _open_image_data_generator(work: Work, *, augment: bool, workers: int | None = None) -> Source:
    from keras.src.legacy.preprocessing.image import ImageDataGenerator
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    generator = ImageDataGenerator(**(AUGMENT if augment else {}))
    # It prints how many files it found.
    with contextlib.redirect_stdout(io.StringIO()):
        flow = generator.flow_from_dataframe(
            work.table,
            directory=work.directory,
            x_col="image",
            y_col="label",
            classes=list(work.target.class_names),
            target_size=work.image_size,
            class_mode="categorical",
            batch_size=work.batch_size,
            shuffle=False,
            interpolation="bilinear",
        )
    flow.workers = workers or work.threads
    return Source(PyDatasetAdapter(flow).get_numpy_iterator)


def _open_tf_data(work: Work, *, antialias: bool = False, cached: bool = False) -> Source:
    import tensorflow as tf

    def decode(path: Any, ids: Any, label: Any) -> Any:
        pixels = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        pixels = tf.image.resize(pixels, work.image_size, method="bilinear", antialias=antialias)
        return (tf.cast(pixels, tf.uint8), ids), label

    data = tf.data.Dataset.from_tensor_slices((work.paths, work.token_ids(), work.labels()))
    data = data.map(decode, num_parallel_calls=tf.data.AUTOTUNE)
    if cached:
        data = data.cache()
    data = data.batch(work.batch_size).prefetch(tf.data.AUTOTUNE)
    options = tf.data.Options()
    options.threading.private_threadpool_size = work.threads
    data = data.with_options(options)
    return Source(data.__iter__, data)


def _open_grain(work: Work) -> Source:
    import grain

    rows = grain.MapDataset.source(PillowRows(work))
    options = grain.ReadOptions(num_threads=work.threads)
    data = rows.to_iter_dataset(options).batch(work.batch_size, drop_remainder=False)
    return Source(data.__iter__, data)


def open_grain_processes(work: Work) -> Source:
    """Set grain up with as many processes as `work.threads`."""
    import grain
    from absl import flags

    if not flags.FLAGS.is_parsed():
        # Grain reads its settings through absl's flags.
        flags.FLAGS(["benchmarks"])
    data = grain.MapDataset.source(PillowRows(work)).batch(work.batch_size, drop_remainder=False)
    options = grain.MultiprocessingOptions(num_workers=work.threads)
    data = data.to_iter_dataset().mp_prefetch(options)
    return Source(data.__iter__, data)


def open_torch(work: Work) -> Source:
    """Set torch's DataLoader up with as many processes as `work.threads`."""
    from torch.utils.data import DataLoader

    loader: Any = DataLoader(
        PillowRows(work),  # type: ignore[arg-type]
        batch_size=work.batch_size,
        num_workers=work.threads,
        persistent_workers=True,
        # A fork would take along the threads of tensorflow, and hang.
        multiprocessing_context="spawn",
        collate_fn=collate,
    )
    return Source(loader.__iter__, loader)


def collate(samples: list[Any]) -> Any:
    """Torch's default way to make a batch, with the inputs in a tuple, as Keras wants them."""
    from torch.utils.data import default_collate

    inputs, labels = default_collate(samples)
    return tuple(inputs), labels


PEERS = (
    Contestant(
        "sequence",
        _open_sequence,
        "a PyDataset as in tutorials, with Pillow, as many workers as threads",
    ),
    Contestant(
        "sequence-1",
        functools.partial(_open_sequence, workers=1),
        "the sequence with one worker, Keras's default",
    ),
    Contestant(
        "image_data_generator",
        functools.partial(_open_image_data_generator, augment=False),
        "flow_from_dataframe, as many workers as threads; pictures and labels alone, float32",
        delivers="images",
    ),
    Contestant(
        "image_data_generator-augmented",
        functools.partial(_open_image_data_generator, augment=True),
        "image_data_generator with shear, zoom and flip",
        delivers="images",
    ),
    Contestant(
        "image_data_generator-augmented-1",
        functools.partial(_open_image_data_generator, augment=True, workers=1),
        "the same with one worker, Keras's default",
        delivers="images",
    ),
    Contestant(
        "tf.data",
        _open_tf_data,
        "map, batch, prefetch; not antialiased, ids of captions made beforehand",
    ),
    Contestant(
        "tf.data-antialias",
        functools.partial(_open_tf_data, antialias=True),
        "tf.data with antialias=True",
    ),
    Contestant(
        "tf.data-cached",
        functools.partial(_open_tf_data, cached=True),
        "tf.data with cache() in memory, from the second epoch on",
        warm=True,
    ),
    Contestant("grain", _open_grain, "a MapDataset with Pillow, read by threads"),
    Contestant("torch", open_torch, "a DataLoader with Pillow, read by processes"),
)
