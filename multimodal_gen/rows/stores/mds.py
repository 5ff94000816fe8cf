"""Datasets of MDS shards, as MosaicML's `streaming` writes them: an `index.json` beside the shards.

A shard begins with the number of its samples and where each begins, so that a cell is found without
reading through it, and without the threads and the shared memory of that library.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from multimodal_gen.errors import LoadError, TableError, shown
from multimodal_gen.rows.stores.mds_cells import Encoding, encoding_of
from multimodal_gen.rows.stores.pieces import Pieces
from multimodal_gen.rows.stores.shards import fingerprint_of, stamp, unchanged
from multimodal_gen.rows.stores.store import Store

INDEX = "index.json"
# Places and sizes in a shard.
_NUMBER = np.dtype("<u4")
# Names of missing shards that an error lists.
_SHOWN = 3


class MDSStore(Store):
    """The shards that an index names, one after the other.

    Args:
        paths: The index, or the folder that has it, as the only item.

    Raises:
        TableError: If there is no index, or it cannot be read; if a shard is missing, is compressed
            or has another size than the index says; or if shards have other columns than the first.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        if len(paths) != 1:
            raise TableError(
                "A dataset of MDS shards is named by its folder or its index. Open several and "
                f"join them with `pd.concat`. Received: {list(paths)}"
            )
        (path,) = paths
        self._index = path if not os.path.isdir(path) else os.path.join(path, INDEX)
        shards = _shards_of(self._index)
        self._names: list[str] = shards[0]["column_names"]
        self._sizes: list[int | None] = shards[0]["column_sizes"]
        encodings: list[str] = shards[0]["column_encodings"]
        for shard in shards:
            if shard["column_names"] != self._names or shard["column_encodings"] != encodings:
                raise TableError(
                    "The shards of a table must have the same columns, of the same types. "
                    f"Received: {shard['raw_data']['basename']!r} has other columns than the first "
                    f"shard in {self._index!r}"
                )
        self._encodings: dict[str, Encoding] = {}
        for name, words in zip(self._names, encodings, strict=True):
            encoding = encoding_of(words)
            if encoding is None:
                self.notes = (*self.notes, _unread(name, words))
            else:
                self._encodings[name] = encoding
        self.columns: Mapping[str, str] = {
            name: encoding.kind for name, encoding in self._encodings.items()
        }
        folder = os.path.dirname(self._index)
        self._paths = [os.path.join(folder, one["raw_data"]["basename"]) for one in shards]
        self._counts = [int(one["samples"]) for one in shards]
        self._pieces = Pieces(self._counts)
        _check_shards(shards, self._paths, self._index)
        self._stamps = [stamp(one) for one in self._paths]

    def __len__(self) -> int:
        return len(self._pieces)

    def cells(self, column: str, rows: np.ndarray) -> list[Any]:
        """See `Store.cells`."""
        found: list[Any] = [None] * len(rows)
        for shard, places, own in self._pieces.of(rows):
            with unchanged(self._paths[shard], self._stamps[shard]) as file:
                for place, row in zip(places.tolist(), own.tolist(), strict=True):
                    found[place] = self._cell(file.fileno(), shard, row, column)
        return found

    def missing(self, column: str, rows: np.ndarray) -> np.ndarray:
        """See `Store.missing`. A sample has every column; only what JSON says may be null."""
        if self.columns[column] in ("float", "other"):
            return super().missing(column, rows)
        return np.zeros(len(rows), bool)

    def origin(self, column: str, row: int) -> str:
        """See `Store.origin`."""
        shard, own = self._pieces.place_of(row)
        return f"{self._paths[shard]}::sample {own}"

    def fingerprint(self) -> str:
        """See `Store.fingerprint`."""
        return fingerprint_of(self._paths, self._stamps)

    def reopen(self) -> tuple[Callable[..., MDSStore], tuple[Any, ...]]:
        """See `Store.reopen`."""
        return MDSStore, ([self._index],)

    def _cell(self, file: int, shard: int, row: int, column: str) -> Any:
        try:
            return self._encodings[column].read(self._content(file, shard, row, column))
        # What a decoder raises of wrong bytes is of many kinds.
        except Exception as error:
            raise LoadError(
                f"{column!r} of sample {row:,} of the shard cannot be read: "
                f"{' '.join(str(error).split())}",
                path=self._paths[shard],
            ) from error

    def _content(self, file: int, shard: int, row: int, column: str) -> bytes:
        places = _numbers(file, _NUMBER.itemsize * (1 + row), 2)
        begin, end = int(places[0]), int(places[1])
        size, least = self._stamps[shard][0], _NUMBER.itemsize * (2 + self._counts[shard])
        if not least <= begin <= end <= size:
            raise ValueError(f"it is said to be at bytes {begin:,} to {end:,} of {size:,}")
        # A sample begins with the sizes of its columns that have no fixed one.
        open_ones = [place for place, one in enumerate(self._sizes) if not one]
        sizes = [one or 0 for one in self._sizes]
        own = _numbers(file, begin, len(open_ones)).tolist()
        for place, one in zip(open_ones, own, strict=True):
            sizes[place] = one
        start = begin + _NUMBER.itemsize * len(open_ones)
        if start + sum(sizes) != end:
            raise ValueError(
                f"its columns have {sum(sizes):,} bytes together, and it has {end - start:,}"
            )
        number = self._names.index(column)
        return os.pread(file, sizes[number], start + sum(sizes[:number]))


