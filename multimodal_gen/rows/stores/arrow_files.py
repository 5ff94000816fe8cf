"""Arrow files, and datasets that Hugging Face's `save_to_disk` wrote: mapped from disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from multimodal_gen.errors import TableError
from multimodal_gen.rows.stores.arrow import ArrowStore
from multimodal_gen.rows.stores.shards import check_unchanged, fingerprint_of, stamp

# What every file of the Arrow file format begins with; the stream format has no such mark.
_MAGIC = b"ARROW1"


class ArrowFileStore(ArrowStore):
    """Arrow files with the same columns, one after the other, in the file or the stream format.

    Args:
        paths: The files, uncompressed.

    Raises:
        TableError: If one cannot be read, or has other columns than the first.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = list(paths)
        self._stamps = [stamp(path) for path in paths]
        self._pieces = [_mapped(path) for path in self._paths]
        schema = self._pieces[0].schema
        for path, piece in zip(self._paths, self._pieces, strict=True):
            if not piece.schema.equals(schema):
                raise TableError(
                    "The files of a table must have the same columns, of the same types. Received: "
                    f"{path!r} has {_words(piece.schema)}, and {self._paths[0]!r} has "
                    f"{_words(schema)}"
                )
        super().__init__(schema, list(map(len, self._pieces)))

    def piece(self, number: int, column: str, keep: bool = True) -> pa.ChunkedArray:
        """See `ArrowStore.piece`."""
        # Bytes that are mapped change with the file.
        check_unchanged(self._paths[number], self._stamps[number])
        return self._pieces[number].column(column)

    def origin(self, column: str, row: int) -> str:
        """See `Store.origin`."""
        number, offset = self.pieces.place_of(row)
        return f"{self._paths[number]}::row {offset}"

    def fingerprint(self) -> str:
        """See `Store.fingerprint`."""
        return fingerprint_of(self._paths, self._stamps)

    def reopen(self) -> tuple[Callable[..., ArrowFileStore], tuple[Any, ...]]:
        """See `Store.reopen`."""
        return ArrowFileStore, (self._paths,)


def files_of_dataset(folder: Path) -> dict[str | None, list[str]] | None:
    """The Arrow files of a folder that Hugging Face's `save_to_disk` wrote: part -> files.

    Args:
        folder: Any folder.

    Returns:
        The parts of a `DatasetDict` by name; a `Dataset` has the one name None. None if the folder
        is neither.

    Raises:
        TableError: If a file that the folder's state names is missing.
    """
    parts = folder / "dataset_dict.json"
    if parts.exists():
        names = json.loads(parts.read_text("utf-8"))["splits"]
        return {name: _files_of_state(folder / name) for name in names}
    return {None: _files_of_state(folder)} if (folder / "state.json").exists() else None


def _files_of_state(folder: Path) -> list[str]:
    state = json.loads((folder / "state.json").read_text("utf-8"))
    files = [folder / one["filename"] for one in state["_data_files"]]
    for file in files:
        if not file.exists():
            raise TableError(
                f"A file of the dataset is missing: {file.name!r}. Received: path={str(folder)!r}"
            )
    return list(map(str, files))


def _mapped(path: str) -> pa.Table:
    try:
        source = pa.memory_map(path)
        start = source.read(len(_MAGIC))
        source.seek(0)
        if start == _MAGIC:
            opened = pa.ipc.open_file(source)
            return pa.Table.from_batches(
                [opened.get_batch(number) for number in range(opened.num_record_batches)],
                opened.schema,
            )
        return pa.ipc.open_stream(source).read_all()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise TableError(
            f"The file cannot be read as Arrow: {' '.join(str(error).split()).rstrip('.')}. "
            f"Received: path={path!r}"
        ) from error


def _words(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} ({field.type})" for field in schema)
