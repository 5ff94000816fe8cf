"""Resample an image through one matrix, with a choice of what is beyond its borders."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

from multimodal_gen.augment.tones import to_picture

# Names of Keras -> modes of `np.pad`. Keras's "reflect" repeats the pixel at the border, and
# NumPy's "reflect" does not.
PAD_MODES = {"reflect": "symmetric", "nearest": "edge", "wrap": "wrap", "constant": "constant"}
RESAMPLING = {"nearest": Image.Resampling.NEAREST, "bilinear": Image.Resampling.BILINEAR}


class Fill(NamedTuple):
    """What is shown where the source has no pixel, and how pixels are interpolated."""

    mode: str = "reflect"
    value: float = 0.0
    interpolation: str = "bilinear"


def warp(image: np.ndarray, matrix: np.ndarray, fill: Fill) -> np.ndarray:
    """Resample an image once.

    Args:
        image: `(height, width, channels) uint8`, 1, 3 or 4 channels.
        matrix: `(3, 3)`; maps a point `(x, y, 1)` of the result to the point of the source seen
            there.
        fill: Border and interpolation.

    Returns:
        An array of the same shape and dtype, possibly a view of `image`, which is not changed.
    """
    height, width, _ = image.shape
    a, b, c, d, e, f = (float(value) for value in matrix[:2].ravel())
    if b == 0 == d and (a < 0 or e < 0):
        # Mirror what an upright matrix shows: cheaper than resampling, and exact.
        mirror = np.array(
            [
                [1 - 2 * (a < 0), 0, width * (a < 0)],
                [0, 1 - 2 * (e < 0), height * (e < 0)],
                [0, 0, 1],
            ]
        )
        return _mirrored(warp(image, matrix @ mirror, fill), a < 0, e < 0)
    if (a, b, c, d, e, f) == (1, 0, 0, 0, 1, 0):
        return image
    # Pillow fills what is beyond the borders with a single colour, so borders are added first.
    padded, left, top = _padded(image, matrix, fill)
    c, f = c + left, f + top
    # A shift by whole pixels is a slice.
    if (a, b, d, e) == (1, 0, 0, 1) and c.is_integer() and f.is_integer():
        return padded[int(f) : int(f) + height, int(c) : int(c) + width]
    picture, resampling = to_picture(padded), RESAMPLING[fill.interpolation]
    if b == 0 == d and a * e > 0:
        # Twice as fast as the general way, and antialiased where the picture shrinks.
        box = (c, f, c + a * width, f + e * height)
        result = picture.resize((width, height), resampling, box=box)
    else:
        result = picture.transform(
            (width, height), Image.Transform.AFFINE, (a, b, c, d, e, f), resampling
        )
    return np.asarray(result).reshape(image.shape)


def _mirrored(image: np.ndarray, horizontally: bool, vertically: bool) -> np.ndarray:
    image = image[::-1] if vertically else image
    if not horizontally:
        return image
    result = np.empty_like(image)
    # One channel at a time. A view would make every reader copy single pixels, at five times the
    # cost.
    for channel in range(image.shape[2]):
        result[:, :, channel] = image[:, ::-1, channel]
    return result


def _padded(image: np.ndarray, matrix: np.ndarray, fill: Fill) -> tuple[np.ndarray, int, int]:
    height, width, _ = image.shape
    corners = matrix[:2] @ np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]])
    # One pixel more than the corners reach, for interpolation.
    left, top = (int(margin) for margin in np.ceil(np.maximum(1 - corners.min(axis=1), 0)))
    right, bottom = (
        int(margin) for margin in np.ceil(np.maximum(1 + corners.max(axis=1) - (width, height), 0))
    )
    if not left + top + right + bottom:
        return image, 0, 0
    constant = {"constant_values": round(fill.value)} if fill.mode == "constant" else {}
    widths = ((top, bottom), (left, right), (0, 0))
    return np.pad(image, widths, PAD_MODES[fill.mode], **constant), left, top  # type: ignore[call-overload]
