"""What an augmentation is, and how a list of them is applied to one image.

Neighbouring geometric operations are multiplied into one matrix, so that the image is resampled
once instead of once per operation.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from multimodal_gen.augment.tones import check_image
from multimodal_gen.augment.warp import Fill, warp
from multimodal_gen.config import Configurable

Operation = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class Augmentation(Configurable):
    """A random operation `(image, rng) -> image`.

    `image` is `(height, width, channels) uint8` in [0, 255] and must not be changed in place; the
    result has the same shape and dtype; `rng` is the only source of randomness.
    """

    @abc.abstractmethod
    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Apply the operation with parameters drawn from `rng`."""


class GeometricAugmentation(Augmentation):
    """An augmentation that draws one matrix."""

    @property
    def fill(self) -> Fill | None:
        """What appears beyond the borders, or None if the operation never shows it."""
        return None

    @abc.abstractmethod
    def matrix(self, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
        """Draw a `(3, 3)` matrix that maps a point `(x, y, 1)` of the result to the point of the
        source seen there.

        Coordinates are in pixels from the top left corner of the image.
        """

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw a matrix and apply it."""
        check_image(image)
        return warp(image, self.matrix(image.shape[0], image.shape[1], rng), self.fill or Fill())


class Policy(Augmentation):
    """An augmentation that draws other operations."""

    @abc.abstractmethod
    def draw(self, rng: np.random.Generator) -> list[Operation]:
        """Draw the operations, with fixed parameters."""

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw the operations and apply them."""
        return augment_image(image, self.draw(rng), rng)


def augment_image(
    image: np.ndarray,
    operations: Sequence[Augmentation | Operation],
    rng: np.random.Generator,
    warp: Callable[[np.ndarray, np.ndarray, Fill], np.ndarray] = warp,
) -> np.ndarray:
    """Apply operations in their order.

    Args:
        image: `(height, width, channels) uint8` in [0, 255]; left unchanged.
        operations: Augmentations, or any callables `(image, rng) -> image`.
        rng: The random stream of this row.
        warp: The function that resamples an image through one matrix.

    Returns:
        An array of the same shape and dtype.

    Raises:
        ValueError: If the image is not valid, or an operation returns another shape or dtype; the
            message names the operation.
    """
    return apply_drawn(image, ((operation, rng) for operation in operations), warp)


def apply_drawn(
    image: np.ndarray,
    operations: Iterable[tuple[Augmentation | Operation, np.random.Generator]],
    warp: Callable[[np.ndarray, np.ndarray, Fill], np.ndarray],
    frame: tuple[int, int] | None = None,
    nearest: bool = False,
) -> np.ndarray:
    """Apply operations in their order, each with its own random stream.

    Args:
        image: `(height, width, channels) uint8` in [0, 255]; left unchanged.
        operations: Pairs of an operation and its stream.
        warp: The function that resamples an image through one matrix.
        frame: `(height, width)` for which matrices are drawn, to be applied in proportion; by
            default the image's.
        nearest: Whether pixel values are copied unchanged, whatever interpolation an operation asks
            for.

    Raises:
        ValueError: As `augment_image`.
    """
    check_image(image)
    result, matrix, fill = image, np.eye(3), None
    # Movements are multiplied and the pixels resampled once for all of them, which blurs less. They
    # are applied before an operation on values, and where two movements have different borders.
    for operation, rng in operations:
        if isinstance(operation, GeometricAugmentation):
            if fill is not None and operation.fill not in (None, fill):
                result, matrix = _moved(result, matrix, fill, warp, nearest), np.eye(3)
            frame = frame or (image.shape[0], image.shape[1])
            # A matrix maps the result back to the source, so a later operation is on the right.
            matrix = matrix @ _in_proportion(operation, image.shape[:2], frame, rng)
            fill = operation.fill or fill
        else:
            result, matrix = _moved(result, matrix, fill, warp, nearest), np.eye(3)
            result, fill = _checked(operation(result, rng), image, operation), None
    return _moved(result, matrix, fill, warp, nearest)


def _moved(
    image: np.ndarray,
    matrix: np.ndarray,
    fill: Fill | None,
    warp: Callable[[np.ndarray, np.ndarray, Fill], np.ndarray],
    nearest: bool,
) -> np.ndarray:
    filled = fill or Fill()
    # A mask holds class numbers: the mean of two of them would be a third class.
    return warp(image, matrix, filled._replace(interpolation="nearest") if nearest else filled)


def _in_proportion(
    operation: GeometricAugmentation,
    shape: tuple[int, ...],
    frame: tuple[int, ...],
    rng: np.random.Generator,
) -> np.ndarray:
    matrix = operation.matrix(frame[0], frame[1], rng)
    if shape == frame:
        return matrix
    # Multiplied before it is divided, so that what ends at a border still ends there.
    (height, width), (high, wide) = shape, frame
    # Shear terms change if x and y are stretched by different factors.
    (a, b, c), (d, e, f) = np.asarray(matrix, "float64")[:2]
    x, y = (width * high, height * wide)
    return np.array(
        [[a, b * x / y, c * width / wide], [d * y / x, e, f * height / high], [0, 0, 1]]
    )


def _checked(result: Any, image: np.ndarray, operation: Any) -> np.ndarray:
    if (
        not isinstance(result, np.ndarray)
        or result.shape != image.shape
        or result.dtype != image.dtype
    ):
        received = (
            f"{result.shape} {result.dtype}"
            if isinstance(result, np.ndarray)
            else type(result).__name__
        )
        raise ValueError(
            f"An augmentation must return an array like its input, {image.shape} {image.dtype}. "
            f"Received: {received} from {operation!r}"
        )
    return result
