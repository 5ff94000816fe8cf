"""What a picture cell may hold besides a path: bytes, an array, or a picture in memory."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.base import missing_error
from multimodal_gen.loaders.image.levels import is_wide
from multimodal_gen.loaders.image.limits import open_image
from multimodal_gen.loaders.image.modes import from_array
from multimodal_gen.loaders.image.quiet import quiet
from multimodal_gen.rows.cells import is_missing

# The reason for a cell of bytes that holds none.
NO_BYTES = "the cell has no bytes. Fill it, or drop the row."
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
# Of zlib, from 0 to 9: half again as fast as its default, for files that are 5 % larger.
_EFFORT = 4


def content_of(cell: Any, value_range: tuple[float, float] | None) -> bytes | Image.Image:
    """Return the file content or the picture that a cell holds.

    Args:
        cell: Bytes, an array, a `PIL.Image.Image` (which is copied), or a mapping with "bytes".
        value_range: The values of levels 0 and 255 of arrays that are not 8 bits.

    Raises:
        LoadError: If it is missing, or of any other type.
    """
    if isinstance(cell, Mapping):
        cell = cell.get("bytes")
    if is_missing(cell):
        raise missing_error()
    if isinstance(cell, bytes | bytearray | memoryview):
        return bytes(cell)
    if isinstance(cell, np.ndarray):
        return from_array(cell, value_range)
    if isinstance(cell, Image.Image):
        return _copied(cell)
    if isinstance(cell, int | float | np.number):
        raise LoadError(
            "expected a path, not a number. Read the column as text (dtype=str), so that leading "
            "zeros stay, and add the file extension, as in `table[column] + '.jpg'`. "
            f"Received: {cell!r}"
        )
    raise LoadError(
        "expected a path, bytes, an array, a PIL image, or a mapping with 'bytes' or 'path'. "
        f"Received: {type(cell).__name__}"
    )


def more_bits(cell: Any, content: Callable[[], bytes | Image.Image], max_pixels: int) -> bool:
    """Whether a cell's picture has one channel of more than 8 bits. Only its header is read.

    Args:
        cell: The cell.
        content: Reads its file or picture.
        max_pixels: As in `open_image`.

    Raises:
        LoadError: If there is no such picture.
    """
    if isinstance(cell, np.ndarray):
        return cell.dtype not in (np.bool_, np.uint8)
    try:
        held = content()
        if not isinstance(held, bytes):
            return is_wide(held)
        with quiet(), open_image(held, max_pixels) as image:
            return is_wide(image)
    except (OSError, UnidentifiedImageError) as error:
        raise LoadError(str(error)) from error


def _copied(picture: Image.Image) -> Image.Image:
    # The copy keeps what the picture knows of its file, which tells what its values mean. A copy,
    # because loading and `draft` change the picture, and the table holds the original.
    tile, copy = getattr(picture, "tile", []), picture.copy()
    copy.format = picture.format
    copy.__dict__["tile"] = list(tile)
    return copy


def as_png(picture: bytes | Image.Image) -> bytes:
    """The content of a PNG file with the pixels of a picture in memory.

    Args:
        picture: The picture; the content of a file stays as it is.

    Raises:
        LoadError: If a PNG file cannot hold its pixels.
    """
    if isinstance(picture, bytes):
        return picture
    if picture.mode not in _PNG_MODES:
        raise LoadError(
            "the pixels of the picture fit in no PNG file: convert it, or read it from a file. "
            f"Received: a picture of mode {picture.mode!r}"
        )
    file = io.BytesIO()
    noted = {"exif": exif.tobytes()} if (exif := picture.getexif()) else {}
    picture.save(file, "PNG", compress_level=_EFFORT, **noted)
    return file.getvalue()
