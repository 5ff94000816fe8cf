"""RandAugment and TrivialAugment: a few operations drawn from one list, with a common strength."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from multimodal_gen.augment import tones
from multimodal_gen.augment.base import Operation, Policy
from multimodal_gen.augment.color import RandomBrightness, RandomContrast, RandomSaturation
from multimodal_gen.augment.geometric import (
    Bordered,
    RandomRotation,
    RandomShear,
    RandomTranslation,
)
from multimodal_gen.augment.parameters import Factor, check_span, draw
from multimodal_gen.rows.checks import check_positive


@dataclass(frozen=True)
class Tone:
    """A change of tones, as an operation that draws nothing.

    Args:
        change: A function from a picture to a picture, like those of `tones.py`.
    """

    change: Callable[[Image.Image], Image.Image]

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Apply it."""
        return tones.recolor(image, self.change)


class Choice(NamedTuple):
    """An operation to choose, built from the amount `start` + strength * reach.

    Attributes:
        build: Makes the operation from an amount.
        reach: What strength 1 adds in RandAugment.
        wide: What strength 1 adds in TrivialAugment.
        start: The amount at strength 0.
        signed: Whether the amount is subtracted instead, with probability one half.
    """

    build: Callable[[float], Operation]
    reach: float = 0.0
    wide: float = 0.0
    start: float = 0.0
    signed: bool = True


def choices(**borders: Any) -> tuple[Choice, ...]:
    """The fourteen operations of both papers.

    The reach of each is that of the papers' code; TrivialAugment's shift of 32 pixels is used as a
    share of 224.

    Args:
        borders: The arguments of operations that show what is beyond the borders.
    """
    return (
        # The operation that changes nothing is one of the fourteen.
        Choice(lambda amount: RandomShear()),
        Choice(lambda amount: RandomShear((amount, amount), 0.0, **borders), 0.3, 0.99),
        Choice(lambda amount: RandomShear(0.0, (amount, amount), **borders), 0.3, 0.99),
        Choice(
            lambda amount: RandomTranslation((amount, amount), 0.0, **borders), 100 / 331, 32 / 224
        ),
        Choice(
            lambda amount: RandomTranslation(0.0, (amount, amount), **borders), 100 / 331, 32 / 224
        ),
        Choice(lambda amount: RandomRotation((amount, amount), **borders), 30 / 360, 135 / 360),
        Choice(lambda amount: RandomBrightness((amount, amount), method="multiply"), 0.9, 0.99),
        Choice(lambda amount: RandomContrast((amount, amount)), 0.9, 0.99),
        Choice(lambda amount: RandomSaturation((amount, amount)), 0.9, 0.99),
        Choice(
            lambda amount: Tone(partial(tones.scale_sharpness, scale=amount)), 0.9, 0.99, start=1
        ),
        Choice(
            lambda amount: Tone(partial(tones.posterize, bits=amount)),
            -4,
            -6,
            start=8,
            signed=False,
        ),
        Choice(
            lambda amount: Tone(partial(tones.solarize, threshold=amount)),
            -255,
            -255,
            start=255,
            signed=False,
        ),
        # These two have no strength.
        Choice(lambda amount: Tone(tones.stretch_contrast)),
        Choice(lambda amount: Tone(tones.equalize)),
    )


@dataclass(frozen=True, eq=False, repr=False)
class RandAugment(Bordered, Policy):
    """Applies a few operations drawn from a list, all with one strength (Cubuk et al., 2019,
    "RandAugment").

    The list: nothing, shear in x, shear in y, shift in y, shift in x, rotation, brightness,
    contrast, saturation, sharpness, posterize, solarize, stretched contrast, equalized levels.
    Strength 1 shears by 0.3, shifts by 0.3 of a side, rotates by 30 degrees, multiplies brightness,
    contrast, saturation or sharpness by 0.1 or 1.9, keeps 4 bits, or solarizes everything; the sign
    is drawn. If captions name colours or sides, check what it does to them.

    Args:
        num_ops: How many operations are drawn; one may be drawn again.
        factor: The strength in [0, 1] of every operation; a pair `(low, high)` draws it for each.
            In Keras a number `f` means (0, f), and the strength is drawn from it.
        fill_mode: "reflect", "nearest", "wrap" or "constant".
        fill_value: The value in [0, 255] for "constant".
        interpolation: "bilinear" or "nearest".
    """

    num_ops: int = 2
    factor: Factor = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(num_ops=self.num_ops)
        check_span("factor", self.factor, least=0, most=1, signed=False, rule=", in [0, 1]")

    def draw(self, rng: np.random.Generator) -> list[Operation]:
        """Draw the operations, with fixed parameters."""
        strength = self.factor if isinstance(self.factor, Sequence) else (self.factor, self.factor)
        return [_choose(self, False, strength, rng) for _ in range(self.num_ops)]


@dataclass(frozen=True, eq=False, repr=False)
class TrivialAugment(Bordered, Policy):
    """Applies one operation with a strength drawn uniformly from [0, 1]: nothing to tune.

    The list is that of `RandAugment`, with the wide reach of Müller and Hutter (2021,
    "TrivialAugment"): strength 1 shears by 0.99, shifts by a seventh of a side, rotates by 135
    degrees, multiplies brightness, contrast, saturation or sharpness by 0.01 or 1.99, keeps 2 bits,
    or solarizes everything.

    Args:
        fill_mode: "reflect", "nearest", "wrap" or "constant".
        fill_value: The value in [0, 255] for "constant".
        interpolation: "bilinear" or "nearest".
    """

    def draw(self, rng: np.random.Generator) -> list[Operation]:
        """Draw the operation, with fixed parameters."""
        return [_choose(self, True, (0.0, 1.0), rng)]


def _choose(borders: Bordered, wide: bool, strength: Factor, rng: np.random.Generator) -> Operation:
    offered = choices(
        fill_mode=borders.fill_mode,
        fill_value=borders.fill_value,
        interpolation=borders.interpolation,
    )
    choice = offered[rng.integers(len(offered))]
    sign = -1 if choice.signed and rng.random() < 0.5 else 1
    return choice.build(
        choice.start + sign * draw(strength, rng) * (choice.wide if wide else choice.reach)
    )
