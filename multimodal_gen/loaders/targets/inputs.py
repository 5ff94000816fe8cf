"""The input itself as the target: what an autoencoder learns to reconstruct."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.image.loader import ImageLoader
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.rows.checks import check_switches
from multimodal_gen.spec import ArraySpec

if TYPE_CHECKING:
    import keras


class InputTarget(Target):
    """The arrays of a loader, as the target.

    Random operations are the loader's own, and as it reads the same column as the input does, it
    draws the same random numbers: the target is varied exactly as the input. For a denoising
    autoencoder give it a loader without the operations whose work the model is to undo; the others
    stay the same for both:

        flip = mg.augment.RandomFlip("horizontal")
        noisy = mg.ImageLoader("image", augment=[mg.augment.RandomErasing(), flip])
        target = mg.InputTarget(noisy.replace(augment=[flip]))

    A picture of another column, such as a mask, is moved like the input picture, whatever else
    varies the two. It takes the movements of the input with `vary_with`, or has the same ones in
    its own list; otherwise a sequence that varies its rows rejects it.

        photo = mg.ImageLoader("photo", augment=[flip, mg.augment.RandomBrightness(0.2)])
        target = mg.InputTarget(mg.ImageLoader("mask", interpolation="nearest", vary_with=photo))

    Returns float32 arrays with the loader's shape and kind: pictures in [0, 1], uint8 divided by
    255; vectors unchanged.

    A model may put out the numbers of a row in the shape of `spec` or flat.
    `build_fusion_classifier` gives it a dense head, which is right for vectors and for pictures of
    a few hundred pixels. For larger ones write a model with a decoder of your own, and end it in
    `activation`.

    Args:
        loader: The input's loader, for pictures or vectors.
        follows: Whether a picture of another column is moved like the input picture. False for one
            that stays unchanged or is varied independently, for example if a model must find out
            how its input was rotated.
    """

    loader: Loader

    def __init__(self, loader: Loader, *, follows: bool = True) -> None:
        if not isinstance(loader, Loader) or isinstance(loader, Target):
            raise ValueError(
                f"`loader` must be the loader of an input. Received: loader={loader!r}"
            )
        spec = loader.spec
        if spec.kind in ("tokens", "ngrams") or spec.vocabulary_size is not None:
            raise ValueError(
                f"Token ids are categories: a squared error between them means nothing. To learn "
                f"words from their context, use the target `MaskedTokens`. Received: a loader of "
                f"kind {spec.kind!r}"
            )
        if spec.kind == "many":
            raise ValueError(
                "Rows with several items have no single array to reconstruct; use the loader of "
                f"one item on a column of single items. Received: loader={loader!r}"
            )
        if isinstance(loader, ImageLoader) and loader.normalize is not None:
            raise ValueError(
                "A picture to reconstruct must be in [0, 1], but a normalised one is not; use "
                '`InputTarget(loader.replace(normalize=None, dtype="uint8", rescale=None))`. '
                f"Received: a loader with normalize={loader.normalize!r}"
            )
        check_switches(follows=follows)
        self.loader = loader
        self.follows = follows
        self.column = loader.column
        self.accepts_missing = loader.accepts_missing
        self.units = math.prod(spec.shape)
        self.activation = "sigmoid" if spec.kind == "image" else None
        self.spec = ArraySpec(spec.shape, "float32", spec.kind)

    def read(self, cell: Any) -> np.ndarray:
        """What the loader reads, as float32.

        Raises:
            LoadError: If the loader cannot read the cell, or returns a picture of floats outside
                [0, 1].
        """
        return self._to_target(self.loader.read(cell))

    @property
    def cached_by(self) -> Loader:
        """The loader, so that a picture used as input and target is kept once."""
        return self.loader.cached_by

    def from_cached(self, array: np.ndarray) -> np.ndarray:
        """Convert what the loader reads as `read` does."""
        return self._to_target(self.loader.from_cached(array))

    def varies(self, training: bool) -> bool:
        """As the loader."""
        return self.loader.varies(training)

    def augment_cell(self, cell: Any, rng: np.random.Generator) -> Any:
        """As the loader does."""
        return self.loader.augment_cell(cell, rng)

    def augment(self, array: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """As the loader does to what it reads."""
        # The way back is exact: a uint8 divided by 255 and multiplied again is nearest to itself.
        array = np.rint(array * 255.0) if self._scaled else array
        return self._to_target(self.loader.augment(array.astype(self.loader.spec.dtype), rng))

    def describe(self, array: np.ndarray, cell: Any = None) -> dict[str, str]:
        """As the loader."""
        return self.loader.describe(array, cell)

    def draw(self, array: np.ndarray) -> np.ndarray | None:
        """As the loader draws what it reads."""
        if self._scaled:
            array = np.rint(array * 255.0).astype("uint8")
        return self.loader.draw(array)

    @property
    def _scaled(self) -> bool:
        return self.spec.kind == "image" and self.loader.spec.dtype == "uint8"

    def _to_target(self, array: np.ndarray) -> np.ndarray:
        target = (
            np.asarray(array, "float32") / np.float32(255.0)
            if self._scaled
            else np.asarray(array, "float32")
        )
        # With a sigmoid as `activation` the model can reach no other numbers.
        if self.spec.kind == "image" and not 0.0 <= target.min() <= target.max() <= 1.0:
            raise LoadError(
                "a picture to reconstruct must be in [0, 1]; pass `InputTarget` a loader of uint8, "
                f"or of float32 with `rescale=1 / 255`. Received: values from {target.min():g} to "
                f"{target.max():g}"
            )
        return target

    @property
    def loss(self) -> keras.losses.Loss:
        """Mean squared error per row, of any shape; the mean is weighted by the sample weights."""
        from multimodal_gen.loaders.targets.losses import RowMeanSquaredError

        return RowMeanSquaredError(reduction="mean_with_sample_weight")

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Mean squared error."""
        import keras

        from multimodal_gen.loaders.targets.losses import row_mean_squared_error

        return [keras.metrics.MeanMetricWrapper(row_mean_squared_error, name="mean_squared_error")]

    def decode_outputs(self, outputs: np.ndarray) -> dict[Any, np.ndarray]:
        """The column "reconstruction": arrays of the loader's shape, dtype and scale."""
        outputs = np.asarray(outputs, "float32").reshape(-1, *self.spec.shape)
        if self._scaled:
            outputs = np.rint(np.clip(outputs, 0.0, 1.0) * 255.0)
        # Filled row by row, as NumPy would merge arrays of one shape into a single array with more
        # axes.
        column = np.empty(len(outputs), object)
        for row, array in enumerate(outputs.astype(self.loader.spec.dtype)):
            column[row] = array
        return {"reconstruction": column}

    def score(self, truth: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
        """Mean squared error, and R², the share of the variance about the mean row explained.

        R² is NaN if all rows are the same.
        """
        truth = np.asarray(truth, "float64").reshape(len(truth), -1)
        squared = float(np.mean((np.asarray(outputs, "float64").reshape(truth.shape) - truth) ** 2))
        varies = (np.ptp(truth, axis=0) > 0).any()
        r2 = 1.0 - squared / float(truth.var(axis=0).mean()) if varies else float("nan")
        return {"mean_squared_error": squared, "r2": r2}
