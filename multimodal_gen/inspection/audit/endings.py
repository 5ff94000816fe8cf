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
        # A GIF ends with ";", and some writers pad the file with zeros.
        return not content.rstrip(b"\0").endswith(b";")
    if content[:2] == b"BM" and len(content) >= 14:
        # Some writers leave the length at 0, and those files pass.
        return len(content) < struct.unpack_from("<I", content, 2)[0]
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        # The length does not include the first 8 bytes.
        return len(content) < struct.unpack_from("<I", content, 4)[0] + 8
    return False


def _jpeg_ends_early(content: bytes) -> bool:
    position = 2
    while position + 4 <= len(content):
        if content[position] != 0xFF:
            # No marker here, so the file is damaged in another way than by its end.
            return False
        marker = content[position + 1]
        if marker == 0xFF:
            position += 1
        elif marker == 0xDA:
            # In compressed pixels 0xFF is followed by 0 or a restart marker, so this can only be
            # the end.
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
        # A chunk name has only letters: the file is damaged in another way.
        if not name.isalpha():
            return False
        position += 12 + length
    return True
