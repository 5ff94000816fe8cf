"""Operations that move pixels: flip, zoom, shift, rotate, shear. Each draws one matrix; `warp.py`
applies it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from multimodal_gen.augment.base import Augmentation, GeometricAugmentation
from multimodal_gen.augment.parameters import (
    Factor,
    check_span,
    draw,
    is_number,
    span,
)
from multimodal_gen.augment.warp import PAD_MODES, RESAMPLING, Fill
from multimodal_gen.rows.checks import check_choice


@dataclass(frozen=True, eq=False, repr=False)
class RandomFlip(GeometricAugmentation):
    """Mirrors the image along an axis with probability one half.

    Args:
        mode: "horizontal" (left and right), "vertical", or "horizontal_and_vertical" (each
            independently).
    """

    mode: str = "horizontal_and_vertical"

    def __post_init__(self) -> None:
        check_choice("mode", self.mode, ("horizontal", "vertical", "horizontal_and_vertical"))

    def matrix(self, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
        """Draw which axes are mirrored."""
        x, y = (
            axis in self.mode and bool(rng.random() < 0.5) for axis in ("horizontal", "vertical")
        )
        return np.array(
            # Coordinates start at the corner of the first pixel: x becomes width - x, not width - 1
            # - x.
            [[1 - 2 * x, 0, width * x], [0, 1 - 2 * y, height * y], [0, 0, 1]],
            "float64",
        )


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Bordered(Augmentation):
    """The arguments of all operations that show what is beyond the borders of an image.

    Args:
        fill_mode: "reflect", "nearest", "wrap" or "constant".
        fill_value: The value in [0, 255] for "constant".
        interpolation: "bilinear" or "nearest".
    """

    fill_mode: str = "reflect"
    fill_value: float = 0.0
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        check_choice("fill_mode", self.fill_mode, list(PAD_MODES))
        check_choice("interpolation", self.interpolation, list(RESAMPLING))
        if not is_number(self.fill_value) or not 0 <= self.fill_value <= 255:
            raise ValueError(
                "`fill_value` must be a number in [0, 255]. Received: "
                f"fill_value={self.fill_value!r}"
            )

    @property
    def fill(self) -> Fill:
        """Border and interpolation as given."""
        return Fill(self.fill_mode, self.fill_value, self.interpolation)


@dataclass(frozen=True, eq=False, repr=False)
class RandomZoom(Bordered, GeometricAugmentation):
    """Zooms about the centre.

    Args:
        height_factor: A number `f` for the range [-f, f], or a pair, above -1 and at most 9; +0.2
            shows 20 % more (zooms out), -0.2 less.
        width_factor: The same for the width; None keeps the aspect ratio.
        fill_mode: "reflect", "nearest", "wrap" or "constant".
        fill_value: The value in [0, 255] for "constant".
        interpolation: "bilinear" or "nearest".
    """

    height_factor: Factor
    width_factor: Factor | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = ", above -1 and at most 9"
        check_span("height_factor", self.height_factor, above=-1, most=9, rule=rule)
        if self.width_factor is not None:
            check_span("width_factor", self.width_factor, above=-1, most=9, rule=rule)

    def matrix(self, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
        """Draw the zoom of each axis."""
        y = 1 + draw(self.height_factor, rng)
        x = y if self.width_factor is None else 1 + draw(self.width_factor, rng)
        return _about_centre(np.diag([x, y, 1.0]), height, width)


@dataclass(frozen=True, eq=False, repr=False)
class RandomTranslation(Bordered, GeometricAugmentation):
    """Shifts the image.

    Args:
        height_factor: A number `f` for the range [-f, f], or a pair; positive is down.
        width_factor: The same for the width; positive is right.
        unit: "fraction" of the height and width, in [-1, 1]; or "pixels", at most the image's:
            whole pixels if both ends of a range are integers, so that nothing is interpolated, and
            any number between the ends if one is a float.
        fill_mode: "reflect", "nearest", "wrap" or "constant".
        fill_value: The value in [0, 255] for "constant".
        interpolation: "bilinear" or "nearest".
    """

    height_factor: Factor
    width_factor: Factor
    unit: str = field(default="fraction", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("unit", self.unit, ("fraction", "pixels"))
        most = 1.0 if self.unit == "fraction" else math.inf
        rule = ', in [-1, 1], or in pixels with unit="pixels"' if self.unit == "fraction" else ""
        check_span("height_factor", self.height_factor, least=-most, most=most, rule=rule)
        check_span("width_factor", self.width_factor, least=-most, most=most, rule=rule)

    def matrix(self, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
        """Draw the shift of each axis.

        Raises:
            ValueError: If the image is smaller than a shift in pixels.
        """
        down = self._shift("height_factor", height, rng)
        right = self._shift("width_factor", width, rng)
        # The matrix maps the result back to the source, so the signs are reversed.
        return np.array([[1, 0, -right], [0, 1, -down], [0, 0, 1]], "float64")

    def _shift(self, name: str, length: int, rng: np.random.Generator) -> float:
        factor = getattr(self, name)
        if self.unit == "fraction":
            return draw(factor, rng) * length
        low, high = span(factor)
        if max(-low, high) > length:
            raise ValueError(
                f"A shift must not exceed the image's {length} pixels. Received: {name}={factor!r}"
            )
        ends = factor if isinstance(factor, Sequence) else [factor]
        if all(isinstance(end, int | np.integer) for end in ends):
            return float(rng.integers(int(low), int(high), endpoint=True))
        return draw(factor, rng)


@dataclass(frozen=True, eq=False, repr=False)
class RandomRotation(Bordered, GeometricAugmentation):
    """Rotates the image about its centre.

    Args:
        factor: A number `f` for the range [-f, f], or a pair, in full turns within [-1, 1];
            positive is counter-clockwise.
        fill_mode: "reflect", "nearest", "wrap" or "constant".
        fill_value: The value in [0, 255] for "constant".
        interpolation: "bilinear" or "nearest".
    """

    factor: Factor

    def __post_init__(self) -> None:
        super().__post_init__()
        check_span("factor", self.factor, least=-1, most=1, rule=", in full turns within [-1, 1]")

    def matrix(self, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
        """Draw the angle."""
        angle = 2 * math.pi * draw(self.factor, rng)
        # y points down and the matrix maps back to the source, so this rotates counter-clockwise.
        cos, sin = math.cos(angle), math.sin(angle)
        return _about_centre(np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]), height, width)


@dataclass(frozen=True, eq=False, repr=False)
class RandomShear(Bordered, GeometricAugmentation):
    """Slants the image about its centre, first along x, then along y; areas are kept.

    Unlike in Keras, a pair may be negative, and ranges are not mirrored at random.

    Args:
        x_factor: A number `f` for the range [-f, f], or a pair, in [-10, 10]: how far the top moves
            right relative to the bottom, as a fraction of the height; the tangent of the angle.
        y_factor: How far the left side moves down relative to the right, as a fraction of the
            width.
        fill_mode: "reflect", "nearest", "wrap" or "constant".
        fill_value: The value in [0, 255] for "constant".
        interpolation: "bilinear" or "nearest".
    """

    x_factor: Factor = 0.0
    y_factor: Factor = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_span("x_factor", self.x_factor, least=-10, most=10, rule=", in [-10, 10]")
        check_span("y_factor", self.y_factor, least=-10, most=10, rule=", in [-10, 10]")

    def matrix(self, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
        """Draw the slant along each axis."""
        x, y = draw(self.x_factor, rng), draw(self.y_factor, rng)
        return _about_centre(
            # The first shear is on the left, as in `apply_drawn`.
            np.array([[1, x, 0], [0, 1, 0], [0, 0, 1]]) @ [[1, 0, 0], [y, 1, 0], [0, 0, 1]],
            height,
            width,
        )


def _about_centre(matrix: np.ndarray, height: int, width: int) -> np.ndarray:
    # The middle of the image is width / 2, because coordinates start at a corner.
    there = np.array([[1, 0, width / 2], [0, 1, height / 2], [0, 0, 1]])
    back = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
    return there @ matrix @ back
