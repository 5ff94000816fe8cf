"""Proof that a loader keeps the contract that batching, threads, caching and bundles rely on."""

from __future__ import annotations

import copy
import json
import os
import pickle
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from multimodal_gen.augment.checking import alike, frozen, random_stream, unwritten
from multimodal_gen.config import classes_in, deserialize, serialize
from multimodal_gen.errors import LoaderError
from multimodal_gen.loaders.base import Loader
from multimodal_gen.rows.cells import is_missing
from multimodal_gen.spec import ArraySpec, spec_problem


def check_loader(loader: Loader, cells: Iterable[Any]) -> None:
    """Prove that a loader keeps its contract, on cells of your own.

    Checked are: the class and its attributes; the shape and dtype of every array, and that the
    class numbers of a target are below its `units`; that nothing is written into the loader or into
    the cell; the same bytes when read again, in another order, as a batch (there, as near as the
    loader's `batch_tolerance` says), from several threads, after pickling and after saving to JSON;
    that `augment` keeps the spec, changes nothing in place, repeats with the same random stream,
    and does nothing random without one; that `augment_cell` leaves its cell as it is, repeats
    likewise, and gives a cell that can be read; that words and pictures for people are what they
    must be, and that a loader that is moved to the folder where it was reads the same.

    Args:
        loader: The loader to check.
        cells: A few typical cells that it must be able to read; at least one.

    Raises:
        LoaderError: At the first broken rule, saying which and how to mend it.
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
    _check_attributes(loader, name)
    before = _dump_config(loader, name)
    arrays = [_checked(loader, loader.read(cell), f"read({_clip(cell)})", name) for cell in cells]
    for cell, array in zip(cells, arrays, strict=True):
        _check_class(loader, array, cell)

    def same(again: Iterable[np.ndarray], rule: str) -> None:
        for cell, first, second in zip(cells, arrays, again, strict=True):
            if (
                np.asarray(second).dtype != first.dtype
                or np.asarray(second).tobytes() != first.tobytes()
            ):
                raise LoaderError(
                    f"{name}.{rule} Received: another array for the cell {_clip(cell)}"
                )

    same(
        reversed([loader.read(cell) for cell in reversed(cells)]),
        "read must give the same array every time.",
    )
    if loader.batch_tolerance:
        for cell, first, second in zip(cells, arrays, loader.read_batch(cells), strict=True):
            _check_near(
                loader, first, _checked(loader, second, f"read_batch of {_clip(cell)}", name), cell
            )
    else:
        rule = (
            "read_batch must give exactly what read gives, cell by cell; a network may differ by "
            "`batch_tolerance`."
        )
        same(loader.read_batch(cells), rule)
    kept = (loader.from_cached(loader.cached_by.read(cell)) for cell in cells)
    same(kept, "from_cached must give what read gives, from what cached_by reads.")
    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            same(pool.map(loader.read, cells), "read must be safe to call from several threads.")
    try:
        unpickled = pickle.loads(pickle.dumps(loader))
    except Exception as error:
        raise LoaderError(
            f"{name} must be picklable, so hold no open file, lock or lambda. Received: {error}"
        ) from error
    same((unpickled.read(cell) for cell in cells), "read must give the same array after pickling.")
    rebuilt = deserialize(json.loads(before), classes_in(loader))
    same(
        (rebuilt.read(cell) for cell in cells),
        "from_config(get_config()) must read the same arrays.",
    )
    if _dump_config(loader, name) != before:
        raise LoaderError(
            f"{name} is immutable: reading must not change its config. Received: another config"
        )
    for cell, array in zip(cells, arrays, strict=True):
        _check_augment(loader, array, f"augment of {_clip(cell)}", name)
        _check_augment_cell(loader, cell, name)
        _check_shown(loader, array, cell, name)
        if (
            not loader.varies(training=False)
            and loader.augment(array, None).tobytes() != array.tobytes()
        ):
            raise LoaderError(
                f"{name}.varies(training=False) must be true, as `augment` changes an array "
                "without a random stream. Received: False, another array for the cell "
                f"{_clip(cell)}"
            )
    directory = getattr(loader, "directory", None)
    moved = loader.moved(os.curdir if directory is None else directory)
    if (
        type(moved) is not type(loader)
        or moved.spec != loader.spec
        or moved.column != loader.column
    ):
        raise LoaderError(
            f"{name}.moved must give the same loader with another folder. Received: {moved!r}"
        )
    if directory is not None:
        same(
            (moved.read(cell) for cell in cells), "moved to where it was must read the same arrays."
        )


def _check_attributes(loader: Loader, name: str) -> None:
    column = getattr(loader, "column", None)
    names = column if isinstance(column, tuple) else (column,)
    if not names or not all(isinstance(part, str) for part in names):
        raise LoaderError(
            f"{name}.column must be a column name, or a tuple of them. Received: column={column!r}"
        )
    if len(set(names)) < len(names):
        raise LoaderError(f"{name}.column must name each column once. Received: column={column!r}")
    spec = getattr(loader, "spec", None)
    if not isinstance(spec, ArraySpec):
        raise LoaderError(f"{name}.spec must be an ArraySpec. Received: spec={spec!r}")
    tolerance = loader.batch_tolerance
    # Whole numbers come out the same from any batch, and a tenth is another number.
    most = 0.1 if np.dtype(spec.dtype).kind == "f" else 0.0
    if (
        isinstance(tolerance, bool)
        or not isinstance(tolerance, int | float)
        or not 0 <= tolerance <= most
    ):
        raise LoaderError(
            f"{name}.batch_tolerance must be a number in [0, {most:g}] for an array of "
            f"{spec.dtype}. Received: batch_tolerance={tolerance!r}"
        )


def _dump_config(loader: Loader, name: str) -> str:
    try:
        return json.dumps(serialize(loader))
    except TypeError as error:
        raise LoaderError(f"{name} cannot be saved: {error}") from error


def _checked(loader: Loader, array: Any, what: str, name: str) -> np.ndarray:
    problem = spec_problem(array, loader.spec)
    if problem:
        raise LoaderError(f"{name}.{what} must return what its spec says. {problem}")
    if np.asarray(array).dtype.kind == "f" and not np.isfinite(array).all():
        raise LoaderError(
            f"{name}.{what} must return finite numbers, or training turns to NaN. Received: NaN or "
            "infinity"
        )
    return np.array(array)


def _check_augment(loader: Loader, array: np.ndarray, what: str, name: str) -> None:
    def draw(seed: int | None) -> np.ndarray:
        rng = None if seed is None else random_stream(seed)
        with unwritten(f"{name}.augment must return a new array, not write into the one it got."):
            return _checked(loader, loader.augment(frozen(array), rng), what, name)

    for seed in range(8):
        varied = draw(seed).tobytes()
        if varied != array.tobytes() and not loader.varies(training=True):
            raise LoaderError(
                f"{name}.varies(training=True) must be true, as `augment` changes an array."
            )
        if varied != draw(seed).tobytes():
            raise LoaderError(
                f"{name}.augment must take all randomness from `rng`. Received: two results for "
                "one seed"
            )
    if draw(None).tobytes() != draw(None).tobytes():
        raise LoaderError(
            f"{name}.augment must do nothing random when `rng` is None. Received: two results"
        )


def _check_augment_cell(loader: Loader, cell: Any, name: str) -> None:
    if is_missing(cell) and not loader.accepts_missing:
        return
    what, before = f"{name}.augment_cell", copy.deepcopy(cell)
    for seed in range(8):
        with unwritten(f"{what} must return another cell, not write into the one it got."):
            varied = loader.augment_cell(frozen(cell), random_stream(seed))
            again = loader.augment_cell(frozen(cell), random_stream(seed))
        if not alike(cell, before):
            raise LoaderError(
                f"{what} must leave the cell as it is. Received: {_clip(cell)}, which was "
                f"{_clip(before)}"
            )
        if not alike(varied, again):
            raise LoaderError(
                f"{what} must take all randomness from `rng`. Received: two results for one seed"
            )
        if not alike(varied, before) and not loader.varies(training=True):
            raise LoaderError(
                f"{name}.varies(training=True) must be true, as `augment_cell` changes a cell."
            )
        try:
            array = loader.read(varied)
        except Exception as error:
            raise LoaderError(
                f"{what} must give a cell that `read` takes. Received: {_clip(varied)} for "
                f"{_clip(cell)}; {error}"
            ) from error
        _checked(loader, array, f"read of what augment_cell made of {_clip(cell)}", name)


def _check_shown(loader: Loader, array: np.ndarray, cell: Any, name: str) -> None:
    array = loader.augment(array, None)
    with unwritten(f"{name}.describe and draw must not write into the array."):
        try:
            words, picture = loader.describe(frozen(array), cell), loader.draw(frozen(array))
        except Exception as error:
            if "read-only" in str(error):
                raise
            raise LoaderError(
                f"{name}.describe and draw must show any array of a row. "
                f"Received: {type(error).__name__}: {error} for the cell {_clip(cell)}"
            ) from error
    if (
        not isinstance(words, dict)
        or not words
        or not all(isinstance(one, str) for pair in words.items() for one in pair)
    ):
        raise LoaderError(
            f"{name}.describe must map titles to words, both texts. Received: {words!r}"
        )
    if picture is not None and (
        picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3
    ):
        received = f"{picture.shape} {picture.dtype}"
        raise LoaderError(
            f"{name}.draw must give None or (height, width, 3) uint8. Received: {received}"
        )
    if (
        loader.spec.kind == "tokens"
        and array.ndim == 1
        and array.any()
        and array[-1 if loader.pads_left else 0] == 0
    ):
        raise LoaderError(
            f'{name}.pads_left must say on which side the zeros of kind "tokens" stand. '
            f"Received: pads_left={loader.pads_left}, and {array!r}"
        )
    covered = loader.text_coverage([cell]) if loader.reads_text and isinstance(cell, str) else None
    if not isinstance(covered, str | None):
        raise LoaderError(f"{name}.text_coverage must give words or None. Received: {covered!r}")
    small = loader.thumbnails((8, 8)) if loader.spec.kind == "image" else None
    if small is not None and (small.spec.kind != "image" or small.read(cell).shape[:2] != (8, 8)):
        raise LoaderError(
            f"{name}.thumbnails must give a loader of pictures of that size. Received: {small!r}"
        )


def _check_class(loader: Loader, array: np.ndarray, cell: Any) -> None:
    # Of a target: the backends differ in what they make of a class that there is not, down to a
    # loss of 0 and no error.
    units = getattr(loader, "units", None)
    if (
        array.dtype.kind not in "iu"
        or getattr(loader, "activation", None) != "softmax"
        or units is None
    ):
        return
    if array.min(initial=0) < 0 or array.max(initial=0) >= units:
        outside = array.max() if array.max() >= units else array.min()
        raise LoaderError(
            f"{type(loader).__name__}.read must be a class number in [0, {units}), as `units` "
            f"says. Received: {outside} for the cell {_clip(cell)}"
        )


def _check_near(loader: Loader, alone: np.ndarray, in_batch: np.ndarray, cell: Any) -> None:
    difference = float(np.abs(alone.astype("f8") - in_batch).max(initial=0))
    allowed = loader.batch_tolerance * float(np.abs(alone).max(initial=0))
    if difference > allowed:
        raise LoaderError(
            f"{type(loader).__name__}.read_batch must give what read gives to within "
            f"{loader.batch_tolerance:g} of the largest number, which is {allowed:g} here. "
            f"Received: a difference of {difference:g} for the cell {_clip(cell)}"
        )


def _clip(cell: Any) -> str:
    text = repr(cell)
    return text if len(text) <= 80 else f"{text[:77]}..."