def _numbers(file: int, start: int, count: int) -> np.ndarray:
    content = os.pread(file, _NUMBER.itemsize * count, start)
    if len(content) < _NUMBER.itemsize * count:
        raise ValueError("the file ends before it")
    return np.frombuffer(content, _NUMBER)


def is_index(path: Path) -> bool:
    """Whether a file is the index of a dataset of MDS shards, or of one in another format of
    `streaming`.
    """
    if path.name != INDEX or not path.is_file():
        return False
    try:
        index = json.loads(path.read_text("utf-8"))
    except ValueError:
        return False
    return isinstance(index, dict) and isinstance(index.get("shards"), list) and "version" in index


def _shards_of(path: str) -> list[dict[str, Any]]:
    if not is_index(Path(path)):
        found = "is no such index" if os.path.exists(path) else "does not exist"
        raise TableError(
            "A dataset of MDS shards has an index.json with the names of its shards. Where each "
            "part has a folder, open that. Received: "
            f"{path!r} {found}"
        )
    index = json.loads(Path(path).read_text("utf-8"))
    shards: list[dict[str, Any]] = index["shards"]
    if not shards:
        raise TableError(f"The dataset has no shards. Received: path={path!r}")
    for shard in shards:
        _check_about(shard, path)
    return shards


def _check_about(shard: Any, path: str) -> None:
    try:
        known = (shard["version"], shard["format"])
        name = shard["raw_data"]["basename"]
        columns = {key: shard[f"column_{key}"] for key in ("names", "encodings", "sizes")}
        int(shard["samples"]), int(shard["raw_data"]["bytes"])
        whole = known != (2, "mds") or len(set(map(len, columns.values()))) == 1
    except (TypeError, KeyError, ValueError):
        whole, known, name = False, (2, "mds"), ""
    if known != (2, "mds"):
        raise TableError(
            "Only shards of the format 'mds', version 2, can be read; write others anew with "
            f"`MDSWriter`. Received: format {known[1]!r}, version {known[0]!r} in {path!r}"
        )
    if not whole:
        raise TableError(
            f"The index cannot be read: a shard lacks something. Received: {shown(shard)} in "
            f"{path!r}"
        )
    # An index of a stranger must not name files elsewhere.
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise TableError(
            f"A shard must be in the folder of its index. Received: {name!r} in {path!r}"
        )


def _check_shards(shards: list[dict[str, Any]], paths: list[str], index: str) -> None:
    missing = []
    for shard, path in zip(shards, paths, strict=True):
        try:
            size = os.path.getsize(path)
        except OSError:
            missing.append((shard, path))
            continue
        said = int(shard["raw_data"]["bytes"])
        if size != said:
            raise TableError(
                f"A shard has {size:,} bytes, and the index says {said:,}: it is cut off, or is "
                f"another one. Get it anew. Received: {path!r}"
            )
    packed = [
        os.path.join(os.path.dirname(index), shard["zip_data"]["basename"])
        for shard, _ in missing
        if shard.get("zip_data")
    ]
    packed = [one for one in packed if os.path.exists(one)]
    if packed:
        raise TableError(
            "Rows of a compressed shard cannot be found. Decompress the shards beside them, as "
            f"{os.path.basename(missing[0][1])!r} and so on. Received: {packed[0]!r}"
        )
    if missing:
        names = ", ".join(repr(path) for _, path in missing[:_SHOWN])
        more = f" and {len(missing) - _SHOWN:,} more" if len(missing) > _SHOWN else ""
        raise TableError(
            f"{len(missing):,} of {len(shards):,} shards that the index names are missing: {names}"
            f"{more}. Get them. Received: path={index!r}"
        )


def _unread(name: str, words: str) -> str:
    if words == "pkl":
        return (
            f"The column {name!r} is left out: it is pickled, and reading it would run what is in "
            "it. Write it as 'json' or 'ndarray'"
        )
    return f"The column {name!r} is left out: its encoding {words!r} is not known"
