"""Operations that move pixels: flip, zoom, shift, turn. Each draws one matrix; `warp.py` applies it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from multimodal_gen.augment.base import GeometricAugmentation
from multimodal_gen.augment.warp import PAD_MODES, RESAMPLING, Fill

Factor = float | Sequence[float]


@dataclass(frozen=True)
class RandomFlip(GeometricAugmentation):
    """Mirrors the image along an axis with probability one half.

    Args:
        mode: "horizontal" (left and right), "vertical", or "horizontal_and_vertical" (each on its own).
    """

    mode: str = "horizontal_and_vertical"

    def __post_init__(self) -> None:
        modes = ("horizontal", "vertical", "horizontal_and_vertical")
        if self.mode not in modes:
            raise ValueError(f"`mode` must be one of {modes}. Received: mode={self.mode!r}")

    def matrix(self, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
        """Draw which axes are mirrored."""
        x, y = (axis in self.mode and bool(rng.random() < 0.5) for axis in ("horizontal", "vertical"))
        return np.array([[1 - 2 * x, 0, width * x], [0, 1 - 2 * y, height * y], [0, 0, 1]], "float64")


@dataclass(frozen=True, kw_only=True)
class _Filled(GeometricAugmentation):
    # The border arguments shared by the operations below.
    fill_mode: str = "reflect"
    fill_value: float = 0.0
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        if self.fill_mode not in PAD_MODES:
            raise ValueError(f"`fill_mode` must be one of {list(PAD_MODES)}. Received: fill_mode={self.fill_mode!r}")
        if self.interpolation not in RESAMPLING:
            raise ValueError(
                f"`interpolation` must be one of {list(RESAMPLING)}. Received: interpolation={self.interpolation!r}"
            )

    @property
    def fill(self) -> Fill:
        """Border and interpolation as given."""
        return Fill(self.fill_mode, self.fill_value, self.interpolation)


@dataclass(frozen=True)
class RandomZoom(_Filled):
    """Zooms about the centre.

    Args:
        height_factor: A number `f` for the range [-f, f], or a pair; +0.2 shows 20 % more (zooms out), -0.2 less.
        width_factor: The same for the width; None keeps the aspect ratio.
        fill_mode: "reflect", "nearest", "wrap" or "constant".
        fill_value: The value in [0, 255] for "constant".
        interpolation: "bilinear" or "nearest".
    """

    height_factor: Factor
    width_factor: Factor | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _range("height_factor", self.height_factor, above=-1)
        if self.width_factor is not None:
            _range("width_factor", self.width_factor, above=-1)

    def matrix(self, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
        """Draw the zoom of each axis."""
        y = 1 + _draw(self.height_factor, rng)
        x = y if self.width_factor is None else 1 + _draw(self.width_factor, rng)
        return _about_centre(np.diag([x, y, 1.0]), height, width)


@dataclass(frozen=True)
class RandomTranslation(_Filled):
    """Shifts the image.

    Args:
        height_factor: A number `f` for the range [-f, f], or a pair, in fractions of the height; positive is down.
        width_factor: The same for the width; positive is right.
        fill_mode: "reflect", "nearest", "wrap" or "constant".
        fill_value: The value in [0, 255] for "constant".
        interpolation: "bilinear" or "nearest".
    """

    height_factor: Factor
    width_factor: Factor

    def __post_init__(self) -> None:
        super().__post_init__()
        _range("height_factor", self.height_factor)
        _range("width_factor", self.width_factor)

    def matrix(self, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
        """Draw the shift of each axis."""
        down, right = _draw(self.height_factor, rng) * height, _draw(self.width_factor, rng) * width
        return np.array([[1, 0, -right], [0, 1, -down], [0, 0, 1]], "float64")


@dataclass(frozen=True)
class RandomRotation(_Filled):
    """Turns the image about its centre.

    Args:
        factor: A number `f` for the range [-f, f], or a pair, in full turns; positive is counter-clockwise.
        fill_mode: "reflect", "nearest", "wrap" or "constant".
        fill_value: The value in [0, 255] for "constant".
        interpolation: "bilinear" or "nearest".
    """

    factor: Factor

    def __post_init__(self) -> None:
        super().__post_init__()
        _range("factor", self.factor)

    def matrix(self, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
        """Draw the angle."""
        angle = 2 * math.pi * _draw(self.factor, rng)
        cos, sin = math.cos(angle), math.sin(angle)
        return _about_centre(np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]), height, width)


def _range(name: str, factor: Factor, above: float = -math.inf) -> tuple[float, float]:
    low, high = (-abs(factor), abs(factor)) if isinstance(factor, int | float) else factor
    if not (math.isfinite(low) and math.isfinite(high) and above < low <= high):
        bound = "" if above == -math.inf else f", all above {above:g}"
        raise ValueError(f"`{name}` must be a number, or a pair (low, high){bound}. Received: {name}={factor!r}")
    return low, high


def _draw(factor: Factor, rng: np.random.Generator) -> float:
    low, high = _range("factor", factor)
    return low + (high - low) * rng.random()


def _about_centre(matrix: np.ndarray, height: int, width: int) -> np.ndarray:
    there = np.array([[1, 0, width / 2], [0, 1, height / 2], [0, 0, 1]])
    back = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
    return there @ matrix @ back
