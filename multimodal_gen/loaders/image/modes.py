"""How each of Pillow's modes, and each kind of array, becomes plain 8-bit pixels.

Pillow's own `convert` is right for most modes; what it gets wrong, or refuses, is done here: 16-bit
and floating-point greys (it clips them; `levels.py` knows their range), transparency in all its
forms (it drops it), and Lab colour.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageCms

from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.image.levels import Levels, is_wide, narrow


def to_mode(
    image: Image.Image, mode: str, background: tuple[int, ...], levels: Levels
) -> Image.Image:
    """Convert any picture, or a part of one, to mode "RGB", "RGBA" or "L".

    Args:
        image: A picture of any mode.
        mode: "RGB", "RGBA" or "L".
        background: `(red, green, blue)` laid behind transparent parts, unless `mode` is "RGBA".
        levels: What `levels_of` says of the whole picture: how integers of more than 8 bits, and
            floats, are mapped.
    """
    if image.mode == "LAB":
        image = _from_lab(image)
    elif is_wide(image):
        # Pillow's `convert` clips values above 255 (Pillow issue 3159, open), so levels are worked
        # out here.
        values = np.asarray(image)
        image = Image.fromarray(narrow(values, levels))
        if levels.key is not None:
            image = Image.merge(
                "LA", (image, Image.fromarray((values != levels.key).astype("uint8") * 255))
            )
    if mode == "RGBA":
        return image.convert("RGBA")
    if image.has_transparency_data:
        # Pillow's `convert("RGB")` would show whatever colour transparent pixels happen to have.
        colour = image.convert("RGBA")
        canvas = Image.new("RGBA", image.size, (*background, 255))
        image = Image.alpha_composite(canvas, colour).convert("RGB")
    elif image.mode not in ("RGB", "L"):
        image = image.convert("RGB" if image.mode != "1" else "L")
    return image if image.mode == mode else image.convert(mode)


def from_array(array: np.ndarray, value_range: tuple[float, float] | None = None) -> Image.Image:
    """Make a picture from `(height, width)` or `(height, width, 1, 3 or 4)`.

    Args:
        array: bool, uint8 or uint16; with a range, integers or floats of any kind, of 1 or 3
            channels.
        value_range: The values of levels 0 and 255, for all but bool and uint8; of uint16 it is the
            full range if None.

    Raises:
        LoadError: For any other shape or dtype, as the range of its values would be a guess.
    """
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if (
        array.ndim not in (2, 3)
        or (array.ndim == 3 and array.shape[2] not in (3, 4))
        or 0 in array.shape
    ):
        raise LoadError(
            f"expected an array (height, width[, 1, 3 or 4]). Received: shape {array.shape}"
        )
    if array.dtype == bool:
        array = array.astype("uint8") * 255
    elif array.dtype != np.uint8:
        if value_range is None and array.dtype != np.uint16:
            raise LoadError(
                "expected an array of uint8 in [0, 255], uint16 or bool; for any other, say which "
                "values are black and white: `ImageLoader(..., value_range=(low, high))`. "
                f"Received: dtype {array.dtype}"
            )
        if array.dtype.kind not in "iuf" or (
            value_range is not None and array.ndim == 3 and array.shape[2] == 4
        ):
            raise LoadError(
                "expected real numbers of 1 or 3 channels for `value_range`, as alpha has its own "
                f"range. Received: an array of shape {array.shape}, dtype {array.dtype}"
            )
        array = narrow(array, Levels(*(value_range or (0.0, 65535.0))))
    return Image.fromarray(np.ascontiguousarray(array))


def _from_lab(image: Image.Image) -> Image.Image:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    assert converted is not None
    return converted
