"""Bring pictures to one size and colour mode: turn upright, crop, pad and resize with Pillow.

`turbo.py` does the same for JPEG files with other libraries, faster.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from multimodal_gen.loaders.image.levels import Levels, key_of_colours, levels_of
from multimodal_gen.loaders.image.modes import to_mode
from multimodal_gen.loaders.stages import stage

# EXIF orientation -> how to turn the picture upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Larger pictures are converted tile by tile, as converting colours takes several times their
# memory.
LARGE, _TILE = 2**24, 2048
# From this orientation on, width and height are swapped.
_ON_ITS_SIDE = 5


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
        value_range: The values of levels 0 and 255 in pictures of more than 8 bits; None for their
            full range.
    """

    height: int
    width: int
    mode: str
    resampling: Image.Resampling
    crop: bool
    pad: bool
    background: tuple[int, ...]
    value_range: tuple[float, float] | None = None

    def apply(
        self,
        image: Image.Image,
        again: Callable[[], Image.Image] | None = None,
        drafts: bool = False,
    ) -> np.ndarray:
        """Decode an opened picture upright and resized, `(height, width[, channels]) uint8`.

        A JPEG decoder shrinks by 2, 4 or 8 at a fraction of the cost, as long as no side gets
        smaller than needed; and a side that is at least twice too long is shrunk by plain averages
        first. Both are antialiased themselves. Of a very large picture no second copy is made: it
        is converted and shrunk tile by tile.

        Args:
            image: The picture, not yet decoded.
            again: Opens it again, if that may be needed.
            drafts: Whether it is a JPEG that every decoder can shrink, see `jpeg_header`; others
                are decoded in full.

        Raises:
            LoadError: If nothing says which of its values are black and white.
        """
        with stage("decode"):
            levels = levels_of(image, self.value_range)
            image = self._loaded(key_of_colours(image, again), drafts)
            orientation = orientation_of(image)
            width, height = image.size
            factors = (1, 1)
            if width * height > LARGE:
                factors = self._factors(width, height, orientation >= _ON_ITS_SIDE)
                image = self._in_tiles(image, *factors, levels)
            else:
                image = to_mode(image, self.mode, self.background, levels)
            # After the conversion, which shrinks very large pictures.
            if orientation in _TURNS:
                image = image.transpose(_TURNS[orientation])
            if orientation >= _ON_ITS_SIDE:
                width, height, factors = height, width, factors[::-1]
        with stage("resize"):
            return np.asarray(self.resized(image, width, height, factors))

    def box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """The part of an upright picture that is kept: left, top, right and bottom in pixels."""
        if not self.crop:
            return 0, 0, width, height
        aspect = self.width / self.height
        # The largest part of the picture that has the wanted proportions.
        kept_width, kept_height = min(width, height * aspect), min(height, width / aspect)
        left, top = (width - kept_width) / 2, (height - kept_height) / 2
        return left, top, left + kept_width, top + kept_height

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height that a picture is resized to, before any padding."""
        if not self.pad:
            return self.width, self.height
        scale = min(self.width / width, self.height / height)
        return max(1, round(width * scale)), max(1, round(height * scale))

    @property
    def fill(self) -> Any:
        """The colour around a picture, in `mode`."""
        return {"RGB": self.background, "RGBA": (*self.background, 0), "L": _luma(self.background)}[
            self.mode
        ]

    def scale(self, width: int, height: int) -> int:
        """The factor by which a JPEG decoder shrinks both sides of the stored picture: 1, 2, 4 or
        8.
        """
        # A decoder shrinks by averaging, which would make new class numbers in a mask.
        if self.resampling == Image.Resampling.NEAREST:
            return 1
        # The longer side serves for both axes, as the picture may yet be turned.
        longer = max(self.height, self.width)
        return next(
            one for one in (8, 4, 2, 1) if one == 1 or one <= min(width // longer, height // longer)
        )

    def _loaded(self, image: Image.Image, drafts: bool) -> Image.Image:
        if drafts and self.resampling != Image.Resampling.NEAREST:
            # The longer side serves for both axes, as the picture may yet be turned.
            longer = max(self.height, self.width)
            image.draft(None, (longer, longer))
        # Before the header is asked for more: some formats turn themselves when loaded.
        image.load()
        return image

    def _factors(self, width: int, height: int, on_its_side: bool) -> tuple[int, int]:
        # How many columns and rows of a picture as it is stored can become one, without any side
        # getting too small.
        upright = (height, width) if on_its_side else (width, height)
        left, top, right, bottom = self.box(*upright)
        to_width, to_height = self.size(*upright)
        across, down = int((right - left) / to_width), int((bottom - top) / to_height)
        across, down = min(max(across, 1), _TILE), min(max(down, 1), _TILE)
        return (down, across) if on_its_side else (across, down)

    def _in_tiles(self, image: Image.Image, across: int, down: int, levels: Levels) -> Image.Image:
        # Converted and shrunk by whole factors; the last column and row may stand for fewer pixels
        # than the others.
        canvas = Image.new(
            self.mode, (math.ceil(image.width / across), math.ceil(image.height / down))
        )
        for box in _tiles(image, across, down):
            tile = to_mode(image.crop(box), self.mode, self.background, levels)
            if self.resampling == Image.Resampling.NEAREST:
                tile = tile.resize(
                    (math.ceil(tile.width / across), math.ceil(tile.height / down)),
                    Image.Resampling.NEAREST,
                )
            else:
                tile = tile.reduce((across, down))
            canvas.paste(tile, (box[0] // across, box[1] // down))
        return canvas

    def resized(
        self, image: Image.Image, width: int, height: int, factors: tuple[int, int] = (1, 1)
    ) -> Image.Image:
        """Crop, resize and pad an upright picture of `mode`.

        Args:
            image: The picture.
            width: In pixels, before it was shrunk by the factors.
            height: Likewise.
            factors: How many columns and rows have become one.
        """
        size = self.size(width, height)
        if image.size != size:
            gap = None if self.resampling == Image.Resampling.NEAREST else 1.0
            left, top, right, bottom = self.box(width, height)
            across, down = factors
            box = left / across, top / down, right / across, bottom / down
            image = image.resize(size, self.resampling, box=box, reducing_gap=gap)
        if size == (self.width, self.height):
            return image
        canvas = Image.new(self.mode, (self.width, self.height), self.fill)
        canvas.paste(image, ((self.width - size[0]) // 2, (self.height - size[1]) // 2))
        return canvas


def _tiles(image: Image.Image, across: int, down: int) -> Iterator[tuple[int, int, int, int]]:
    # Boxes that cover a picture; each starts at a multiple of the factors.
    width, height = _TILE // across * across, _TILE // down * down
    for top in range(0, image.height, height):
        for left in range(0, image.width, width):
            yield left, top, min(left + width, image.width), min(top + height, image.height)


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation of a picture, 1 to 8; 1 if it is missing or broken."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:
        # Broken EXIF data is no reason to refuse a picture that was decoded.
        return 1
    return orientation if orientation in _TURNS else 1


def _luma(color: tuple[int, ...]) -> int:
    """Grey of a colour by ITU-R BT.601, the weights Pillow's own conversion uses."""
    red, green, blue = color
    return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
