"""Tar shards, as WebDataset writes them, as a table: a row a sample, a column an ending."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm.auto import tqdm

from multimodal_gen.errors import LoadError, by_number, counted
from multimodal_gen.rows.formats.folders import IMAGE_SUFFIXES
from multimodal_gen.rows.stores.arrow import kind_of, plain_cells
from multimodal_gen.rows.stores.pieces import Pieces
from multimodal_gen.rows.stores.shards import fingerprint_of, stamp, unchanged
from multimodal_gen.rows.stores.store import Store
from multimodal_gen.rows.stores.tar_columns import JSON, TarColumns, is_file, is_files
from multimodal_gen.rows.stores.tar_index import KEY, index_of

PICTURE = "image"
_TEXTS = ("txt", "text", "caption", "transcript", "html")
_NUMBERS = ("cls", "cls2", "index", "inx", "id", "count")
_JSON = ("json", "jsn")
# From so many endings with a dot on, names have probably one that should not count.
_TOO_MANY = 24
# Seconds after which a bar shows how many shards have been read through.
_PATIENCE = 2.0


class TarStore(Store):
    """Tar shards, one after the other.

    The columns are the key of a sample, and the endings of its files: texts for .txt and the like,
    whole numbers for .cls, arrays for .npy, bytes for everything else. A .json file has a column
    for itself, and one for each name in that of the first sample. Where pictures end differently
    from sample to sample, as .jpg and .png, one column "image" has them all. Shards that this
    package packed say themselves which columns they have.

    Args:
        paths: The shards, not compressed.

    Raises:
        TableError: If one cannot be read.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = list(paths)
        self._stamps = [stamp(path) for path in self._paths]
        self._indexes = [
            index_of(path)
            for path in tqdm(self._paths, "reading shards", leave=False, delay=_PATIENCE)
        ]
        self._pieces = Pieces(map(len, self._indexes))
        endings = list(dict.fromkeys(end for one in self._indexes for end in one.endings))
        # Column -> the endings whose files it has, and the name inside of them, if any.
        self._files: dict[str, tuple[list[str], str | None]] = {}
        self.columns = {KEY: "text"}
        self.notes = tuple(self._broken())
        # What they say of their columns, if all say the same.
        about = {one.about for one in self._indexes}
        self._packed = TarColumns.read(about.pop()) if len(about) == 1 else None
        if self._packed is not None:
            self._add_packed(self._packed, endings)
            return
        self.notes += tuple(_many_of_one_key(endings))
        pictures = [one for one in endings if f".{one}" in IMAGE_SUFFIXES]
        if len(pictures) > 1 and not self._together(pictures):
            self._add(PICTURE, "bytes", pictures)
            endings = [one for one in endings if one not in pictures]
        for ending in endings:
            self._add(ending, _kind_of(ending), [ending])
        for ending in endings:
            if _last(ending) in _JSON:
                self._add_fields(ending)

    def __len__(self) -> int:
        return len(self._pieces)

    def cells(self, column: str, rows: np.ndarray) -> list[Any]:
        """See `Store.cells`."""
        found: list[Any] = [None] * len(rows)
        for shard, places, own in self._pieces.of(rows):
            cells = self._of_shard(column, shard, own)
            for place, cell in zip(places.tolist(), cells, strict=True):
                found[place] = cell
        return found

    def missing(self, column: str, rows: np.ndarray) -> np.ndarray:
        """See `Store.missing`. A sample without the file lacks the cell."""
        if column not in self._files:
            return np.zeros(len(rows), bool)
        endings, name = self._files[column]
        gone, lost = [], []
        for one in self._indexes:
            gone.append(np.all([one.places(ending)[1] < 0 for ending in endings], axis=0))
            lost.append(np.zeros(len(one), bool))
            if one.broken:
                # Its last sample may have had it.
                lost[-1][-1:] = gone[-1][-1:]
        found, unknown = np.concatenate(gone)[rows], np.concatenate(lost)[rows]
        if name is not None:
            found[~unknown] = super().missing(column, rows[~unknown])
        return found & ~unknown

    def origin(self, column: str, row: int) -> str:
        """See `Store.origin`."""
        shard, own = self._pieces.place_of(row)
        index = self._indexes[shard]
        endings = [] if column == KEY else self._files[column][0]
        there = [one for one in endings if index.places(one)[1][own] >= 0]
        return "".join([f"{self._paths[shard]}::{index.keys[own]}", *(f".{one}" for one in there)])

    def fingerprint(self) -> str:
        """See `Store.fingerprint`."""
        return fingerprint_of(self._paths, self._stamps)

    def reopen(self) -> tuple[Callable[..., TarStore], tuple[Any, ...]]:
        """See `Store.reopen`."""
        return TarStore, (self._paths,)

    def _together(self, endings: list[str]) -> bool:
        # Whether a sample has files of several of the endings.
        return any(
            (np.sum([one.places(ending)[1] >= 0 for ending in endings], axis=0) > 1).any()
            for one in self._indexes
        )

    def _add(self, column: str, kind: str, endings: list[str], name: str | None = None) -> None:
        self.columns = {**self.columns, column: kind}
        self._files[column] = endings, name

    def _add_packed(self, packed: TarColumns, endings: list[str]) -> None:
        self.columns = {}
        for one in packed.schema:
            if is_file(one.type):
                self._add(one.name, "bytes", packed.endings_of(one.name, endings))
            else:
                self._add(one.name, kind_of(one.type), [JSON], one.name)

    def _add_fields(self, ending: str) -> None:
        for shard, index in enumerate(self._indexes):
            rows = np.flatnonzero(index.places(ending)[1] >= 0)
            if not len(rows):
                continue
            try:
                (first,) = self._of_shard(ending, shard, rows[:1])
            except LoadError:
                return
            for name, value in first.items() if isinstance(first, dict) else ():
                if name not in self.columns:
                    self._add(name, _kind_of_value(value), [ending], name)
            return

    def _of_shard(self, column: str, shard: int, rows: np.ndarray) -> list[Any]:
        if column not in self._files:
            return self._indexes[shard].keys.take(rows).to_pylist()
        endings, name = self._files[column]
        cells: list[Any] = [None] * len(rows)
        index = self._indexes[shard]
        if index.broken and len(index) - 1 in rows and not index.has(len(index) - 1, endings):
            key = index.keys[-1].as_py()
            raise LoadError(
                f"the shard is not whole, and {key!r} is its last sample, of which it has no file "
                f"for {column!r}. Get it anew, or drop the row",
                path=self._paths[shard],
            )
        for place, ending, content in self._contents(shard, rows, endings):
            cells[place] = self._cell(content, shard, int(rows[place]), ending, name)
        if self._packed is None or name is None:
            return cells
        if is_files(self._packed.schema.field(column).type):
            return self._lists(self._packed, column, shard, rows, cells)
        try:
            return plain_cells(self._packed.from_json(column, cells))
        except (ValueError, TypeError, pa.ArrowException) as error:
            raise LoadError(
                f"cells of {column!r} are not of its type: {error}", path=self._paths[shard]
            ) from error

    def _lists(
        self, packed: TarColumns, column: str, shard: int, rows: np.ndarray, counts: list[Any]
    ) -> list[Any]:
        # The .json has the number of files, as a list may be missing or empty.
        found: list[Any] = [None if one is None else [None] * one for one in counts]
        endings = packed.endings_of(column, self._indexes[shard].endings)
        for place, ending, content in self._contents(shard, rows, endings):
            own = found[place]
            if own is not None:
                own[packed.place_of(ending)] = content
        return found

    def _contents(
        self, shard: int, rows: np.ndarray, endings: Sequence[str]
    ) -> Iterator[tuple[int, str, bytes]]:
        # Place in `rows`, ending and content of each file.
        index = self._indexes[shard]
        with unchanged(self._paths[shard], self._stamps[shard]) as file:
            for ending in endings:
                starts, sizes = index.places(ending)
                for place, row in enumerate(rows.tolist()):
                    if sizes[row] >= 0:
                        yield (
                            place,
                            ending,
                            self._content(
                                file.fileno(), int(starts[row]), int(sizes[row]), shard, row, ending
                            ),
                        )

    def _content(
        self, file: int, start: int, size: int, shard: int, row: int, ending: str
    ) -> bytes:
        # Positions are given, so that threads do not need a file each.
        content = os.pread(file, size, start)
        while 0 < len(content) < size:
            more = os.pread(file, size - len(content), start + len(content))
            if not more:
                break
            content += more
        if len(content) < size:
            raise self._error(
                f"the shard ends after {len(content):,} of its {size:,} bytes", shard, row, ending
            )
        return content

    def _cell(self, content: bytes, shard: int, row: int, ending: str, name: str | None) -> Any:
        try:
            cell = _decoded(content, _last(ending))
        except ValueError as error:
            raise self._error(
                f"what it holds is not .{_last(ending)}: {error}", shard, row, ending
            ) from error
        if name is None:
            return cell
        return cell.get(name) if isinstance(cell, dict) else None

    def _error(self, reason: str, shard: int, row: int, ending: str) -> LoadError:
        key = self._indexes[shard].keys[row].as_py()
        return LoadError(f"{key}.{ending}: {reason}", path=self._paths[shard])

    def _broken(self) -> list[str]:
        found = [
            f"{path!r} ({one.broken})"
            for path, one in zip(self._paths, self._indexes, strict=True)
            if one.broken
        ]
        if not found:
            return []
        return [
            f"{counted(len(found), 'shard')} {by_number(len(found), 'is', 'are')} not whole, and "
            f"what came after is lost: {', '.join(found[:3])}. Get "
            f"{by_number(len(found), 'it', 'them')} anew, or go on with the rows there are."
        ]


