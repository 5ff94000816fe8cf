"""Writers of shards: parquet files, tar shards as WebDataset names their files, parts of Lance."""

from __future__ import annotations

import io
import os
import tarfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from multimodal_gen.rows.stores.parquet import ParquetStore
from multimodal_gen.rows.stores.store import Store
from multimodal_gen.rows.stores.tar import TarStore
from multimodal_gen.rows.stores.tar_columns import ABOUT, TarColumns, check_types, is_file, is_files

# How files begin -> the ending of their format.
_BEGINNINGS = (
    (b"\xff\xd8\xff", "jpg"),
    (b"\x89PNG", "png"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"fLaC", "flac"),
    (b"OggS", "ogg"),
    (b"ID3", "mp3"),
    (b"\x1aE\xdf\xa3", "webm"),
)


class Writer(ABC):
    """Writes shards one after the other, each under another name until it is whole.

    Args:
        schema: Names and types of the columns.
    """

    # Rows that are kept together, and their bytes: small row groups are read fast in any order.
    ROWS, BYTES = 100, 2**25

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema

    @abstractmethod
    def begin(self, file: Path) -> None:
        """Begin a shard.

        Args:
            file: What it will be called.
        """

    @abstractmethod
    def write(self, batch: pa.RecordBatch, rows: list[int]) -> None:
        """Write rows, and their positions in the table."""

    @abstractmethod
    def finish(self) -> dict[str, Any]:
        """End the shard: now it has its name. Returns what the manifest keeps of it."""

    @abstractmethod
    def abandon(self) -> None:
        """Remove the shard that was begun."""

    @abstractmethod
    def opened(self, file: Path, kept: dict[str, Any]) -> tuple[Store, range]:
        """A finished shard, for reading it back, and its rows there.

        Args:
            file: The shard.
            kept: What the manifest keeps of it.

        Raises:
            OSError, TableError: If it is not there, or cannot be read.
        """

    def clear(self, file: Path) -> None:
        """Remove what a run left that finished no shard.

        Args:
            file: The first shard.
        """
        Path(f"{file}.partial").unlink(missing_ok=True)

    def discard(self, file: Path) -> None:
        """Prepare to write a finished shard again."""
        file.unlink(missing_ok=True)

    def complete(self, file: Path, kept: list[dict[str, Any]]) -> None:  # noqa: B027 - optional
        """All shards are there.

        Args:
            file: The last of them.
            kept: What the manifest keeps of each.
        """


class _FileWriter(Writer):
    # Of shards that are a file each.
    _file: Path

    def begin(self, file: Path) -> None:
        """See `Writer.begin`."""
        self._file = file
        self._open(f"{file}.partial")

    def finish(self) -> dict[str, Any]:
        """See `Writer.finish`."""
        self._close()
        path = f"{self._file}.partial"
        # Before it is renamed, so that it is whole also after a power cut.
        with open(path, "rb") as file:
            os.fsync(file.fileno())
        os.replace(path, self._file)
        return {"bytes": os.path.getsize(self._file)}

    def abandon(self) -> None:
        """See `Writer.abandon`."""
        self._close()
        Path(f"{self._file}.partial").unlink(missing_ok=True)

    @abstractmethod
    def _open(self, path: str) -> None: ...

    @abstractmethod
    def _close(self) -> None: ...


class ParquetWriter(_FileWriter):
    """Writes parquet files, a row group for each `write`."""

    def _open(self, path: str) -> None:
        # Pictures are compressed already.
        packed = [one.name for one in self._schema if is_file(one.type) or is_files(one.type)]
        leaves = _leaves(self._schema)
        self._out = parquet.ParquetWriter(
            path,
            self._schema,
            compression={leaf: "none" if name in packed else "snappy" for leaf, name in leaves},
            use_dictionary=[leaf for leaf, name in leaves if name not in packed],
        )

    def _close(self) -> None:
        self._out.close()

    def write(self, batch: pa.RecordBatch, rows: list[int]) -> None:
        """See `Writer.write`."""
        self._out.write_batch(batch, row_group_size=max(len(batch), 1))

    def opened(self, file: Path, kept: dict[str, Any]) -> tuple[Store, range]:
        """See `Writer.opened`."""
        store = ParquetStore([str(file)])
        return store, range(len(store))


class TarWriter(_FileWriter):
    """Writes tar shards: the key of a sample is the position of its row."""

    def __init__(self, schema: pa.Schema) -> None:
        super().__init__(schema)
        check_types(schema)
        self._columns = TarColumns(schema)

    def _open(self, path: str) -> None:
        self._out = tarfile.open(path, "w")  # noqa: SIM115 - closed by `_close`
        self._add(ABOUT, self._columns.written())

    def _close(self) -> None:
        self._out.close()

    def write(self, batch: pa.RecordBatch, rows: list[int]) -> None:
        """See `Writer.write`."""
        cells = [self._columns.to_json(column) for column in batch.columns]
        for place, row in enumerate(rows):
            sample = {name: own[place] for name, own in zip(batch.schema.names, cells, strict=True)}
            for ending, content in self._columns.files_of(sample, ending_of):
                self._add(f"{row:09}.{ending}", content)

    def _add(self, name: str, content: bytes) -> None:
        # Without owner or time, so that the same rows are the same bytes.
        about = tarfile.TarInfo(name)
        about.size = len(content)
        self._out.addfile(about, io.BytesIO(content))

    def opened(self, file: Path, kept: dict[str, Any]) -> tuple[Store, range]:
        """See `Writer.opened`."""
        store = TarStore([str(file)])
        return store, range(len(store))


def ending_of(content: bytes) -> str:
    """The ending of a file's format, without the point; "bin" for one that is not known."""
    for beginning, ending in _BEGINNINGS:
        if content.startswith(beginning):
            return ending
    if content[:4] == b"RIFF":
        return {b"WEBP": "webp", b"WAVE": "wav"}.get(content[8:12], "bin")
    if content[4:8] == b"ftyp":
        return "avif" if content[8:12] in (b"avif", b"avis") else "mp4"
    return "mp3" if content[:1] == b"\xff" and content[1:2] >= b"\xe0" else "bin"


def _leaves(schema: pa.Schema) -> list[tuple[str, str]]:
    # Parquet's name of each innermost column of lists and mappings, and the column that it is of.
    file = io.BytesIO()
    with parquet.ParquetWriter(file, schema):
        pass
    leaves = parquet.ParquetFile(file).schema
    paths = [leaves.column(place).path for place in range(len(leaves))]
    names = schema.names
    return [(path, path if path in names else path.partition(".")[0]) for path in paths]
