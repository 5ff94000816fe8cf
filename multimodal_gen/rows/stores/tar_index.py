"""Where the samples of a tar shard lie in it. Made once, and kept in the user's cache folder."""

from __future__ import annotations

import json
import os
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa

from multimodal_gen.errors import TableError
from multimodal_gen.rows.stores.shards import stamp
from multimodal_gen.rows.stores.tar_columns import ABOUT

KEY = "__key__"
_FORMAT = 3
# How files begin that gzip, bzip2, xz and zstd wrote.
_PACKED = (b"\x1f\x8b", b"BZ", b"\xfd7", b"(\xb5")


class TarIndex:
    """The samples of a shard, in its order.

    Args:
        table: A row a sample: its key, and for each ending the place and size of its file in the
            shard; the size is -1 where a sample has none.
        broken: What is wrong with the shard from some place on, in words; empty if nothing is.
        about: What a shard that was packed says of its columns; else nothing.
    """

    def __init__(self, table: pa.Table, broken: str, about: bytes) -> None:
        self.keys: pa.ChunkedArray = table.column(KEY)
        self.broken, self.about = broken, about
        self.endings = [name[:-5] for name in table.column_names if name.endswith(":size")]
        self._places = {
            ending: (
                table.column(f"{ending}:at").to_numpy(),
                table.column(f"{ending}:size").to_numpy(),
            )
            for ending in self.endings
        }

    def __len__(self) -> int:
        return len(self.keys)

    def has(self, sample: int, endings: Iterable[str]) -> bool:
        """Whether a sample has a file of any of the endings."""
        return any(self.places(one)[1][sample] >= 0 for one in endings)

    def places(self, ending: str) -> tuple[np.ndarray, np.ndarray]:
        """Where the files of an ending begin in the shard, and their sizes in bytes,
        `(samples,) int64` each; the size is -1 where a sample has none.
        """
        if ending not in self._places:
            nothing = np.full(len(self), -1, "int64")
            return nothing, nothing
        return self._places[ending]


def index_of(path: str) -> TarIndex:
    """The index of a shard, from the cache folder if the shard is still the one it was made of.

    Raises:
        TableError: If the shard is no tar file, or is compressed.
    """
    kept = _place_of(path)
    try:
        table = pa.ipc.open_file(pa.memory_map(str(kept))).read_all()
    except (OSError, pa.ArrowException):
        samples, broken = _scanned(path)
        table = _as_table(samples, broken, _about(path))
        _keep(table, kept)
    notes = table.schema.metadata
    return TarIndex(table, notes[b"broken"].decode(), notes[b"about"])


def _scanned(path: str) -> tuple[list[tuple[str, dict[str, tuple[int, int]]]], str]:
    # Files that follow one another with the same key are a sample.
    samples: list[tuple[str, dict[str, tuple[int, int]]]] = []
    broken = ""
    try:
        for member in _members(path):
            key, ending = split_name(member.name)
            if not ending:
                continue
            if not samples or samples[-1][0] != key:
                samples.append((key, {}))
            files = samples[-1][1]
            if ending in files:
                raise TableError(
                    f"A sample of the shard has two files that end in {ending!r}. Received: "
                    f"{member.name!r} in {path!r}"
                )
            files[ending] = (member.offset_data, member.size)
    except _BrokenError as error:
        broken = str(error)
    return samples, broken


class _BrokenError(Exception):
    pass


def _members(path: str) -> Iterator[tarfile.TarInfo]:
    try:
        with tarfile.open(path, "r:") as shard:
            yield from _files_of(shard)
    except tarfile.ReadError as error:
        with open(path, "rb") as file:
            packed = file.read(4)[:2] in _PACKED
        reason = "it is compressed, so its samples cannot be found. Decompress it"
        raise TableError(
            f"The shard cannot be read as tar: {reason if packed else error}. Received: "
            f"path={path!r}"
        ) from error


def _files_of(shard: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    while True:
        try:
            member = shard.next()
        except (tarfile.ReadError, EOFError) as error:
            raise _BrokenError("it ends in the middle of a file") from error
        if member is None:
            _check_end(shard)
            return
        # Otherwise the shard keeps every header.
        shard.members = []  # type: ignore[attr-defined]
        if member.isreg():
            yield member


def _check_end(shard: tarfile.TarFile) -> None:
    # What ends the files: `tarfile` takes anything that is no header for the end.
    shard.fileobj.seek(shard.offset)
    mark = shard.fileobj.read(tarfile.BLOCKSIZE)
    if len(mark) < tarfile.BLOCKSIZE:
        what = "in the middle of a header" if mark else "without the mark of its end"
        raise _BrokenError(f"it ends {what}, at byte {shard.offset + len(mark):,}")
    if mark.strip(b"\0"):
        raise _BrokenError(f"it is damaged: what is at byte {shard.offset:,} is no header")


def split_name(name: str) -> tuple[str, str]:
    """Key and ending of a file in a shard, as WebDataset says: the ending is what follows the first
    dot of the file's name, in lower case. It is empty for files that belong to no sample.
    """
    folder, slash, file = name.rpartition("/")
    stem, dot, ending = file.partition(".")
    if not stem or not dot or (stem.startswith("__") and file.endswith("__")):
        return name, ""
    return f"{folder}{slash}{stem}", ending.lower()


def _about(path: str) -> bytes:
    # It is the first file.
    with (
        open(path, "rb") as file,
        suppress(tarfile.TarError),
        tarfile.open(fileobj=file, mode="r:") as shard,
    ):
        member = shard.next()
        if member is not None and member.name == ABOUT:
            file.seek(member.offset_data)
            return file.read(member.size)
    return b""


def _as_table(
    samples: list[tuple[str, dict[str, tuple[int, int]]]], broken: str, about: bytes
) -> pa.Table:
    endings = list(dict.fromkeys(ending for _, files in samples for ending in files))
    columns: dict[str, pa.Array] = {KEY: pa.array([key for key, _ in samples], pa.large_string())}
    for ending in endings:
        places = [files.get(ending, (-1, -1)) for _, files in samples]
        columns[f"{ending}:at"] = pa.array([at for at, _ in places], pa.int64())
        columns[f"{ending}:size"] = pa.array([size for _, size in places], pa.int64())
    return pa.table(columns).replace_schema_metadata({"broken": broken, "about": about})


def _place_of(path: str) -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    about = json.dumps([_FORMAT, os.path.abspath(path), *stamp(path)])
    digest = blake2b(about.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return Path(root) / "multimodal_gen" / "tar" / f"{digest}.arrow"


def _keep(table: pa.Table, place: Path) -> None:
    # Written under another name first, so that no process finds half of it. Without the file, the
    # shard is read through again next time.
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.NamedTemporaryFile(dir=place.parent, delete=False) as file,
            pa.ipc.new_file(file, table.schema) as writer,
        ):
            writer.write_table(table)
        os.replace(file.name, place)
    except OSError:
        return
