"""Operations that remove detail: a patch of the image, or its sharpness.

Alpha is not changed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from multimodal_gen.augment import tones
from multimodal_gen.augment.base import Augmentation
from multimodal_gen.augment.parameters import Factor, check_probability, check_span, draw, is_number


@dataclass(frozen=True, eq=False, repr=False)
class RandomErasing(Augmentation):
    """Covers a rectangle with noise or a colour (Zhong et al., 2017, "Random erasing data
    augmentation").

    The height and the width each cover the square root of a share drawn from `scale`, so the share
    of the area is within `scale` as well. In Keras noise is mostly black and white, and a
    probability of 1 is drawn from [0, 1]; here noise is uniform in [0, 255], and `factor` is the
    probability itself.

    Args:
        factor: The probability, in [0, 1].
        scale: `(low, high)` in [0, 1], or a number `f` for [0, f].
        fill_value: None for noise; or one value in [0, 255], or one for each channel (without
            alpha).
    """

    factor: float = 1.0
    scale: Factor = field(default=(0.02, 0.33), kw_only=True)
    fill_value: float | Sequence[float] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_probability("factor", self.factor)
        check_span("scale", self.scale, least=0, most=1, signed=False, rule=", in [0, 1]")
        values = [] if self.fill_value is None else np.ravel(self.fill_value).tolist()
        if len(values) not in (0, 1, 3) or not all(
            is_number(one) and 0 <= one <= 255 for one in values
        ):
            raise ValueError(
                "`fill_value` must be None for noise, or one or three values in [0, 255]. "
                f"Received: fill_value={self.fill_value!r}"
            )

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw whether to act, where and how large, and cover the rectangle."""
        tones.check_image(image)
        if (
            isinstance(self.fill_value, Sequence)
            and len(self.fill_value) == 3
            and image.shape[2] == 1
        ):
            raise ValueError(
                "An image with one channel needs one `fill_value`, or None. Received: "
                f"fill_value={self.fill_value!r}"
            )
        # Draws are below 1, so a factor of 1 always acts and a factor of 0 never does.
        if rng.random() >= self.factor:
            return image
        rows, columns = (self._stretch(length, rng) for length in image.shape[:2])
        result = image.copy()
        patch = result[rows, columns, :3]
        if self.fill_value is None:
            patch[:] = rng.integers(0, 256, patch.shape, "uint8")
        else:
            patch[:] = np.rint(self.fill_value).astype("uint8")
        return result

    def _stretch(self, length: int, rng: np.random.Generator) -> slice:
        # Both sides have the square root of a share, so that the area has a share in `scale`.
        covered = round(length * math.sqrt(draw(self.scale, rng, signed=False)))
        start = int(rng.integers(length - covered + 1))
        return slice(start, start + covered)


@dataclass(frozen=True, eq=False, repr=False)
class GaussianBlur(Augmentation):
    """Blurs the image with some probability; like Keras's RandomGaussianBlur, but without a kernel
    size.

    Args:
        factor: The probability, in [0, 1].
        sigma: The standard deviation in pixels: a number `s` for the range [0, s], or a pair.
    """

    factor: float = 1.0
    sigma: Factor = field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        check_probability("factor", self.factor, "; the width of the blur is `sigma`")
        check_span("sigma", self.sigma, least=0, signed=False, rule=", at least 0")

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw whether to act and how much, and blur."""
        if rng.random() >= self.factor:
            return image
        return tones.recolor(image, partial(tones.blur, sigma=draw(self.sigma, rng, signed=False)))
