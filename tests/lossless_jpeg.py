"""A JPEG encoder for the one kind that no library here writes: the lossless one (ITU T.81, process
14).
"""

from __future__ import annotations

import struct

import numpy as np

_CODE_LENGTH = 5


def encode(pixels: np.ndarray) -> bytes:
    """A lossless JPEG file (SOF3, Huffman coding, predictor 1: the sample to the left).

    Args:
        pixels: `(height, width)` or `(height, width, 3) uint8`; three channels are stored as they
            are.
    """
    pixels = pixels.reshape(*pixels.shape[:2], -1).astype(int)
    height, width, channels = pixels.shape
    predicted = np.empty_like(pixels)
    predicted[:, 1:] = pixels[:, :-1]
    predicted[1:, 0] = pixels[:-1, 0]
    predicted[0, 0] = 128
    bits = "".join(_coded(int(one)) for one in (pixels - predicted).ravel())
    bits += "1" * (-len(bits) % 8)
    scan = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    names = b"RGB"[:channels]
    frame = struct.pack(">BHHB", 8, height, width, channels) + b"".join(
        bytes([name, 0x11, 0]) for name in names
    )
    # 17 categories of differences, all with codes of one length.
    codes = bytes(17 if length == _CODE_LENGTH else 0 for length in range(1, 17)) + bytes(range(17))
    header = bytes([channels]) + b"".join(bytes([name, 0]) for name in names) + bytes([1, 0, 0])
    parts = ((0xC3, frame), (0xC4, b"\0" + codes), (0xDA, header))
    marked = b"".join(
        b"\xff" + bytes([mark]) + struct.pack(">H", len(body) + 2) + body for mark, body in parts
    )
    return b"\xff\xd8" + marked + scan + b"\xff\xd9"


def _coded(difference: int) -> str:
    size = abs(difference).bit_length()
    value = difference if difference > 0 else difference + 2**size - 1
    return format(size, f"0{_CODE_LENGTH}b") + (format(value, f"0{size}b") if size else "")
