"""Pictures to one size and colour mode: what is cut, what is filled, and how Pillow resizes.

`turbo.py` does the same for JPEG files with other libraries, faster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps

from multimodal_gen.loaders.pixels import to_mode
from multimodal_gen.stages import stage


@dataclass(frozen=True)
class Fitting:
    """What every picture is made to be.

    Args:
        height: In pixels.
        width: In pixels.
        mode: Pillow's "RGB", "RGBA" or "L".
        resampling: Pillow's filter.
        crop: Whether the longer side is cut, centred.
        pad: Whether the shorter side is filled.
        background: `(red, green, blue)` behind transparency and around padding.
    """

    height: int
    width: int
    mode: str
    resampling: Image.Resampling
    crop: bool
    pad: bool
    background: tuple[int, ...]

    def apply(self, image: Image.Image) -> np.ndarray:
        """Decode an opened picture, turn it upright, resize it, `(height, width[, channels]) uint8`.

        A JPEG decoder shrinks by 2, 4 or 8 at a fraction of the cost, as long as no side gets smaller than needed; and
        a side that is at least twice too long is shrunk by plain averages first. Both are antialiased themselves.
        """
        with stage("decode"):
            # The longer side serves for both axes, as the picture may yet be turned.
            longer = max(self.height, self.width)
            if self.resampling != Image.Resampling.NEAREST:
                image.draft(None, (longer, longer))
            if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
                ImageOps.exif_transpose(image, in_place=True)
            image = to_mode(image, self.mode, self.background)
            image.load()
        with stage("resize"):
            return np.asarray(self._resized(image))

    def box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """The part of an upright picture that is kept: left, top, right and bottom, in its pixels."""
        if not self.crop:
            return 0, 0, width, height
        aspect = self.width / self.height
        kept_width, kept_height = min(width, height * aspect), min(height, width / aspect)
        left, top = (width - kept_width) / 2, (height - kept_height) / 2
        return left, top, left + kept_width, top + kept_height

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height that a picture is resized to, smaller than this on one side if that is filled."""
        if not self.pad:
            return self.width, self.height
        scale = min(self.width / width, self.height / height)
        return max(1, round(width * scale)), max(1, round(height * scale))

    @property
    def fill(self) -> Any:
        """The colour around a picture, in `mode`."""
        return {"RGB": self.background, "RGBA": (*self.background, 0), "L": _luma(self.background)}[self.mode]

    def _resized(self, image: Image.Image) -> Image.Image:
        size = self.size(*image.size)
        if image.size != size:
            gap = None if self.resampling == Image.Resampling.NEAREST else 1.0
            image = image.resize(size, self.resampling, box=self.box(*image.size), reducing_gap=gap)
        if size == (self.width, self.height):
            return image
        canvas = Image.new(self.mode, (self.width, self.height), self.fill)
        canvas.paste(image, ((self.width - size[0]) // 2, (self.height - size[1]) // 2))
        return canvas


def _luma(color: tuple[int, ...]) -> int:
    """Grey of a colour by ITU-R BT.601, the weights Pillow's own conversion uses."""
    red, green, blue = color
    return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
