"""Looks through an ONNX file before onnxruntime opens it, without building anything of it.

ONNX is a format of Protocol Buffers: numbered fields, some of which hold messages again. Only the
fields that lead to nodes and tensors are followed; the field numbers are those of onnx.proto.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

# What a message is, and in which of its fields there are messages to look through.
_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_NODE_TYPE, _NODE_DOMAIN, _TENSOR_EXTERNAL, _TENSOR_LOCATION = 4, 7, 13, 14
_DOMAINS = ("", "ai.onnx", "com.microsoft")
# Loops may run without end, and EPContext names another file.
_REFUSED = ("Loop", "Scan", "EPContext")
# Protocol Buffers cannot hold more.
_MOST_BYTES = 2**31 - 1
_MOST_MESSAGES = 2**21


def check_onnx(path: Path) -> None:
    """Make sure that a model consists of plain operations and holds all its weights itself.

    Args:
        path: The file.

    Raises:
        ValueError: If it is not an ONNX file, is too large, names other files, or has operations
            that are not of ONNX or onnxruntime, or loop.
        OSError: If it cannot be read.
    """
    size = path.stat().st_size
    if not 0 < size <= _MOST_BYTES:
        raise ValueError(f"an ONNX file has 1 to {_MOST_BYTES:,} bytes. Received: {size:,}")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        _look_through(data, size)


def _look_through(data: mmap.mmap, size: int) -> None:
    # Not by recursion: graphs may be nested as deep as their author likes.
    waiting, graphs, looked = [("model", 0, size)], 0, 0
    while waiting:
        kind, start, stop = waiting.pop()
        graphs, looked = graphs + (kind == "graph"), looked + 1
        if looked > _MOST_MESSAGES:
            raise ValueError(f"the model has more than {_MOST_MESSAGES:,} nodes and tensors")
        for field, value, begin, end in _fields(data, start, stop):
            inside = _INSIDE[kind].get(field)
            if inside is not None and value is None:
                waiting.append((inside, begin, end))
            elif kind == "node" and field in (_NODE_TYPE, _NODE_DOMAIN):
                _check_node(field, bytes(data[begin : min(end, begin + 200)]))
            elif kind == "tensor" and (
                field == _TENSOR_EXTERNAL or (field == _TENSOR_LOCATION and value)
            ):
                raise ValueError(
                    "the model keeps weights in another file; save it with all weights inside"
                )
    if not graphs:
        raise ValueError("the file is not an ONNX model")


def _check_node(field: int, text: bytes) -> None:
    found = text.decode("utf-8", "replace")
    if field == _NODE_DOMAIN and found not in _DOMAINS:
        raise ValueError(f"the model has operations of a library of its own, {found!r}")
    if field == _NODE_TYPE and found in _REFUSED:
        raise ValueError(f"the model has an operation that is not allowed, {found!r}")


def _fields(data: mmap.mmap, start: int, stop: int) -> Iterator[tuple[int, int | None, int, int]]:
    # Number of the field, its value if it is an integer, and where its bytes begin and end.
    place = start
    while place < stop:
        tag, place = _integer(data, place, stop)
        field, wire = tag >> 3, tag & 7
        value: int | None = None
        if wire == 0:
            value, end = _integer(data, place, stop)
            begin = end
        elif wire == 2:
            length, begin = _integer(data, place, stop)
            end = begin + length
        elif wire in (1, 5):
            begin, end, value = place, place + (8 if wire == 1 else 4), 0
        else:
            raise ValueError("the file is not an ONNX model")
        if end > stop:
            raise ValueError("the file is not an ONNX model, or ends early")
        yield field, value, begin, end
        place = end


def _integer(data: mmap.mmap, place: int, stop: int) -> tuple[int, int]:
    # An integer in groups of seven bits, and the place after it.
    value = 0
    for shift in range(0, 70, 7):
        if place >= stop:
            break
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise ValueError("the file is not an ONNX model, or ends early")
