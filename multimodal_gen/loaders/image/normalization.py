"""Normalise pictures by their own statistics, or by those of the training rows.

These go into `ImageLoader(normalize=...)` and act last, when training and when evaluating. What
they need to know of the training rows is learned beforehand by `from_table`, in one pass over them
(`moments.py`).
"""

from __future__ import annotations

import abc
import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from multimodal_gen.config import Configurable
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.moments import moments_of_table
from multimodal_gen.rows.checks import check_at_least, check_switches

# Added to a standard deviation before dividing by it, as ImageDataGenerator does.
_EPSILON = np.float32(1e-6)
# A matrix of this size takes 64 MiB as float32 in each bundle, and more while it is learned.
_ZCA_LIMIT = 4096
# How many such matrices exist at once while whitening is learned.
_ZCA_MATRICES = 9


class Normalization(Configurable):
    """Maps a picture to another one of the same shape, without randomness."""

    @abc.abstractmethod
    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Return the normalised `(height, width, channels) float32`; the input is not changed."""

    def check(self, shape: Sequence[int]) -> None:
        """Raise a ValueError if pictures of this shape do not fit. By default all do."""


@dataclass(frozen=True)
class SamplewiseNormalization(Normalization):
    """Normalises each picture by the mean and standard deviation of all its own values.

    Args:
        center: Whether the mean is subtracted.
        scale: Whether the picture is divided by its standard deviation + 1e-6.
    """

    center: bool = True
    scale: bool = True

    def __post_init__(self) -> None:
        _check_steps(self.center, self.scale)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Subtract the mean, divide by the standard deviation."""
        centred = image - image.mean() if self.center else image
        return centred / (image.std() + _EPSILON) if self.scale else centred


