"""What a shard that this package packed says of its columns: their names, types and files.

It is a file in the shard whose name has no dot, so that it belongs to no sample; WebDataset leaves
it out too. Files of a sample have endings: `.jpg` where one column has pictures, `.NAME.jpg` where
several have, `.NAME.0.jpg` and so on for lists of them. All other cells are in its `.json`, and
for lists the number of files.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from multimodal_gen.errors import TableError

ABOUT = "__multimodal_gen__"
JSON = "json"
_VERSION = 1


class TarColumns:
    """The columns of packed shards.

    Args:
        schema: Names and types; binary ones are in files, and so are lists of them.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        in_files = [one.name for one in schema if is_file(one.type) or is_files(one.type)]
        # Column -> what comes before the ending of the format.
        self._stems = {
            name: "" if len(in_files) == 1 and is_file(schema.field(name).type) else f"{short}."
            for name, short in zip(in_files, _short_names(in_files), strict=True)
        }

    @classmethod
    def read(cls, content: bytes) -> TarColumns | None:
        """What `written` gave; None if it is of another version, or nothing of that kind."""
        try:
            about = json.loads(content)
            if about["version"] != _VERSION:
                return None
            return cls(pa.ipc.read_schema(pa.py_buffer(base64.b64decode(about["schema"]))))
        except (ValueError, KeyError, TypeError, pa.ArrowException):
            return None

    def written(self) -> bytes:
        """The content of the file `ABOUT`."""
        # Without pandas' notes, which a shard cannot use.
        schema = self.schema.remove_metadata().serialize().to_pybytes()
        columns = {one.name: str(one.type) for one in self.schema}
        about = {
            "version": _VERSION,
            "columns": columns,
            "schema": base64.b64encode(schema).decode("ascii"),
        }
        return json.dumps(about, indent=1).encode("utf-8")

    def files_of(self, row: dict[str, Any], ending: Any) -> Iterable[tuple[str, bytes]]:
        """The files of a row: ending -> content.

        Args:
            row: Column -> cell; of those that are not files, what `to_json` gives.
            ending: Gives the ending of a file's format, of its content.
        """
        cells = dict(row)
        for name, stem in self._stems.items():
            cell = cells.pop(name)
            if not is_file(self.schema.field(name).type):
                cells[name] = None if cell is None else len(cell)
                for place, one in enumerate(cell or ()):
                    yield f"{stem}{place}.{ending(one)}", one
            elif cell is not None:
                yield f"{stem}{ending(cell)}", cell
        if cells:
            yield JSON, json.dumps(cells, ensure_ascii=False).encode("utf-8")

    def endings_of(self, column: str, endings: Iterable[str]) -> list[str]:
        """Which of a shard's endings are those of a column's files."""
        stem = re.escape(self._stems[column])
        number = "" if is_file(self.schema.field(column).type) else r"\d+\."
        form = re.compile(rf"{stem}{number}[^.]+")
        return [one for one in endings if form.fullmatch(one) and one != JSON]

    @staticmethod
    def place_of(ending: str) -> int:
        """Which item of a list the file with an ending of `endings_of` is, from 0."""
        return int(ending.split(".")[-2])

    @staticmethod
    def to_json(array: pa.Array) -> list[Any]:
        """The cells of a column as JSON values; contents of files as they are."""
        of = array.type
        if pa.types.is_duration(of) or pa.types.is_time(of):
            array = array.cast(pa.int64() if _bits(of) == 64 else pa.int32()).cast(pa.int64())
        elif pa.types.is_timestamp(of) and of.tz is not None:
            array = array.cast(pa.timestamp(of.unit, "UTC")).cast(pa.string())
        elif pa.types.is_temporal(of) or pa.types.is_decimal(of):
            array = array.cast(pa.string())
        return array.to_pylist()

    def from_json(self, column: str, values: Sequence[Any]) -> pa.Array:
        """The cells of a column as Arrow has them, of what `to_json` gave.

        Raises:
            ValueError: If they are of another type.
        """
        of = self.schema.field(column).type
        if pa.types.is_dictionary(of):
            return pa.array(values, of.value_type)
        if pa.types.is_duration(of) or pa.types.is_time(of):
            number = pa.int64() if _bits(of) == 64 else pa.int32()
            return pa.array(values, pa.int64()).cast(number).cast(of)
        if pa.types.is_temporal(of) or pa.types.is_decimal(of):
            return pa.array(values, pa.string()).cast(of)
        return pa.array(values, of)


def check_types(schema: pa.Schema) -> None:
    """Refuse columns that a shard cannot hold.

    Raises:
        TableError: If there is one.
    """
    for one in schema:
        of = one.type
        flat = pa.types.is_temporal(of) or pa.types.is_decimal(of)
        plain = _is_plain(of.value_type if pa.types.is_dictionary(of) else of)
        if not (is_file(of) or is_files(of) or flat or plain):
            raise TableError(
                "A tar shard holds files, and texts, numbers and dates in JSON, but not the cells "
                f"of {one.name!r}. Drop the column, or write parquet. Received: {one.type}"
            )


def is_file(of: pa.DataType) -> bool:
    """Whether cells of a type are the content of a file."""
    return pa.types.is_binary(of) or pa.types.is_large_binary(of)


def is_files(of: pa.DataType) -> bool:
    """Whether cells of a type are lists of contents of files."""
    return (pa.types.is_list(of) or pa.types.is_large_list(of)) and is_file(of.value_type)


def _is_plain(of: pa.DataType) -> bool:
    if pa.types.is_list(of) or pa.types.is_large_list(of) or pa.types.is_fixed_size_list(of):
        return _is_plain(of.value_type)
    if pa.types.is_struct(of):
        return all(_is_plain(of.field(place).type) for place in range(of.num_fields))
    tests = (
        pa.types.is_boolean,
        pa.types.is_integer,
        pa.types.is_float32,
        pa.types.is_float64,
        pa.types.is_string,
        pa.types.is_large_string,
    )
    return any(test(of) for test in tests)


def _bits(of: pa.DataType) -> int:
    return int(of.bit_width)


def _short_names(names: Sequence[str]) -> list[str]:
    # In lower case and without dots, as endings are told apart; each once.
    found: list[str] = []
    for name in names:
        short = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-") or "file"
        short = f"{short}-" if short.isdigit() else short
        while short in found:
            short += "-"
        found.append(short)
    return found
