"""What stores of Arrow columns share: where a row lies, and how a cell becomes an object.

`parquet.py` decodes pieces of columns when they are needed, `arrow_files.py` maps them from disk.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from multimodal_gen.errors import LoadError, TableError
from multimodal_gen.rows.stores.pieces import Pieces
from multimodal_gen.rows.stores.store import Store

# From so many rows at a time on, a column is gone through, and no batch is made.
_IN_PASSING = 8192


class ArrowStore(Store):
    """A table in pieces that follow one another, such as the row groups of files.

    Args:
        schema: Names and types of the columns, the same for all pieces.
        sizes: Rows of each piece.

    Raises:
        TableError: If two columns have the same name.
    """

    def __init__(self, schema: pa.Schema, sizes: Sequence[int]) -> None:
        self._schema = schema
        twice = [name for place, name in enumerate(schema.names) if name in schema.names[:place]]
        if twice:
            raise TableError(f"Several columns are called {twice[0]!r}; rename one of them.")
        self._names_of = class_names(schema)
        self.pieces = Pieces(sizes)
        self.columns = {
            field.name: "text" if field.name in self._names_of else kind_of(field.type)
            for field in schema
            if not is_plain_index(field)
        }

    def __len__(self) -> int:
        return len(self.pieces)

    @abstractmethod
    def piece(self, number: int, column: str, keep: bool = True) -> pa.ChunkedArray:
        """The cells of one piece of a column.

        Args:
            number: Which piece.
            column: The column.
            keep: Whether it is likely to be asked for again after others.

        Raises:
            LoadError: If they cannot be read.
        """

    def cells(self, column: str, rows: np.ndarray) -> list[Any]:
        """See `Store.cells`."""
        names = self._names_of.get(column)
        found: list[Any] = [None] * len(rows)
        for number, places, offsets in self.pieces.of(rows):
            piece = self.piece(number, column, len(rows) < _IN_PASSING)
            cells = plain_cells(taken(piece, offsets))
            for place, cell in zip(places.tolist(), cells, strict=True):
                found[place] = cell
        return found if names is None else [_name(names, cell) for cell in found]

    def type_of(self, column: str) -> pa.DataType:
        """The type of the cells that `cells` gives for a column."""
        of = self._schema.field(column).type
        of = of.storage_type if isinstance(of, pa.BaseExtensionType) else of
        return pa.string() if column in self._names_of else of

    def series(self, column: str, rows: np.ndarray) -> pd.Series:
        """See `Store.series`."""
        kind, names = self.columns[column], self._names_of.get(column)
        if names is not None or kind in ("bytes", "other"):
            return super().series(column, rows)
        parts, order = [], []
        for number, places, offsets in self.pieces.of(rows):
            piece = self.piece(number, column, len(rows) < _IN_PASSING)
            parts.append(taken(piece, offsets))
            order.append(places)
        if not parts:
            return super().series(column, rows)
        back = np.empty(len(rows), "int64")
        back[np.concatenate(order)] = np.arange(len(rows))
        joined = pa.chunked_array(parts)
        mapper = _NULLABLE.get if joined.null_count and kind == "int" else None
        return joined.to_pandas(types_mapper=mapper).take(back).reset_index(drop=True)


def taken(piece: pa.ChunkedArray, offsets: np.ndarray) -> pa.Array:
    """Some cells of a piece, `(offsets,)`, without joining its chunks first.

    Arrow joins all chunks of a column to take some rows out of it, and fails where their texts are
    larger than 2 GB together (Arrow issue 39565; not needed once that is closed).
    """
    if piece.num_chunks == 1:
        if len(offsets) == len(piece) and (np.diff(offsets) == 1).all():
            return piece.chunk(0)
        return piece.chunk(0).take(pa.array(offsets))
    starts = np.cumsum([0, *map(len, piece.chunks)])
    chunks = np.searchsorted(starts, offsets, side="right") - 1
    order = np.argsort(chunks, kind="stable")
    parts = [
        piece.chunk(int(number)).take(pa.array(offsets[order][chunks[order] == number] - start))
        for number, start in enumerate(starts[:-1])
        if (chunks == number).any()
    ]
    back = np.empty(len(offsets), "int64")
    back[order] = np.arange(len(offsets))
    joined = pa.concat_arrays(parts) if parts else pa.array([], piece.type)
    return joined.take(pa.array(back))


def plain_cells(array: pa.Array) -> list[Any]:
    """Cells as objects: texts, numbers, bytes, mappings; arrays for lists of numbers, pandas' own
    for times. None if one is missing.
    """
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    of = array.type
    if _is_list(of) and _is_number(of.value_type):
        return [None if cell is None else np.asarray(cell) for cell in array.to_pandas().tolist()]
    if pa.types.is_temporal(of):
        return [None if pd.isna(cell) else cell for cell in array.to_pandas().array.tolist()]
    return array.to_pylist()


def kind_of(of: pa.DataType) -> str:
    """The kind of cells that a type holds, as in `Store.columns`."""
    if isinstance(of, pa.BaseExtensionType):
        return kind_of(of.storage_type)
    if pa.types.is_dictionary(of):
        return kind_of(of.value_type)
    tests = {
        "int": pa.types.is_integer,
        "float": pa.types.is_floating,
        "bool": pa.types.is_boolean,
        "text": _is_text,
        "bytes": _is_binary,
    }
    return next((kind for kind, test in tests.items() if test(of)), "other")


def class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """Column -> names of the classes that its numbers count, as Hugging Face's features say."""
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    except (TypeError, KeyError, ValueError):
        return {}
    return {
        name: one["names"]
        for name, one in features.items()
        if isinstance(one, Mapping) and one.get("_type") == "ClassLabel" and one.get("names")
    }


def is_plain_index(field: pa.Field) -> bool:
    """Whether a column is the index that pandas gives rows by default."""
    return field.name.startswith("__index_level_") and pa.types.is_integer(field.type)


def _name(names: list[str], cell: Any) -> Any:
    # Hugging Face writes -1 where there is no label.
    if cell is None or isinstance(cell, str) or cell == -1:
        return cell if isinstance(cell, str) else None
    if not 0 <= cell < len(names):
        raise LoadError(
            f"the file names {len(names)} classes, and none of them has the number {cell}"
        )
    return names[cell]


def _is_list(of: pa.DataType) -> bool:
    return any(
        test(of) for test in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    )


def _is_number(of: pa.DataType) -> bool:
    return any(test(of) for test in (pa.types.is_integer, pa.types.is_floating))


def _is_text(of: pa.DataType) -> bool:
    return any(
        test(of) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    )


def _is_binary(of: pa.DataType) -> bool:
    return any(
        test(of)
        for test in (
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_binary_view,
            pa.types.is_fixed_size_binary,
        )
    )


_NULLABLE: dict[pa.DataType, Any] = {
    getattr(pa, name.lower())(): getattr(pd, f"{name}Dtype")()
    for name in ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
}
