"""JPEG files decoded by libjpeg-turbo and resized by OpenCV: the loader's `decoder="turbo"`.

Files are decoded at the same scale and to the same pixels as by Pillow. OpenCV resizes those for
which it is close to Pillow's filter, in a third of the time; Pillow resizes the others. Pillow also
decodes everything that is not a usual grey or colour JPEG file, and every file that the decoder
complains about; its errors count.
"""

from __future__ import annotations

import math
import threading

import numpy as np
from PIL import Image

from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.image.limits import check_jpeg, open_image, usual_jpeg
from multimodal_gen.loaders.image.resizing import Fitting, orientation_of
from multimodal_gen.loaders.stages import stage

try:
    import cv2
    import simplejpeg
except ImportError as error:
    raise ImportError(
        'decoder="turbo" needs simplejpeg and OpenCV: pip install "multimodal_gen[fast]". Missing: '
        f"{error.name}"
    ) from error

VERSIONS = f"simplejpeg {simplejpeg.__version__}, OpenCV {cv2.__version__}"
_COLOURS = {"L": "GRAY", "RGB": "RGB", "RGBA": "RGBA"}
# Bytes; as much as a picture of 2 megapixels needs.
_SCRATCH = 8_000_000
# Left to Pillow are pictures with fewer values than _SMALL, because they take no time; those that
# shrink by more than _MOST; and those where OpenCV would differ by more than _NEAR levels, judged
# by their detail in _LINES rows and columns. Smoothing that would change less than _LITTLE levels
# is skipped.
_SMALL, _MOST, _NEAR, _LINES, _LITTLE = 100_000, 2.4, 2.3, 4, 1.5
# EXIF orientation -> quarter turns counter-clockwise, and whether to mirror left and right before.
_TURNS = {
    2: (0, True),
    3: (2, False),
    4: (2, True),
    5: (1, True),
    6: (3, False),
    7: (3, True),
    8: (1, False),
}


def decode(data: bytes, fitting: Fitting, max_pixels: int) -> np.ndarray | None:
    """A JPEG file as `(height, width[, channels]) uint8`, or None if Pillow has to decode it.

    Args:
        data: The file's content.
        fitting: The size and mode wanted.
        max_pixels: How many pixels a picture may have.

    Raises:
        LoadError: If it has more.
    """
    header = usual_jpeg(data)
    if header is None:
        return None
    width, height = header.width, header.height
    with stage("decode"):
        try:
            check_jpeg(data, width, height, max_pixels, header)
            # Most files have no EXIF data and need not be opened by Pillow for their orientation.
            turns, mirrored = _TURNS.get(
                _orientation(data, max_pixels) if header.noted else 1, (0, False)
            )
            scale = fitting.scale(width, height)
            pixels = simplejpeg.decode_jpeg(
                data,
                _COLOURS[fitting.mode],
                # The fast variants of libjpeg-turbo give pixels that differ from those of Pillow.
                fastdct=False,
                fastupsample=False,
                min_height=math.ceil(height / scale),
                min_width=math.ceil(width / scale),
                min_factor=scale,
                buffer=_scratch("decoded", height * width * 4),
            )
        except LoadError:
            raise
        # Let Pillow decide whether the file is broken.
        except ValueError:
            return None
    with stage("resize"):
        if mirrored:
            pixels = pixels[:, ::-1]
        return _resized(np.rot90(pixels, turns) if turns else pixels, fitting)


def _orientation(data: bytes, max_pixels: int) -> int:
    with open_image(data, max_pixels) as image:
        return orientation_of(image)


class _Scratch(threading.local):
    # The memory of each thread for what does not outlive a picture. It need not be requested from
    # the system again; and OpenCV, which releases the interpreter's lock while it works, need not
    # take it once more to have memory allocated by NumPy.
    def __init__(self) -> None:
        self.buffers: dict[str, np.ndarray] = {}


_of_thread = _Scratch()


def _scratch(use: str, size: int) -> np.ndarray | None:
    # At least `size` bytes, the same for each use; None for large pictures.
    if size > _SCRATCH:
        return None
    buffer = _of_thread.buffers.get(use)
    if buffer is None or buffer.size < size:
        # Twice as much, so that pictures that grow one by one do not each need another buffer.
        most = _SCRATCH if use == "decoded" else min(2 * size, _SCRATCH)
        buffer = _of_thread.buffers[use] = np.empty(most, "uint8")
    return buffer


def _room(use: str, like: np.ndarray, height: int, width: int) -> np.ndarray | None:
    # Scratch memory as a picture of this size with the channels of another, for `dst=`.
    shape = height, width, *like.shape[2:]
    size = math.prod(shape)
    buffer = _scratch(use, size)
    return None if buffer is None else buffer[:size].reshape(shape)


def _resized(pixels: np.ndarray, fitting: Fitting) -> np.ndarray:
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape[:2]
    size = fitting.size(width, height)
    shrunk = _shrunk(pixels, fitting.box(width, height), size)
    if shrunk is None:
        image = Image.fromarray(pixels[:, :, 0] if fitting.mode == "L" else pixels)
        return np.asarray(fitting.resized(image, width, height))
    if size == (fitting.width, fitting.height):
        return shrunk
    canvas = np.empty((fitting.height, fitting.width, *pixels.shape[2:]), "uint8")
    canvas[...] = fitting.fill
    left, top = (fitting.width - size[0]) // 2, (fitting.height - size[1]) // 2
    canvas[top : top + size[1], left : left + size[0]] = shrunk.reshape(
        size[1], size[0], *canvas.shape[2:]
    )
    return canvas


