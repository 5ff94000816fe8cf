"""The single checks of `check_loader`: attributes, random methods, and what people see."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np

from multimodal_gen.augment.checking import alike, frozen, random_stream, unwritten
from multimodal_gen.config import serialize
from multimodal_gen.errors import LoaderError
from multimodal_gen.loaders.base import Loader
from multimodal_gen.rows.cells import is_missing
from multimodal_gen.spec import ArraySpec, spec_problem


def check_attributes(loader: Loader, name: str) -> None:
    """Check `column`, `spec` and `batch_tolerance`."""
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
    # Integers must not depend on the batch at all, and a difference above 0.1 means another result.
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


def dump_config(loader: Loader, name: str) -> str:
    """The config of a loader as JSON."""
    try:
        return json.dumps(serialize(loader))
    except TypeError as error:
        raise LoaderError(f"{name} cannot be saved: {error}") from error


def checked(loader: Loader, array: Any, what: str, name: str, which: str = "spec") -> np.ndarray:
    """Return a copy of an array that is finite and fits the spec, or `read_spec`."""
    problem = spec_problem(array, getattr(loader, which))
    if problem:
        # They are the same but for a loader whose `augment` changes the shape.
        which = "spec" if loader.read_spec == loader.spec else which
        raise LoaderError(f"{name}.{what} must return what `{which}` says. {problem}")
    if np.asarray(array).dtype.kind == "f" and not np.isfinite(array).all():
        raise LoaderError(
            f"{name}.{what} must return finite numbers, or training turns to NaN. Received: NaN or "
            "infinity"
        )
    # A copy, because a loader may give the same memory for every cell.
    return np.array(array)


def check_augment(loader: Loader, array: np.ndarray, what: str, name: str) -> None:
    """Check that `augment` keeps the spec, changes nothing in place, and uses only `rng`."""
    # Several seeds, because operations may act with some probability only; see
    # `augment/checking.py`.
    for seed in range(8):
        varied = _augmented(loader, array, seed, what, name).tobytes()
        if varied != array.tobytes() and not loader.varies(training=True):
            raise LoaderError(
                f"{name}.varies(training=True) must be true, because `augment` changes an array."
            )
        if varied != _augmented(loader, array, seed, what, name).tobytes():
            raise LoaderError(
                f"{name}.augment must draw only from `rng`. Received: two results for one seed"
            )
    if (
        _augmented(loader, array, None, what, name).tobytes()
        != _augmented(loader, array, None, what, name).tobytes()
    ):
        raise LoaderError(
            f"{name}.augment must do nothing random when `rng` is None. Received: two results"
        )


def _augmented(
    loader: Loader, array: np.ndarray, seed: int | None, what: str, name: str
) -> np.ndarray:
    rng = None if seed is None else random_stream(seed)
    with unwritten(f"{name}.augment must return a new array, not write into the one it got."):
        return checked(loader, loader.augment(frozen(array), rng), what, name)


def check_augment_cell(loader: Loader, cell: Any, name: str) -> None:
    """Check that `augment_cell` leaves its cell alone, repeats, and returns a readable cell."""
    if is_missing(cell) and not loader.accepts_missing:
        return
    what, before = f"{name}.augment_cell", copy.deepcopy(cell)
    for seed in range(8):
        with unwritten(f"{what} must return another cell, not write into the one it got."):
            varied = loader.augment_cell(frozen(cell), random_stream(seed))
            again = loader.augment_cell(frozen(cell), random_stream(seed))
        if not alike(cell, before):
            raise LoaderError(
                f"{what} must leave the cell unchanged. Received: {clipped(cell)}, which was "
                f"{clipped(before)}"
            )
        if not alike(varied, again):
            raise LoaderError(
                f"{what} must draw only from `rng`. Received: two results for one seed"
            )
        if not alike(varied, before) and not loader.varies(training=True):
            raise LoaderError(
                f"{name}.varies(training=True) must be true, because `augment_cell` changes a cell."
            )
        try:
            array = loader.read(varied)
        except Exception as error:
            raise LoaderError(
                f"{what} must return a cell that `read` takes. Received: {clipped(varied)} for "
                f"{clipped(cell)}; {error}"
            ) from error
        what = f"read of what augment_cell made of {clipped(cell)}"
        checked(loader, array, what, name, "read_spec")


def check_choose(loader: Loader, cell: Any, name: str) -> None:
    """Check that `choose` leaves its cell alone, repeats, and that what it gives can be read."""
    if is_missing(cell) and not loader.accepts_missing:
        return
    loader, before = loader.for_training(), copy.deepcopy(cell)
    for epoch in range(4):
        with unwritten(f"{name}.choose must return another cell, not write into the one it got."):
            chosen = loader.choose(frozen(cell), epoch, random_stream)
            again = loader.choose(frozen(cell), epoch, random_stream)
        if not alike(cell, before):
            raise LoaderError(
                f"{name}.choose must leave the cell unchanged. Received: {clipped(cell)}, which "
                f"was {clipped(before)}"
            )
        if not alike(chosen, again):
            raise LoaderError(
                f"{name}.choose must depend only on the cell, the epoch and `stream`. Received: "
                f"two results in epoch {epoch} for the cell {clipped(cell)}"
            )
        if is_missing(chosen) and not loader.accepts_missing:
            continue
        try:
            array = loader.read(chosen)
        except Exception as error:
            raise LoaderError(
                f"{name}.choose must return a cell that `read` takes. Received: {clipped(chosen)} "
                f"for {clipped(cell)}; {error}"
            ) from error
        checked(loader, array, f"read of what choose made of {clipped(cell)}", name, "read_spec")


def check_shown(loader: Loader, array: np.ndarray, cell: Any, name: str) -> None:
    """Check that what people are shown of a row is words and pictures of the right form."""
    array = loader.augment(array, None)
    with unwritten(f"{name}.describe and draw must not write into the array."):
        try:
            words, picture = loader.describe(frozen(array), cell), loader.draw(frozen(array))
        except Exception as error:
            if "read-only" in str(error):
                raise
            raise LoaderError(
                f"{name}.describe and draw must work for every array. "
                f"Received: {type(error).__name__}: {error} for the cell {clipped(cell)}"
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
            f"{name}.draw must return None or (height, width, 3) uint8. Received: {received}"
        )
    if (
        loader.spec.kind == "tokens"
        and array.ndim == 1
        and array.any()
        and array[-1 if loader.pads_left else 0] == 0
    ):
        raise LoaderError(
            f'{name}.pads_left must say on which side "tokens" are padded. '
            f"Received: pads_left={loader.pads_left}, and {array!r}"
        )
    covered = loader.text_coverage([cell]) if loader.reads_text and isinstance(cell, str) else None
    if not isinstance(covered, str | None):
        raise LoaderError(f"{name}.text_coverage must return words or None. Received: {covered!r}")
    small = loader.thumbnails((8, 8)) if loader.spec.kind == "image" else None
    if small is not None and (small.spec.kind != "image" or small.read(cell).shape[:2] != (8, 8)):
        raise LoaderError(
            f"{name}.thumbnails must return a loader of pictures of that size. Received: {small!r}"
        )


def check_class(loader: Loader, array: np.ndarray, cell: Any) -> None:
    """Check that a target's class number is below its `units`."""
    # For targets. A class number that is too large does not fail on every backend; on some the loss
    # just becomes 0.
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
            f"{type(loader).__name__}.read must be a class number in [0, {units}), the range of "
            f"`units`. Received: {outside} for the cell {clipped(cell)}"
        )


def check_near(loader: Loader, alone: np.ndarray, in_batch: np.ndarray, cell: Any) -> None:
    """Check that an array read in a batch matches one read alone within `batch_tolerance`."""
    difference = float(np.abs(alone.astype("f8") - in_batch).max(initial=0))
    allowed = loader.batch_tolerance * float(np.abs(alone).max(initial=0))
    if difference > allowed:
        raise LoaderError(
            f"{type(loader).__name__}.read_batch must match `read` to within "
            f"{loader.batch_tolerance:g} of the largest number, which is {allowed:g} here. "
            f"Received: a difference of {difference:g} for the cell {clipped(cell)}"
        )


def clipped(cell: Any) -> str:
    """A cell in at most 80 characters."""
    text = repr(cell)
    return text if len(text) <= 80 else f"{text[:77]}..."