class FeaturewiseNormalization(Normalization):
    """Normalises each channel by learned statistics, `(image - mean) / (std + 1e-6)`.

    Args:
        mean: What is subtracted, one number per channel, in the units of the picture after
            `rescale`; None for nothing.
        std: What is divided by, one number of at least 0 per channel; None for nothing.
    """

    def __init__(
        self,
        mean: Sequence[float] | np.ndarray | None = None,
        std: Sequence[float] | np.ndarray | None = None,
    ) -> None:
        _check_steps(mean is not None, std is not None)
        self.mean = None if mean is None else _frozen("mean", mean, ndim=1)
        self.std = None if std is None else _frozen("std", std, ndim=1)
        if std is not None:
            check_at_least(0, std=std)

    @classmethod
    def from_table(
        cls,
        loader: Loader,
        table: pd.DataFrame,
        *,
        center: bool = True,
        scale: bool = True,
        verbose: int = 1,
    ) -> Self:
        """Learn mean and standard deviation of each channel, over all pixels of the training rows.

        Args:
            loader: What reads the pictures, with the `rescale` they will have: of kind "image" and
                dtype float32.
            table: The training rows only.
            center: Whether the mean is to be subtracted.
            scale: Whether to divide by the standard deviation.
            verbose: 0 for silence, 1 for a progress bar.

        Raises:
            TypeError: If it is not a loader and then a table.
            LoadError: If a picture cannot be loaded; it names the row's index, the column and the
                path.
        """
        _check_steps(center, scale)
        channels = _image_shape(loader, table)[-1]
        moments = moments_of_table(loader, table, channels, verbose)
        std = np.sqrt(moments.scatter.diagonal() / moments.count)
        return cls(moments.mean if center else None, std if scale else None)

    def check(self, shape: Sequence[int]) -> None:
        """Check that there is one number per channel."""
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if numbers is not None and len(numbers) != shape[-1]:
                raise ValueError(
                    f"`{name}` must be one number per channel, {shape[-1]}. Received: "
                    f"{len(numbers)} numbers"
                )

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Subtract the mean, divide by the standard deviation."""
        # Repeats the numbers along each row: several times as fast as broadcasting over an
        # innermost axis of three.
        height, width, _ = image.shape
        result = image.reshape(height, -1)
        if self.mean is not None:
            result = result - np.tile(self.mean, width)
        if self.std is not None:
            result = result / np.tile(self.std + _EPSILON, width)
        return result.reshape(image.shape)

    def get_config(self) -> dict[str, Any]:
        """Mean and standard deviation as lists."""
        return {
            "mean": None if self.mean is None else self.mean.tolist(),
            "std": None if self.std is None else self.std.tolist(),
        }


class ZCAWhitening(Normalization):
    """Decorrelates the flattened values of a picture, `(image - mean) @ matrix`.

    Of all ways to whiten, ZCA changes pictures least (Bell and Sejnowski, 1997). It is for small
    pictures: the matrix has a row and a column for each value, and a picture costs a product with
    it.

    Args:
        mean: What is subtracted, one number per channel, in the units of the picture after
            `rescale`.
        matrix: `(values, values)` with `values = height * width * channels`, at most 4,096.
    """

    def __init__(self, mean: Sequence[float] | np.ndarray, matrix: np.ndarray) -> None:
        self.mean = _frozen("mean", mean, ndim=1)
        self.matrix = _frozen("matrix", matrix, ndim=2)
        if self.matrix.shape[0] != self.matrix.shape[1]:
            raise ValueError(
                f"`matrix` must be square. Received: a matrix of shape {self.matrix.shape}"
            )
        _check_values(len(self.matrix))

    @classmethod
    def from_table(
        cls, loader: Loader, table: pd.DataFrame, *, epsilon: float = 1e-6, verbose: int = 1
    ) -> Self:
        """Learn the mean of each channel, and the matrix, from the training rows.

        The matrix is `U diag(1 / (sqrt(v) + epsilon / sqrt(rows))) U'`, with `v` and `U` the
        eigenvalues and -vectors of the second moments about the mean: the same as in
        ImageDataGenerator, which computes it by a singular value decomposition of all pictures at
        once. Directions in which the training rows do not vary are left out; ImageDataGenerator
        amplifies their rounding errors.

        Args:
            loader: What reads the pictures, with the `rescale` they will have: of kind "image" and
                dtype float32.
            table: The training rows only; many more than a picture has values.
            epsilon: At least 0; larger values smooth more of what varies little.
            verbose: 0 for silence, 1 for a progress bar.

        Raises:
            TypeError: If it is not a loader and then a table.
            LoadError: If a picture cannot be loaded; it names the row's index, the column and the
                path.
            ValueError: If a picture has more than 4,096 values.
        """
        check_at_least(0, epsilon=epsilon)
        shape = _image_shape(loader, table)
        values = math.prod(shape)
        _check_values(values)
        moments = moments_of_table(loader, table, values, verbose)
        mean = moments.mean.reshape(-1, shape[-1]).mean(axis=0)
        # The moments are about the mean of each value, the matrix is about that of each channel.
        offset = moments.mean - np.tile(mean, values // shape[-1])
        variances, vectors = np.linalg.eigh(
            moments.scatter / moments.count + np.outer(offset, offset)
        )
        # A variance below rounding error means a constant direction; dividing by it would only
        # amplify noise.
        varies = variances > variances[-1] * values * np.finfo("float64").eps
        if not varies.any():
            raise ValueError(
                f"All pictures are identical: there is nothing to whiten. Received: "
                f"{moments.count} pictures"
            )
        vectors = vectors[:, varies]
        factors = 1.0 / (np.sqrt(variances[varies]) + epsilon / math.sqrt(moments.count))
        return cls(mean, (vectors * factors) @ vectors.T)

    def check(self, shape: Sequence[int]) -> None:
        """Check that the matrix fits the picture."""
        if (len(self.mean), len(self.matrix)) != (shape[-1], math.prod(shape)):
            raise ValueError(
                f"Pictures of shape {tuple(shape)} need {shape[-1]} numbers as `mean` and a "
                f"`matrix` of {math.prod(shape)} rows. Received: {len(self.mean)} numbers and "
                f"{len(self.matrix)} rows"
            )

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Subtract the mean, multiply by the matrix."""
        return ((image - self.mean).reshape(-1) @ self.matrix).reshape(image.shape)

    def get_config(self) -> dict[str, Any]:
        """The mean as a list, and the matrix as base64 of its little-endian float32 rows."""
        return {
            "mean": self.mean.tolist(),
            "matrix": base64.b64encode(self.matrix.astype("<f4").tobytes()).decode(),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Build what `get_config` described."""
        # The byte order is stated, so that a bundle can move between machines.
        matrix = np.frombuffer(base64.b64decode(config["matrix"]), "<f4")
        return cls(config["mean"], matrix.reshape(math.isqrt(len(matrix)), -1))

    def __repr__(self) -> str:
        return f"ZCAWhitening({len(self.matrix)} values, mean={self.mean.tolist()})"


def _image_shape(loader: Loader, table: pd.DataFrame) -> tuple[int, ...]:
    if not isinstance(loader, Loader) or not isinstance(table, pd.DataFrame):
        raise TypeError(
            f"`from_table` takes the loader of the pictures first, then the table of training "
            f"rows. Received: loader={type(loader).__name__}, table={type(table).__name__}"
        )
    spec = loader.spec
    if (spec.kind, spec.dtype) != ("image", "float32") or not isinstance(loader.column, str):
        raise ValueError(
            "`loader` must return the pictures to normalise: float32, with their `rescale`, as "
            f'from `ImageLoader(..., dtype="float32")`. Received: loader={loader!r}'
        )
    return spec.shape


def _check_steps(center: bool, scale: bool) -> None:
    check_switches(center=center, scale=scale)
    if not (center or scale):
        raise ValueError("A normalisation must centre or scale, or both. Received: neither")


def _check_values(values: int) -> None:
    if values > _ZCA_LIMIT:
        memory = _ZCA_MATRICES * 8 * values**2 / 2**30
        raise ValueError(
            f"ZCA whitening is for pictures of at most {_ZCA_LIMIT:,} values; these would need "
            f"about {memory:,.0f} GiB of memory. Read smaller pictures (`image_size`) or grey ones "
            f'(`color_mode="grayscale"`), or use FeaturewiseNormalization. Received: {values:,} '
            "values per picture"
        )


def _frozen(name: str, numbers: Any, ndim: int) -> np.ndarray:
    array = np.array(numbers, "float32")
    if array.ndim != ndim or not array.size or not np.isfinite(array).all():
        raise ValueError(
            f"`{name}` must be finite numbers with {ndim} axis or axes. Received: "
            f"{name}={numbers!r}"
        )
    array.flags.writeable = False
    return array
