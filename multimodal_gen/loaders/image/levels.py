"""Map values of more than 8 bits to levels in [0, 255], by a stated or the full range.

Nothing here looks at the values of a picture to guess their range, so a value has the same level in
every picture. Here too is what a header says in units that Pillow's pixels no longer have: the
colour that a PNG file calls transparent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from multimodal_gen.errors import LoadError, by_number

# How Pillow unpacks the values of a file: 12 bits of 16, 16 bits with a sign, 16 bits of which it
# keeps the upper 8.
_TWELVE, _SIGNED = "I;12", re.compile(r"I;16[BLN]?S")
_HALVED = re.compile(r"(L|LA|RGB|RGBA|RGBa|RGBX|CMYK);16[BLN]")
# Raw mode of a PNG file -> what its samples are multiplied by to fill 8 bits.
_STRETCHED = {"1": 255, "L;2": 85, "L;4": 17}
# How much of a JPEG 2000 file holds its boxes and the marker segment with the bit depth.
_HEAD, _SIZ = 2**16, b"\xff\x4f\xff\x51"


class Levels(NamedTuple):
    """How the values of one picture become levels; see `levels_of`.

    Attributes:
        low: The value of level 0.
        high: The value of level 255.
        key: The value that means "transparent", or None.
    """

    low: float = 0.0
    high: float = 255.0
    key: int | None = None


def check_range(value_range: Sequence[float] | None) -> tuple[float, float] | None:
    """The argument `value_range` of a loader.

    Raises:
        ValueError: If it is not a pair of finite numbers, the lower one first.
    """
    if value_range is None:
        return None
    valid = isinstance(value_range, list | tuple) and len(value_range) == 2
    numbers = int | float | np.integer | np.floating
    if not valid or not all(isinstance(one, numbers) and np.isfinite(one) for one in value_range):
        raise ValueError(
            f"`value_range` must be (low, high), two numbers. Received: value_range={value_range!r}"
        )
    low, high = float(value_range[0]), float(value_range[1])
    if low >= high:
        raise ValueError(
            f"`value_range` must begin with the lower number. Received: value_range={value_range!r}"
        )
    return low, high


def is_wide(image: Image.Image) -> bool:
    """Whether a picture has one channel of integers of more than 8 bits, or of floats."""
    return image.mode in ("I", "F") or image.mode.startswith("I;")


def narrow(values: np.ndarray, levels: Levels) -> np.ndarray:
    """Map values to uint8 levels linearly, round them, and clip those outside the range.

    Raises:
        LoadError: If a value is NaN.
    """
    scaled = (values.astype("float64") - levels.low) * (255.0 / (levels.high - levels.low))
    # Casting NaN to an integer gives an arbitrary level.
    if np.isnan(scaled).any():
        raise LoadError(
            f"{int(np.isnan(scaled).sum()):,} of the picture's {scaled.size:,} values "
            f"{by_number(int(np.isnan(scaled).sum()), 'is', 'are')} NaN, which has no level. "
            "Fill them first, for example with `np.nan_to_num`."
        )
    return np.rint(scaled.clip(0.0, 255.0)).astype("uint8")


def levels_of(image: Image.Image, value_range: tuple[float, float] | None) -> Levels:
    """How an opened picture's values become levels; call it before the pixels are loaded.

    Args:
        image: The picture. A colour that its PNG file calls transparent is put into the units of
            its pixels.
        value_range: The values of levels 0 and 255, in the file's own units, or None for the full
            range of 12 or 16 bits.

    Raises:
        LoadError: If there is no range and the format implies none, or if a range is given for
            16-bit colours, as Pillow keeps only their upper 8 bits.
    """
    raw, most = _storage(image)
    if not is_wide(image):
        if value_range is not None and (_HALVED.fullmatch(raw) or most > 255):
            raise LoadError(
                "the picture has several channels of 16 bits, but only the upper 8 bits are "
                "decoded, so `value_range` cannot be applied. Save it as 8 bits, or leave "
                "`value_range` out."
            )
        key = image.info.get("transparency")
        if raw in _STRETCHED and isinstance(key, int):
            # For 1-bit pictures, Pillow 12 and later give 255 already.
            image.info["transparency"] = min(key * _STRETCHED[raw], 255)
        return Levels()
    # Kept beside the levels: `to_mode` compares it with values before they become levels.
    key = image.info.pop("transparency", None)
    key = key if isinstance(key, int) else None
    if value_range is not None:
        # The range refers to the values in the file, which Pillow has scaled to 16 bits.
        scale = 65535.0 / most if most else _jpeg_2000_scale(image)
        return Levels(value_range[0] * scale, value_range[1] * scale, key)
    # Pillow scales the largest value that a PGM file states to 65,535.
    of_pgm = image.mode == "I" and image.format == "PPM"
    if image.mode.startswith("I;") or of_pgm or (raw.startswith("I;16") and not raw.endswith("S")):
        return Levels(0.0, 4095.0 if raw == _TWELVE else 65535.0, key)
    if _SIGNED.fullmatch(raw):
        return Levels(-32768.0, 32767.0, key)
    what = "floats" if image.mode == "F" else "integers of 32 bits"
    raise LoadError(
        f"the picture holds {what}, and its format does not say which value is black and which is "
        f"white. State it: `ImageLoader(..., value_range=(low, high))`."
    )


def key_of_colours(image: Image.Image, again: Callable[[], Image.Image] | None) -> Image.Image:
    """Add alpha if a 16-bit colour PNG marks a colour as transparent; other pictures are unchanged.

    Pillow keeps the upper 8 bits of each colour, which many colours share. The lower ones come from
    a second decode.

    Args:
        image: An opened picture, not yet loaded.
        again: Opens it once more.
    """
    key = image.info.get("transparency")
    if _storage(image)[0] != "RGB;16B" or not isinstance(key, tuple) or again is None:
        return image
    del image.info["transparency"]
    upper = np.asarray(image)
    with again() as other:
        # Read as if its lower bytes came last, a colour is its lower byte.
        plugin: Any = other
        plugin.tile = [tile._replace(args="RGB;16L") for tile in plugin.tile]
        lower = np.asarray(other)
    there = ((upper != np.array(key) >> 8) | (lower != np.array(key) & 255)).any(axis=2)
    keyed = image.copy()
    keyed.putalpha(Image.fromarray(there.astype("uint8") * 255))
    return keyed


def _storage(image: Image.Image) -> tuple[str, int]:
    # Returns the raw mode of the pixels in the file, and the largest value that the header of a PPM
    # file states if Pillow scales by it. Pictures made in memory have neither.
    tile: Any = next(iter(getattr(image, "tile", ())), None)
    args: Any = () if tile is None else tile[3]
    args = args if isinstance(args, tuple) else (args,)
    raw = args[0] if args and isinstance(args[0], str) else ""
    scaled = image.format == "PPM" and len(args) == 2 and isinstance(args[1], int) and args[1] > 255
    return raw, args[1] if scaled else 0


def _jpeg_2000_scale(image: Image.Image) -> float:
    # Pillow shifts the values of a JPEG 2000 file up to 16 bits; its header says from how many.
    file = getattr(image, "fp", None)
    if image.format != "JPEG2000" or file is None:
        return 1.0
    place = file.tell()
    file.seek(0)
    head = file.read(_HEAD)
    # Back to where Pillow stopped, as it has the pixels still to read.
    file.seek(place)
    start = head.find(_SIZ)
    # The segment holds marker, length, capabilities, eight numbers of four bytes and the number of
    # components, then the depth of each.
    depth = (head[start + 42] & 127) + 1 if 0 <= start < len(head) - 42 else 16
    return float(2 ** max(0, 16 - depth))
