"""Parquet files as a table that stays on disk.

A row group of a column is decoded when a row of it is asked for, and kept while memory allows.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from multimodal_gen.errors import LoadError, TableError
from multimodal_gen.rows.stores.arrow import ArrowStore
from multimodal_gen.rows.stores.shards import fingerprint_of, stamp, unchanged

# Decoded row groups that all parquet tables of the process keep together.
KEPT_BYTES = 2**30


class ParquetStore(ArrowStore):
    """Parquet files with the same columns, one after the other.

    Args:
        paths: The files.

    Raises:
        TableError: If one cannot be read, or has other columns than the first.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._token = next(_tokens)
        self._paths = list(paths)
        self._stamps = [stamp(path) for path in paths]
        self._footers = [_footer(path) for path in self._paths]
        schema = self._footers[0].schema.to_arrow_schema()
        for path, footer in zip(self._paths, self._footers, strict=True):
            _check_schema(path, footer.schema.to_arrow_schema(), self._paths[0], schema)
        # Piece -> file and row group in it.
        self._groups = [
            (file, group)
            for file, footer in enumerate(self._footers)
            for group in range(footer.num_row_groups)
        ]
        sizes = [self._footers[file].row_group(group).num_rows for file, group in self._groups]
        super().__init__(schema, sizes)
        self.notes = tuple(_slow(self))

    def piece(self, number: int, column: str, keep: bool = True) -> pa.ChunkedArray:
        """See `ArrowStore.piece`."""
        key = self._token, number, column
        return _kept.get(key, lambda: self._decoded(number, column), keep)

    def origin(self, column: str, row: int) -> str:
        """See `Store.origin`."""
        number, offset = self.pieces.place_of(row)
        file, group = self._groups[number]
        return f"{self._paths[file]}::row group {group}, row {offset}"

    def missing(self, column: str, rows: np.ndarray) -> np.ndarray:
        """See `Store.missing`; the statistics of the files often tell."""
        if column not in self._names_of and self._missing_cells(column) == 0:
            return np.zeros(len(rows), bool)
        return super().missing(column, rows)

    def fingerprint(self) -> str:
        """See `Store.fingerprint`."""
        return fingerprint_of(self._paths, self._stamps)

    def reopen(self) -> tuple[Callable[..., ParquetStore], tuple[Any, ...]]:
        """See `Store.reopen`."""
        return ParquetStore, (self._paths,)

    def bytes_of(self, column: str) -> list[int]:
        """Bytes that each row group of a column takes once it is decoded."""
        return [
            sum(
                about.total_uncompressed_size
                for about in _chunks(self._footers[file].row_group(group), column)
            )
            for file, group in self._groups
        ]

    def _missing_cells(self, column: str) -> int | None:
        total = 0
        for file, group in self._groups:
            for about in _chunks(self._footers[file].row_group(group), column):
                if about.path_in_schema != column or about.statistics is None:
                    return None
                if not about.statistics.has_null_count:
                    return None
                total += about.statistics.null_count
        return total

    def _decoded(self, number: int, column: str) -> pa.ChunkedArray:
        file, group = self._groups[number]
        path = self._paths[file]
        try:
            with (
                unchanged(path, self._stamps[file]),
                parquet.ParquetFile(path, metadata=self._footers[file]) as opened,
            ):
                piece = opened.read_row_group(group, columns=[column]).column(column)
        except LoadError:
            raise
        except (OSError, ValueError, pa.ArrowException) as error:
            raise LoadError(
                f"row group {group} of the file cannot be read: {_line(error)}", path=path
            ) from error
        if len(piece) != self._footers[file].row_group(group).num_rows:
            raise LoadError(
                f"row group {group} of the file has {len(piece):,} rows of {column!r}, and should "
                f"have {self._footers[file].row_group(group).num_rows:,}",
                path=path,
            )
        return piece

    def __del__(self) -> None:
        _kept.forget(self._token)