def _many_of_one_key(endings: Sequence[str]) -> list[str]:
    # Endings such as "00017.jpg", where the dot before them was a part of the name.
    dotted = [one for one in endings if "." in one]
    if len(dotted) < _TOO_MANY:
        return []
    return [
        "The key of a sample ends at the first dot of a file's name, so that each of "
        f"{len(dotted)} endings such as {dotted[0]!r} is a column. If they are samples, write the "
        "files with names that have no dot before that of the ending."
    ]


def _decoded(content: bytes, ending: str) -> Any:
    if ending in _TEXTS:
        return content.decode("utf-8")
    if ending in _NUMBERS:
        return int(content)
    if ending in _JSON:
        return json.loads(content)
    if ending == "npy":
        # Objects in such a file would be code that runs.
        return np.load(io.BytesIO(content), allow_pickle=False)
    return content


def _last(ending: str) -> str:
    return ending.rpartition(".")[2]


def _kind_of(ending: str) -> str:
    last = _last(ending)
    if last in _TEXTS:
        return "text"
    return "int" if last in _NUMBERS else "other" if last in (*_JSON, "npy") else "bytes"


def _kind_of_value(value: Any) -> str:
    # bool first, as it is a kind of int.
    kinds = {bool: "bool", int: "int", float: "float", str: "text"}
    return next((kind for of, kind in kinds.items() if isinstance(value, of)), "other")
