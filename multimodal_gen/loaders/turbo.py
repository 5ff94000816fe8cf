"""JPEG files decoded by libjpeg-turbo and resized by OpenCV: the loader's `decoder="turbo"`.

The decoder shrinks by eighths while it decodes; OpenCV does the rest, antialiased. Whatever is not a JPEG file of greys
or colours of the usual kinds, and every file that the decoder complains about, is left to Pillow, whose word counts.
"""

from __future__ import annotations

import threading

import numpy as np

from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.decoding import check_jpeg, open_image, plain_jpeg
from multimodal_gen.loaders.fitting import Fitting, orientation_of
from multimodal_gen.stages import stage

try:
    import cv2
    import simplejpeg
except ImportError as error:
    raise ImportError(
        f'decoder="turbo" needs simplejpeg and OpenCV: pip install "multimodal_gen[fast]". Missing: {error.name}'
    ) from error

VERSIONS = f"simplejpeg {simplejpeg.__version__}, OpenCV {cv2.__version__}"
_COLOURS = {"L": "GRAY", "RGB": "RGB", "RGBA": "RGBA"}
# Bytes; as much as a picture of 2 megapixels needs.
_SCRATCH = 8_000_000
_of_thread = threading.local()
# EXIF orientation -> how often to turn by 90 degrees against the clock, and whether to mirror left and right before.
_TURNS = {2: (0, True), 3: (2, False), 4: (2, True), 5: (1, True), 6: (3, False), 7: (3, True), 8: (1, False)}


def decode(data: bytes, fitting: Fitting, max_pixels: int) -> np.ndarray | None:
    """A JPEG file as `(height, width[, channels]) uint8`, or None where Pillow has to decode it.

    Args:
        data: The file's content.
        fitting: The size and mode wanted.
        max_pixels: How many pixels a picture may have.

    Raises:
        LoadError: If it has more.
    """
    if data[:3] != b"\xff\xd8\xff":
        return None
    plain, noted = plain_jpeg(data)
    if not plain:
        return None
    with stage("decode"):
        try:
            height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
            check_jpeg(data, width, height, max_pixels)
            if colours not in ("YCbCr", "RGB", "Gray"):
                return None
            # Most files have no such note, and need not be opened to know their orientation.
            turns, mirrored = _TURNS.get(_orientation(data, max_pixels) if noted else 1, (0, False))
            factor = _shrinking(fitting, *((width, height) if turns % 2 else (height, width)))
            pixels = simplejpeg.decode_jpeg(
                data,
                _COLOURS[fitting.mode],
                fastdct=True,
                fastupsample=True,
                min_height=int(height * factor + 1e-6),
                min_width=int(width * factor + 1e-6),
                min_factor=1,
                buffer=_scratch(height * width * 4),
            )
        except LoadError:
            raise
        except ValueError:
            return None
    with stage("resize"):
        if mirrored:
            pixels = pixels[:, ::-1]
        return _resized(np.rot90(pixels, turns) if turns else pixels, fitting)


def _orientation(data: bytes, max_pixels: int) -> int:
    with open_image(data, max_pixels) as image:
        return orientation_of(image)


def _scratch(size: int) -> np.ndarray | None:
    # Memory that was written before need not be fetched from the system again. What is decoded into it leaves it at
    # once, as resizing always makes a new array.
    if size > _SCRATCH:
        return None
    if not hasattr(_of_thread, "scratch"):
        _of_thread.scratch = np.empty(_SCRATCH, "uint8")
    scratch: np.ndarray = _of_thread.scratch
    return scratch


def _shrinking(fitting: Fitting, height: int, width: int) -> float:
    # The smallest share of its sides at which a picture is not yet too small.
    left, top, right, bottom = fitting.box(width, height)
    to_width, to_height = fitting.size(width, height)
    return min(1.0, max(to_height / (bottom - top), to_width / (right - left)))


def _resized(pixels: np.ndarray, fitting: Fitting) -> np.ndarray:
    height, width = pixels.shape[:2]
    if fitting.crop:
        left, top, right, bottom = (round(edge) for edge in fitting.box(width, height))
        pixels = pixels[top : max(bottom, top + 1), left : max(right, left + 1)]
    size = fitting.size(width, height)
    pixels = _smoothed(np.ascontiguousarray(pixels), size)
    if size == (fitting.width, fitting.height):
        return pixels
    canvas = np.empty((fitting.height, fitting.width, *pixels.shape[2:]), "uint8")
    canvas[...] = fitting.fill
    left, top = (fitting.width - size[0]) // 2, (fitting.height - size[1]) // 2
    canvas[top : top + size[1], left : left + size[0]] = pixels.reshape(size[1], size[0], *canvas.shape[2:])
    return canvas


def _smoothed(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    # Pillow's bilinear filter is a triangle as wide as the shrinking asks for: its variance is scale**2 / 6, in pixels
    # of the source. Linear interpolation alone has 1 / 6; three taps (a, 1 - 2a, a) before it bring the rest, 2a. Below
    # a scale of 1.5, the usual case after the decoder has shrunk, they cost much and bring little (docs/speed.md).
    scales = pixels.shape[1] / size[0], pixels.shape[0] / size[1]
    if max(scales) > 2:
        return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
    if max(scales) > 1.5:
        taps = (max(0.0, (scale**2 - 1) / 12) for scale in scales)
        across, down = (np.array([tap, 1 - 2 * tap, tap], "float32") for tap in taps)
        pixels = np.asarray(cv2.sepFilter2D(pixels, -1, across, down))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR))
