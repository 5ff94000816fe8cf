"""MDS shards for tests: samples with a column of every encoding, and a writer of plain ones.

`tests/mds` holds these samples as streaming 0.13.0 wrote them.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SAMPLES = 5
SCALARS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
FLOATS = [f"float{bits}" for bits in (16, 32, 64)]
# Column -> encoding; names are in another order than they are written in.
ENCODINGS = {
    "text": "str",
    "content": "bytes",
    "number": "int",
    **{name: name for name in (*SCALARS, *FLOATS)},
    "digits": "str_int",
    "decimal": "str_decimal",
    "written": "str_float",
    "photo": "jpeg",
    "drawing": "png",
    "raw": "pil",
    "photos": "list[jpeg]",
    "drawings": "list[png]",
    "raws": "list[pil]",
    "more": "jpegarray",
    "fields": "json",
    "array": "ndarray",
    "typed": "ndarray:float32",
    "shaped": "ndarray:int16:2,3",
}


def picture(row: int, mode: str = "RGB") -> Image.Image:
    """A picture of 4x3 pixels, another one for each row."""
    colour = np.random.default_rng(row).integers(0, 200, 3)
    pixels = colour + 3 * np.arange(12).reshape(3, 4, 1)
    return Image.fromarray(pixels.astype("uint8")).convert(mode)


def encoded(image: Image.Image, form: str) -> bytes:
    """The bytes of a picture file."""
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


def sample(row: int) -> dict[str, Any]:
    """What the writer is given for a row."""
    numbers: dict[str, Any] = dict.fromkeys(SCALARS, 100 + row)
    return {
        "text": "" if row == 1 else f"thing {row} é",
        "content": bytes(range(row)),
        "number": row - 2**62,
        **numbers,
        **dict.fromkeys(FLOATS, row / 4),
        "digits": 10**25 + row,
        "decimal": Decimal("1.50") + row,
        "written": row / 3,
        "photo": picture(row),
        "drawing": picture(row),
        "raw": picture(row, "L"),
        "photos": [picture(row + one) for one in range(row % 3)],
        "drawings": [picture(row + one) for one in range(row % 3)],
        "raws": [picture(row + one, "L") for one in range(row % 2)],
        "more": [encoded(picture(row), "jpeg")],
        "fields": {"row": row, "none": None},
        "array": np.arange(row + 1, dtype="uint16") + 300,
        "typed": np.full((2, row + 1), row / 2, "float32"),
        "shaped": np.arange(6, dtype="int16").reshape(2, 3) - row,
    }


def write_plain(
    folder: Path, columns: Mapping[str, str], samples: Sequence[Mapping[str, Any]], size: int
) -> None:
    """Write shards of so many samples, of columns that are "str", "bytes" or "float64"."""
    names = sorted(columns)
    fixed = {"float64": 8}
    shards = []
    folder.mkdir(parents=True, exist_ok=True)
    for number, start in enumerate(range(0, len(samples), size)):
        about = {
            "column_encodings": [columns[name] for name in names],
            "column_names": names,
            "column_sizes": [fixed.get(columns[name]) for name in names],
            "compression": None,
            "format": "mds",
            "hashes": [],
            "size_limit": None,
            "version": 2,
        }
        config = json.dumps(about, sort_keys=True).encode()
        own = [_plain(one, names, columns) for one in samples[start : start + size]]
        ends = np.cumsum([4 * (len(own) + 2) + len(config), *map(len, own)]).astype("<u4")
        content = b"".join([np.uint32(len(own)).tobytes(), ends.tobytes(), config, *own])
        name = f"shard.{number:05}.mds"
        (folder / name).write_bytes(content)
        raw = {"basename": name, "bytes": len(content), "hashes": {}}
        shards.append(about | {"raw_data": raw, "samples": len(own), "zip_data": None})
    (folder / "index.json").write_text(json.dumps({"shards": shards, "version": 2}))


def _plain(one: Mapping[str, Any], names: Sequence[str], columns: Mapping[str, str]) -> bytes:
    sizes, parts = [], []
    for name in names:
        cell = one[name]
        if columns[name] == "float64":
            parts.append(np.float64(cell).tobytes())
        else:
            parts.append(cell.encode() if isinstance(cell, str) else cell)
            sizes.append(len(parts[-1]))
    return np.array(sizes, "<u4").tobytes() + b"".join(parts)
