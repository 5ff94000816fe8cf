"""Digests of cells, which tell whether what was read back is what was written, and of tables."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from multimodal_gen.rows.stores.column import StoredColumn

_BYTES = 16


class CellsDigest:
    """A digest of the cells of a column, one after the other, as a store gives them."""

    def __init__(self) -> None:
        self._digest = blake2b(digest_size=_BYTES)

    def add(self, cells: Iterable[Any]) -> None:
        """Add cells."""
        for cell in cells:
            self._add(cell)

    def text(self) -> str:
        """The digest."""
        return self._digest.hexdigest()

    def _add(self, cell: Any) -> None:
        # Each with its kind and length, so that no two columns of cells look alike.
        if isinstance(cell, bytes):
            self._put("b", cell)
        elif isinstance(cell, str):
            self._put("s", cell.encode("utf-8", "surrogatepass"))
        elif isinstance(cell, np.ndarray):
            self._put(f"a{cell.dtype.str}{cell.shape}", np.ascontiguousarray(cell).tobytes())
        elif isinstance(cell, list | tuple):
            self._put("l", str(len(cell)).encode())
            self.add(cell)
        elif isinstance(cell, Mapping):
            self._put("m", str(len(cell)).encode())
            for name, one in cell.items():
                self._add(name)
                self._add(one)
        else:
            self._put(type(cell).__name__, repr(cell).encode("utf-8", "surrogatepass"))

    def _put(self, kind: str, content: bytes) -> None:
        self._digest.update(f"{kind} {len(content)}\n".encode())
        self._digest.update(content)


def digest_of_table(table: pd.DataFrame) -> str:
    """A digest of all cells, and of the files that a stored column reads; files that cells name are
    not opened.
    """
    whole = blake2b(digest_size=_BYTES)
    for name in table.columns:
        whole.update(f"{name} {_digest_of(table[name].array)}\n".encode("utf-8", "surrogatepass"))
    return whole.hexdigest()


def _digest_of(column: Any) -> str:
    if isinstance(column, StoredColumn):
        stored = blake2b(np.ascontiguousarray(column.rows).tobytes(), digest_size=_BYTES)
        for store, name in column.sources:
            stored.update(f"{name} {store.fingerprint()}\n".encode("utf-8", "surrogatepass"))
        return stored.hexdigest()
    try:
        return _digest_of_arrow(pa.array(column, from_pandas=True))
    except (pa.ArrowException, TypeError):
        # Such as pictures in memory.
        digest = CellsDigest()
        digest.add(_plain(cell) for cell in column)
        return digest.text()


def _digest_of_arrow(array: Any) -> str:
    whole = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    file = _Hashing()
    table = pa.table({"cells": whole})
    with pa.ipc.new_stream(pa.PythonFile(file, "w"), table.schema) as out:
        out.write_table(table)
    return file.digest.hexdigest()


class _Hashing(io.RawIOBase):
    # A file that is only digested.
    def __init__(self) -> None:
        self.digest = blake2b(digest_size=_BYTES)

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self.digest.update(content)
        return len(content)


def _plain(cell: Any) -> Any:
    # A picture of Pillow.
    if hasattr(cell, "tobytes") and not isinstance(cell, np.ndarray | np.generic):
        return [repr(getattr(cell, "size", None)), cell.tobytes()]
    return cell
