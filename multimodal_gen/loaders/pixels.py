"""How each of Pillow's modes, and each kind of array, becomes plain 8-bit pixels.

Pillow's own `convert` is right for most modes; what it gets wrong, or refuses, is done here: 16-bit and
floating-point greys (it clips them), transparency in all its forms (it drops it), and Lab colour.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageCms

from multimodal_gen.errors import LoadError


def brightest(image: Image.Image) -> float:
    """The largest value in a picture of wide integers or floats, from which `to_mode` tells their range; others 0."""
    if not _is_wide(image):
        return 0.0
    return float(np.nan_to_num(np.asarray(image), nan=0.0).max(initial=0))


def to_mode(image: Image.Image, mode: str, background: tuple[int, ...], top: float) -> Image.Image:
    """Convert any picture, or a part of one, to mode "RGB", "RGBA" or "L".

    Args:
        image: A picture of any mode. Integers wider than 8 bits are scaled from their full range; floats are taken as
            [0, 1] where none is above 1, else clipped to [0, 255].
        mode: "RGB", "RGBA" or "L".
        background: `(red, green, blue)` laid behind transparent parts, unless `mode` is "RGBA".
        top: What `brightest` says of the whole picture.
    """
    if image.mode == "LAB":
        image = _from_lab(image)
    elif _is_wide(image):
        image = _wide_grey(image, top)
    if mode == "RGBA":
        return image.convert("RGBA")
    if image.has_transparency_data:
        colour = image.convert("RGBA")
        canvas = Image.new("RGBA", image.size, (*background, 255))
        image = Image.alpha_composite(canvas, colour).convert("RGB")
    elif image.mode not in ("RGB", "L"):
        image = image.convert("RGB" if image.mode != "1" else "L")
    return image if image.mode == mode else image.convert(mode)


def from_array(array: np.ndarray) -> Image.Image:
    """A picture from `(height, width)` or `(height, width, 1, 3 or 4)`: bool, uint8 or uint16.

    Raises:
        LoadError: For any other shape or dtype, as the range of its values would be a guess.
    """
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or 0 in array.shape:
        raise LoadError(f"expected an array (height, width[, 1, 3 or 4]). Received: shape {array.shape}")
    if array.dtype == bool:
        array = array.astype("uint8") * 255
    elif array.dtype == np.uint16:
        array = _narrow(array, 65535)
    elif array.dtype != np.uint8:
        raise LoadError(f"expected an array of uint8 in [0, 255], uint16 or bool. Received: dtype {array.dtype}")
    return Image.fromarray(np.ascontiguousarray(array))


def _narrow(values: np.ndarray, top: int) -> np.ndarray:
    return np.rint(values.astype("float64") * (255.0 / top)).astype("uint8")


def _is_wide(image: Image.Image) -> bool:
    return image.mode in ("I", "F") or image.mode.startswith("I;")


def _wide_grey(image: Image.Image, brightest: float) -> Image.Image:
    values = np.nan_to_num(np.asarray(image), nan=0.0)
    if values.dtype.kind == "f":
        scaled = values * 255.0 if brightest <= 1.0 else values
        return Image.fromarray(np.rint(np.clip(scaled, 0, 255)).astype("uint8"))
    values = np.clip(values.astype("int64"), 0, None)
    top = 65535 if image.mode.startswith("I;") else _full_range(int(brightest))
    return Image.fromarray(_narrow(values, top))


def _full_range(largest: int) -> int:
    return next(top for top in (255, 65535, 2**32 - 1) if largest <= top)


def _from_lab(image: Image.Image) -> Image.Image:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    assert converted is not None
    return converted
