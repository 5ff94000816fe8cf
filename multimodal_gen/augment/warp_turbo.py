"""`warp` by OpenCV, for loaders with `decoder="turbo"`: many times as fast, with slightly different
pixels.

OpenCV rounds the weights of neighbouring pixels to 1/32, and does not antialias where a picture
shrinks.
"""

from __future__ import annotations

import cv2
import numpy as np

from multimodal_gen.augment.warp import Fill

_BORDERS = {
    "reflect": cv2.BORDER_REFLECT,
    "nearest": cv2.BORDER_REPLICATE,
    "wrap": cv2.BORDER_WRAP,
    "constant": cv2.BORDER_CONSTANT,
}
_INTERPOLATIONS = {"nearest": cv2.INTER_NEAREST, "bilinear": cv2.INTER_LINEAR}


def warp_turbo(image: np.ndarray, matrix: np.ndarray, fill: Fill) -> np.ndarray:
    """Resample an image once; arguments and result are those of `warp`."""
    height, width, channels = image.shape
    if np.array_equal(matrix, np.eye(3)):
        return image
    # A flip alone is exact, and needs no interpolation.
    for code, mirror in ((1, [[-1, 0, width], [0, 1, 0]]), (0, [[1, 0, 0], [0, -1, height]])):
        if np.array_equal(matrix[:2], mirror):
            return np.asarray(cv2.flip(image, code)).reshape(image.shape)
    # OpenCV counts from the centre of the first pixel, matrices here from its corner.
    centred = matrix[:2].copy()
    centred[:, 2] += centred[:, :2].sum(axis=1) / 2 - 0.5
    # The same pixels in 0.6 of the time: OpenCV takes four channels at once, and three one by one.
    widen = channels == 3 and fill.interpolation == "bilinear"
    # OpenCV would take the interpreter's lock again to have NumPy allocate memory.
    source = image
    if widen:
        wide = np.empty((height, width, 4), "uint8")
        source = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA, wide)
    moved = cv2.warpAffine(
        source,
        centred,
        (width, height),
        np.empty(source.shape, "uint8"),
        # The matrix maps the result to the source already; without the flag, OpenCV inverts it.
        flags=_INTERPOLATIONS[fill.interpolation] | cv2.WARP_INVERSE_MAP,
        borderMode=_BORDERS[fill.mode],
        borderValue=(round(fill.value),) * 4,
    )
    if widen:
        moved = cv2.cvtColor(moved, cv2.COLOR_RGBA2RGB, np.empty(image.shape, "uint8"))
    # OpenCV drops the axis of a single channel.
    return np.asarray(moved).reshape(image.shape)
