"""Datasets of Lance as a table. Needs pylance: `pip install 'multimodal_gen[lance]'`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from multimodal_gen.errors import LoadError, TableError, by_number, counted
from multimodal_gen.rows.stores.arrow import kind_of, plain_cells
from multimodal_gen.rows.stores.store import Store

# Where in Lance's own code an error comes from.
_PLACE = re.compile(r",?\s*\S+\.rs:\d+(:\d+)?")


def plain_words(error: Exception) -> str:
    """What an error of Lance says to people, in one line and without a full stop."""
    return " ".join(_PLACE.sub("", str(error)).split()).rstrip(".")


class LanceStore(Store):
    """A dataset of Lance, at the version that is newest when it is opened.

    Args:
        paths: Its folder, as the only item.
        version: Which version; by default the newest.

    Raises:
        ImportError: If pylance is not installed.
        TableError: If it cannot be read.
    """

    def __init__(self, paths: Sequence[str], version: int | None = None) -> None:
        try:
            import lance
        except ImportError as error:
            raise ImportError(
                "Reading datasets of Lance needs pylance: `pip install 'multimodal_gen[lance]'`."
            ) from error
        if len(paths) != 1:
            raise TableError(f"A table is one dataset of Lance. Received: {list(paths)}")
        (self._path,) = paths
        try:
            self._dataset = lance.dataset(self._path, version=version)
        except (OSError, ValueError) as error:
            raise TableError(
                f"The dataset cannot be read: {plain_words(error)}. Received: path={self._path!r}"
            ) from error
        _check_files(self._path, self._dataset)
        self.columns = {one.name: kind_of(one.type) for one in self._dataset.schema}
        self._rows = self._dataset.count_rows()

    def __len__(self) -> int:
        return self._rows

    def cells(self, column: str, rows: np.ndarray) -> list[Any]:
        """See `Store.cells`."""
        if not len(rows):
            return []
        # Each row once, in ascending order, which is read fastest.
        distinct, places = np.unique(rows, return_inverse=True)
        try:
            found = self._dataset.take(distinct.tolist(), columns=[column]).column(column)
        except (OSError, ValueError) as error:
            raise LoadError(plain_words(error), path=self._path) from error
        cells = plain_cells(found.combine_chunks())
        return [cells[place] for place in places.tolist()]

    def origin(self, column: str, row: int) -> str:
        """See `Store.origin`."""
        return f"{self._path}::row {row}"

    def fingerprint(self) -> str:
        """See `Store.fingerprint`; a version of a dataset never changes."""
        return f"{self._dataset.version} {self._rows}"

    def reopen(self) -> tuple[Callable[..., LanceStore], tuple[Any, ...]]:
        """See `Store.reopen`."""
        return LanceStore, ([self._path], self._dataset.version)


def _check_files(path: str, dataset: Any) -> None:
    # Lance would find a file that is missing only when a row of it is read.
    if not os.path.isdir(path):
        return
    files = [one for fragment in dataset.get_fragments() for one in fragment.data_files()]
    # Of some datasets, files are in other places too.
    names = [one.path for one in files if getattr(one, "base_id", None) is None]
    lost = [name for name in names if not os.path.exists(os.path.join(path, "data", name))]
    if lost:
        raise TableError(
            f"{counted(len(lost), 'data file')} of {len(names):,} of the dataset "
            f"{by_number(len(lost), 'is', 'are')} missing, such as {lost[0]!r}. Get "
            f"{by_number(len(lost), 'it', 'them')} anew. Received: path={path!r}"
        )
