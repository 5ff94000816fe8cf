"""Writes ONNX files field by field, so that neither the onnx package nor torch is needed.

A file is one message of Protocol Buffers: numbered fields, some of which hold messages again. The
numbers are those of onnx.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

FLOAT, INT64 = 1, 7
# The types of attributes.
_FLOAT_ATTRIBUTE, _INT_ATTRIBUTE, _INTS_ATTRIBUTE = 1, 2, 7


def number(value: int) -> bytes:
    """An integer in groups of seven bits; of a negative one, its two's complement of 64 bits."""
    value &= 2**64 - 1
    found = bytearray()
    while True:
        value, rest = value >> 7, value & 127
        found.append(rest | (128 if value else 0))
        if not value:
            return bytes(found)


def field(place: int, value: int | float | str | bytes) -> bytes:
    """A field of a message: its number, the kind of what it holds, and that."""
    if isinstance(value, int):
        return number(place << 3) + number(value)
    if isinstance(value, float):
        return number(place << 3 | 5) + struct.pack("<f", value)
    data = value.encode() if isinstance(value, str) else value
    return number(place << 3 | 2) + number(len(data)) + data


def tensor(name: str, array: np.ndarray, *extra: bytes) -> bytes:
    """Weights of float32 or int64."""
    kind = FLOAT if array.dtype == np.float32 else INT64
    dims = b"".join(field(1, size) for size in array.shape)
    return dims + field(2, kind) + field(8, name) + field(9, array.tobytes()) + b"".join(extra)


def attribute(name: str, value: int | float | Sequence[int]) -> bytes:
    """A setting of a node, as an `extra` of it."""
    if isinstance(value, float):
        told = field(2, value) + field(20, _FLOAT_ATTRIBUTE)
    elif isinstance(value, int):
        told = field(3, value) + field(20, _INT_ATTRIBUTE)
    else:
        told = b"".join(field(8, one) for one in value) + field(20, _INTS_ATTRIBUTE)
    return field(5, field(1, name) + told)


def node(kind: str, inputs: Sequence[str], output: str, *extra: bytes) -> bytes:
    """An operation with one output."""
    named = b"".join(field(1, one) for one in inputs)
    return named + field(2, output) + field(4, kind) + b"".join(extra)


def value(name: str, kind: int, shape: Sequence[str | int]) -> bytes:
    """An input or output; an axis of any size has a name."""
    dims = b"".join(
        field(1, field(1, axis) if isinstance(axis, int) else field(2, axis)) for axis in shape
    )
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, dims)))


def model(
    nodes: Sequence[bytes],
    tensors: Sequence[bytes],
    inputs: Sequence[bytes],
    outputs: Sequence[bytes],
) -> bytes:
    """A whole file, with the operations of opset 17."""
    graph = (
        b"".join(field(1, one) for one in nodes)
        + field(2, "graph")
        + b"".join(field(5, one) for one in tensors)
        + b"".join(field(11, one) for one in inputs)
        + b"".join(field(12, one) for one in outputs)
    )
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 17))
