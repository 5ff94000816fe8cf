"""Which pictures are decoded: any that Pillow can, within limits and without other programs.

A header is read before anything is decoded, and what it says decides. All limits follow from one
number of pixels that each loader has for itself; that of Pillow is one for the whole process, and
is neither used nor changed here.
"""

from __future__ import annotations

import io
import re
import struct
from typing import NamedTuple

from PIL import Image, UnidentifiedImageError

from multimodal_gen.errors import LoadError

MAX_PIXELS = 2**27
# Bytes that a file may have in any case, and per pixel.
_BYTES, _BYTES_A_PIXEL = 2**24, 1
# Formats that take several times the memory or time of others per pixel, so they may have that many
# fewer.
_DEARER = {"TIFF": 2, "WEBP": 4, "AVIF": 4, "JPEG2000": 8}
_IN_PYTHON = 64
# Each scan of a progressive JPEG file goes over all pixels; encoders make about ten, and all of it
# is kept in memory.
_SEVERAL_SCANS, _SCANS_A_PASS = 2, 4
# Bytes of a JPEG frame header that are read: bits, height, width, number of components.
_FRAME = 6
# For these Pillow runs another program, which executes what the file contains.
_PROGRAMS = ("EPS",)
# The formats that hold whole pictures of other formats, and how headers of those begin: height and
# width, or the other way round, in 4 bytes each.
_CONTAINERS = ("ICO", "ICNS")
_INNER = re.compile(rb"(?:IHDR|ihdr|\xff\x4f\xff\x51....)(.{4})(.{4})", re.DOTALL)


def most_bytes(max_pixels: int) -> int:
    """How large a file may be for a loader with this limit."""
    return _BYTES + _BYTES_A_PIXEL * max_pixels


def check_pixels(width: int, height: int, max_pixels: int, times: int = 1, why: str = "") -> None:
    """Refuse a picture that is too large.

    Args:
        width: In pixels.
        height: In pixels.
        max_pixels: The limit for the formats that are cheap to decode.
        times: How many times as much memory or time as those this one takes for a pixel.
        why: What is so dear, as in "a WEBP file".

    Raises:
        LoadError: If it has more pixels than it may.
    """
    if width * height * times > max_pixels:
        share = f", of which {why} may have 1/{times}" if times > 1 else ""
        raise LoadError(
            f"the picture has {width} x {height} pixels, more than this loader decodes "
            f"(max_pixels={max_pixels:,}{share}). Shrink it, drop the row, or raise `max_pixels`."
        )


def check_jpeg(
    content: bytes, width: int, height: int, max_pixels: int, header: JpegHeader | None = None
) -> None:
    """Refuse a JPEG file that is too large or has too many scans for its size.

    Args:
        content: The file.
        width: In pixels.
        height: In pixels.
        max_pixels: The limit for a file of a single scan.
        header: Its header, if that has been read.

    Raises:
        LoadError: If it has more pixels than it may.
    """
    header = header or jpeg_header(content)
    # The marker of a scan cannot occur in compressed pixels, but previews inside the file have
    # scans too.
    scans = 1 if header and header.in_one_scan else content.count(b"\xff\xda")
    # A small file of many scans can keep a decoder busy for long.
    times = 1 if scans < 2 else max(_SEVERAL_SCANS, scans // _SCANS_A_PASS)
    check_pixels(width, height, max_pixels, times, f"a JPEG file of {scans} scans")


class JpegHeader(NamedTuple):
    """What the headers of a JPEG file say, up to its first scan.

    Args:
        width: In pixels; as in `height`, 0 if it is not stated.
        height: In pixels.
        components: 1 for grey, 3 for colours, 4 for those of print.
        noted: Whether a segment may contain an orientation.
        in_one_scan: Whether a decoder stops after the first scan, because that has all components
            and is not progressive. So the file need not be searched for further scans.
    """

    width: int
    height: int
    components: int
    noted: bool
    in_one_scan: bool


def jpeg_header(content: bytes) -> JpegHeader | None:
    """Read the headers of a JPEG file of a kind that every decoder supports at every scale.

    Args:
        content: The file.

    Returns:
        None if it is of another kind (not 8 bits, cosine transform and Huffman coding), or if the
        headers cannot be followed.
    """
    place, frame, noted, progressive = 2, b"", False, False
    while place + 4 < len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xFF:
            # Any number of fill bytes may precede a marker.
            place += 1
            continue
        if marker == 0xDA:
            if len(frame) < _FRAME:
                return None
            height, width, components = struct.unpack_from(">HHB", frame, 1)
            once = not progressive and components == content[place + 4]
            return JpegHeader(width, height, components, noted, once)
        if marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD9:
            # These markers have no length; taking the next bytes for one would skip past the
            # headers.
            return None
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if frame or marker > 0xC2 or content[place + 4] != 8:
                return None
            frame, progressive = content[place + 4 : place + 4 + _FRAME], marker == 0xC2
        noted = noted or marker == 0xE1
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return None


def usual_jpeg(content: bytes) -> JpegHeader | None:
    """The header of a JPEG file in grey or in colours of the screen that states its size; None of
    any other file.
    """
    # Every JPEG file begins so, and no other needs its headers read.
    header = jpeg_header(content) if content[:3] == b"\xff\xd8\xff" else None
    usual = header is not None and header.components in (1, 3) and header.width * header.height
    return header if usual else None


def open_image(content: bytes, max_pixels: int) -> Image.Image:
    """Open a file's content like `Image.open`: the header is read, the pixels are not.

    Args:
        content: The file.
        max_pixels: How many pixels a picture of a cheap format may have.

    Raises:
        LoadError: If the picture has too many pixels, or its format needs another program.
        UnidentifiedImageError: If no plugin of Pillow knows the format.
    """
    file, tried = io.BytesIO(content), set()
    # The plugins of common formats first, then all.
    # `Image.open` applies Pillow's own limit, one for the whole process, so its steps are taken
    # here one by one.
    for load in (Image.preinit, Image.init):
        load()
        for name in [name for name in Image.ID if name not in tried]:
            tried.add(name)
            factory, accept = Image.OPEN[name]
            file.seek(0)
            try:
                accepted = accept is None or accept(content[:16])
                if not accepted or isinstance(accepted, str):
                    continue
                _check_format(name, content, max_pixels)
                image = factory(file, "")
            except (SyntaxError, IndexError, TypeError, struct.error):
                # The prefix matched, but it is not of this format.
                continue
            _check(image, content, max_pixels)
            return image
    raise UnidentifiedImageError


def _check_format(name: str, content: bytes, max_pixels: int) -> None:
    if name in _PROGRAMS:
        raise LoadError(
            f"the file is in {name} format, for which Pillow runs another program on its content. "
            f"Save it as PNG, or drop the row."
        )
    # Their own header states the size of the icon, not of the picture inside, which is what gets
    # decoded.
    if name in _CONTAINERS:
        for found in _INNER.finditer(content):
            check_pixels(
                int.from_bytes(found[1], "big"), int.from_bytes(found[2], "big"), max_pixels
            )


def _check(image: Image.Image, content: bytes, max_pixels: int) -> None:
    name, times = image.format or "", 1
    if name in ("JPEG", "MPO"):
        check_jpeg(content, *image.size, max_pixels)
    elif name in _DEARER:
        times, name = _DEARER[name], f"a {name} file"
    elif any(tile[0] in Image.DECODERS for tile in getattr(image, "tile", ())):
        times, name = _IN_PYTHON, f"a {name} file that Pillow decodes in Python"
    check_pixels(*image.size, max_pixels, times, name)
