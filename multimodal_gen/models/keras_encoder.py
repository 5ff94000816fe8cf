"""A Keras model as an encoder: features of pictures, or of whatever arrays it takes.

The encoder owns a copy of the model, so that training the given one later does not change what
features mean. It runs in the process that made it, on one thread at a time.
"""

from __future__ import annotations

import difflib
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np

from multimodal_gen.errors import level_of_caller
from multimodal_gen.loaders.encoded.encoder import Encoder
from multimodal_gen.models.branch_checks import ends_in_softmax
from multimodal_gen.models.branch_features import branch_features
from multimodal_gen.models.encoder_outputs import check_model, features_of
from multimodal_gen.models.hub.texts import TokenIds
from multimodal_gen.models.image_branches import family_of
from multimodal_gen.models.layers import ApplicationPreprocessing
from multimodal_gen.models.model_digest import digest_of_model
from multimodal_gen.models.weights_files import load_weights_whole
from multimodal_gen.rows.checks import check_switches
from multimodal_gen.sequence.keras_inside.graph import all_layers
from multimodal_gen.spec import ArraySpec

# Ids of a text that are encoded at least, and how many batches of texts are read at once.
_SHORTEST, _TEXTS_TOGETHER = 16, 8


class KerasEncoder(Encoder):
    """Any Keras model with one input, frozen, from a loader's arrays to features.

    Feature maps of a picture, `(height, width, channels)`, are averaged, and their maxima put
    beside; with `sequence`, they are kept as `(height * width, channels)`. Grey pictures are
    repeated where the model takes three channels.

    Args:
        model: A built model from arrays to `(batch, size)`, or to feature maps; with `sequence`
            to feature maps or to `(batch, length, size)`.
        preprocessing: Module of `keras.applications` whose `preprocess_input` comes first, such as
            "mobilenet_v2"; None if the model takes the loader's arrays as they are.
        value_range: With `preprocessing`: smallest and greatest pixel value of the loader.
        batch_size: Rows that the model is given at once.
        sequence: Whether all vectors are given, of each patch or token, instead of one, as fusion
            "attend" uses them.

    Raises:
        TypeError: If it is not a Keras model, or cannot be copied.
        ValueError: If it is not built, has several inputs or outputs, or its output is something
            else.
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        preprocessing: str | None = None,
        value_range: tuple[float, float] = (0.0, 255.0),
        batch_size: int = 32,
        sequence: bool = False,
    ) -> None:
        super().__init__(batch_size=batch_size)
        check_switches(sequence=sequence)
        check_model(model)
        if ends_in_softmax(model):
            warnings.warn(
                "The model ends in a softmax, so its features are class probabilities instead of "
                "the more informative features below. Remove its last layer, as in "
                f"`keras.Model(model.inputs, model.layers[-2].output)`. Received: {model.name!r}",
                stacklevel=level_of_caller(),
            )
        given = model.inputs[0]
        inputs = keras.Input(given.shape[1:], dtype=given.dtype)
        x: Any = inputs
        if preprocessing is not None:
            x = ApplicationPreprocessing(preprocessing, value_range=value_range)(x)
        x = _copied(model)(x)
        x = features_of(x, sequence, model)
        self.model = keras.Model(inputs, x)
        if keras.backend.backend() == "tensorflow" and not keras.distribution.list_devices("gpu"):
            # On a CPU, XLA's convolutions take 1.4 times as long as tensorflow's own.
            self.model.jit_compile = False
        self.spec = ArraySpec(tuple(map(int, x.shape[1:])), "float32", "features")
        # The backend too: its sums are other bits.
        self.digest = f"{digest_of_model(self.model)} {keras.backend.backend()}"
        # Ids of a preset's tokenizer, whose model knows a mask: padding makes no difference.
        self._cuts = self.model.inputs[0].shape[1:] == (None,) and any(
            isinstance(layer, TokenIds) for layer in all_layers(self.model)
        )
        self._process = os.getpid()
        self.remember()

    @classmethod
    def from_application(
        cls,
        function: str | Callable[..., keras.Model],
        *,
        weights: str | os.PathLike[str] | None,
        image_size: tuple[int, int] = (224, 224),
        value_range: tuple[float, float] = (0.0, 255.0),
        batch_size: int = 32,
        sequence: bool = False,
    ) -> Self:
        """Take a model of `keras.applications`, without its top and with its own preprocessing.

        Args:
            function: A function of `keras.applications`, such as
                `keras.applications.MobileNetV3Small`, or its name.
            weights: The path of a weights file; "imagenet", which Keras downloads; or None for
                random weights.
            image_size: `(height, width)` of the loader's pictures.
            value_range: As in the constructor.
            batch_size: As in the constructor.
            sequence: As in the constructor.

        Raises:
            ValueError: If there is no such function, or a weights file does not have exactly the
                weights of the model; the message lists what differs.
            FileNotFoundError: If there is no such weights file.
        """
        check_switches(sequence=sequence)
        build: Any = function
        if isinstance(function, str):
            build = getattr(keras.applications, function, None)
        if not callable(build):
            raise ValueError(
                "`function` must be a function of keras.applications or its name, such as "
                f"'MobileNetV3Small'.{meant_application(function)} Received: function={function!r}"
            )
        named = "imagenet" if weights == "imagenet" else None
        model = build(include_top=False, weights=named, input_shape=(*image_size, 3))
        if weights is not None and named is None:
            load_weights_whole(model, weights)
        return cls(
            model,
            preprocessing=family_of(build),
            value_range=value_range,
            batch_size=batch_size,
            sequence=sequence,
        )

    @classmethod
    def from_branch(cls, model: keras.Model, name: str, *, batch_size: int = 32) -> Self:
        """Take the features that one branch of a trained fusion model makes, to use them elsewhere.

        They are what the branch's last layer reads: for pictures the averages and maxima of the
        last feature maps, which depend less on the classes than the embedding after them.
        `encoder.save("network.keras")` writes them as a Keras model.

        Args:
            model: The result of `build_fusion_classifier`, or `load_bundle(...).model`.
            name: Name of the input whose branch it is, such as "image".
            batch_size: As in the constructor.

        Raises:
            TypeError: If it is not a Keras model.
            ValueError: If it has no such input, or the branch is not one of this package.

        Example:
            bundle = mg.load_bundle("runs/shop")
            mg.KerasEncoder.from_branch(bundle.model, "image").save("network.keras")
        """
        return cls(branch_features(model, name), batch_size=batch_size)

    def check(self, spec: ArraySpec | None) -> None:
        """Refuse arrays of another shape than the model takes.

        Raises:
            ValueError: If the model needs something else.
        """
        wanted = tuple(self.model.inputs[0].shape[1:])
        shape = None if spec is None else spec.shape
        if shape is not None and len(shape) == 3 and shape[-1] == 1 and wanted[-1] == 3:
            shape = (*shape[:2], 3)
        if shape is None or not _fits(shape, wanted):
            raise ValueError(
                f"The encoder takes arrays of shape {wanted}: give it a loader that reads them, "
                f"such as ImageLoader(image_size=...). Received: {spec or 'cells of a column'}"
            )

    @property
    def rows_together(self) -> int:
        """A batch; of texts more, so that each length fills its batches."""
        return self.batch_size * (_TEXTS_TOGETHER if self._cuts else 1)

    def encode(self, values: Sequence[Any]) -> np.ndarray:
        """Any number of arrays -> `(rows, size) float32`; ids without most of their padding."""
        if not self._cuts:
            return super().encode(values)
        found = np.zeros((len(values), *self.spec.shape), "float32")
        lengths: dict[int, list[int]] = {}
        for row, ids in enumerate(values):
            lengths.setdefault(_cut_length(ids), []).append(row)
        for length, rows in lengths.items():
            found[rows] = super().encode([values[row][:length] for row in rows])
        return found

    def run(self, values: Sequence[Any]) -> np.ndarray:
        """`batch_size` arrays -> `(batch_size, *spec.shape) float32`.

        Raises:
            RuntimeError: In a fork of the process that made the encoder.
        """
        if os.getpid() != self._process:
            raise RuntimeError(
                "A Keras model cannot run in a fork of the process that made it. Load the bundle, "
                "or make the encoder, in this process."
            )
        array = np.stack(values)
        if array.ndim == 4 and array.shape[-1] == 1 and self.model.inputs[0].shape[-1] == 3:
            array = np.repeat(array, 3, axis=-1)
        return np.asarray(keras.ops.convert_to_numpy(self.model.predict_on_batch(array)), "float32")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model, with preprocessing and pooling, into a `.keras` file."""
        self.model.save(path)

    def get_config(self) -> dict[str, Any]:
        """A digest instead of the model, which has no JSON form."""
        return {"digest": self.digest, "batch_size": self.batch_size}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Find the encoder with this digest in this process, or build it from a model."""
        if "model" not in config:
            return super().from_config(config)
        # The model that a bundle keeps has the pooling in it, so its output says which it is.
        return cls(sequence=len(config["model"].outputs[0].shape) == 3, **config)

    def __reduce__(self) -> tuple[Any, ...]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.keras")
            self.save(path)
            return _unpickled, (type(self), self.digest, self.batch_size, path.read_bytes())


def meant_application(name: Any) -> str:
    """A sentence that names the function of `keras.applications` that was meant, or nothing.

    Args:
        name: What was given instead.
    """
    known = {
        one.casefold(): one
        for one in dir(keras.applications)
        if one[:1].isupper() and callable(getattr(keras.applications, one))
    }
    near = difflib.get_close_matches(str(name).casefold(), known, n=1)
    return f" Did you mean {known[near[0]]!r}?" if near else ""


def _cut_length(ids: np.ndarray) -> int:
    # A power of two, so that few lengths are compiled.
    used = int(np.flatnonzero(ids).max(initial=-1)) + 1
    return min(len(ids), max(_SHORTEST, 1 << (used - 1).bit_length() if used else 0))


def _unpickled(cls: type[KerasEncoder], digest: str, batch_size: int, data: bytes) -> KerasEncoder:
    found = cls.remembered(digest)
    if found is not None and found.batch_size == batch_size:
        return found
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        path.write_bytes(data)
        model = keras.saving.load_model(path, compile=False)
        return cls.from_config({"model": model, "batch_size": batch_size})


def _copied(model: keras.Model) -> keras.Model:
    try:
        copy = keras.models.clone_model(model)
    except Exception as error:
        raise TypeError(
            f"The model cannot be copied, so it could not be saved either: {error} "
            f"Received: model {model.name!r}"
        ) from error
    copy.set_weights(model.get_weights())
    return copy


def _fits(shape: Sequence[int], wanted: Sequence[int | None]) -> bool:
    return len(shape) == len(wanted) and all(
        axis is None or axis == size for size, axis in zip(shape, wanted, strict=True)
    )
