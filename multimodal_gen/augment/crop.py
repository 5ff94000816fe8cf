"""Operations that show a window of the image at full size: images keep their shape, so a crop is a
zoom.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from multimodal_gen.augment.base import GeometricAugmentation
from multimodal_gen.augment.parameters import draw, is_number
from multimodal_gen.rows.checks import check_positive


@dataclass(frozen=True, eq=False, repr=False)
class RandomCrop(GeometricAugmentation):
    """Shows a window of fixed size, at a uniformly drawn position in whole pixels, scaled to full
    size.

    In Keras the window becomes the image's new size; here the size is that of `ImageLoader`. For
    the usual "pad and crop", use `RandomTranslation(4, 4, unit="pixels")`.

    Args:
        height: Height of the window in pixels, at most the image's.
        width: Width of the window in pixels, at most the image's.
    """

    height: int
    width: int

    def __post_init__(self) -> None:
        check_positive(height=self.height, width=self.width)

    def matrix(self, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
        """Draw the position of the window.

        Raises:
            ValueError: If the image is smaller than the window.
        """
        if self.height > height or self.width > width:
            raise ValueError(
                f"The window of RandomCrop must fit into the image, which is {height} pixels high "
                f"and {width} pixels wide. Received: height={self.height!r}, width={self.width!r}"
            )
        top, left = rng.integers(height - self.height + 1), rng.integers(width - self.width + 1)
        return _window(
            top / height, left / width, self.height / height, self.width / width, height, width
        )


@dataclass(frozen=True, eq=False, repr=False)
class RandomResizedCrop(GeometricAugmentation):
    """Shows a window of random area and shape at full size (Szegedy et al., 2014, "Going deeper
    with convolutions").

    The area is drawn uniformly; of the shapes in `ratio`, only those that fit into the image are
    drawn.

    Args:
        scale: `(low, high)` in (0, 1]: the window's share of the image's area.
        ratio: `(low, high)`: the window's width divided by its height, relative to the image's; 1
            keeps the picture's proportions. Its logarithm is drawn uniformly.
    """

    scale: Sequence[float] = (0.08, 1.0)
    ratio: Sequence[float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        _check_pair("scale", self.scale, 1.0, " in (0, 1]")
        _check_pair("ratio", self.ratio, math.inf, " of positive numbers")

    def matrix(self, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
        """Draw the area, shape and position of the window."""
        area = draw(self.scale, rng)
        # A window of this area fits if its ratio is between the area and its inverse. Ratios are
        # brought into that range instead of drawing again, so that every picture takes four draws.
        shapes = [math.log(min(max(ratio, area), 1 / area)) for ratio in self.ratio]
        ratio = math.exp(draw(shapes, rng))
        # By rounding, a side may exceed the image's by the last bit.
        high, wide = min(math.sqrt(area / ratio), 1.0), min(math.sqrt(area * ratio), 1.0)
        top, left = (1 - high) * rng.random(), (1 - wide) * rng.random()
        return _window(top, left, high, wide, height, width)


def _check_pair(name: str, pair: Sequence[float], most: float, rule: str) -> None:
    valid = isinstance(pair, list | tuple) and len(pair) == 2 and all(map(is_number, pair))
    if not valid or not 0 < pair[0] <= pair[1] <= most:
        raise ValueError(f"`{name}` must be a pair (low, high){rule}. Received: {name}={pair!r}")


def _window(
    top: float, left: float, high: float, wide: float, height: int, width: int
) -> np.ndarray:
    # All four as shares of the image.
    return np.array([[wide, 0, left * width], [0, high, top * height], [0, 0, 1]])