def _shrunk(
    pixels: np.ndarray, box: tuple[float, float, float, float], size: tuple[int, int]
) -> np.ndarray | None:
    # Returns the box at another size, or None if the result would differ too much from that of
    # Pillow.
    left, top, right, bottom = map(int, box)
    lengths = right - left, bottom - top
    scales = [length / wanted for length, wanted in zip(lengths, size, strict=True)]
    # Like Pillow's, a side that is at least twice too long is halved first.
    halved = [
        length // 2 if scale >= 2 else length for length, scale in zip(lengths, scales, strict=True)
    ]
    whole = all(float(edge).is_integer() for edge in box)
    if not whole or max(scales) > _MOST or pixels.size < _SMALL or min(lengths) < _LINES:
        return None
    if any(length % half for length, half in zip(lengths, halved, strict=True)):
        return None
    details = [
        detail if scale > 1 else 0.0 for detail, scale in zip(_details(pixels), scales, strict=True)
    ]
    left_over = [half / wanted for half, wanted in zip(halved, size, strict=True)]
    if math.hypot(*map(_error, details, scales, left_over)) > _NEAR:
        return None
    pixels = pixels[top:bottom, left:right]
    # Halving the number of rows takes a third of the time of halving columns, so the picture is
    # transposed where only columns are to be halved.
    turned = scales[0] >= 2 > scales[1]
    if turned:
        pixels = cv2.transpose(pixels, _room("turned", pixels, pixels.shape[1], pixels.shape[0]))
        halved, left_over, details, size = halved[::-1], left_over[::-1], details[::-1], size[::-1]
    if scales[0] >= 2 and scales[1] >= 2:
        # Halfway between two pixels linear interpolation gives their mean.
        room = _room("halved", pixels, halved[1], halved[0])
        pixels = np.asarray(cv2.resize(pixels, halved, room, interpolation=cv2.INTER_LINEAR))
    elif max(scales) >= 2:
        pixels = _rows_halved(pixels)
    # The bilinear filter of Pillow is a triangle that widens with the shrinking, while linear
    # interpolation uses two pixels only. Smoothing with three taps (a, 1 - 2a, a) makes up for the
    # rest; with little detail it would change little.
    taps = [(scale - 1) / 4 for scale in left_over]
    smoothed = [
        tap if tap * detail > _LITTLE else 0.0 for tap, detail in zip(taps, details, strict=True)
    ]
    if any(smoothed):
        pixels = _smoothed(pixels, *smoothed)
    result = np.empty((*size[::-1], *pixels.shape[2:]), "uint8")
    resized = cv2.resize(pixels, size, result, interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.transpose(resized) if turned else resized)


def _smoothed(pixels: np.ndarray, across: float, down: float) -> np.ndarray:
    # Smooths with the taps (a, 1 - 2a, a) along one axis or both. Along rows alone, a Gaussian
    # whose width gives the same taps takes a quarter of the time.
    room = _room("smoothed", pixels, *pixels.shape[:2])
    if not down:
        return np.asarray(
            cv2.GaussianBlur(
                pixels, (3, 1), math.sqrt(0.5 / math.log(1 / across - 2)), room, sigmaY=1
            )
        )
    rows, columns = (
        np.array([tap, 1 - 2 * tap, tap] if tap else [1], "float32") for tap in (across, down)
    )
    return np.asarray(cv2.sepFilter2D(pixels, -1, rows, columns, room))


def _rows_halved(pixels: np.ndarray) -> np.ndarray:
    # Replaces two rows by their mean, rounding a half up as Pillow does.
    height, width = pixels.shape[0] // 2, pixels[0].size
    pairs = np.ascontiguousarray(pixels).reshape(height, 2 * width)
    room = _room("halved", pairs, height, width)
    mean = cv2.addWeighted(pairs[:, :width], 0.5, pairs[:, width:], 0.5, 0.25, room)
    return np.asarray(mean).reshape(height, *pixels.shape[1:])


def _error(detail: float, scale: float, left_over: float) -> float:
    # At most so many levels is OpenCV's way from Pillow's along an axis, for lack of phases: none
    # where pixels stay or are halved, most in between, as a sum over frequencies shows. Halving
    # doubles the detail of what is left at most.
    if left_over <= 1:
        return 0.0
    share = (left_over - 1) * (2 - left_over) * (0.25 - 0.13 * (left_over - 1))
    return share * detail * (2 if scale >= 2 else 1)


def _details(pixels: np.ndarray) -> tuple[float, float]:
    # Twice the distance of pixels from the mean of their two neighbours, along rows and along
    # columns, averaged over a few lines. OpenCV differs from Pillow by at most 1/20 of it.
    rows = pixels[_places(pixels.shape[0])]
    columns = np.ascontiguousarray(pixels[:, _places(pixels.shape[1])])
    return (
        _distance(rows[:, :-2], rows[:, 1:-1], rows[:, 2:]) / rows.size,
        _distance(columns[:-2], columns[1:-1], columns[2:]) / columns.size,
    )


def _distance(before: np.ndarray, here: np.ndarray, after: np.ndarray) -> float:
    mean = cv2.addWeighted(before, 0.5, after, 0.5, 0, _room("mean", here, *here.shape[:2]))
    return 2 * cv2.norm(mean, here, cv2.NORM_L1)


def _places(length: int) -> slice:
    step = max(1, length // _LINES)
    return slice(step // 2, None, step)
