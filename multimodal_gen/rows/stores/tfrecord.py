"""TFRecord files of `tf.train.Example` as a table: a row a record, a column a feature."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from multimodal_gen.errors import LoadError, TableError
from multimodal_gen.rows.stores.pieces import Pieces
from multimodal_gen.rows.stores.shards import fingerprint_of, stamp, unchanged
from multimodal_gen.rows.stores.store import Store

# A record: its length and a checksum of that, the record, and a checksum of it.
_HEAD, _TAIL = 12, 4
# Records that tell which features there are, and of which kind.
_SAMPLED = 100


class TFRecordStore(Store):
    """TFRecord files, one after the other.

    A feature of one value is a number or bytes, and of several an array; bytes are a text where all
    sampled records have UTF-8 in them. The files are read through once, from length to length.

    Args:
        paths: The files, not compressed.

    Raises:
        ImportError: If protobuf is not installed.
        TableError: If a file cannot be read.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        _example_class()
        self._paths = list(paths)
        self._stamps = [stamp(path) for path in self._paths]
        self._places = [_places(path) for path in self._paths]
        self._pieces = Pieces(map(len, self._places))
        self.columns: dict[str, str] = {}
        if len(self):
            self._learn_columns()

    def __len__(self) -> int:
        return len(self._pieces)

    def cells(self, column: str, rows: np.ndarray) -> list[Any]:
        """See `Store.cells`."""
        found: list[Any] = [None] * len(rows)
        for number, places, own in self._pieces.of(rows):
            path = self._paths[number]
            with unchanged(path, self._stamps[number]) as file:
                for place, row in zip(places.tolist(), own.tolist(), strict=True):
                    example = self._example(file.fileno(), number, row)
                    try:
                        found[place] = self._cell(example, column)
                    except UnicodeDecodeError as error:
                        # What was sampled of the column was text.
                        raise LoadError(
                            f"{column!r} of record {row:,} of the file is not UTF-8 text: {error}",
                            path=path,
                        ) from error
        return found

    def origin(self, column: str, row: int) -> str:
        """See `Store.origin`."""
        number, own = self._pieces.place_of(row)
        return f"{self._paths[number]}::record {own}"

    def fingerprint(self) -> str:
        """See `Store.fingerprint`."""
        return fingerprint_of(self._paths, self._stamps)

    def reopen(self) -> tuple[Callable[..., TFRecordStore], tuple[Any, ...]]:
        """See `Store.reopen`."""
        return TFRecordStore, (self._paths,)

    def _learn_columns(self) -> None:
        rows = np.unique(np.linspace(0, len(self) - 1, _SAMPLED).astype("int64"))
        kinds: dict[str, set[str]] = {}
        for row in rows.tolist():
            number, own = self._pieces.place_of(row)
            with open(self._paths[number], "rb", buffering=0) as file:
                example = self._example(file.fileno(), number, own)
            for name, feature in example.features.feature.items():
                kinds.setdefault(name, set()).add(_kind_of(feature))
        for name, found in sorted(kinds.items()):
            found.discard("nothing")
            self.columns[name] = (
                found.pop()
                if len(found) == 1
                else "bytes"
                if found == {"text", "bytes"}
                else "other"
            )

    def _example(self, file: int, number: int, row: int) -> Any:
        start, size = self._places[number][row].tolist()
        content = os.pread(file, size, start)
        try:
            if len(content) < size:
                raise ValueError(f"the file ends after {len(content):,} of its {size:,} bytes")
            return _example_class().FromString(content)
        # What protobuf raises is of no public class.
        except Exception as error:
            raise LoadError(
                f"record {row:,} of the file is no tf.train.Example: {error}",
                path=self._paths[number],
            ) from error

    def _cell(self, example: Any, column: str) -> Any:
        if column not in example.features.feature:
            return None
        feature = example.features.feature[column]
        of = feature.WhichOneof("kind")
        values = list(getattr(feature, of).value) if of else []
        if not values:
            return None
        if of == "bytes_list":
            if self.columns[column] == "text":
                values = [value.decode("utf-8") for value in values]
            return values[0] if len(values) == 1 else values
        return values[0] if len(values) == 1 else np.array(values, _DTYPES[of])


_DTYPES = {"int64_list": "int64", "float_list": "float32"}


def _places(path: str) -> np.ndarray:
    # Start and size of each record, `(records, 2) int64`.
    places = []
    end = os.path.getsize(path)
    at = 0
    with open(path, "rb") as file:
        while at < end:
            head = file.read(_HEAD)
            size = struct.unpack("<Q", head[:8])[0] if len(head) == _HEAD else end
            if at + _HEAD + size + _TAIL > end:
                raise TableError(_broken(path, at, head))
            places.append((at + _HEAD, size))
            at += _HEAD + size + _TAIL
            file.seek(at)
    return np.array(places, "int64").reshape(-1, 2)


def _broken(path: str, at: int, head: bytes) -> str:
    if at == 0 and head[:2] == b"\x1f\x8b":
        reason = "it is compressed, so its records cannot be found. Decompress it"
    elif at == 0:
        reason = "it does not begin with the length of a record"
    else:
        reason = (
            f"the record that begins at byte {at:,} is cut off or has a wrong length. Get the file "
            "anew"
        )
    return f"The file cannot be read as TFRecord: {reason}. Received: path={path!r}"


def _kind_of(feature: Any) -> str:
    of = feature.WhichOneof("kind")
    values = getattr(feature, of).value if of else []
    if not len(values):
        return "nothing"
    if len(values) > 1:
        return "other"
    if of != "bytes_list":
        return "int" if of == "int64_list" else "float"
    try:
        text = values[0].decode("utf-8")
    except UnicodeDecodeError:
        return "bytes"
    return "bytes" if "\0" in text else "text"


@cache
def _example_class() -> Any:
    # The message as TensorFlow declares it, so that TensorFlow need not be there.
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError as error:
        raise ImportError(
            "Reading TFRecord files needs protobuf: `pip install protobuf`."
        ) from error
    file = descriptor_pb2.FileDescriptorProto(
        name="multimodal_gen/example.proto", package="multimodal_gen", syntax="proto3"
    )
    scalars = {"BytesList": "TYPE_BYTES", "FloatList": "TYPE_FLOAT", "Int64List": "TYPE_INT64"}
    for name, of in scalars.items():
        message = file.message_type.add(name=name)
        _field(message, "value", 1, of, repeated=True)
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, (name, field) in enumerate(
        zip(scalars, ("bytes_list", "float_list", "int64_list"), strict=True), 1
    ):
        _field(feature, field, number, "TYPE_MESSAGE", of=name).oneof_index = 0
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    _field(entry, "key", 1, "TYPE_STRING")
    _field(entry, "value", 2, "TYPE_MESSAGE", of="Feature")
    _field(features, "feature", 1, "TYPE_MESSAGE", of="Features.FeatureEntry", repeated=True)
    example = file.message_type.add(name="Example")
    _field(example, "features", 1, "TYPE_MESSAGE", of="Features")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("multimodal_gen.Example"))


def _field(
    message: Any,
    name: str,
    number: int,
    kind: str,
    *,
    of: str | None = None,
    repeated: bool = False,
) -> Any:
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto

    field = message.field.add(name=name, number=number)
    field.type = getattr(FieldDescriptorProto, kind)
    field.label = getattr(FieldDescriptorProto, "LABEL_REPEATED" if repeated else "LABEL_OPTIONAL")
    if of:
        field.type_name = f".multimodal_gen.{of}"
    return field
