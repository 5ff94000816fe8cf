#!/usr/bin/env bash
# Pillow 13.0.0: the colour that a PNG file calls transparent (its tRNS chunk) is lost at 2, 4 and
# 16 bits.
#
# The PNG specification (third edition, 11.3.2.1) gives the key in the file's own sample depth.
# Pillow scales samples of 2 and 4 bits to 8 bits and takes the upper 8 of 16-bit colours, while
# `info["transparency"]` keeps the file's number; so `convert("RGBA")` compares the two in different
# units. Seen with valid files of four grey pixels, of which the third is the key:
#   8 bits   alpha [255, 255, 0, 255]     as it should be
#   2 bits   alpha [255, 255, 255, 255]   nothing is transparent
#   4 bits   alpha [255, 255, 255, 255]
#   16-bit colours, alpha [255, 255, 255, 255]
# Exits with 0 while that is so.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0
"$folder/venv/bin/python" - <<'PYTHON'
import io
import struct
import sys
import zlib

from PIL import Image


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def alpha(depth, colour, samples, key):
    header = struct.pack(">IIBBBBB", 4, 1, depth, colour, 0, 0, 0)
    parts = ((b"IHDR", header), (b"tRNS", key), (b"IDAT", zlib.compress(b"\0" + samples)), (b"IEND", b""))
    content = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)
    return list(Image.open(io.BytesIO(content)).convert("RGBA").getchannel("A").tobytes())


grey = (0, 1, 2, 3)
found = {
    "8 bits": alpha(8, 0, bytes(grey), struct.pack(">H", 2)),
    "2 bits": alpha(2, 0, bytes([0b00011011]), struct.pack(">H", 2)),
    "4 bits": alpha(4, 0, bytes([0x01, 0x23]), struct.pack(">H", 2)),
    "16-bit colours": alpha(16, 2, struct.pack(">12H", *[1000 * one for one in grey for _ in "rgb"]), struct.pack(">3H", *[2000] * 3)),
}
for name, one in found.items():
    print(f"{name:15} {one}")
right, lost = [255, 255, 0, 255], [255] * 4
sys.exit(0 if found == {"8 bits": right, "2 bits": lost, "4 bits": lost, "16-bit colours": lost} else 1)
PYTHON
