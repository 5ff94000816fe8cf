"""The models that a loader is measured with, and clocks for their epochs and for the time they
wait.
"""

from __future__ import annotations

import time

import keras

from benchmarks.work import Work


class EpochClock(keras.callbacks.Callback):
    """Keeps how long each epoch of `fit` took, in seconds, and how many steps it had."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self.steps: list[int] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start."""
        self.steps.append(0)
        self._started = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Count."""
        self.steps[-1] += 1

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Stop."""
        self.seconds.append(time.perf_counter() - self._started)


class WaitClock(keras.callbacks.Callback):
    """Keeps how long the steps of each epoch of `fit` waited for their batches, in seconds.

    A step has waited from when the one before it ended, the first one from when the epoch began,
    until the sequence returned its batch. On jax that is the most it can have been, as a step ends
    there before it is computed.

    Args:
        data: The sequence that `fit` is given, with `shuffle=False`; from now on it takes the time
            of what it returns.
    """

    def __init__(self, data: keras.utils.PyDataset) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._returned: dict[int, float] = {}
        self._began = 0.0
        kind, returned = type(data), self._returned

        def timed(self: keras.utils.PyDataset, index: int) -> object:
            batch = kind.__getitem__(self, index)
            returned[index] = time.perf_counter()
            return batch

        data.__class__ = type(kind.__name__, (kind,), {"__getitem__": timed})

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start."""
        self.seconds.append(0.0)
        self._began = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """The batch of this step has been returned by now; one that Keras kept from another epoch
        took no time.
        """
        self.seconds[-1] += max(0.0, self._returned.get(batch, 0.0) - self._began)
        self._began = time.perf_counter()


def tiny_model(work: Work) -> keras.Model:
    """A compiled model that computes next to nothing, so that data is what training waits for.

    It looks at every eighth pixel each way, and at the mean of the embedded ids.
    """
    image = keras.Input((*work.image_size, 3), dtype="uint8", name="image")
    ids = keras.Input(work.text.spec.shape, dtype="int32", name="caption")
    seen = keras.ops.cast(image[:, ::8, ::8], "float32") / 255.0
    return _joined(work, image, ids, keras.layers.GlobalAveragePooling2D()(seen))


def small_model(work: Work) -> keras.Model:
    """A compiled model of three convolutions, for pictures of 224x224 on a processor without an
    accelerator.
    """
    image = keras.Input((*work.image_size, 3), dtype="uint8", name="image")
    ids = keras.Input(work.text.spec.shape, dtype="int32", name="caption")
    seen = keras.layers.Rescaling(1 / 255.0)(image)
    for filters, strides in ((16, 4), (32, 2), (64, 2)):
        seen = keras.layers.Conv2D(filters, 5, strides=strides, padding="same", activation="relu")(
            seen
        )
    return _joined(work, image, ids, keras.layers.GlobalAveragePooling2D()(seen))


def application_model(work: Work, name: str) -> keras.Model:
    """A compiled model around a function of `keras.applications`, with random weights."""
    image = keras.Input((*work.image_size, 3), dtype="uint8", name="image")
    ids = keras.Input(work.text.spec.shape, dtype="int32", name="caption")
    network = getattr(keras.applications, name)(
        include_top=False, weights=None, pooling="avg", input_shape=(*work.image_size, 3)
    )
    return _joined(work, image, ids, network(keras.layers.Rescaling(1 / 255.0)(image)))


def _joined(
    work: Work, image: keras.KerasTensor, ids: keras.KerasTensor, seen: keras.KerasTensor
) -> keras.Model:
    read = keras.layers.Embedding(work.text.spec.vocabulary_size, 16)(ids)
    both = keras.layers.Concatenate()([seen, keras.ops.mean(read, axis=1)])
    # In float32 whatever the policy, as Keras advises for probabilities.
    outputs = keras.layers.Dense(work.target.units, activation="softmax", dtype="float32")(both)
    model = keras.Model([image, ids], outputs)
    model.compile("adam", loss=work.target.loss)
    return model
