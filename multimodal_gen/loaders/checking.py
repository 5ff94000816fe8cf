"""Check that a loader keeps the contract that batches, threads, caches and bundles rely on."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from multimodal_gen.config import classes_in, deserialize
from multimodal_gen.errors import LoaderError
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.proofs import (
    check_attributes,
    check_augment,
    check_augment_cell,
    check_choose,
    check_class,
    check_near,
    check_shown,
    checked,
    clipped,
    dump_config,
)


def check_loader(loader: Loader, cells: Iterable[Any]) -> None:
    """Check that a loader keeps its contract, on cells of your own.

    It checks the class and its attributes; the shape and dtype of every array, and that the class
    numbers of a target are below its `units`; that nothing is written into the loader or the cell;
    that the bytes are the same when read again, in another order, as a batch (within the loader's
    `batch_tolerance`), from several threads, after pickling and after saving to JSON; that
    `augment` keeps the spec, changes nothing in place, repeats with the same random stream, and
    does nothing random without one; that `augment_cell` does not change its cell, repeats in the
    same way, and returns a cell that can be read; that `choose`, in the training form of the
    loader, does too, in several epochs; that words and pictures for people are valid; and
    that a loader moved to its own folder reads the same.

    Args:
        loader: The loader to check.
        cells: A few typical cells that it must be able to read; at least one.

    Raises:
        LoaderError: At the first broken rule, saying which and how to fix it.
    """
    if not isinstance(loader, Loader):
        raise LoaderError(f"A loader must derive from Loader. Received: loader={loader!r}")
    name = type(loader).__name__
    if hasattr(cells, "columns"):
        raise LoaderError(
            f"check_loader takes cells of one column, as in table[{loader.column!r}].head(). "
            f"Received: {type(cells).__name__}"
        )
    cells = list(cells)
    if not cells:
        raise LoaderError("check_loader needs at least one cell to read. Received: cells=[]")
    check_attributes(loader, name)
    before = dump_config(loader, name)
    arrays = [
        checked(loader, loader.read(cell), f"read({clipped(cell)})", name, "read_spec")
        for cell in cells
    ]
    known = _Known(loader, cells, arrays)
    known.check_reading()
    known.check_copies(before)
    for cell, array in zip(cells, arrays, strict=True):
        check_class(loader, array, cell)
        check_augment(loader, array, f"augment of {clipped(cell)}", name)
        check_augment_cell(loader, cell, name)
        check_choose(loader, cell, name)
        check_shown(loader, array, cell, name)
        # `varies` decides whether a sequence calls `augment` at all.
        changed = loader.augment(array, None).tobytes() != array.tobytes()
        if changed and not loader.varies(training=False):
            raise LoaderError(
                f"{name}.varies(training=False) must be true, because `augment` changes an array "
                "without a random stream. Received: False, another array for the cell "
                f"{clipped(cell)}"
            )
    known.check_moved()


@dataclass(frozen=True)
class _Known:
    # What was read from some cells, to compare every other way of reading with it.
    loader: Loader
    cells: Sequence[Any]
    arrays: Sequence[np.ndarray]

    def same(self, again: Iterable[np.ndarray], rule: str) -> None:
        for cell, first, second in zip(self.cells, self.arrays, again, strict=True):
            other = np.asarray(second)
            if other.dtype != first.dtype or other.tobytes() != first.tobytes():
                raise LoaderError(
                    f"{type(self.loader).__name__}.{rule} "
                    f"Received: another array for the cell {clipped(cell)}"
                )

    def check_reading(self) -> None:
        # Reads in another order, as a batch, from a cache, and from several threads.
        loader, cells, name = self.loader, self.cells, type(self.loader).__name__
        # In another order, which shows a loader that remembers its last cell.
        backwards = [loader.read(cell) for cell in reversed(cells)]
        self.same(reversed(backwards), "read must return the same array every time.")
        batch = loader.read_batch(cells)
        if loader.batch_tolerance:
            for cell, first, second in zip(cells, self.arrays, batch, strict=True):
                second = checked(
                    loader, second, f"read_batch of {clipped(cell)}", name, "read_spec"
                )
                check_near(loader, first, second, cell)
        else:
            self.same(
                batch,
                "read_batch must return exactly what read does, cell by cell; a network may differ "
                "by `batch_tolerance`.",
            )
        self.same(
            (loader.from_cached(loader.cached_by.read(cell)) for cell in cells),
            "from_cached must return what read does, from what cached_by reads.",
        )
        rule = "read must be safe to call from several threads."
        with ThreadPoolExecutor(4) as pool:
            # Several times, because a race between threads does not always show.
            for _ in range(4):
                self.same(pool.map(loader.read, cells), rule)

    def check_copies(self, before: str) -> None:
        # Reads after pickling and after saving to JSON; `before` is the config from before any
        # reading.
        loader, name = self.loader, type(self.loader).__name__
        try:
            copied = pickle.loads(pickle.dumps(loader))
        except Exception as error:
            raise LoaderError(
                f"{name} must be picklable, so it cannot hold an open file, a lock or a lambda. "
                f"Received: {error}"
            ) from error
        again = (copied.read(cell) for cell in self.cells)
        self.same(again, "read must return the same array after pickling.")
        rebuilt = deserialize(json.loads(before), classes_in(loader))
        again = (rebuilt.read(cell) for cell in self.cells)
        self.same(again, "from_config(get_config()) must read the same arrays.")
        if dump_config(loader, name) != before:
            raise LoaderError(
                f"{name} must not change its config when reading. Received: another config"
            )

    def check_moved(self) -> None:
        loader, directory = self.loader, getattr(self.loader, "directory", None)
        moved = loader.moved(os.curdir if directory is None else directory)
        if (type(moved), moved.spec, moved.column) != (type(loader), loader.spec, loader.column):
            raise LoaderError(
                f"{type(loader).__name__}.moved must return the same loader with another folder. "
                f"Received: {moved!r}"
            )
        if directory is not None:
            again = (moved.read(cell) for cell in self.cells)
            self.same(again, "moved to where it was must read the same arrays.")
