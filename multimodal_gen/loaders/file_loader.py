"""What loaders of files share: a cell holds the bytes of a file, or names the file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.base import Loader, missing_error
from multimodal_gen.loaders.files import Place
from multimodal_gen.rows.cells import is_missing


def named(cell: Any) -> Any:
    """Return the cell, or the path in a mapping as Hugging Face datasets write it."""
    return cell.get("path") if isinstance(cell, Mapping) and cell.get("bytes") is None else cell


class FileLoader(Loader):
    """A loader whose cells are the bytes of files, their paths or URLs, or mappings with "bytes" or
    "path" as the Hugging Face datasets have them.

    A subclass calls `_set_place` in its constructor, and turns what `content_of` gives into an
    array; then its cells are confined to a directory, fetched, cached by the state of their files,
    and packed by `pack_table`.

    Attributes:
        most_bytes: How large a file may be.
    """

    most_bytes: int

    def _set_place(
        self, directory: str | os.PathLike[str] | None, protocols: Sequence[str], most_bytes: int
    ) -> None:
        self.directory = None if directory is None else os.fspath(directory)
        self._place = Place(directory, protocols)
        self.fetches = self._place.urls.any_allowed
        self.most_bytes = most_bytes

    def path_of(self, cell: Any) -> str | None:
        """The path or URL that a cell names, not yet checked; None if it names none."""
        return self._place.path_of(named(cell))

    def file_of(self, cell: Any) -> str | None:
        """The path of the file, if the cell names one.

        Raises:
            LoadError: If it may not be opened, or is a URL.
        """
        path = self.path_of(cell)
        return None if path is None else self._place.local(path)

    def version_of(self, cell: Any) -> str | None:
        """The URL of a file, and the version that its server tells, asked once in a process."""
        return self._place.version_of(named(cell))

    def fetch_ahead(self, cell: Any, needed: Callable[[], bool] | None = None) -> None:
        """Start to fetch the file of a URL."""
        self._place.fetch_ahead(named(cell), self.most_bytes, needed)

    def content_of(self, cell: Any) -> bytes:
        """The bytes of the file that a cell holds or names; `read` takes them in place of the cell.

        Raises:
            LoadError: If there is no such file, it may not be read, or the cell is missing.
        """
        if isinstance(cell, str) and not cell:
            raise LoadError("the cell is empty. Fill it, or drop the row.")
        path = self.path_of(cell)
        if path is not None:
            return self._place.read(path, self.most_bytes)
        held = cell.get("bytes") if isinstance(cell, Mapping) else cell
        if is_missing(held):
            raise missing_error()
        if isinstance(held, bytes | bytearray | memoryview):
            return bytes(held)
        return self._content_of_object(held)

    def _content_of_object(self, held: Any) -> bytes:
        raise LoadError(
            "expected a path, bytes, or a mapping with 'bytes' or 'path'. Received: "
            f"{type(held).__name__}"
        )
