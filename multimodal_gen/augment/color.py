"""Operations on colours: brightness, contrast, saturation, hue, channels. Alpha is not changed.

A factor `f` means the range [-f, f] in all of them, and 0 changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np

from multimodal_gen.augment import tones
from multimodal_gen.augment.base import Augmentation
from multimodal_gen.augment.parameters import (
    Factor,
    check_probability,
    check_span,
    draw,
)
from multimodal_gen.rows.checks import check_choice, check_switches


@dataclass(frozen=True, eq=False, repr=False)
class RandomBrightness(Augmentation):
    """Makes the image lighter or darker, all channels alike; values beyond [0, 255] are clipped.

    Args:
        factor: A number `f` for the range [-f, f], or a pair.
        method: "add": 255 times the factor, in [-1, 1], is added; -1 makes everything black, 1
            white. "multiply": values are multiplied by 1 + factor, at least -1, so that black stays
            black.
    """

    factor: Factor
    method: str = field(default="add", kw_only=True)

    def __post_init__(self) -> None:
        check_choice("method", self.method, ("add", "multiply"))
        if self.method == "add":
            check_span("factor", self.factor, least=-1, most=1, rule=", in [-1, 1]")
        else:
            check_span("factor", self.factor, least=-1, rule=", at least -1")

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw the factor and apply it."""
        factor = draw(self.factor, rng)
        # Arithmetic on the 256 levels instead of on every pixel.
        tables = (
            tones.LEVELS + 255 * factor if self.method == "add" else tones.LEVELS * (1 + factor)
        )
        return tones.recolor(image, partial(tones.map_levels, tables=tables))


@dataclass(frozen=True, eq=False, repr=False)
class RandomContrast(Augmentation):
    """Multiplies each channel's distance from its mean by 1 + factor.

    In Keras a pair `(low, high)` means [1 - low, 1 + high]; here both ends have their own sign, as
    in all operations.

    Args:
        factor: A number `f` for the range [-f, f], or a pair, at least -1; -1 leaves the mean
            alone.
    """

    factor: Factor

    def __post_init__(self) -> None:
        check_span("factor", self.factor, least=-1, rule=", at least -1")

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw the factor and apply it."""
        return tones.recolor(image, partial(tones.scale_contrast, scale=1 + draw(self.factor, rng)))


@dataclass(frozen=True, eq=False, repr=False)
class RandomSaturation(Augmentation):
    """Multiplies each pixel's distance from the grey of equal brightness by 1 + factor.

    An image with one channel is returned unchanged. In Keras 0.5 changes nothing and 1 is
    unbounded; here 0 changes nothing, as in all operations.

    Args:
        factor: A number `f` for the range [-f, f], or a pair, at least -1; -1 is grey, 1 doubles
            the colourfulness.
    """

    factor: Factor

    def __post_init__(self) -> None:
        check_span("factor", self.factor, least=-1, rule=", at least -1")

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw the factor and apply it."""
        return tones.recolor(
            image, partial(tones.scale_saturation, scale=1 + draw(self.factor, rng))
        )


@dataclass(frozen=True, eq=False, repr=False)
class RandomHue(Augmentation):
    """Turns the hue of the HSV colour model.

    An image with one channel is returned unchanged. Keras counts half turns, and draws the sign
    separately; here a factor counts full turns, as in `RandomRotation`.

    Args:
        factor: A number `f` for the range [-f, f], or a pair, in full turns within [-1, 1]: 1/3
            turns red into green, and 0.5 or -0.5 every colour into its opposite.
    """

    factor: Factor

    def __post_init__(self) -> None:
        check_span("factor", self.factor, least=-1, most=1, rule=", in [-1, 1]")

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw the factor and apply it."""
        return tones.recolor(image, partial(tones.turn_hue, turns=draw(self.factor, rng)))


@dataclass(frozen=True, eq=False, repr=False)
class RandomChannelShift(Augmentation):
    """Adds a number to each channel; values beyond [0, 255] are clipped.

    Args:
        factor: A number `f` for the range [-f, f], or a pair, in [-1, 1]; 255 times the factor is
            added.
        together: Whether all channels are shifted by the same number, as in `ImageDataGenerator`,
            instead of by one each.
    """

    factor: Factor
    together: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        check_span("factor", self.factor, least=-1, most=1, rule=", in [-1, 1]")
        check_switches(together=self.together)

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw the shifts and apply them."""
        # Three are drawn for grey pictures too, so that the draws that follow are the same ones.
        shifts = np.array(
            [[255 * draw(self.factor, rng)] for _ in range(1 if self.together else 3)]
        )
        return tones.recolor(
            image,
            lambda picture: tones.map_levels(
                picture, tones.LEVELS + shifts[: len(picture.getbands())]
            ),
        )


@dataclass(frozen=True, eq=False, repr=False)
class RandomGrayscale(Augmentation):
    """Removes the colour with some probability: every channel becomes the grey of equal brightness
    (ITU-R BT.601).

    Args:
        factor: The probability, in [0, 1].
    """

    factor: float = 0.5

    def __post_init__(self) -> None:
        check_probability("factor", self.factor)

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw whether to act, and do it."""
        return tones.recolor(image, tones.to_gray) if rng.random() < self.factor else image
