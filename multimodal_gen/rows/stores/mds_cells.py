"""How cells lie in MDS shards: each encoding of a column, and what reads its bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from PIL import Image

_SCALARS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_FLOATS = ("float16", "float32", "float64")
# What the first byte of an array says of its numbers, and the lowest two bits of the next one of
# the numbers of its shape.
_DTYPES = {
    8: "uint8",
    9: "int8",
    16: "uint16",
    17: "int16",
    18: "float16",
    32: "uint32",
    33: "int32",
    34: "float32",
    64: "uint64",
    65: "int64",
    66: "float64",
}
_SHAPES = ("uint8", "uint16", "uint32", "uint64")


@dataclass(frozen=True)
class Encoding:
    """How the cells of a column are written.

    Attributes:
        kind: What they are, as in `Store.columns`.
        read: The cell that some bytes are.
    """

    kind: str
    read: Callable[[bytes], Any]


def encoding_of(words: str) -> Encoding | None:
    """The encoding that an index names, as "str" or "ndarray:float32:3,4"; None for others.

    Pictures in files (jpeg, png) stay bytes, as they were written. What is pickled is not read.
    """
    name, _, details = words.partition(":")
    if name == "ndarray":
        return Encoding("other", _array_reader(details))
    return None if details else _ENCODINGS.get(name)


def _number(dtype: str, content: bytes) -> Any:
    (number,) = np.frombuffer(content, np.dtype(dtype).newbyteorder("<"))
    return number.item()


def _text(content: bytes) -> str:
    return content.decode("utf-8")


def _array_reader(details: str) -> Callable[[bytes], np.ndarray]:
    dtype, _, sizes = details.partition(":")
    shape = tuple(map(int, sizes.split(","))) if sizes else None
    return partial(_array, dtype or None, shape)


def _array(dtype: str | None, shape: tuple[int, ...] | None, content: bytes) -> np.ndarray:
    at = 0
    if dtype is None:
        dtype, at = _DTYPES[content[0]], 1
    if shape is None:
        axes, of = content[at] >> 2, np.dtype(_SHAPES[content[at] & 3]).newbyteorder("<")
        shape = tuple(np.frombuffer(content, of, axes, at + 1).tolist())
        at += 1 + axes * of.itemsize
    array = np.frombuffer(content, np.dtype(dtype).newbyteorder("<"), offset=at)
    return array.reshape(shape).astype(dtype)


def _picture(content: bytes) -> Image.Image:
    width, height, letters = np.frombuffer(content, "<u4", 3).tolist()
    mode = content[12 : 12 + letters].decode("ascii")
    # Before memory is taken for it; eight pixels of two colours fit into a byte.
    if width * height > 8 * len(content):
        raise ValueError(f"a picture of {width:,} x {height:,} pixels is not in its bytes")
    return Image.frombytes(mode, (width, height), content[12 + letters :])


def _list(read: Callable[[bytes], Any], start: int, content: bytes) -> list[Any]:
    # Their number, the size of each, and they themselves.
    (count,) = np.frombuffer(content, "<u4", 1, start).tolist()
    sizes = np.frombuffer(content, "<u4", count, start + 4).tolist()
    ends = np.cumsum([start + 4 * (1 + count), *sizes]).tolist()
    if ends[-1] != len(content):
        raise ValueError(f"the items end at byte {ends[-1]:,} of {len(content):,}")
    return [read(content[begin:end]) for begin, end in pairwise(ends)]


def _whole(content: bytes) -> bytes:
    return content


_ENCODINGS = {
    "bytes": Encoding("bytes", _whole),
    "str": Encoding("text", _text),
    "int": Encoding("int", partial(_number, "int64")),
    "str_int": Encoding("int", int),
    "str_float": Encoding("float", float),
    "str_decimal": Encoding("other", lambda content: Decimal(_text(content))),
    "jpeg": Encoding("bytes", _whole),
    "png": Encoding("bytes", _whole),
    "pil": Encoding("other", _picture),
    # Four bytes before the number are kept for later versions.
    "list[jpeg]": Encoding("other", partial(_list, _whole, 4)),
    "list[png]": Encoding("other", partial(_list, _whole, 4)),
    "list[pil]": Encoding("other", partial(_list, _picture, 4)),
    "jpeg_array": Encoding("other", partial(_list, _whole, 0)),
    "jpegarray": Encoding("other", partial(_list, _whole, 0)),
    "json": Encoding("other", json.loads),
    **{name: Encoding("int", partial(_number, name)) for name in _SCALARS},
    **{name: Encoding("float", partial(_number, name)) for name in _FLOATS},
}
