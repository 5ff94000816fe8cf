"""The interface of the cache: `ArrayCache(directory).of(loader)` reads cells as `loader` does."""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Sequence
from functools import partial
from hashlib import blake2b
from typing import Any

import numpy as np

from multimodal_gen.batch.cache.folder import Folder, LimitReachedError, size_of
from multimodal_gen.batch.cache.items import ItemsCache
from multimodal_gen.batch.cache.keys import kept_settings, key_of, settle
from multimodal_gen.batch.cache.segments import Layout
from multimodal_gen.batch.cache.sizes import as_text
from multimodal_gen.loaders.base import Loader
from multimodal_gen.rows.checks import check_positive

# This many cells found in a row make it likely that the next batch is complete.
_MANY = 64
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class ArrayCache:
    """A directory of arrays that loaders have read, for several threads and processes at once.

    Nothing is read or written before the first cell. Arrays that cannot be written are read again
    each time, and one warning says why.

    Args:
        directory: Where the arrays are kept. It may be deleted while it is not in use.
        limit: Maximum bytes of all files in it; None for no limit.
    """

    def __init__(self, directory: str | os.PathLike[str], *, limit: int | None = None) -> None:
        if limit is not None:
            check_positive(cache_limit=limit)
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
        # The thread that pops the item is the one that warns. Not a lock: a child forked while it
        # is held would wait forever.
        self._warnings = [1]
        self._caches: dict[str, LoaderCache] = {}

    def of(self, loader: Loader, *, num_rows: int = 0, settings: str | None = None) -> Any:
        """Return the cache of a loader, shared by all loaders whose `read` has the same settings.

        Args:
            loader: The loader.
            num_rows: Number of cells, if known; used in the warning when `cache_limit` is too
                small.
            settings: The settings of its `read`, if they are known from another process. There, the
                code of a class may not be found.

        Returns:
            An object whose `read` gives the same arrays, a `LoaderCache` or `ItemsCache`; None if
            they are not worth keeping.
        """
        if loader.item is not None:
            items = self.of(loader.item, num_rows=num_rows)
            return None if items is None else ItemsCache(items, loader)
        source = loader.cached_by
        try:
            settings = kept_settings(loader) if settings is None else settings
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
            layout = Layout(source.read_spec.shape, source.read_spec.dtype)
            folder = Folder(self.directory, name, settings, layout, self.limit)
            # `setdefault`, because another thread may have made it meanwhile.
            self._caches.setdefault(settings, LoaderCache(self, source, folder))
        shared = self._caches[settings]
        # A loader around another one turns what that one reads into its own arrays.
        return shared if source is loader else LoaderCache(self, loader, shared.folder)

    def look_again(self) -> None:
        """Let the next cells that are not known be looked for in what other processes wrote."""
        for cache in list(self._caches.values()):
            cache.folder.look_again()

    @property
    def incomplete(self) -> bool:
        """Whether something could not be kept, as a warning has reported."""
        return not self._warnings

    def size(self) -> int:
        """Return the current size of the directory in bytes."""
        return size_of(self.directory)

    def close(self) -> None:
        """Finish writing, as the end of the process does too. Reading may continue."""
        for cache in list(self._caches.values()):
            cache.folder.close()

    def warn(self, error: Exception) -> None:
        """Warn once that something is not kept, and why."""
        try:
            self._warnings.pop()
        except IndexError:
            return
        if isinstance(error, LimitReachedError):
            state = (
                f"has reached its limit.{self._needed()} Set a higher `cache_limit`, or delete "
                "its folders of settings that you no longer use."
            )
            received = f"cache_limit={self.limit}"
        elif isinstance(error, OSError) and error.errno in _FULL:
            state = (
                "is on a full disk. Free some space, use another directory, or set a `cache_limit`."
            )
            received = str(error)
        else:
            state = "cannot be used in full."
            received = str(error)
        text = (
            f"The cache {self.directory!r} {state} What is not in it is read again each time. "
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
    """Reads cells like a loader, and keeps the arrays. Created by `ArrayCache.of`.

    Args:
        cache: The cache that it belongs to.
        loader: The loader that reads new cells.
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
        """Whether the last cells were all in the cache, so that `gather` is worth trying."""
        return self._found >= _MANY and not self._derived

    def look(self) -> None:
        """Find what other processes have kept since."""
        try:
            self.folder.look()
        except OSError as error:
            self.cache.warn(error)

    def fetch_ahead(self, cell: Any) -> None:
        """Start to fetch what a cell names, if its array is not kept."""
        self.look()
        needed = None
        # Where nothing is kept, asking for the version first would be in vain; and that of a cell
        # with parts would be waited for.
        if len(self.folder) and not self._source.parts:
            needed = partial(self._is_new, cell)
        self.loader.fetch_ahead(cell, needed)

    def _is_new(self, cell: Any) -> bool:
        key = key_of(self._source, cell)
        return key is None or self.folder.find(key) is None

    def gather(self, cells: Sequence[Any]) -> np.ndarray | None:
        """Return `read_batch` as one new array `(cells, *shape)`, or None if not all is kept."""
        keys = [key for key in (key_of(self._source, cell) for cell in cells) if key is not None]
        gathered = self.folder.gather(keys) if len(keys) == len(cells) else None
        if gathered is None:
            self._found = 0
        return gathered

    def read(self, cell: Any) -> np.ndarray:
        """Return the array of `loader.read(cell)`, a read-only view of a file if it is kept.

        Do not use it for cells that were varied at random (`augment_cell`): they would fill the
        disk.
        """
        source = self._source
        key = key_of(source, cell)
        array = None if key is None else self.folder.find(key)
        # Not locked: threads may count too few, which only makes `gather` start a little later.
        self._found = 0 if array is None else self._found + 1
        if array is None:
            array = source.read(cell) if key is None else self._read_new(cell, key)
        return self.loader.from_cached(array) if self._derived else array

    def read_batch(self, cells: Sequence[Any]) -> list[Any]:
        """Return the arrays of `loader.read_batch(cells)`; missing ones are read in one call."""
        keys = [key_of(self._source, cell) for cell in cells]
        arrays = self._find(keys)
        if any(array is None for array in arrays):
            # Another process may have written them, or an earlier run before the first look.
            self.look()
            arrays = self._find(keys)
        missing = [position for position, array in enumerate(arrays) if array is None]
        if missing:
            for position in missing:
                self._settle(cells[position], keys[position])
            read = self._source.read_batch([cells[position] for position in missing])
            for position, array in zip(missing, read, strict=True):
                # An error instead of an array stays one.
                if not isinstance(array, Exception):
                    self._keep(cells[position], keys[position], array)
                arrays[position] = array
        if not self._derived:
            return arrays
        derive = self.loader.from_cached
        return [one if isinstance(one, Exception) else derive(one) for one in arrays]

    def _find(self, keys: Sequence[bytes | None]) -> list[Any]:
        return [None if key is None else self.folder.find(key) for key in keys]

    def _read_new(self, cell: Any, key: bytes) -> np.ndarray:
        self.look()
        array = self.folder.find(key)
        if array is None:
            self._settle(cell, key)
            array = self._source.read(cell)
            self._keep(cell, key, array)
        return array

    def _settle(self, cell: Any, key: bytes | None) -> None:
        if self._writing and key is not None:
            settle(self._source, cell)

    def _keep(self, cell: Any, key: bytes | None, array: np.ndarray) -> None:
        spec = self._source.read_spec
        if (
            key is None
            or not self._writing
            or array.shape != spec.shape
            or array.dtype != spec.dtype
        ):
            return
        # If the file was changed while it was read, its key differs now and the array is not kept.
        if key_of(self._source, cell) != key:
            return
        try:
            self.folder.store(key, array)
        except (LimitReachedError, OSError) as error:
            # Whatever follows would be refused too.
            self._writing = False
            self.folder.close()
            self.cache.warn(error)

    def __reduce__(self) -> tuple[Any, ...]:
        return _of, (self.cache, self.loader, self.folder.settings)


def _open(directory: str, limit: int | None) -> ArrayCache:
    return ArrayCache(directory, limit=limit)


def _of(cache: ArrayCache, loader: Loader, settings: str) -> LoaderCache | None:
    return cache.of(loader, settings=settings)
