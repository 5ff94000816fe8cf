"""Reads what a packed table gets of some rows: the contents of files, as they are or resized, and
the cells of stored columns.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from PIL import Image

from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.cell_errors import placed
from multimodal_gen.loaders.file_loader import FileLoader
from multimodal_gen.loaders.image.cells import as_png
from multimodal_gen.loaders.image.loader import ImageLoader
from multimodal_gen.loaders.many import ManyLoader
from multimodal_gen.rows.cells import Unreadable, is_missing
from multimodal_gen.rows.stores.column import StoredColumn
from multimodal_gen.rows.stores.shards import stamp
from multimodal_gen.rows.table import readable_cells

# Rows whose files are looked at together.
_STAMPED = 500


class Rows(NamedTuple):
    """What was read of some rows.

    Args:
        rows: Positions of those that can be packed, `(rows,) int64`.
        cells: Column -> their cells, of the columns that are read here.
        bad: Position -> the first error of each of the others.
    """

    rows: np.ndarray
    cells: dict[str, list[Any]]
    bad: dict[int, LoadError]


class Contents:
    """Reads rows of a table for packing. Thread-safe.

    Args:
        table: The table.
        loaders: The loaders of its columns of files, and of lists of files. Others do not count.
        resize: Whether pictures are resized as their loaders say; else files stay as they are.
        quality: Of resized pictures: that of JPEG files, from 1 to 100; None for PNG files.

    Raises:
        ValueError: If no loader reads files, two read the same column, or one cannot be resized.
    """

    def __init__(
        self, table: pd.DataFrame, loaders: Iterable[Loader], resize: bool, quality: int | None
    ) -> None:
        self._table, self._resize, self._quality = table, resize, quality
        self.loaders: dict[str, Loader] = {}
        for loader in loaders:
            if isinstance(_item(loader), FileLoader):
                column = str(loader.column)
                if column in self.loaders:
                    raise ValueError(
                        f"Each column is packed by one loader. Received: two of {column!r}"
                    )
                self.loaders[column] = _checked(loader, resize, quality)
        if not self.loaders:
            raise ValueError(
                "No loader reads files: give an ImageLoader, or another FileLoader, for each "
                "column whose files are to be packed. Received: "
                f"loaders={[type(one).__name__ for one in loaders]}"
            )
        # Their cells may be in files that cannot be read.
        self._stored = [
            name
            for name in table.columns
            if name not in self.loaders and isinstance(table[name].array, StoredColumn)
        ]

    @property
    def types(self) -> dict[str, pa.DataType]:
        """Column of files -> the type of what is packed."""
        one = pa.large_binary()
        return {
            name: pa.list_(one) if isinstance(loader, ManyLoader) else one
            for name, loader in self.loaders.items()
        }

    def settings(self) -> dict[str, Any]:
        """What contents depend on besides the table, as JSON can hold it."""
        about = {
            name: [
                repr(_item(loader)) if self._resize else "as it is",
                getattr(loader, "separator", None),
                getattr(_item(loader), "directory", None),
            ]
            for name, loader in self.loaders.items()
        }
        return {"files": about, "resize": self._resize, "quality": self._quality}

    def fetch_ahead(self, rows: np.ndarray) -> None:
        """Start to fetch the files of rows that are at URLs."""
        for name, loader in self.loaders.items():
            if loader.fetches:
                for cell in readable_cells(self._table, name, rows):
                    if not _is_gone(cell):
                        for one in _items(loader, cell):
                            _item(loader).fetch_ahead(one)

    def stamp_of(self, rows: range) -> str:
        """A digest of the sizes and times of the files that rows name; of URLs nothing is asked.

        Args:
            rows: Their positions.
        """
        digest = blake2b(digest_size=16)
        for start in range(rows.start, rows.stop, _STAMPED):
            some = np.arange(start, min(start + _STAMPED, rows.stop), dtype="int64")
            for name, loader in self.loaders.items():
                for cell in readable_cells(self._table, name, some):
                    for item in _items(loader, cell) if not _is_gone(cell) else ():
                        digest.update(_stamp_of(_item(loader), item).encode())
        return digest.hexdigest()

    def read(self, rows: np.ndarray) -> Rows:
        """Read some rows.

        Args:
            rows: Their positions, `(rows,) int64`.
        """
        found = {
            name: readable_cells(self._table, name, rows) for name in (*self.loaders, *self._stored)
        }
        bad: dict[int, LoadError] = {}
        for name, cells in found.items():
            loader = self.loaders.get(name)
            for place, cell in enumerate(cells):
                row = int(rows[place])
                if row in bad:
                    continue
                if isinstance(cell, Unreadable):
                    bad[row] = LoadError(
                        getattr(cell.error, "reason", str(cell.error)),
                        path=getattr(cell.error, "path", None),
                    ).at(self._label(row), name)
                elif loader is not None:
                    try:
                        cells[place] = self._packed(loader, cell)
                    # Whatever a decoder raises is about this cell.
                    except Exception as error:
                        bad[row] = placed(error, loader, cell, self._label(row))
        good = np.array([row not in bad for row in rows.tolist()], bool)
        kept = np.flatnonzero(good).tolist()
        own = {name: [cells[place] for place in kept] for name, cells in found.items()}
        return Rows(rows[good], own, bad)

    def _label(self, row: int) -> Any:
        return self._table.index[[row]].tolist()[0]

    def _packed(self, loader: Loader, cell: Any) -> Any:
        # A missing cell stays one.
        if is_missing(cell):
            return None
        if not isinstance(loader, ManyLoader):
            return self._content(loader, cell)
        found = []
        items = loader.items(cell)
        for place, item in enumerate(items):
            try:
                found.append(self._content(loader.item, item))
            except LoadError as error:
                reason = f"item {place + 1} of {len(items)}: {error.reason}"
                raise LoadError(reason, path=error.path) from error
        return found

    def _content(self, loader: Any, cell: Any) -> bytes:
        content = loader.content_of(cell)
        # Decoded in any case, as a broken file is better found now than while a model trains.
        try:
            array = loader.read(content)
        except LoadError as error:
            raise LoadError(error.reason, path=error.path or loader.path_of(cell)) from error
        return encoded(array, self._quality) if self._resize else bytes(content)


def _is_gone(cell: Any) -> bool:
    return isinstance(cell, Unreadable) or is_missing(cell)


def _stamp_of(loader: Any, item: Any) -> str:
    try:
        path = loader.file_of(item)
        return "held " if path is None else "{} {} ".format(*stamp(path))
    except (LoadError, OSError):
        # A URL, or a file that is not there.
        return "none "


def encoded(pixels: np.ndarray, quality: int | None) -> bytes:
    """The content of a picture file.

    Args:
        pixels: `(height, width, 1, 3 or 4) uint8`.
        quality: That of a JPEG file, from 1 to 100; None for PNG, which is lossless.
    """
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    if quality is None:
        return as_png(picture)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return file.getvalue()


def _item(loader: Any) -> Any:
    return loader.item if isinstance(loader, ManyLoader) else loader


def _items(loader: Any, cell: Any) -> Sequence[Any]:
    if not isinstance(loader, ManyLoader):
        return [cell]
    try:
        return loader.items(cell)
    except LoadError:
        # Reading says what is wrong.
        return []


def _checked(loader: Any, resize: bool, quality: int | None) -> Any:
    if not resize:
        return loader
    item = _item(loader)
    if not isinstance(item, ImageLoader):
        raise ValueError(f"Only pictures can be resized. Received: resize=True, loader={loader!r}")
    if quality is not None and item.fitting.mode == "RGBA":
        raise ValueError(
            'A JPEG file has no transparency: use `color_mode="rgb"`, or PNG files, with '
            f"`quality=None`. Received: quality={quality}, color_mode='rgba'"
        )
    plain = item.replace(dtype="uint8", rescale=None, normalize=None, augment=(), vary_with=None)
    return loader.replace(loader=plain) if isinstance(loader, ManyLoader) else plain
