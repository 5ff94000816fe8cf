"""Whether a picture file ends too early, by the length its format states. Nothing is decoded."""

from __future__ import annotations

import struct


def ends_early(content: bytes) -> bool:
    """Whether the end of a JPEG, PNG, GIF, BMP or WebP file is missing; False for other content."""
    if content[:2] == b"\xff\xd8":
        return _jpeg_ends_early(content)
    if content[:8] == b"\x89PNG\r\n\x1a\n":
        return _png_ends_early(content)
    if content[:4] in (b"GIF8", b"GIF9"):
        # A GIF ends in ";", and some writers fill the file up with zeros.
        return not content.rstrip(b"\0").endswith(b";")
    if content[:2] == b"BM" and len(content) >= 14:
        # Some writers leave the length 0.
        return len(content) < struct.unpack_from("<I", content, 2)[0]
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        # The length counts what follows it.
        return len(content) < struct.unpack_from("<I", content, 4)[0] + 8
    return False


def _jpeg_ends_early(content: bytes) -> bool:
    position = 2
    while position + 4 <= len(content):
        if content[position] != 0xFF:
            # Not at a marker: damaged in another way.
            return False
        marker = content[position + 1]
        if marker == 0xFF:
            position += 1
        elif marker == 0xDA:
            # In the picture's own data 0xFF is followed by 0, so this can only be the end.
            return content.find(b"\xff\xd9", position) < 0
        else:
            position += 2 + struct.unpack_from(">H", content, position + 2)[0]
    return True


def _png_ends_early(content: bytes) -> bool:
    position = 8
    while position + 12 <= len(content):
        length, name = struct.unpack_from(">I4s", content, position)
        if name == b"IEND":
            return False
        # Damaged in another way.
        if not name.isalpha():
            return False
        position += 12 + length
    return True
