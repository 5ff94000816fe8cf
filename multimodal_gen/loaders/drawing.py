"""How the arrays of loaders are shown to people: as words and pixels.

Nothing here draws.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

_FEW_VALUES = 4
# A float32 holds a standardised number of a few units to within this many decimals.
_DECIMALS = 5.9


def array_in_words(array: np.ndarray) -> str:
    """The values of a small array, or the shape and range of a larger one."""
    if array.size <= _FEW_VALUES:
        return ", ".join(f"{float(one):g}" for one in array.ravel())
    size = " × ".join(map(str, array.shape))
    return f"{size} numbers from {float(array.min()):.3g} to {float(array.max()):.3g}"


def numbers_in_words(
    names: Iterable[str], standardised: np.ndarray, mean: np.ndarray, scale: np.ndarray
) -> dict[str, str]:
    """Standardised numbers in the units of the table, under their names."""
    return {
        name: _number(*one)
        for name, *one in zip(names, standardised.tolist(), mean, scale, strict=True)
    }


def _number(standardised: float, mean: float, scale: float) -> str:
    value = round(standardised * scale + mean, math.floor(_DECIMALS - math.log10(scale)))
    # Adding 0.0 turns -0.0 into 0.0.
    return f"{value + 0.0:.15g}"


def shares_in_words(names: Iterable[object], shares: np.ndarray) -> str:
    """The names with a share above 0, largest first; mixed rows have several."""
    held = sorted(
        ((share, name) for share, name in zip(shares, names, strict=True) if share > 0),
        key=lambda one: -one[0],
    )
    return ", ".join(
        str(name) if math.isclose(share, 1, abs_tol=1e-6) else f"{name} {share:.0%}"
        for share, name in held
    )


def side_by_side(pictures: Sequence[np.ndarray]) -> np.ndarray | None:
    """Pictures of one height, each `(height, width, 3) uint8`, as one; None for none."""
    return np.concatenate(pictures, axis=1) if pictures else None


def drawn_pixels(array: np.ndarray, rescale: float | None = None) -> np.ndarray:
    """A picture for viewing, with transparency over a checkerboard.

    Args:
        array: `(height, width, channels)`; of 3 channels colours, of 4 also opacity, and of any
            other number their mean is shown.
        rescale: What values in [0, 255] were multiplied by. None if that is not known; then the
            range of anything but uint8 is stretched.

    Returns:
        `(height, width, 3) uint8`.
    """
    if array.dtype == np.uint8 and array.shape[-1] == 3 and rescale in (None, 1.0):
        return array
    pixels = array.astype("float64")
    if rescale is not None:
        pixels /= rescale
    elif array.dtype != np.uint8:
        low, high = pixels.min(), pixels.max()
        pixels = (pixels - low) * (255 / (high - low or 1.0))
    if pixels.shape[-1] == 4:
        height, width = pixels.shape[:2]
        # Some twelve squares along the shorter side.
        square = max(2, min(height, width) // 12)
        light = (np.arange(height)[:, None] // square + np.arange(width) // square) % 2
        opacity = pixels[..., 3:] / 255
        pixels = pixels[..., :3] * opacity + (255 - 30 * light[..., None]) * (1 - opacity)
    elif pixels.shape[-1] != 3:
        pixels = np.repeat(pixels.mean(axis=-1, keepdims=True), 3, axis=-1)
    drawn: np.ndarray = np.clip(np.rint(pixels), 0, 255).astype("uint8")
    return drawn
