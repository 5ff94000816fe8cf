"""Resample an image through one matrix, with a choice of what lies beyond its borders."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

PAD_MODES = {"reflect": "symmetric", "nearest": "edge", "wrap": "wrap", "constant": "constant"}
RESAMPLING = {"nearest": Image.Resampling.NEAREST, "bilinear": Image.Resampling.BILINEAR}


class Fill(NamedTuple):
    """What is seen where the source has no pixel, and how pixels are interpolated."""

    mode: str = "reflect"
    value: float = 0.0
    interpolation: str = "bilinear"


def warp(image: np.ndarray, matrix: np.ndarray, fill: Fill) -> np.ndarray:
    """Resample an image once.

    Args:
        image: `(height, width, channels) uint8`, 1, 3 or 4 channels.
        matrix: `(3, 3)`; maps a point `(x, y, 1)` of the result to the point of the source seen there.
        fill: Border and interpolation.

    Returns:
        An array of the same shape and dtype; a view of `image` where the matrix only mirrors.
    """
    height, width, channels = image.shape
    for flip_y, flip_x in ((0, 0), (0, 1), (1, 0), (1, 1)):
        mirror = [[1 - 2 * flip_x, 0, width * flip_x], [0, 1 - 2 * flip_y, height * flip_y], [0, 0, 1]]
        if np.array_equal(matrix, mirror):
            return image[:: 1 - 2 * flip_y, :: 1 - 2 * flip_x]
    corners = matrix[:2] @ np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]])
    left, top = (int(margin) for margin in np.ceil(np.maximum(1 - corners.min(axis=1), 0)))
    right, bottom = (int(margin) for margin in np.ceil(np.maximum(1 + corners.max(axis=1) - (width, height), 0)))
    constant = {"constant_values": round(fill.value)} if fill.mode == "constant" else {}
    padded = np.pad(image, ((top, bottom), (left, right), (0, 0)), PAD_MODES[fill.mode], **constant)  # type: ignore[call-overload]
    a, b, c, d, e, f = np.add(matrix[:2], [[0, 0, left], [0, 0, top]]).ravel()
    source = Image.fromarray(padded[:, :, 0] if channels == 1 else padded)
    result = source.transform(
        (width, height), Image.Transform.AFFINE, (a, b, c, d, e, f), RESAMPLING[fill.interpolation]
    )
    return np.asarray(result).reshape(image.shape)
