"""The cache as others see it: `ArrayCache(directory).of(loader).read(cell)` in place of
`loader.read(cell)`.
"""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import Any

import numpy as np

from multimodal_gen.batch.cache.folder import Folder, LimitReachedError, size_of
from multimodal_gen.batch.cache.keys import key_of, settings_of, settle
from multimodal_gen.batch.cache.segments import Layout
from multimodal_gen.loaders.base import Loader

_MANY = 64
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class ArrayCache:
    """A directory of arrays that loaders have read. Threads and processes may use it at the same
    time.

    Nothing is read or written before the first cell is. What cannot be written is read anew each
    time, and one warning says why.

    Args:
        directory: Where the arrays are kept. It may be deleted when nobody uses it.
        limit: Bytes that all files in it may take together; None for no limit but the disk's.
    """

    def __init__(self, directory: str | os.PathLike[str], *, limit: int | None = None) -> None:
        if limit is not None and (
            isinstance(limit, bool) or not isinstance(limit, int) or limit < 1
        ):
            raise ValueError(
                f"`cache_limit` must be a positive number of bytes. Received: cache_limit={limit!r}"
            )
        if not os.fspath(directory):
            raise ValueError(
                "`cache` must be a directory, or None for no cache. Received: cache=''"
            )
        self.directory = os.path.abspath(directory)
        if os.path.exists(self.directory) and not os.path.isdir(self.directory):
            raise NotADirectoryError(
                f"`cache` must be a directory. Received: cache={os.fspath(directory)!r}, a file"
            )
        self.limit = limit
        self._rows = 0
        # Taken by the one thread that warns. No locks here: a child that is forked meanwhile would
        # wait for ever.
        self._warnings = [1]
        self._caches: dict[str, LoaderCache] = {}

    def of(self, loader: Loader, *, num_rows: int = 0) -> LoaderCache | None:
        """The cache of one loader, shared by all whose `read` depends on the same settings.

        Args:
            loader: The loader.
            num_rows: How many cells there will be, where it is known; told to who has set the limit
                too low.

        Returns:
            Something with a `read` that gives the same arrays; None if the loader's are not worth
            keeping.
        """
        source = loader.cached_by
        try:
            settings = _settings(loader)
        except TypeError as error:
            self.warn(error)
            return None
        if settings is None:
            return None
        self._rows = max(self._rows, num_rows)
        if settings not in self._caches:
            name = (
                f"{type(source).__name__}-{blake2b(settings.encode(), digest_size=8).hexdigest()}"
            )
            layout = Layout(source.spec.shape, source.spec.dtype)
            folder = Folder(self.directory, name, settings, layout, self.limit)
            self._caches.setdefault(settings, LoaderCache(self, source, folder))
        shared = self._caches[settings]
        return shared if source is loader else LoaderCache(self, loader, shared.folder)

    @property
    def incomplete(self) -> bool:
        """Whether something could not be kept, of which a warning has told."""
        return not self._warnings

    def size(self) -> int:
        """Bytes that the directory takes now."""
        return size_of(self.directory)

    def close(self) -> None:
        """Finish what is being written. It is done at the end of the process too; reading may go
        on.
        """
        for cache in list(self._caches.values()):
            cache.folder.close()

    def warn(self, error: Exception) -> None:
        """Say, once, why something is not kept."""
        try:
            self._warnings.pop()
        except IndexError:
            return
        if isinstance(error, LimitReachedError):
            state = (
                f"has reached its limit.{self._needed()} Give a higher `cache_limit`, or delete "
                "the folders in it of settings that you use no more."
            )
            received = f"cache_limit={self.limit}"
        elif isinstance(error, OSError) and error.errno in _FULL:
            state = "is on a full disk. Make room, give another directory, or set a `cache_limit`."
            received = str(error)
        else:
            state = "cannot be used in full."
            received = str(error)
        text = (
            f"The cache {self.directory!r} {state} What is not in it is read anew each time. "
            f"Received: {received}"
        )
        warnings.warn(text, stacklevel=2)

    def _needed(self) -> str:
        size = self._rows * sum(
            cache.folder.layout.row_bytes for cache in list(self._caches.values())
        )
        return (
            f" The {self._rows:,} rows of the table would take about {as_text(size)}."
            if size
            else ""
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _open, (self.directory, self.limit)

    def __repr__(self) -> str:
        return f"ArrayCache({self.directory!r}, limit={self.limit})"


class LoaderCache:
    """Reads cells as a loader does, and keeps what it gave. Made by `ArrayCache.of`.

    Args:
        cache: The cache that it belongs to.
        loader: Whose `read` is meant.
        folder: Where arrays of `loader.cached_by` are kept.
    """

    def __init__(self, cache: ArrayCache, loader: Loader, folder: Folder) -> None:
        self.cache, self.loader, self.folder = cache, loader, folder
        self._source = loader.cached_by
        self._derived = self._source is not loader
        self._writing = True
        self._found = 0

    @property
    def warm(self) -> bool:
        """Whether the last cells were all kept, so that `gather` is worth trying."""
        return self._found >= _MANY and not self._derived

    def gather(self, cells: Sequence[Any]) -> np.ndarray | None:
        """What `read_batch` gives as one new array `(cells, *shape)`, if all of it is kept;
        otherwise None.
        """
        keys = [key for key in (key_of(self._source, cell) for cell in cells) if key is not None]
        gathered = self.folder.gather(keys) if len(keys) == len(cells) else None
        if gathered is None:
            self._found = 0
        return gathered

    def read(self, cell: Any) -> np.ndarray:
        """The array that `loader.read(cell)` gives; a read-only view of a file where it is kept.

        Cells that were varied at random (`augment_cell`) are for the loader itself: they would fill
        the disk.
        """
        source = self._source
        key = key_of(source, cell)
        array = None if key is None else self.folder.find(key)
        # Threads may count too few: that costs a little time, and nothing else.
        self._found = 0 if array is None else self._found + 1
        if array is None:
            array = source.read(cell) if key is None else self._read_new(cell, key)
        return self.loader.from_cached(array) if self._derived else array

    def read_batch(self, cells: Sequence[Any]) -> list[np.ndarray]:
        """What `loader.read_batch(cells)` gives; those that are not kept are read in one go."""
        keys = [key_of(self._source, cell) for cell in cells]
        arrays = [None if key is None else self.folder.find(key) for key in keys]
        missing = [position for position, array in enumerate(arrays) if array is None]
        if missing:
            self._look()
            for position in missing:
                self._settle(cells[position], keys[position])
            read = self._source.read_batch([cells[position] for position in missing])
            for position, array in zip(missing, read, strict=True):
                self._keep(cells[position], keys[position], array)
                arrays[position] = array
        found = [array for array in arrays if array is not None]
        return [self.loader.from_cached(array) for array in found] if self._derived else found

    def _read_new(self, cell: Any, key: bytes) -> np.ndarray:
        self._look()
        array = self.folder.find(key)
        if array is None:
            self._settle(cell, key)
            array = self._source.read(cell)
            self._keep(cell, key, array)
        return array

    def _settle(self, cell: Any, key: bytes | None) -> None:
        if self._writing and key is not None:
            settle(self._source, cell)

    def _look(self) -> None:
        try:
            self.folder.look()
        except OSError as error:
            self.cache.warn(error)

    def _keep(self, cell: Any, key: bytes | None, array: np.ndarray) -> None:
        spec = self._source.spec
        if (
            key is None
            or not self._writing
            or array.shape != spec.shape
            or array.dtype != spec.dtype
        ):
            return
        # A file that was changed while it was read has another key by now.
        if key_of(self._source, cell) != key:
            return
        try:
            self.folder.store(key, array)
        except (LimitReachedError, OSError) as error:
            self._writing = False
            self.folder.close()
            self.cache.warn(error)

    def __reduce__(self) -> tuple[Any, ...]:
        return _of, (self.cache, self.loader)


def estimate(loaders: Iterable[Loader], num_rows: int) -> int:
    """Bytes that a cache of so many rows takes, what two loaders share counted once."""
    rows: dict[str, int] = {}
    for loader in loaders:
        with suppress(TypeError):
            settings, spec = _settings(loader), loader.cached_by.spec
            if settings is not None:
                rows[settings] = Layout(spec.shape, spec.dtype).row_bytes
    return num_rows * sum(rows.values())


def as_text(size: int) -> str:
    """A number of bytes for people, as in "1.2 GB"."""
    units = ("bytes", "kB", "MB", "GB", "TB")
    number, unit = float(size), 0
    while number >= 999.5 and unit < len(units) - 1:
        number, unit = number / 1000, unit + 1
    return f"{number:.{0 if unit == 0 or number >= 99.5 else 1}f} {units[unit]}"


def _settings(loader: Loader) -> str | None:
    source = loader.cached_by
    dtype = np.dtype(source.spec.dtype)
    kept = loader.cached and source.cached and not dtype.hasobject and dtype.itemsize > 0
    # Nothing tells which parts of a tuple name files.
    return settings_of(source) if kept and isinstance(source.column, str) else None


def _open(directory: str, limit: int | None) -> ArrayCache:
    return ArrayCache(directory, limit=limit)


def _of(cache: ArrayCache, loader: Loader) -> LoaderCache | None:
    return cache.of(loader)
