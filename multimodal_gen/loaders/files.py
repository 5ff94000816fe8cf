"""Opens the files and URLs that cells name, inside one directory and within limits.

A table may come from a stranger, and so may the files that it names. So a directory confines the
cells that are relative to it, links included; a URL is opened only by a protocol that the loader
was given; and nothing but a regular file of a bounded size is read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Any

from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.missing_files import what_is_beside
from multimodal_gen.loaders.remote.urls import Urls, protocol_of, too_large

# Without O_NONBLOCK a pipe that nobody writes into would block for ever; without O_BINARY Windows
# would translate line ends.
_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
# Tells where a file is without needing the right to read it.
_LOOK = getattr(os, "O_PATH", _FLAGS)
_CHUNK = 1 << 24
# Bounds the memory for tables with a folder per row.
_MOST_FOLDERS = 4096


class Place:
    """Where a loader's files are, and the only way to open them.

    Args:
        directory: Where relative paths start, and what they may not leave: a folder, or a URL. None
            for paths that start in the working directory and may lead anywhere.
        protocols: What cells that are URLs may begin with, such as "https" or "s3"; each is opened
            by fsspec.

    Raises:
        ValueError: If a protocol is not a word, or names local files.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = None,
        protocols: str | Sequence[str] | None = None,
    ) -> None:
        self.directory = None if directory is None else os.fspath(directory)
        # A URL has no links to resolve; it has rules of its own.
        self.urls = Urls(self.directory, protocols)
        self._remote = self.urls.directory is not None
        self._root = (
            None if self.directory is None or self._remote else os.path.normpath(self.directory)
        )
        # Folders known to be inside the root, so that files that are already in a cache need not be
        # opened again to be checked.
        self._inside: set[str] = set()

    def path_of(self, cell: Any) -> str | None:
        """The path or URL in a cell, not yet checked; None if the cell is not a path."""
        if not isinstance(cell, str | PurePath):
            return None
        path = os.fspath(cell)
        if self.directory is None or protocol_of(path) is not None:
            return path
        return (
            f"{self.directory.rstrip('/')}/{path}"
            if self._remote
            else os.path.join(self.directory, path)
        )

    def local(self, path: str) -> str:
        """Return the path if it names a local file that may be opened.

        Args:
            path: What `path_of` gave.

        Raises:
            LoadError: If there is no such file, it is outside the directory, is not a regular file,
                or is a URL.
        """
        if protocol_of(path) is not None:
            raise LoadError("a URL cannot be mapped: download the file first.", path=path)
        try:
            # One system call instead of several for a file whose folder is known.
            if _folder_of(path) in self._inside and stat.S_ISREG(os.lstat(path).st_mode):
                return path
            self._regular(path)
            if self._root is not None:
                self._confine(path, _LOOK)
                self._remember(_folder_of(path))
        except (OSError, ValueError) as error:
            raise self._refused(error, path) from None
        return path

    def read(self, path: str, most: int) -> bytes:
        """The content of a file.

        Args:
            path: What `path_of` gave.
            most: Bytes that it may have.

        Raises:
            LoadError: If there is no such file, it is outside the directory, is not a regular file,
                is too large, or is a URL of a protocol that was not given.
        """
        if protocol_of(path) is not None:
            return self.urls.read(path, most)
        try:
            size = self._regular(path).st_size
            if size > most:
                raise too_large(path, most)
            # `os.open`, because each system call gives other threads a turn, and `open` makes half
            # a dozen.
            file = os.open(path, _FLAGS)
            try:
                if self._root is not None:
                    self._check_inside(path, file)
                # Asks for one byte more than the size, to notice a file that has grown.
                content = os.read(file, size + 1)
                while len(content) != size:
                    # The file is growing, has no known size, or is too large for a single call.
                    more = os.read(file, _CHUNK)
                    if not more:
                        break
                    content += more
                    if len(content) > most:
                        raise too_large(path, most)
                return content
            finally:
                os.close(file)
        except (OSError, ValueError) as error:
            raise self._refused(error, path) from None

    def version_of(self, cell: Any) -> str | None:
        """The URL in a cell, with what changes with its content; None if that is unknown, or the
        cell is none.
        """
        url = self.path_of(cell)
        if url is None or protocol_of(url) is None:
            return None
        version = self.urls.version(url)
        return None if version is None else f"{version} {url}"

    def fetch_ahead(self, cell: Any, most: int, needed: Callable[[], bool] | None) -> None:
        """Start to fetch the URL in a cell; see `Urls.fetch_ahead`."""
        url = self.path_of(cell)
        if url is not None and protocol_of(url) is not None:
            self.urls.fetch_ahead(url, most, needed)

    def _regular(self, path: str) -> os.stat_result:
        if (
            self._root is not None
            and self.directory is not None
            and ".." in path.removeprefix(self.directory)
        ):
            # Paths that leave the root by their name alone are refused before any file is touched.
            real = os.path.realpath(path)
            if not _within(real, os.path.realpath(self._root)):
                raise self._outside(path, real)
        # Before opening, because opening a device or a pipe can have effects.
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            raise LoadError("the path names a folder, not a file.", path=path)
        if not stat.S_ISREG(found.st_mode):
            raise LoadError(
                "the path names a device, a pipe or a socket. Only regular files are read.",
                path=path,
            )
        return found

    def _confine(self, path: str, flags: int) -> None:
        file = os.open(path, flags)
        try:
            self._check_inside(path, file)
        finally:
            os.close(file)

    def _remember(self, folder: str) -> None:
        # The file may be a link to inside and its folder outside, or the other way round, so both
        # are checked.
        if self._root is not None and _within(
            os.path.join(os.path.realpath(folder), ""), os.path.realpath(self._root)
        ):
            if len(self._inside) >= _MOST_FOLDERS:
                self._inside.clear()
            self._inside.add(folder)

    def _check_inside(self, path: str, file: int) -> None:
        # On Linux one call says where an open file really is, whatever links led to it.
        try:
            real = os.readlink(f"/proc/self/fd/{file}")
        except OSError:
            real = os.path.realpath(path)
        assert self._root is not None
        # If the real path begins with the root as given, the root has no links and need not be
        # resolved.
        if _within(real, os.path.abspath(self._root)) or _within(
            real, os.path.realpath(self._root)
        ):
            return
        raise self._outside(path, real)

    def _outside(self, path: str, real: str) -> LoadError:
        return LoadError(
            f"the file is outside this loader's directory, at {real!r}. Move it inside, or let "
            "`directory` be a folder that really contains all files "
            f"(directory={self.directory!r}); without one, paths may lead anywhere.",
            path=path,
        )

    def _refused(self, error: Exception, path: str) -> LoadError:
        if isinstance(error, LoadError):
            return error
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            beside = what_is_beside(path, self.directory, self._root)
            reason = (
                f"there is no such file{f': {beside}' if beside else ''}. Check the column, and "
                f"`directory`, where relative paths start (directory={self.directory!r})."
            )
        elif isinstance(error, OSError):
            reason = f"the file cannot be read: {error.strerror or error}. Fix it, or drop the row."
        else:
            reason = f"no file can have this name: {error}. Fix it, or drop the row."
        return LoadError(reason, path=path)


def _folder_of(path: str) -> str:
    folder = os.path.dirname(path)
    return folder if os.path.isabs(folder) else os.path.join(os.getcwd(), folder)


def _within(path: str, root: str) -> bool:
    return path.startswith(root if root.endswith(os.sep) else root + os.sep)
