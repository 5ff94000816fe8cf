"""Colour arithmetic on one picture: tables, blends with grey, hue, and tones as in Pillow's
ImageOps.

The functions take and return Pillow pictures in the modes "L" and "RGB", draw nothing, and change
nothing in place. `recolor` applies them to the colours of an array and leaves its alpha alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter, ImageOps

LEVELS = np.arange(256, dtype="float32")


def check_image(image: np.ndarray) -> None:
    """Make sure that operations can work on an array.

    Raises:
        ValueError: If it is not `(height, width, 1, 3 or 4) uint8`.
    """
    if (
        not isinstance(image, np.ndarray)
        or image.dtype != np.uint8
        or image.ndim != 3
        or image.shape[2] not in (1, 3, 4)
    ):
        received = (
            f"{image.shape} {image.dtype}"
            if isinstance(image, np.ndarray)
            else type(image).__name__
        )
        raise ValueError(
            f"An image must be a (height, width, 1, 3 or 4) array of uint8. Received: {received}"
        )


def to_picture(image: np.ndarray) -> Image.Image:
    """A Pillow picture of an array `(height, width, 1, 3 or 4) uint8`."""
    check_image(image)
    return Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)


def recolor(image: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    """Apply a function to the colours of an image; a fourth channel, alpha, is not changed."""
    check_image(image)
    colors = image[:, :, :3]
    # Pillow has no axis for a single channel.
    changed = np.asarray(change(to_picture(colors))).reshape(colors.shape)
    return changed if image.shape[2] < 4 else np.concatenate([changed, image[:, :, 3:]], axis=2)


def map_levels(picture: Image.Image, tables: np.ndarray) -> Image.Image:
    """Replace every level by its entry in a table.

    Args:
        picture: The picture.
        tables: `(256,)` or `(channels, 256)`, any numbers; they are rounded and clipped to [0,
            255].
    """
    tables = np.broadcast_to(
        np.rint(tables).clip(0, 255).astype("uint8"), (len(picture.getbands()), 256)
    )
    return picture.point(tables.ravel().tolist())


def scale_contrast(picture: Image.Image, scale: float) -> Image.Image:
    """Multiply each channel's distance from its mean."""
    # Each channel has its own mean, as in Keras's RandomContrast. Pillow's ImageEnhance.Contrast
    # takes the mean grey for all. 256 counts give it without another pass.
    counts = np.array(picture.histogram(), "float64").reshape(-1, 256)
    means = (counts @ LEVELS / counts.sum(axis=1))[:, None]
    return map_levels(picture, means + scale * (LEVELS - means))


def scale_saturation(picture: Image.Image, scale: float) -> Image.Image:
    """Multiply each pixel's distance from the grey of equal brightness."""
    # `blend` extrapolates beyond [0, 1] and clips, so it both removes and adds colour.
    return picture if picture.mode == "L" else Image.blend(to_gray(picture), picture, scale)


def to_gray(picture: Image.Image) -> Image.Image:
    """The grey of equal brightness (ITU-R BT.601) in every channel."""
    return picture if picture.mode == "L" else picture.convert("L").convert("RGB")


def turn_hue(picture: Image.Image, turns: float) -> Image.Image:
    """Turn the hue of the HSV colour model, in full turns; a third turns red into green."""
    if picture.mode == "L":
        return picture
    levels = np.stack([np.asarray(band) for band in picture.split()]).reshape(3, -1)
    turned = np.empty_like(levels)
    # In blocks, because intermediate numbers that fit into the processor's cache take less than
    # half the time.
    for start in range(0, levels.shape[1], 16384):
        block = slice(start, start + 16384)
        red, green, blue = levels[:, block].astype("float32")
        turned[:, block] = _turn_hue(red, green, blue, turns)
    return Image.merge(
        "RGB", [Image.fromarray(band.reshape(picture.size[::-1])) for band in turned]
    )


def _turn_hue(
    red: np.ndarray, green: np.ndarray, blue: np.ndarray, turns: float
) -> list[np.ndarray]:
    high = np.maximum(np.maximum(red, green), blue)
    chroma = high - np.minimum(np.minimum(red, green), blue)
    # Levels are whole numbers, so that where the chroma is below 1 the pixel is grey and the
    # numerators are 0.
    step = np.maximum(chroma, 1)
    hue = np.where(
        high == red,
        (green - blue) / step,
        np.where(high == green, 2 + (blue - red) / step, 4 + (red - green) / step),
    )
    hue += np.float32(6 * turns)
    hue -= 6 * np.floor(hue / 6)
    # How far each channel is between the lowest (0) and the highest (1). The hue counts sixths of a
    # turn from red.
    shares = (np.abs(hue - 3) - 1, 2 - np.abs(hue - 2), 2 - np.abs(hue - 4))
    return [np.rint(high - chroma * (1 - share.clip(0, 1))) for share in shares]


def blur(picture: Image.Image, sigma: float) -> Image.Image:
    """Blur with a Gaussian of standard deviation `sigma` pixels (Pillow's, three box filters)."""
    return picture.filter(ImageFilter.GaussianBlur(sigma))


def scale_sharpness(picture: Image.Image, scale: float) -> Image.Image:
    """Multiply each pixel's distance from a smoothed picture."""
    return Image.blend(picture.filter(ImageFilter.SMOOTH), picture, scale)


def posterize(picture: Image.Image, bits: float) -> Image.Image:
    """Keep the highest `bits` bits, rounded to a whole number, of every level."""
    # Pillow 13 refuses anything but 1 to 8 bits.
    return ImageOps.posterize(picture, max(1, min(8, round(bits))))


def solarize(picture: Image.Image, threshold: float) -> Image.Image:
    """Turn levels above a threshold into their negative."""
    # Strictly above, so that a threshold of 255 changes nothing; ImageOps.solarize inverts white
    # there.
    return map_levels(picture, np.where(threshold < LEVELS, 255 - LEVELS, LEVELS))


def stretch_contrast(picture: Image.Image) -> Image.Image:
    """Stretch each channel to the full range of levels."""
    return ImageOps.autocontrast(picture)


def equalize(picture: Image.Image) -> Image.Image:
    """Make the levels of each channel equally frequent."""
    return ImageOps.equalize(picture)
