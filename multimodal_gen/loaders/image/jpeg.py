"""The usual JPEG files, given to Pillow's decoder without its reading of their headers.

That reading takes as long as it takes to decode a small picture. `limits.py` reads what is needed
of the headers in a tenth of the time. Files that are unusual in any way are left to Pillow as a
whole: those with EXIF data, those in colours of print, and those its decoder complains about, whose
errors count.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from multimodal_gen.loaders.image import resizing
from multimodal_gen.loaders.image.limits import check_jpeg, usual_jpeg
from multimodal_gen.loaders.image.resizing import Fitting
from multimodal_gen.loaders.stages import stage

# Components of a file -> how Pillow keeps its pixels.
_MODES = {1: "L", 3: "RGB"}


def decode(data: bytes, fitting: Fitting, max_pixels: int) -> np.ndarray | None:
    """A JPEG file as `(height, width[, channels]) uint8`, or None if Pillow has to open it.

    The pixels are those that `Fitting.apply` gives.

    Args:
        data: The file's content.
        fitting: The size and mode wanted.
        max_pixels: How many pixels a picture may have.

    Raises:
        LoadError: If it has more.
    """
    header = usual_jpeg(data)
    if header is None or header.noted or header.width * header.height > resizing.LARGE:
        return None
    with stage("decode"):
        check_jpeg(data, header.width, header.height, max_pixels, header)
        scale = fitting.scale(header.width, header.height)
        mode = _MODES[header.components]
        # Rounded up, as the decoder does.
        size = -(-header.width // scale), -(-header.height // scale)
        try:
            image = Image.frombytes(mode, size, data, "jpeg", (mode, "", scale, 0))
        except (ValueError, OSError):
            return None
        image = image if mode == fitting.mode else image.convert(fitting.mode)
    with stage("resize"):
        return np.asarray(fitting.resized(image, *size))