class _Kept:
    # What was used longest ago is forgotten first. A piece that several threads ask for is decoded
    # once. Of pieces that are read in passing, the last of each column is kept beside the others,
    # which it does not push out.
    def __init__(self, limit: int) -> None:
        self._limit, self._bytes = limit, 0
        self._lock = threading.Lock()
        self._pieces: OrderedDict[tuple[int, int, str], pa.ChunkedArray] = OrderedDict()
        self._passing: dict[tuple[int, str], tuple[int, pa.ChunkedArray]] = {}
        self._making: dict[tuple[int, int, str], threading.Lock] = {}

    def get(
        self, key: tuple[int, int, str], decode: Callable[[], pa.ChunkedArray], keep: bool
    ) -> pa.ChunkedArray:
        store, number, column = key
        with self._lock:
            if key in self._pieces:
                self._pieces.move_to_end(key)
                return self._pieces[key]
            if not keep and self._passing.get((store, column), (-1, None))[0] == number:
                return self._passing[store, column][1]
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                if key in self._pieces:
                    return self._pieces[key]
            piece = decode()
            with self._lock:
                self._making.pop(key, None)
                if not keep:
                    self._passing[store, column] = number, piece
                    return piece
                self._pieces[key] = piece
                self._bytes += piece.nbytes
                while self._bytes > self._limit and len(self._pieces) > 1:
                    _, old = self._pieces.popitem(last=False)
                    self._bytes -= old.nbytes
        return piece

    def forget(self, store: int) -> None:
        # Without waiting: it may be called while this thread holds the lock.
        if self._lock.acquire(blocking=False):
            try:
                for key in [one for one in self._pieces if one[0] == store]:
                    self._bytes -= self._pieces.pop(key).nbytes
                for column in [one for one in self._passing if one[0] == store]:
                    del self._passing[column]
            finally:
                self._lock.release()


_kept = _Kept(KEPT_BYTES)
_tokens = itertools.count()


def _footer(path: str) -> parquet.FileMetaData:
    try:
        return parquet.read_metadata(path)
    except (OSError, pa.ArrowException) as error:
        raise TableError(
            f"The file cannot be read as parquet: {_line(error)}. Received: path={path!r}"
        ) from error


def _check_schema(path: str, found: pa.Schema, first: str, expected: pa.Schema) -> None:
    if sorted(found.names) != sorted(expected.names):
        more = [name for name in found.names if name not in expected.names]
        less = [name for name in expected.names if name not in found.names]
        raise TableError(
            f"The files of a table must have the same columns. {path!r} has {more or 'none'} that "
            f"{first!r} lacks, and lacks {less or 'none'} of its columns. Received: path={path!r}"
        )
    for name in expected.names:
        if found.field(name).type != expected.field(name).type:
            raise TableError(
                "The files of a table must have columns of the same types. Received: "
                f"{name!r} is {found.field(name).type} in {path!r}, and "
                f"{expected.field(name).type} in {first!r}"
            )


def _chunks(group: Any, column: str) -> list[Any]:
    # A column of mappings has a chunk for each of its fields.
    every = [group.column(place) for place in range(group.num_columns)]
    return [
        one
        for one in every
        if one.path_in_schema == column or one.path_in_schema.startswith(column + ".")
    ]


def _slow(store: ParquetStore) -> list[str]:
    notes = []
    for column, kind in store.columns.items():
        sizes = store.bytes_of(column) if kind in ("bytes", "other") else []
        if sum(sizes) > KEPT_BYTES and max(sizes) > 2**24:
            notes.append(
                f"{column!r} has {sum(sizes) / 2**30:.1f} GB in row groups of up to "
                f"{max(sizes) / 2**20:,.0f} MB. A group is decoded whole for a row of it, so "
                "random order is slow. Write smaller row groups, or train without `shuffle`."
            )
    return notes


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
